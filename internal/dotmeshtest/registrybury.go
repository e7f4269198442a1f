package dotmeshtest

import (
	"fmt"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

var buryTests = []registryCase{
	{"a buried dot's name is free at once and comes back by undo", testBuryDot},
	{"a buried branch's name is free at once and comes back by undo", testBuryBranch},
	{"a buried commit is counted no more and comes back by undo", testBuryCommit},
	{"a burial is refused when a branch has moved on", testBuryConflict},
	{"what must stay is not buried", testBuryRefused},
	{"nothing happens to what is buried", testBuried},
	{"a dot with 200 branches is buried at once", testBuryBig},
	{"what is buried goes when the last member has acknowledged it", testAcknowledge},
	{"a line that another was forked from does not go", testAcknowledgeOrigin},
}

func (r *registryTest) tombstone(b dotmesh.Branch, kind dotmesh.TombstoneKind) dotmesh.Burial {
	r.t.Helper()
	s := r.list()
	var dot dotmesh.Dot
	for _, d := range s.dots {
		if d.ID == b.Dot {
			dot = *d
		}
	}
	burial := dotmesh.Burial{
		Tombstone: dotmesh.Tombstone{
			ID: b.ID.UUID, Kind: kind, Dot: dot, By: "admin", At: time.Unix(1700000100, 0).UTC(),
			Covers: []dotmesh.Cover{{Line: b.Pointer.Line, Commit: b.Pointer.Tip, Chain: b.Pointer.Chain}},
		},
		Expect: map[dotmesh.BranchID]dotmesh.Pointer{b.ID: b.Pointer},
		Op:     dotmesh.Op{Branch: b.ID, Verb: dotmesh.VerbDeleteBranch, By: "admin", Request: dotmesh.NewUUID()},
	}
	switch kind {
	case dotmesh.BuriedDot:
		burial.Tombstone.ID, burial.Op.Verb = b.Dot.UUID, dotmesh.VerbDeleteDot
		for id, other := range s.branches {
			if other.Dot == b.Dot && s.tombstones[id.UUID] == nil {
				burial.Expect[id] = other.Pointer
			}
		}
	case dotmesh.BuriedBranch:
		burial.Tombstone.Branch = &b
	}
	return burial
}

func testBuryDot(t *testing.T, r *registryTest) {
	b, _ := r.commit(r.dot("shop"), "one")
	r.must(r.Create(r.ctx, r.fork(b, "wip")))
	burial := r.tombstone(b, dotmesh.BuriedDot)
	for range 2 {
		r.must(r.Bury(r.ctx, burial))
	}
	s := r.list()
	if len(s.dots) != 0 || len(s.tombstones) != 1 || len(s.branches) != 2 || len(s.lines) != 2 {
		t.Fatalf("%d dots, %d tombstones, %d branches, %d lines; want 0, 1, 2, 2", len(s.dots), len(s.tombstones), len(s.branches), len(s.lines))
	}
	second := r.creation("shop")
	r.must(r.Create(r.ctx, second))
	undo := dotmesh.Op{Dot: b.Dot, Verb: dotmesh.VerbUndo, By: "admin", Request: dotmesh.NewUUID()}
	cursor, err := r.Unbury(r.ctx, burial.Tombstone.ID, undo)
	r.refuse(dotmesh.Exists, cursor, err)
	r.must(r.Bury(r.ctx, r.tombstone(second.Branch, dotmesh.BuriedDot)))
	for range 2 {
		r.must(r.Unbury(r.ctx, burial.Tombstone.ID, undo))
	}
	s = r.list()
	if got := s.dots[burial.Tombstone.Dot.Name]; got == nil || got.ID != b.Dot || len(s.tombstones) != 1 {
		t.Errorf("dot = %+v with %d tombstones, want the first dot and the second's tombstone", got, len(s.tombstones))
	}
	r.commit(r.branch(b.ID), "alive again")
	cursor, err = r.Unbury(r.ctx, dotmesh.NewUUID(), undo2(undo))
	r.refuse(dotmesh.NotFound, cursor, err)
}

func undo2(op dotmesh.Op) dotmesh.Op {
	op.Request = dotmesh.NewUUID()
	return op
}

func testBuryBranch(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	f := r.fork(b, "wip")
	r.must(r.Create(r.ctx, f))
	burial := r.tombstone(f.Branch, dotmesh.BuriedBranch)
	for range 2 {
		r.must(r.Bury(r.ctx, burial))
	}
	second := r.fork(b, "wip")
	r.must(r.Create(r.ctx, second))
	undo := dotmesh.Op{Dot: b.Dot, Verb: dotmesh.VerbUndo, By: "admin", Request: dotmesh.NewUUID()}
	cursor, err := r.Unbury(r.ctx, f.Branch.ID.UUID, undo)
	r.refuse(dotmesh.Exists, cursor, err)
	r.must(r.Bury(r.ctx, r.tombstone(second.Branch, dotmesh.BuriedBranch)))
	for range 2 {
		r.must(r.Unbury(r.ctx, f.Branch.ID.UUID, undo))
	}
	r.commit(r.branch(f.Branch.ID), "alive again")
	cursor, err = r.Create(r.ctx, r.fork(b, "wip"))
	r.refuse(dotmesh.Exists, cursor, err)
}

// commitBurial returns the burial of a commit that one branch has in its history.
func (r *registryTest) commitBurial(b dotmesh.Branch, c dotmesh.Commit) dotmesh.Burial {
	burial := r.tombstone(b, dotmesh.BuriedCommit)
	burial.Tombstone.ID, burial.Tombstone.Commit = c.ID.UUID, &c
	burial.Op.Verb = dotmesh.VerbDeleteCommit
	next := b.Pointer
	next.Count--
	burial.Next = map[dotmesh.BranchID]dotmesh.Pointer{b.ID: next}
	return burial
}

func testBuryCommit(t *testing.T, r *registryTest) {
	b, one := r.commit(r.dot("shop"), "one")
	b, _ = r.commit(b, "two")
	burial := r.commitBurial(b, one)
	for range 2 {
		r.must(r.Bury(r.ctx, burial))
	}
	s := r.list()
	if s.commits[place{one.Line, one.Seq}] != nil || s.branches[b.ID].Pointer.Count != 2 {
		t.Errorf("the commit is still there or counted: %+v", s.branches[b.ID].Pointer)
	}
	fork := r.fork(b, "wip")
	fork.Line.Origin.Commit, fork.Branch.Pointer.Tip, fork.Holder = one.ID, one.ID, nil
	cursor, err := r.Create(r.ctx, fork)
	r.refuse(dotmesh.NotFound, cursor, err)
	r.commit(r.branch(b.ID), "three")
	undo := dotmesh.Op{Dot: b.Dot, Verb: dotmesh.VerbUndo, By: "admin", Request: dotmesh.NewUUID()}
	for range 2 {
		r.must(r.Unbury(r.ctx, one.ID.UUID, undo))
	}
	s = r.list()
	if s.commits[place{one.Line, one.Seq}] == nil || s.branches[b.ID].Pointer.Count != 4 || len(s.tombstones) != 0 {
		t.Errorf("the commit did not come back: %+v", s.branches[b.ID].Pointer)
	}
}

func testBuryConflict(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	f := r.fork(b, "wip")
	dot := r.tombstone(b, dotmesh.BuriedDot)
	r.must(r.Create(r.ctx, f))
	cursor, err := r.Bury(r.ctx, dot) // which knows nothing of the new branch
	r.refuse(dotmesh.Conflict, cursor, err)
	branch, both := r.tombstone(f.Branch, dotmesh.BuriedBranch), r.tombstone(b, dotmesh.BuriedDot)
	r.commit(f.Branch, "late")
	for _, burial := range []dotmesh.Burial{branch, both} {
		cursor, err = r.Bury(r.ctx, burial)
		r.refuse(dotmesh.Conflict, cursor, err)
	}
	if s := r.list(); len(s.tombstones) != 0 || len(s.dots) != 1 {
		t.Error("a refused burial had an effect")
	}
}

func testBuryRefused(t *testing.T, r *registryTest) {
	b, one := r.commit(r.dot("shop"), "one")
	cursor, err := r.Bury(r.ctx, r.tombstone(b, dotmesh.BuriedBranch))
	r.refuse(dotmesh.Conflict, cursor, err) // master goes only with its dot
	cursor, err = r.Bury(r.ctx, r.commitBurial(b, one))
	r.refuse(dotmesh.Conflict, cursor, err) // the tip
	r.must(r.Create(r.ctx, r.fork(b, "wip")))
	b, _ = r.commit(b, "two")
	cursor, err = r.Bury(r.ctx, r.commitBurial(b, one))
	r.refuse(dotmesh.Conflict, cursor, err) // a line was forked from it
	cut := r.fork(b, "cut")
	r.must(r.Create(r.ctx, cut))
	dot := r.tombstone(b, dotmesh.BuriedDot).Tombstone.Dot
	next := dot
	next.Current = cut.Branch.ID
	r.must(r.PutDot(r.ctx, dot, next, dotmesh.Op{}))
	cursor, err = r.Bury(r.ctx, r.tombstone(cut.Branch, dotmesh.BuriedBranch))
	r.refuse(dotmesh.Conflict, cursor, err) // the current branch
	odd := r.commitBurial(b, one)
	p := odd.Next[b.ID]
	p.Master = r.b
	odd.Next[b.ID] = p
	cursor, err = r.Bury(r.ctx, odd)
	r.refuse(dotmesh.Invalid, cursor, err) // a burial changes no master
}

func testBuried(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	f := r.fork(b, "wip")
	r.must(r.Create(r.ctx, f))
	r.must(r.Bury(r.ctx, r.tombstone(f.Branch, dotmesh.BuriedBranch)))
	master := r.tombstone(b, dotmesh.BuriedDot)
	defer func() {
		r.must(r.Bury(r.ctx, master))
		for _, branch := range []dotmesh.Branch{b, f.Branch} {
			r.refuseAll(branch)
		}
		cursor, err := r.Unbury(r.ctx, f.Branch.ID.UUID, dotmesh.Op{})
		r.refuse(dotmesh.Conflict, cursor, err) // its dot is buried
	}()
	r.refuseAll(f.Branch)
}

// refuseAll checks that no verb does anything with a buried branch.
func (r *registryTest) refuseAll(b dotmesh.Branch) {
	r.t.Helper()
	cursor, err := r.Register(r.ctx, r.next(b, "late"))
	r.refuse(dotmesh.NotFound, cursor, err)
	cursor, err = r.Swing(r.ctx, r.reset(b, "stash"))
	r.refuse(dotmesh.NotFound, cursor, err)
	cursor, err = r.BeginMove(r.ctx, r.move(b))
	r.refuse(dotmesh.NotFound, cursor, err)
	cursor, err = r.Create(r.ctx, r.fork(b, "late"))
	r.refuse(dotmesh.NotFound, cursor, err)
	cursor, err = r.Attach(r.ctx, dotmesh.Attachment{Node: r.a, Volume: "shop", Branch: b.ID})
	r.refuse(dotmesh.NotFound, cursor, err)
}

func testBuryBig(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	for i, from := 0, b; i < 200; i++ {
		f := r.fork(from, dotmesh.Name(fmt.Sprintf("wip-%d", i)))
		r.must(r.Create(r.ctx, f))
		from = f.Branch
	}
	burial := r.tombstone(b, dotmesh.BuriedDot)
	r.must(r.Bury(r.ctx, burial))
	r.must(r.Acknowledge(r.ctx, burial.Tombstone.ID, r.a, []dotmesh.NodeID{r.a}))
	if s := r.list(); len(s.tombstones)+len(s.dots)+len(s.branches)+len(s.lines)+len(s.commits)+len(s.positions) != 0 {
		t.Errorf("%d branches and %d lines are left of the dot", len(s.branches), len(s.lines))
	}
	for e, err := range r.Export(r.ctx) {
		if err != nil || e.Key[:6] != "nodes/" {
			t.Errorf("%s, %v is left", e.Key, err)
		}
	}
}

func testAcknowledge(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	f := r.fork(b, "wip")
	r.must(r.Create(r.ctx, f))
	burial := r.tombstone(f.Branch, dotmesh.BuriedBranch)
	r.must(r.Bury(r.ctx, burial))
	members := []dotmesh.NodeID{r.a, r.b}
	for range 2 {
		r.must(r.Acknowledge(r.ctx, burial.Tombstone.ID, r.a, members))
	}
	s := r.list()
	if got := s.tombstones[burial.Tombstone.ID]; got == nil || len(got.Acked) != 1 || s.branches[f.Branch.ID] == nil {
		t.Fatalf("tombstone = %+v, want it acknowledged by one and the branch still there", got)
	}
	cursor, err := r.Unbury(r.ctx, burial.Tombstone.ID, dotmesh.Op{})
	r.refuse(dotmesh.Conflict, cursor, err)
	for range 2 {
		r.must(r.Acknowledge(r.ctx, burial.Tombstone.ID, r.b, members))
	}
	s = r.list()
	if len(s.tombstones) != 0 || len(s.branches) != 1 || len(s.lines) != 1 || len(s.positions) != 1 {
		t.Errorf("%d tombstones, %d branches, %d lines, %d positions; want 0, 1, 1, 1", len(s.tombstones), len(s.branches), len(s.lines), len(s.positions))
	}
	if l := s.lines[b.Pointer.Line]; len(l.Children) != 0 {
		t.Errorf("the origin still has the children %v", l.Children)
	}
}

func testAcknowledgeOrigin(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	f := r.fork(b, "wip")
	r.must(r.Create(r.ctx, f))
	child := r.fork(f.Branch, "child")
	child.Line.Origin.Line = f.Line.ID
	r.must(r.Create(r.ctx, child))
	members := []dotmesh.NodeID{r.a}
	first, second := r.tombstone(f.Branch, dotmesh.BuriedBranch), r.tombstone(child.Branch, dotmesh.BuriedBranch)
	r.must(r.Bury(r.ctx, first))
	cursor, err := r.Acknowledge(r.ctx, first.Tombstone.ID, r.a, members)
	r.refuse(dotmesh.Conflict, cursor, err)
	another := r.fork(f.Branch, "another") // the line stays anyway, and is part of a history
	r.must(r.Create(r.ctx, another))
	third := r.tombstone(another.Branch, dotmesh.BuriedBranch)
	for _, burial := range []dotmesh.Burial{second, third} {
		r.must(r.Bury(r.ctx, burial))
		r.must(r.Acknowledge(r.ctx, burial.Tombstone.ID, r.a, members))
	}
	cursor, err = r.Create(r.ctx, r.fork(f.Branch, "late"))
	r.refuse(dotmesh.NotFound, cursor, err) // now it may go any moment
	r.must(r.Acknowledge(r.ctx, first.Tombstone.ID, r.a, members))
	if s := r.list(); len(s.lines) != 1 || len(s.tombstones) != 0 {
		t.Errorf("%d lines and %d tombstones are left, want 1 and 0", len(s.lines), len(s.tombstones))
	}
	commit, one := r.commit(b, "one")
	commit, _ = r.commit(commit, "two")
	r.must(r.Bury(r.ctx, r.commitBurial(commit, one)))
	r.must(r.Acknowledge(r.ctx, one.ID.UUID, r.a, members))
	if s := r.list(); len(s.lines) != 1 || len(s.tombstones) != 0 || len(s.branches) != 1 {
		t.Error("the acknowledgement of a commit took more than its tombstone")
	}
}
