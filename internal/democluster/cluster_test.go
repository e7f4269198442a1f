package democluster_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/democluster"
	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
)

func TestTheHandMadeClusterShowsWhatAUserInterfaceHasToShow(t *testing.T) {
	c := filled()
	dots := must(c.Dots(t.Context()))(t)
	if len(dots) < 12 || !slices.IsSortedFunc(dots, func(a, b dotmesh.DotStatus) int {
		return strings.Compare(string(a.Name.Namespace+"/"+a.Name.Name), string(b.Name.Namespace+"/"+b.Name.Name))
	}) {
		t.Fatalf("%d dots, by name: want at least 12", len(dots))
	}
	found := map[string]bool{}
	for _, d := range dots {
		for _, b := range must(c.Dot(t.Context(), d.Name))(t).All {
			found["phase "+string(b.Pointer.State.Phase)] = true
			found["dirty with an age"] = found["dirty with an age"] || b.Dirty.Bytes > 0 && b.Dirty.AsOf.Before(noon)
			found["450 commits"] = found["450 commits"] || b.Pointer.Count == 450
			found["fork"] = found["fork"] || b.Origin != nil
			if b.Stash != nil {
				found["stash "+string(b.Stash.Reason)] = true
			}
			for _, used := range b.Containers {
				found["pod"] = found["pod"] || strings.Contains(used.Name, "/")
				found["container"] = found["container"] || !strings.Contains(used.Name, "/")
			}
			for _, r := range b.Replicas {
				found["lag"] = found["lag"] || len(r.Missing) == 2 && r.Behind == 31*time.Second
			}
		}
	}
	for _, tr := range must(c.Transfers(t.Context()))(t) {
		found[string(tr.Kind)+" "+string(tr.State)] = true
		found["retry"] = found["retry"] || tr.Retry.After(noon) && tr.Reason != ""
	}
	for _, what := range []string{
		"phase held", "phase moving", "phase released", "dirty with an age", "450 commits", "fork", "stash reset", "stash diverged",
		"pod", "container", "lag", "push running", "push failed", "pull waiting", "move running", "move waiting", "retry",
	} {
		if !found[what] {
			t.Errorf("nothing shows %q", what)
		}
	}
}

func TestThreeNodesVoteAndOneLeads(t *testing.T) {
	c := filled()
	cluster := must(c.Cluster(t.Context()))(t)
	if cluster.Voters != 3 || !cluster.Quorum || len(cluster.Certificates) != 4 || len(cluster.Tokens) != 1 {
		t.Errorf("cluster is %+v", cluster)
	}
	masters := 0
	for i, n := range must(c.Nodes(t.Context()))(t) {
		masters += n.Masters
		if !n.Alive || !n.Voter || n.Leader != (i == 0) || n.Self != (i == 0) || n.Pool.Free <= n.Pool.Reserve || n.Version == "" {
			t.Errorf("node is %+v", n)
		}
	}
	branches := 0
	for _, d := range must(c.Dots(t.Context()))(t) {
		branches += d.Branches
	}
	if masters != branches {
		t.Errorf("nodes are masters of %d branches, and there are %d", masters, branches)
	}
	if v := must(c.At("node-2").Version(t.Context()))(t); v.Name != "node-2" || v.Cluster != cluster.ID {
		t.Errorf("node-2 says of itself %+v", v)
	}
	if c.At("node-9") != nil {
		t.Error("there is a node-9")
	}
}

func TestDotsAreGeneratedUpToANumber(t *testing.T) {
	c := democluster.New(democluster.Options{Dots: 300})
	dots := must(c.Dots(t.Context()))(t)
	if len(dots) != 300 {
		t.Fatalf("%d dots, want 300", len(dots))
	}
	names := map[dotmesh.DotName]bool{}
	for _, d := range dots {
		names[d.Name] = true
		if page := must(c.Log(t.Context(), dotmesh.LogRequest{Dot: d.Name, Limit: 1000}))(t); uint64(len(page.Commits)) != d.Branch.Pointer.Count {
			t.Errorf("%s counts %d commits and has %d", d.Name, d.Branch.Pointer.Count, len(page.Commits))
		}
	}
	if len(names) != len(dots) {
		t.Error("two dots have one name")
	}
}

