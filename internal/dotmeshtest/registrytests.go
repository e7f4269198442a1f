package dotmeshtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

// RunRegistryTests tests that what open returns is a [dotmesh.Registry] as its contract
// has it. Each test gets an empty one of its own.
func RunRegistryTests(t *testing.T, open func(t *testing.T) dotmesh.Registry) {
	t.Helper()
	for _, test := range slices.Concat(historyTests, buryTests, recordTests, watchTests, raceTests, requestTests, transferTests) {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			registry := open(t)
			t.Cleanup(func() {
				if err := registry.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			r := &registryTest{Registry: registry, ctx: ctx, t: t, a: "aaaaaaaaaaaaaaaa", b: "bbbbbbbbbbbbbbbb"}
			for name, id := range map[dotmesh.Name]dotmesh.NodeID{"a": r.a, "b": r.b} {
				r.must(registry.PutNode(ctx, dotmesh.Node{ID: id, Name: name, Pool: "test"}))
			}
			test.run(t, r)
		})
	}
}

// registryCase is a promise of the registry's contract and its test.
type registryCase struct {
	name string
	run  func(t *testing.T, r *registryTest)
}

// registryTest is a registry under test, with two nodes and shorthands for what the tests
// make in it.
type registryTest struct {
	dotmesh.Registry
	ctx  context.Context
	t    *testing.T
	a, b dotmesh.NodeID
}

// creation returns a new dot, mastered by node a.
func (r *registryTest) creation(name dotmesh.Name) dotmesh.Creation {
	id, line := dotmesh.NewUUID(), dotmesh.LineID{UUID: dotmesh.NewUUID()}
	dot, branch := dotmesh.DotID{UUID: id}, dotmesh.BranchID{UUID: id}
	commit := dotmesh.Commit{
		ID: newCommitID(), Line: line, Seq: 1, Kind: dotmesh.InitialCommit,
		Author: "admin", Time: time.Unix(1700000000, 5).UTC(), GUID: "guid-1",
	}
	commit.Chain = dotmesh.Chain{}.After(&commit)
	return dotmesh.Creation{
		Dot: &dotmesh.Dot{
			ID: dot, Name: dotmesh.DotName{Namespace: dotmesh.AdminNamespace, Name: name},
			Current: branch, Created: time.Unix(1700000000, 0).UTC(),
		},
		Branch: dotmesh.Branch{
			ID: branch, Dot: dot, Name: dotmesh.MasterBranch,
			Pointer: dotmesh.Pointer{
				Line: line, Tip: commit.ID, Seq: 1, Chain: commit.Chain, Head: commit.ID, Count: 1,
				Master: r.a, Epoch: 1, State: dotmesh.State{Phase: dotmesh.Held},
			},
			Created: time.Unix(1700000000, 0).UTC(),
		},
		Line:    dotmesh.Line{ID: line, Dot: dot, Owner: branch},
		Commits: []dotmesh.Commit{commit},
		Op:      dotmesh.Op{Dot: dot, Verb: dotmesh.VerbInit, By: "admin", Request: dotmesh.NewUUID()},
		Holder:  &dotmesh.Position{Node: r.a, Line: line, Seq: 1, Commit: commit.ID, Chain: commit.Chain},
	}
}

// dot makes a dot and returns its master branch.
func (r *registryTest) dot(name dotmesh.Name) dotmesh.Branch {
	r.t.Helper()
	c := r.creation(name)
	if _, err := r.Create(r.ctx, c); err != nil {
		r.t.Fatalf("Create(%s): %v", name, err)
	}
	return c.Branch
}

// next returns the registration of a commit after pointer p.
func (r *registryTest) next(b dotmesh.Branch, message string) dotmesh.Registration {
	p := b.Pointer
	c := dotmesh.Commit{
		ID: newCommitID(), Line: p.Line, Seq: p.Seq + 1, Parent: p.Tip, Kind: dotmesh.UserCommit,
		Author: "admin", Message: message, Time: time.Unix(1700000001, 0).UTC(), GUID: "guid-" + message,
	}
	c.Chain = p.Chain.After(&c)
	return dotmesh.Registration{
		Branch: b.ID, Expect: p, Commit: c,
		Op: dotmesh.Op{Dot: b.Dot, Branch: b.ID, Verb: dotmesh.VerbCommit, By: "admin"},
	}
}

// list returns what a new watcher is told first, by the keys of the registry.
func (r *registryTest) list() *state {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	s := newState()
	for u := range r.Watch(ctx, 0) {
		if u.Err != nil {
			r.t.Fatalf("Watch: %v", u.Err)
		}
		s.apply(u)
		if u.Cursor > 0 {
			return s
		}
	}
	r.t.Fatalf("Watch ended before the listing did: %v", ctx.Err())
	return nil
}

