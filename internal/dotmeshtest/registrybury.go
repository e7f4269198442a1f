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
	{"what is sealed does not come back, and nothing goes before", testSeal},
	{"what is buried goes when the last member has acknowledged it", testAcknowledge},
	{"a line that another was forked from does not go", testAcknowledgeOrigin},
	{"burials that wait for each other go line by line", testAcknowledgeParts},
	{"what other lines keep of a buried branch can be forked and deleted", testForkKept},
	{"a buried commit does not come back to a line that may have lost it", testUnburyLost},
	{"a buried commit that the registry does not keep comes back without its record", testUnburyTrimmed},
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
			Covers: []dotmesh.Cover{coverOf(b.Pointer)},
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
				if id != b.ID {
					burial.Tombstone.Covers = append(burial.Tombstone.Covers, coverOf(other.Pointer))
				}
			}
		}
	case dotmesh.BuriedBranch:
		burial.Tombstone.Branch = &b
	}
	return burial
}

func coverOf(p dotmesh.Pointer) dotmesh.Cover {
	return dotmesh.Cover{Line: p.Line, Commit: p.Tip, Chain: p.Chain}
}

// collected tells the registry, as a cluster of members does that destroys all that a
// burial covers.
func (r *registryTest) collected(b dotmesh.Burial, members ...dotmesh.NodeID) {
	r.t.Helper()
	r.must(r.Seal(r.ctx, b.Tombstone.ID))
	for _, m := range members {
		r.must(r.Acknowledge(r.ctx, b.Tombstone.ID, m, linesOf(b), members))
	}
}

func linesOf(b dotmesh.Burial) (lines []dotmesh.LineID) {
	for _, c := range b.Tombstone.Covers {
		lines = append(lines, c.Line)
	}
	return lines
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
	burial.Tombstone.Covers = []dotmesh.Cover{{Line: c.Line, Commit: c.ID, Chain: c.Chain}}
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
	r.must(r.PutDot(r.ctx, dot, next, dotmesh.Op{}, nil))
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
	r.collected(burial, r.a)
	if s := r.list(); len(s.tombstones)+len(s.dots)+len(s.branches)+len(s.lines)+len(s.commits)+len(s.positions) != 0 {
		t.Errorf("%d branches and %d lines are left of the dot", len(s.branches), len(s.lines))
	}
	for e, err := range r.Export(r.ctx) {
		if err != nil || e.Key[:6] != "nodes/" {
			t.Errorf("%s, %v is left", e.Key, err)
		}
	}
}

func testSeal(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	f := r.fork(b, "wip")
	r.must(r.Create(r.ctx, f))
	burial := r.tombstone(f.Branch, dotmesh.BuriedBranch)
	id, members := burial.Tombstone.ID, []dotmesh.NodeID{r.a, r.b}
	r.must(r.Bury(r.ctx, burial))
	cursor, err := r.Acknowledge(r.ctx, id, r.a, linesOf(burial), members)
	r.refuse(dotmesh.Conflict, cursor, err) // nobody may have destroyed anything yet
	r.must(r.Unbury(r.ctx, id, dotmesh.Op{}))
	cursor, err = r.Seal(r.ctx, id)
	r.refuse(dotmesh.NotFound, cursor, err)
	r.must(r.Bury(r.ctx, burial))
	for range 2 {
		r.must(r.Seal(r.ctx, id))
	}
	cursor, err = r.Unbury(r.ctx, id, dotmesh.Op{})
	r.refuse(dotmesh.Conflict, cursor, err)
	if got := r.list().tombstones[id]; got == nil || !got.Sealed {
		t.Errorf("tombstone = %+v, want a sealed one", got)
	}
	sealed := r.tombstone(b, dotmesh.BuriedDot)
	sealed.Tombstone.Sealed = true
	cursor, err = r.Bury(r.ctx, sealed)
	r.refuse(dotmesh.Invalid, cursor, err)
	sealed.Tombstone.Sealed, sealed.Tombstone.Covers = false, nil
	cursor, err = r.Bury(r.ctx, sealed)
	r.refuse(dotmesh.Invalid, cursor, err) // what it does not cover would never go
}