func TestALongHistoryComesInPages(t *testing.T) {
	c := filled()
	r := dotmesh.LogRequest{Dot: name(t, "reporting/warehouse")}
	var sizes []int
	for more := true; more; {
		page := must(c.Log(t.Context(), r))(t)
		sizes, more = append(sizes, len(page.Commits)), page.More
		r.Before = page.Commits[len(page.Commits)-1].ID
	}
	if !slices.Equal(sizes, []int{200, 200, 50}) {
		t.Errorf("pages have %v commits", sizes)
	}
}

func TestFilesOfTheHandMadeDotsCanBeRead(t *testing.T) {
	c := filled()
	for change, err := range c.Diff(t.Context(), dotmesh.DiffRequest{Dot: shop, Branch: "spring-sale", From: "HEAD^", To: "HEAD"}) {
		ok(t, err)
		part := must(c.ReadFile(t.Context(), dotmesh.FileRequest{
			CommitRef: dotmesh.CommitRef{Dot: shop, Branch: "spring-sale"}, Path: change.Path,
		}))(t)
		if part.Size != change.Size || !strings.Contains(string(part.Data), "17.90") {
			t.Errorf("%+v is %q", change, part.Data)
		}
	}
	r := dotmesh.FileRequest{CommitRef: dotmesh.CommitRef{Dot: shop}, Path: "__default__/base/16384/16402", Offset: 510, Limit: 8}
	part := must(c.ReadFile(t.Context(), r))(t)
	if len(part.Data) != 8 || part.Data[2] != 0 || part.Size < 1<<20 {
		t.Errorf("binary file is %v of %d", part.Data, part.Size)
	}
	if again := must(c.ReadFile(t.Context(), r))(t); !slices.Equal(again.Data, part.Data) {
		t.Error("a binary file is another one each time it is read")
	}
}

func TestNothingHappensByItself(t *testing.T) {
	c := filled()
	before := must(c.Transfers(t.Context()))(t)
	dots := must(c.Dots(t.Context()))(t)
	if after := must(c.Transfers(t.Context()))(t); !slices.Equal(after, before) {
		t.Errorf("transfers went from %+v to %+v", before, after)
	}
	for i, d := range must(c.Dots(t.Context()))(t) {
		if d.Branch.Pointer != dots[i].Branch.Pointer || d.Branch.Dirty != dots[i].Branch.Dirty {
			t.Errorf("%s changed", d.Name)
		}
	}
}

func TestAReplicaCatchesUpAsTimePasses(t *testing.T) {
	c := filled()
	lag := func() int {
		for _, r := range status(t, c, "payments-log", "").Replicas {
			if r.Name == "node-3" {
				return len(r.Missing)
			}
		}
		return -1
	}
	if lag() != 2 || nodeStatus(t, c, "node-3").Missing != 2 {
		t.Fatalf("node-3 lacks %d commits, want 2", lag())
	}
	c.Step(2 * time.Second)
	i := slices.IndexFunc(must(c.Transfers(t.Context()))(t), func(tr dotmesh.Transfer) bool {
		return tr.Kind == dotmesh.TransferReplica && tr.To == "node-3"
	})
	tr := must(c.Transfers(t.Context()))(t)[i]
	if left, known := tr.Left(); tr.State != dotmesh.TransferRunning || tr.Sent == 0 || tr.Of != 2 || !known || left <= 0 {
		t.Fatalf("transfer is %+v, %s left", tr, left)
	}
	eventually(t, c, "node-3 has all", func() bool { return lag() == 0 })
	if done := transferOf(t, c, tr.ID); done.State != dotmesh.TransferDone || done.Sent != done.Size || done.Commits != done.Of {
		t.Errorf("transfer is %+v at its end", done)
	}
}

func TestACancelledReplicaWaitsForARetryOrTheNextCommit(t *testing.T) {
	c := filled()
	c.Step(time.Second)
	find := func(state dotmesh.TransferState) (id dotmesh.UUID) {
		for _, tr := range must(c.Transfers(t.Context()))(t) {
			if tr.Kind == dotmesh.TransferReplica && tr.State == state {
				id = tr.ID
			}
		}
		return id
	}
	id := find(dotmesh.TransferRunning)
	ok(t, c.CancelTransfer(t.Context(), id))
	ok(t, c.CancelTransfer(t.Context(), id))
	sent := transferOf(t, c, id).Sent
	c.Step(3 * time.Second)
	if tr := transferOf(t, c, id); tr.State != dotmesh.TransferCancelled || tr.Sent != sent {
		t.Fatalf("transfer is %+v, cancelled at %d bytes", tr, sent)
	}
	ok(t, c.RetryTransfer(t.Context(), id))
	eventually(t, c, "it is done", func() bool { return transferOf(t, c, id).State == dotmesh.TransferDone })
	wantError(t, c.RetryTransfer(t.Context(), id), dotmesh.Conflict, "is done already")
	wantError(t, c.CancelTransfer(t.Context(), id), dotmesh.Conflict, "has ended already")
}

