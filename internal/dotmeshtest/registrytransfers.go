package dotmeshtest

import (
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

var transferTests = []registryCase{
	{"a transfer changes when it is as expected, and is told", testTransfer},
	{"a transfer that has not ended stays", testDropTransfer},
	{"of finishing a transfer and cancelling it exactly one succeeds", testFinishOrCancel},
}

// transfer makes a running transfer of a branch from node a to node b.
func (r *registryTest) transfer(b dotmesh.Branch) dotmesh.Transfer {
	r.t.Helper()
	t := dotmesh.Transfer{
		ID: dotmesh.NewUUID(), Kind: dotmesh.TransferReplica, State: dotmesh.TransferRunning, Try: 1,
		Dot: dotmesh.DotName{Namespace: dotmesh.AdminNamespace, Name: "shop"}, Branch: b.Name, BranchID: b.ID,
		From: "a", To: "b", Commit: b.Pointer.Tip, Started: time.Unix(1700000000, 5).UTC(),
	}
	r.must(r.PutTransfer(r.ctx, nil, t))
	return t
}

func testTransfer(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	s := r.list()
	next := r.updates(s.cursor)
	running := r.transfer(b)
	later := running
	later.Sent, later.State, later.Reason = 7, dotmesh.TransferWaiting, "node b is away"
	for range 2 { // the second is a late retry
		s.until(next, r.must(r.PutTransfer(r.ctx, &running, later)))
	}
	if got := s.transfers[running.ID]; got == nil || *got != later {
		t.Errorf("the transfer was told as %+v, want %+v", got, later)
	}
	for name, c := range map[string]struct {
		expect *dotmesh.Transfer
		change func(t *dotmesh.Transfer)
		kind   dotmesh.Kind
	}{
		"one that was different":      {&running, func(t *dotmesh.Transfer) { t.Sent = 9 }, dotmesh.Conflict},
		"a new one with its id":       {nil, func(t *dotmesh.Transfer) { t.Sent = 9 }, dotmesh.Exists},
		"another branch":              {&later, func(t *dotmesh.Transfer) { t.BranchID.UUID = dotmesh.NewUUID() }, dotmesh.Invalid},
		"another kind":                {&later, func(t *dotmesh.Transfer) { t.Kind = dotmesh.TransferMove }, dotmesh.Invalid},
		"another id":                  {&later, func(t *dotmesh.Transfer) { t.ID = dotmesh.NewUUID() }, dotmesh.Invalid},
		"a state that nobody knows":   {&later, func(t *dotmesh.Transfer) { t.State = "flying" }, dotmesh.Invalid},
		"a new one without a branch":  {nil, func(t *dotmesh.Transfer) { t.ID, t.BranchID = dotmesh.NewUUID(), dotmesh.BranchID{} }, dotmesh.Invalid},
		"a new one of an unknown way": {nil, func(t *dotmesh.Transfer) { t.ID, t.Kind = dotmesh.NewUUID(), "pigeon" }, dotmesh.Invalid},
	} {
		t.Run(name, func(*testing.T) {
			bad := later
			c.change(&bad)
			cursor, err := r.PutTransfer(r.ctx, c.expect, bad)
			r.refuse(c.kind, cursor, err)
		})
	}
	if all := r.list().transfers; len(all) != 1 || *all[later.ID] != later {
		t.Errorf("transfers = %v, want the one as it was", all)
	}
}

func testDropTransfer(t *testing.T, r *registryTest) {
	running := r.transfer(r.dot("shop"))
	cursor, err := r.DropTransfer(r.ctx, running.ID)
	r.refuse(dotmesh.Conflict, cursor, err)
	ended := running
	ended.State, ended.Reason = dotmesh.TransferFailed, "node b was removed"
	r.must(r.PutTransfer(r.ctx, &running, ended))
	all := r.export()
	r.must(r.Import(r.ctx, entriesOf(all), true))
	s := r.list()
	if s.transfers[ended.ID] == nil {
		t.Error("the transfer was not exported")
	}
	next := r.updates(s.cursor)
	s.until(next, r.must(r.DropTransfer(r.ctx, ended.ID)))
	if len(s.transfers) != 0 {
		t.Errorf("transfers = %v, want none", s.transfers)
	}
	r.must(r.DropTransfer(r.ctx, ended.ID))
	cursor, err = r.PutTransfer(r.ctx, &ended, running)
	r.refuse(dotmesh.NotFound, cursor, err)
}

func testFinishOrCancel(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	for range 10 {
		running := r.transfer(b)
		states := []dotmesh.TransferState{dotmesh.TransferDone, dotmesh.TransferCancelled}
		var errs [2]error
		together(2, func(i int) {
			next := running
			next.State = states[i]
			_, errs[i] = r.PutTransfer(r.ctx, &running, next)
		})
		won := 0
		if errs[0] != nil {
			won = 1
		}
		if errs[won] != nil || dotmesh.KindOf(errs[1-won]) != dotmesh.Conflict {
			t.Fatalf("finishing ended with %v and cancelling with %v, want one success and one of kind %q", errs[0], errs[1], dotmesh.Conflict)
		}
		if got := r.list().transfers[running.ID].State; got != states[won] {
			t.Errorf("the transfer is %s, want %s", got, states[won])
		}
	}
}