func newCommitID() dotmesh.CommitID { return dotmesh.CommitID{UUID: dotmesh.NewUUID()} }

// must fails the test unless a verb succeeded.
func (r *registryTest) must(cursor dotmesh.Cursor, err error) dotmesh.Cursor {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%v (%s)", err, dotmesh.Text(err))
	}
	return cursor
}

// refuse fails the test unless a verb was refused with kind, in words for the user.
func (r *registryTest) refuse(kind dotmesh.Kind, _ dotmesh.Cursor, err error) {
	r.t.Helper()
	if dotmesh.KindOf(err) != kind {
		r.t.Errorf("err = %v, want one of kind %q", err, kind)
	}
	if err != nil && dotmesh.Text(err) == "" {
		r.t.Errorf("%v has no text for the user", err)
	}
}

// branch returns a branch as the registry has it.
func (r *registryTest) branch(id dotmesh.BranchID) dotmesh.Branch {
	r.t.Helper()
	b := r.list().branches[id]
	if b == nil {
		r.t.Fatalf("there is no branch %s", id)
	}
	return *b
}

// commit registers a commit on a branch and returns the branch and the commit.
func (r *registryTest) commit(b dotmesh.Branch, message string) (dotmesh.Branch, dotmesh.Commit) {
	r.t.Helper()
	reg := r.next(b, message)
	r.must(r.Register(r.ctx, reg))
	return r.branch(b.ID), reg.Commit
}

// fork returns the creation of a branch at the tip of another one.
func (r *registryTest) fork(from dotmesh.Branch, name dotmesh.Name) dotmesh.Creation {
	b := dotmesh.Branch{ID: dotmesh.BranchID{UUID: dotmesh.NewUUID()}, Dot: from.Dot, Name: name, Pointer: from.Pointer}
	line := r.child(from, b.ID)
	b.Pointer.Line, b.Pointer.Seq, b.Pointer.Epoch = line.ID, 0, 1
	return dotmesh.Creation{
		Branch: b, Line: line,
		Op:     dotmesh.Op{Branch: b.ID, Verb: dotmesh.VerbBranch, By: "admin"},
		Holder: &dotmesh.Position{Node: r.a, Line: line.ID, Commit: b.Pointer.Tip, Chain: b.Pointer.Chain},
	}
}

// child returns a line forked from a branch's tip.
func (r *registryTest) child(from dotmesh.Branch, owner dotmesh.BranchID) dotmesh.Line {
	return dotmesh.Line{
		ID: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Dot: from.Dot, Owner: owner,
		Origin: dotmesh.Origin{Line: from.Pointer.Line, Commit: from.Pointer.Tip}, OriginSeq: from.Pointer.Seq,
	}
}

// reset returns a swing of a branch to a new line at its own tip, with a stash.
func (r *registryTest) reset(b dotmesh.Branch, stash dotmesh.Name) dotmesh.Swinging {
	line := r.child(b, b.ID)
	next := b.Pointer
	next.Line, next.Seq = line.ID, 0
	next.Epoch++
	keep := b.Pointer
	keep.Epoch = 1
	return dotmesh.Swinging{
		Branch: b.ID, Expect: b.Pointer, Next: next, Line: line,
		Stash: &dotmesh.Branch{
			ID: dotmesh.BranchID{UUID: dotmesh.NewUUID()}, Dot: b.Dot, Name: stash, Pointer: keep,
			Stash: &dotmesh.Stash{Reason: dotmesh.StashReset, Of: b.ID, Node: r.a, Epoch: b.Pointer.Epoch},
		},
		Op: dotmesh.Op{Branch: b.ID, Verb: dotmesh.VerbReset, By: "admin"},
	}
}

// move returns a move of a branch to node b.
func (r *registryTest) move(b dotmesh.Branch) dotmesh.Move {
	return dotmesh.Move{Branch: b.ID, Expect: b.Pointer, ID: dotmesh.NewUUID(), To: r.b, Deadline: time.Minute}
}

// released brings a branch as far as released, and returns the move from there.
func (r *registryTest) released(b dotmesh.Branch) dotmesh.Move {
	r.t.Helper()
	m := r.move(b)
	r.must(r.BeginMove(r.ctx, m))
	m.Expect = r.branch(b.ID).Pointer
	r.must(r.Release(r.ctx, m, nil))
	m.Expect = r.branch(b.ID).Pointer
	return m
}

// arrival returns the position with which node b takes a released branch.
func (r *registryTest) arrival(m dotmesh.Move) dotmesh.Position {
	return dotmesh.Position{Node: r.b, Line: m.Expect.Line, Seq: m.Expect.Seq, Commit: m.Expect.Tip, Chain: m.Expect.Chain}
}