// move returns a dot of its own on node-1, and a transfer that moves it to node-2.
func move(t *testing.T, c *democluster.Cluster) dotmesh.Transfer {
	t.Helper()
	must(c.CreateDot(t.Context(), dotmesh.CreateDot{Dot: name(t, "travels")}))(t)
	ok(t, c.Write(name(t, "travels"), "", "__default__/a", "dirty"))
	return must(c.Move(t.Context(), dotmesh.MoveRequest{Dot: name(t, "travels"), Node: "node-2"}))(t)
}

func TestAMoveTakesItsStepsAndKeepsWhatNoCommitHeld(t *testing.T) {
	c := empty()
	tr := move(t, c)
	var steps []string
	var phases []dotmesh.Phase
	eventually(t, c, "the move is done", func() bool {
		steps = append(steps, transferOf(t, c, tr.ID).Step)
		phases = append(phases, status(t, c, "travels", "").Pointer.State.Phase)
		return transferOf(t, c, tr.ID).State == dotmesh.TransferDone
	})
	if got := slices.Compact(steps); !slices.Equal(got, []string{"begin", "release", "receive", "take"}) {
		t.Errorf("steps are %q", got)
	}
	if got := slices.Compact(phases); !slices.Equal(got, []dotmesh.Phase{dotmesh.Moving, dotmesh.Released, dotmesh.Held}) {
		t.Errorf("phases are %q", got)
	}
	b := status(t, c, "travels", "")
	if b.MasterName != "node-2" || b.Pointer.Epoch != 2 || b.Pointer.Count != 1 || b.Pointer.Head == b.Pointer.Tip {
		t.Errorf("branch is %+v: want it on node-2 in epoch 2, and a hidden commit of its data", b)
	}
	if part := must(c.ReadFile(t.Context(), dotmesh.FileRequest{
		CommitRef: dotmesh.CommitRef{Dot: name(t, "travels"), Ref: b.Pointer.Tip.String()}, Path: "__default__/a",
	}))(t); string(part.Data) != "dirty" {
		t.Errorf("the file is %q after the move", part.Data)
	}
}

func TestAMoveCanBeCancelledUntilTheTargetTakesTheBranch(t *testing.T) {
	for _, step := range []string{"begin", "release", "receive"} {
		c := empty()
		tr := move(t, c)
		eventually(t, c, step, func() bool { return transferOf(t, c, tr.ID).Step == step })
		ok(t, c.CancelTransfer(t.Context(), tr.ID))
		b := status(t, c, "travels", "")
		if b.MasterName != "node-1" || b.Pointer.State.Phase != dotmesh.Held || b.Pointer.Epoch != 2 {
			t.Errorf("cancelled in %s, the branch is %+v", step, b)
		}
		must(c.Commit(t.Context(), dotmesh.CommitRequest{Dot: b2dot(t), Message: "goes on"}))(t)
		ok(t, c.RetryTransfer(t.Context(), tr.ID))
		eventually(t, c, "it arrives at last", func() bool { return status(t, c, "travels", "").MasterName == "node-2" })
	}
	c := empty()
	tr := move(t, c)
	eventually(t, c, "it is taken", func() bool { return transferOf(t, c, tr.ID).Step == "take" })
	wantError(t, c.CancelTransfer(t.Context(), tr.ID), dotmesh.Conflict, "has come too far")
}

func b2dot(t *testing.T) dotmesh.DotName { return name(t, "travels") }

func TestAMoveIsRefusedWhileContainersUseTheBranch(t *testing.T) {
	c := filled()
	_, err := c.Move(t.Context(), dotmesh.MoveRequest{Dot: name(t, "payments-db"), Node: "node-1"})
	wantError(t, err, dotmesh.Busy, "payments-db is in use by payments-api-1, payments-api-2; stop that first")
	if b := status(t, c, "payments-db", ""); b.Pointer.State.Phase != dotmesh.Held {
		t.Errorf("branch is %+v", b)
	}
}