func testAcknowledge(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	f := r.fork(b, "wip")
	r.must(r.Create(r.ctx, f))
	burial := r.tombstone(f.Branch, dotmesh.BuriedBranch)
	r.must(r.Bury(r.ctx, burial))
	members := []dotmesh.NodeID{r.a, r.b}
	r.must(r.Seal(r.ctx, burial.Tombstone.ID))
	for range 2 {
		r.must(r.Acknowledge(r.ctx, burial.Tombstone.ID, r.a, linesOf(burial), members))
	}
	s := r.list()
	if got := s.tombstones[burial.Tombstone.ID]; got == nil || len(got.Covers[0].Acked) != 1 || s.branches[f.Branch.ID] == nil {
		t.Fatalf("tombstone = %+v, want it acknowledged by one and the branch still there", got)
	}
	cursor, err := r.Acknowledge(r.ctx, burial.Tombstone.ID, r.b, []dotmesh.LineID{b.Pointer.Line}, members)
	r.refuse(dotmesh.Invalid, cursor, err) // it covers no such line
	for range 2 {
		r.must(r.Acknowledge(r.ctx, burial.Tombstone.ID, r.b, linesOf(burial), members))
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
	r.must(r.Create(r.ctx, child))
	first, second := r.tombstone(f.Branch, dotmesh.BuriedBranch), r.tombstone(child.Branch, dotmesh.BuriedBranch)
	r.must(r.Bury(r.ctx, first))
	r.must(r.Seal(r.ctx, first.Tombstone.ID))
	cursor, err := r.Acknowledge(r.ctx, first.Tombstone.ID, r.a, linesOf(first), []dotmesh.NodeID{r.a})
	r.refuse(dotmesh.Conflict, cursor, err)
	r.must(r.Bury(r.ctx, second))
	r.collected(second, r.a)
	r.collected(first, r.a)
	if s := r.list(); len(s.lines) != 1 || len(s.tombstones) != 0 {
		t.Errorf("%d lines and %d tombstones are left, want 1 and 0", len(s.lines), len(s.tombstones))
	}
	commit, one := r.commit(b, "one")
	commit, _ = r.commit(commit, "two")
	burial := r.commitBurial(commit, one)
	r.must(r.Bury(r.ctx, burial))
	r.collected(burial, r.a)
	if s := r.list(); len(s.lines) != 1 || len(s.tombstones) != 0 || len(s.branches) != 1 {
		t.Error("the acknowledgement of a commit took more than its tombstone")
	}
	fork := r.forkAt(r.branch(b.ID), one, "late")
	cursor, err = r.Create(r.ctx, fork)
	r.refuse(dotmesh.NotFound, cursor, err) // that commit is gone for good
}

// forkAt returns the creation of a branch at any commit.
func (r *registryTest) forkAt(from dotmesh.Branch, c dotmesh.Commit, name dotmesh.Name) dotmesh.Creation {
	p := from.Pointer
	p.Line, p.Tip, p.Seq, p.Chain = c.Line, c.ID, c.Seq, c.Chain
	from.Pointer = p
	return r.fork(from, name)
}

// testAcknowledgeParts buries two things that wait for each other: of a dot, the first
// line is the origin of a stash that was buried before, and its last line was forked from
// that.
func testAcknowledgeParts(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	first := r.reset(b, "first")
	r.must(r.Swing(r.ctx, first))
	second := r.reset(r.branch(b.ID), "second")
	r.must(r.Swing(r.ctx, second))
	stash, dot := r.tombstone(*second.Stash, dotmesh.BuriedBranch), dotmesh.Burial{}
	r.must(r.Bury(r.ctx, stash))
	dot = r.tombstone(r.branch(b.ID), dotmesh.BuriedDot)
	r.must(r.Bury(r.ctx, dot))
	members := []dotmesh.NodeID{r.a}
	r.must(r.Seal(r.ctx, dot.Tombstone.ID))
	r.must(r.Acknowledge(r.ctx, dot.Tombstone.ID, r.a, []dotmesh.LineID{second.Line.ID}, members))
	if s := r.list(); len(s.lines) != 2 || s.tombstones[dot.Tombstone.ID] == nil || s.branches[b.ID] == nil {
		t.Fatalf("%d lines are left, want 2, and the tombstone with its branches", len(s.lines))
	}
	r.collected(stash, r.a)
	r.must(r.Acknowledge(r.ctx, dot.Tombstone.ID, r.a, []dotmesh.LineID{b.Pointer.Line}, members))
	if s := r.list(); len(s.lines)+len(s.tombstones)+len(s.branches)+len(s.commits) != 0 {
		t.Errorf("%d lines, %d tombstones, %d branches, %d commits are left", len(s.lines), len(s.tombstones), len(s.branches), len(s.commits))
	}
}

// testForkKept buries the stash of a branch whose history began on the stash's line.
func testForkKept(t *testing.T, r *registryTest) {
	b, one := r.commit(r.dot("shop"), "one")
	b, two := r.commit(b, "two")
	b, three := r.commit(b, "three")
	swing := r.reset(b, "stash")
	swing.Line.Origin.Commit, swing.Line.OriginSeq = two.ID, two.Seq
	swing.Next.Tip, swing.Next.Chain, swing.Next.Head = two.ID, two.Chain, two.ID
	r.must(r.Swing(r.ctx, swing))
	b = r.branch(b.ID)
	stash := r.tombstone(*swing.Stash, dotmesh.BuriedBranch)
	r.must(r.Bury(r.ctx, stash))
	burial := r.commitBurial(b, one)
	for _, sealed := range []bool{false, true} {
		if sealed {
			r.must(r.Seal(r.ctx, stash.Tombstone.ID))
		}
		for i, c := range []dotmesh.Commit{one, two} {
			r.must(r.Create(r.ctx, r.forkAt(b, c, dotmesh.Name(fmt.Sprintf("kept-%d-%v", i, sealed)))))
		}
		cursor, err := r.Create(r.ctx, r.forkAt(b, three, "late"))
		r.refuse(dotmesh.NotFound, cursor, err)
		for _, child := range r.list().branches {
			if child.Pointer.Tip == one.ID { // only "two" is to keep the line
				gone := r.tombstone(*child, dotmesh.BuriedBranch)
				r.must(r.Bury(r.ctx, gone))
				r.collected(gone, r.a)
			}
		}
		r.must(r.Bury(r.ctx, burial))
		r.must(r.Unbury(r.ctx, one.ID.UUID, dotmesh.Op{}))
	}
	r.must(0, r.TrimCommits(r.ctx, one.Line, three.Seq))
	r.must(r.Create(r.ctx, r.forkAt(b, one, "old")))
}

// testUnburyLost buries a commit that is not kept when its branch is collected.
func testUnburyLost(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	f := r.fork(b, "wip")
	r.must(r.Create(r.ctx, f))
	wip, one := r.commit(f.Branch, "one")
	r.must(r.Create(r.ctx, r.fork(wip, "child")))
	wip, two := r.commit(wip, "two")
	wip, _ = r.commit(wip, "three")
	r.must(r.Bury(r.ctx, r.commitBurial(wip, two)))
	branch := r.tombstone(r.branch(wip.ID), dotmesh.BuriedBranch)
	r.must(r.Bury(r.ctx, branch))
	r.must(r.Seal(r.ctx, branch.Tombstone.ID))
	cursor, err := r.Unbury(r.ctx, two.ID.UUID, dotmesh.Op{})
	r.refuse(dotmesh.Conflict, cursor, err)
	if r.list().commits[place{one.Line, two.Seq}] != nil {
		t.Error("a commit came back that may have been destroyed")
	}
}

// testUnburyTrimmed brings back commits whose records the registry does not keep.
func testUnburyTrimmed(t *testing.T, r *registryTest) {
	b, one := r.commit(r.dot("shop"), "one")
	b, two := r.commit(b, "two")
	b, _ = r.commit(b, "three")
	r.must(r.Bury(r.ctx, r.commitBurial(b, one))) // its record is there
	r.must(0, r.TrimCommits(r.ctx, one.Line, 4))
	b = r.branch(b.ID)
	r.must(r.Bury(r.ctx, r.commitBurial(b, two))) // and that one's is not
	for _, c := range []dotmesh.Commit{one, two} {
		r.must(r.Unbury(r.ctx, c.ID.UUID, dotmesh.Op{}))
	}
	s := r.list()
	if len(s.commits) != 1 || s.branches[b.ID].Pointer.Count != 4 {
		t.Errorf("%d records and a count of %d, want those that are not trimmed, 1, and 4", len(s.commits), s.branches[b.ID].Pointer.Count)
	}
}