func TestAMoveIsMadeOnceForARequest(t *testing.T) {
	c := empty()
	must(c.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop}))(t)
	r := dotmesh.MoveRequest{Dot: shop, Node: "node-3", Request: dotmesh.NewUUID()}
	first := must(c.Move(t.Context(), r))(t)
	eventually(t, c, "it has arrived", func() bool { return transferOf(t, c, first.ID).State == dotmesh.TransferDone })
	if again := must(c.Move(t.Context(), r))(t); again.ID != first.ID || again.State != dotmesh.TransferDone {
		t.Errorf("again it is %+v", again)
	}
}

func TestAMoveWaitsForASilentNode(t *testing.T) {
	c := empty()
	tr := move(t, c)
	ok(t, c.Silence("node-2", true))
	c.Step(5 * time.Second)
	if got := transferOf(t, c, tr.ID); got.State != dotmesh.TransferWaiting || !strings.Contains(got.Reason, "node-2 does not answer") {
		t.Fatalf("transfer is %+v", got)
	}
	ok(t, c.Silence("node-2", false))
	eventually(t, c, "it arrives", func() bool { return status(t, c, "travels", "").MasterName == "node-2" })
}

func TestWhatASilentNodeMastersCannotBeChangedAndIsTakenOver(t *testing.T) {
	c := empty()
	s := c.At("node-2")
	d := must(s.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop}))(t)
	must(s.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "first"}))(t)
	c.Step(time.Second)
	ok(t, c.Write(shop, "", "__default__/a", "nobody else has this"))
	ok(t, c.Silence("node-2", true))
	_, err := c.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "second"})
	wantError(t, err, dotmesh.Unreachable, "node node-2, the master of master, does not answer")
	if n := nodeStatus(t, c, "node-2"); n.Alive || n.AsOf != noon {
		t.Errorf("node-2 is %+v", n)
	}
	_, err = s.Dots(t.Context())
	wantError(t, err, dotmesh.Unreachable, "node-2 does not answer")

	b := status(t, c, "shop", "")
	_, err = c.Takeover(t.Context(), dotmesh.TakeoverRequest{Dot: shop, Epoch: 7})
	wantError(t, err, dotmesh.Conflict, "the epoch of master is 1, not 7")
	_, err = c.Takeover(t.Context(), dotmesh.TakeoverRequest{Dot: shop, Epoch: 1, Tip: dotmesh.CommitID{UUID: dotmesh.NewUUID()}})
	wantError(t, err, dotmesh.Conflict, "look again before you force anything")
	_, err = c.Takeover(t.Context(), dotmesh.TakeoverRequest{Dot: shop, Epoch: 1, Node: b.Pointer.Master})
	wantError(t, err, dotmesh.Unreachable, "does not answer")
	r := dotmesh.TakeoverRequest{Dot: shop, Epoch: b.Pointer.Epoch, Tip: b.Pointer.Tip, Request: dotmesh.NewUUID()}
	done := must(c.Takeover(t.Context(), r))(t)
	if done.Branch.MasterName != "node-1" || done.Branch.Pointer.Epoch != 2 || done.Stash == nil || done.Stash.Stash.Reason != dotmesh.StashDiverged {
		t.Fatalf("takeover did %+v", done)
	}
	if again := must(c.Takeover(t.Context(), r))(t); again.Stash.ID != done.Stash.ID {
		t.Errorf("again it did %+v", again)
	}
	ok(t, c.Silence("node-2", false))
	stash := status(t, c, "shop", string(done.Stash.Name))
	part := must(c.ReadFile(t.Context(), dotmesh.FileRequest{
		CommitRef: dotmesh.CommitRef{Dot: shop, Ref: string(stash.Name)}, Path: "__default__/a",
	}))(t)
	if string(part.Data) != "nobody else has this" || stash.Pointer.Tip == b.Pointer.Tip {
		t.Errorf("the stash of %s holds %q", d.Name, part.Data)
	}
}

func TestATakeoverNeedsACommitThatTheNodeHolds(t *testing.T) {
	c := filled()
	b := status(t, c, "payments-log", "")
	r := dotmesh.TakeoverRequest{Dot: name(t, "payments-log"), Epoch: b.Pointer.Epoch, Node: nodeStatus(t, c, "node-3").ID}
	_, err := c.Takeover(t.Context(), r)
	wantError(t, err, dotmesh.Conflict, "name an older one with --commit")
	page := must(c.Log(t.Context(), dotmesh.LogRequest{Dot: r.Dot}))(t)
	r.Commit = page.Commits[2].ID
	if done := must(c.Takeover(t.Context(), r))(t); done.Branch.MasterName != "node-3" || done.Branch.Pointer.Head != r.Commit {
		t.Errorf("takeover did %+v", done)
	}
	_, err = c.Takeover(t.Context(), r)
	wantError(t, err, dotmesh.Conflict, "is the master of master already")
}

func TestWithoutQuorumNothingChangesAndReadsGoOn(t *testing.T) {
	c := filled()
	for _, n := range []dotmesh.Name{"node-2", "node-3"} {
		ok(t, c.Silence(n, true))
	}
	if cluster := must(c.Cluster(t.Context()))(t); cluster.Quorum || cluster.Voters != 3 {
		t.Errorf("cluster is %+v", cluster)
	}
	_, err := c.Commit(t.Context(), dotmesh.CommitRequest{Dot: name(t, "qa/fixtures"), Message: "no"})
	wantError(t, err, dotmesh.Unreachable, "the registry has no quorum")
	must(c.Dots(t.Context()))(t)
	ok(t, c.Silence("node-2", false))
	must(c.Commit(t.Context(), dotmesh.CommitRequest{Dot: name(t, "qa/fixtures"), Message: "yes"}))(t)
	wantError(t, c.Silence("node-9", true), dotmesh.NotFound, `there is no node "node-9"`)
}

func TestASilentLeaderIsReplaced(t *testing.T) {
	c := filled()
	ok(t, c.Silence("node-1", true))
	if n := nodeStatus(t, c.At("node-2"), "node-2"); !n.Leader {
		t.Errorf("node-2 is %+v", n)
	}
	ok(t, c.Silence("node-1", false))
	if n := nodeStatus(t, c, "node-1"); n.Leader {
		t.Errorf("node-1 is %+v: who has lost the lead does not get it back by returning", n)
	}
}

func TestADrainedNodeGivesAwayWhatNobodyUses(t *testing.T) {
	c := filled()
	before := nodeStatus(t, c, "node-2").Masters
	all := must(c.Drain(t.Context(), dotmesh.DrainRequest{Node: "node-2"}))(t)
	if again := must(c.Drain(t.Context(), dotmesh.DrainRequest{Node: "node-2"}))(t); len(all) != before || len(again) != before {
		t.Fatalf("%d transfers, then %d, for %d branches", len(all), len(again), before)
	}
	busy := 0
	eventually(t, c, "only those in use are left", func() bool {
		busy = 0
		for _, tr := range must(c.Transfers(t.Context()))(t) {
			if tr.From == "node-2" && strings.Contains(tr.Reason, "is in use by") {
				busy++
			}
		}
		return nodeStatus(t, c, "node-2").Masters == busy
	})
	if busy == 0 || !nodeStatus(t, c, "node-2").Draining {
		t.Errorf("%d branches are in use", busy)
	}
	_, err := c.Move(t.Context(), dotmesh.MoveRequest{Dot: name(t, "qa/fixtures"), Node: "node-2"})
	wantError(t, err, dotmesh.Conflict, "node node-2 is being drained")
	stopped := must(c.Drain(t.Context(), dotmesh.DrainRequest{Node: "node-2", Stop: true}))(t)
	if len(stopped) != busy || nodeStatus(t, c, "node-2").Draining {
		t.Errorf("%d transfers were stopped, want %d", len(stopped), busy)
	}
}

func TestTransfersWithARemoteAreTriedAgainAndGiveUp(t *testing.T) {
	c := filled()
	find := func(kind dotmesh.TransferKind, state dotmesh.TransferState) dotmesh.Transfer {
		for _, tr := range must(c.Transfers(t.Context()))(t) {
			if tr.Kind == kind && tr.State == state {
				return tr
			}
		}
		t.Fatalf("no %s is %s", kind, state)
		return dotmesh.Transfer{}
	}
	push, pull, failed := find("push", "running"), find("pull", "waiting"), find("push", "failed")
	ok(t, c.RetryTransfer(t.Context(), push.ID))
	if tr := transferOf(t, c, push.ID); tr != push {
		t.Errorf("a retry of what runs made it %+v", tr)
	}
	ok(t, c.RetryTransfer(t.Context(), failed.ID))
	if tr := transferOf(t, c, failed.ID); tr.State != dotmesh.TransferRunning || tr.Try != failed.Try+1 || !tr.Ended.IsZero() {
		t.Errorf("after a retry it is %+v", tr)
	}
	eventually(t, c, "the push is done", func() bool { return transferOf(t, c, push.ID).State == dotmesh.TransferDone })
	eventually(t, c, "the pull gives up", func() bool { return transferOf(t, c, pull.ID).State == dotmesh.TransferFailed })
	if tr := transferOf(t, c, pull.ID); tr.Try != 5 || !strings.Contains(tr.Reason, "dm transfers retry "+pull.ID.String()) {
		t.Errorf("it ended as %+v", tr)
	}
	wantError(t, c.CancelTransfer(t.Context(), dotmesh.NewUUID()), dotmesh.NotFound, "there is no transfer")
}

func TestReplicasFollowTheSetting(t *testing.T) {
	c := filled()
	set := func(replicas string) error {
		_, err := c.SetDot(t.Context(), dotmesh.SetDot{Dot: name(t, "images"), Replicas: &replicas})
		return err
	}
	wantError(t, set("9"), dotmesh.Invalid, "1 to 3")
	wantError(t, set("node-9"), dotmesh.NotFound, `there is no node "node-9"`)
	ok(t, set("node-1,node-3"))
	names := []dotmesh.Name{}
	for _, r := range status(t, c, "images", "").Replicas {
		names = append(names, r.Name)
	}
	if !slices.Equal(names, []dotmesh.Name{"node-1", "node-3"}) {
		t.Errorf("replicas are on %q", names)
	}
	ok(t, set("all"))
	if n := len(status(t, c, "images", "").Replicas); n != 3 {
		t.Errorf("%d replicas, want 3", n)
	}
}

func TestAnRPOTakesCommitsThatTheLogHides(t *testing.T) {
	c := filled()
	d := name(t, "sessions")
	before := status(t, c, "sessions", "").Pointer
	c.Step(2 * time.Minute)
	after := status(t, c, "sessions", "").Pointer
	if after.Tip == before.Tip || after.Head != before.Head || after.Count != before.Count {
		t.Errorf("pointer went from %+v to %+v", before, after)
	}
	rpo := time.Millisecond
	_, err := c.SetDot(t.Context(), dotmesh.SetDot{Dot: d, RPO: &rpo})
	wantError(t, err, dotmesh.Invalid, "rpo must be 0 or at least 1s")
}

func TestStashesAndTombstonesExpire(t *testing.T) {
	clock := &clock{noon}
	c := democluster.New(democluster.Options{Dots: -1, Now: clock.Now})
	must(c.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop}))(t)
	must(c.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "first"}))(t)
	must(c.Reset(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop, Ref: "HEAD^"}, Discard: true}))(t)
	clock.now = noon.Add(61 * time.Minute)
	c.Step(time.Minute)
	if d := must(c.Dot(t.Context(), shop))(t); d.Stashes != 0 {
		t.Errorf("after an hour %d stashes are left", d.Stashes)
	}
	ok(t, c.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}))
	clock.now = clock.now.Add(25 * time.Hour)
	_, err := c.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop})
	wantError(t, err, dotmesh.NotFound, "can not be brought back any more")
}

func TestTokensLastAndAreRevoked(t *testing.T) {
	clock := &clock{noon}
	c := democluster.New(democluster.Options{Dots: -1, Now: clock.Now})
	token, secret, err := c.CreateToken(t.Context(), dotmesh.TokenRequest{Voter: true})
	ok(t, err)
	if secret == "" || token.Expires.Sub(noon) != time.Hour || !token.Voter || token.By != "admin" {
		t.Errorf("token is %+v", token)
	}
	other, _, err := c.CreateToken(t.Context(), dotmesh.TokenRequest{Lasts: 10 * time.Minute})
	ok(t, err)
	if all := must(c.Cluster(t.Context()))(t).Tokens; len(all) != 2 || all[0].ID != other.ID {
		t.Errorf("tokens are %+v, want the newest first", all)
	}
	clock.now = noon.Add(11 * time.Minute)
	ok(t, c.RevokeToken(t.Context(), token.ID))
	if all := must(c.Cluster(t.Context()))(t).Tokens; len(all) != 0 {
		t.Errorf("tokens are %+v, want none", all)
	}
	ok(t, c.RevokeToken(t.Context(), token.ID))
	_, _, err = c.CreateToken(t.Context(), dotmesh.TokenRequest{Lasts: 8 * 24 * time.Hour})
	wantError(t, err, dotmesh.Invalid, "at most a week")
}

func TestABrokenServerFailsEveryCallAndComesBack(t *testing.T) {
	c := filled()
	c.Break(errors.New("connection refused"))
	_, err := c.Dots(t.Context())
	wantError(t, err, dotmesh.Unreachable, "connection refused")
	wantError(t, c.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}), dotmesh.Unreachable, "connection refused")
	_, err = c.Authenticate(t.Context(), "admin", democluster.DemoKey)
	wantError(t, err, dotmesh.Unreachable, "connection refused")
	for _, err := range c.Diff(t.Context(), dotmesh.DiffRequest{Dot: shop}) {
		wantError(t, err, dotmesh.Unreachable, "connection refused")
	}
	c.Break(nil)
	must(c.Dots(t.Context()))(t)
}

func TestACallThatWasGivenUpDoesNothing(t *testing.T) {
	c := empty()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.CreateDot(ctx, dotmesh.CreateDot{Dot: shop})
	wantError(t, err, dotmesh.Canceled, "")
	if all := must(c.Dots(t.Context()))(t); len(all) != 0 {
		t.Errorf("dots are %+v", all)
	}
}

func TestRunLetsTimePass(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := democluster.New(democluster.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := c.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Run ended with %v", err)
		}
		for _, tr := range must(c.Transfers(t.Context()))(t) {
			if tr.Kind == dotmesh.TransferReplica && tr.State == dotmesh.TransferDone {
				return
			}
		}
		t.Error("in half a minute no replica caught up")
	})
}

func TestANodeFallsSilentNowAndThen(t *testing.T) {
	c := filled()
	silent := func() int {
		n := 0
		for _, node := range must(c.Nodes(t.Context()))(t) {
			if !node.Alive {
				n++
			}
		}
		return n
	}
	c.Step(119 * time.Second)
	if silent() != 0 {
		t.Error("a node fell silent within two minutes")
	}
	eventually(t, c, "a node is silent", func() bool { return silent() == 1 })
	eventually(t, c, "it is back", func() bool { return silent() == 0 })
}

func TestTheHandMadePastIsInOrder(t *testing.T) {
	c := democluster.New(democluster.Options{Dots: 200, Now: (&clock{noon}).Now})
	for _, d := range must(c.Dots(t.Context()))(t) {
		ops := must(c.Ops(t.Context(), dotmesh.OpsRequest{Dot: d.Name, Limit: 1000}))(t)
		for i := 1; i < len(ops); i++ {
			if ops[i].Time.After(ops[i-1].Time) || ops[0].Time.After(noon) {
				t.Errorf("%s: operation %d (%s) is of %s, the next one of %s", d.Name, ops[i].N, ops[i].Verb, ops[i].Time, ops[i-1].Time)
			}
		}
		for _, b := range must(c.Dot(t.Context(), d.Name))(t).All {
			page := must(c.Log(t.Context(), dotmesh.LogRequest{Dot: d.Name, Branch: b.Name, Limit: 1000, System: true}))(t)
			for i, m := range page.Commits {
				if i > 0 && m.Time.After(page.Commits[i-1].Time) {
					t.Errorf("%s of %s: %q is of %s, its child of %s", b.Name, d.Name, m.Message, m.Time, page.Commits[i-1].Time)
				}
				if b.Origin != nil && b.Stash == nil && m.ID == b.Origin.Commit && m.Time.After(b.Created) {
					t.Errorf("%s of %s was made at %s from a commit of %s", b.Name, d.Name, b.Created, m.Time)
				}
			}
			if b.Dirty.AsOf.Before(page.Commits[0].Time) || b.Dirty.AsOf.After(noon) {
				t.Errorf("%s of %s was measured at %s, after a commit of %s", b.Name, d.Name, b.Dirty.AsOf, page.Commits[0].Time)
			}
		}
	}
}
