package dotmeshtest

import (
	"context"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

// RunRegistryTests tests that what open returns is a [dotmesh.Registry] as its contract
// has it. Each test gets an empty one of its own.
func RunRegistryTests(t *testing.T, open func(t *testing.T) dotmesh.Registry) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, r *registryTest)
	}{
		{"a dot is born with its master branch, line, commit, position and log entry", testCreateDot},
		{"a commit moves tip, head, count and chain", testRegister},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			registry := open(t)
			t.Cleanup(func() {
				if err := registry.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			test.run(t, &registryTest{Registry: registry, ctx: ctx, t: t, a: "aaaaaaaaaaaaaaaa", b: "bbbbbbbbbbbbbbbb"})
		})
	}
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

func testCreateDot(t *testing.T, r *registryTest) {
	c := r.creation("shop")
	if _, err := r.Create(r.ctx, c); err != nil {
		t.Fatalf("Create: %v", err)
	}
	s := r.list()
	if got := s.branches[c.Branch.ID]; got == nil || got.Pointer != c.Branch.Pointer {
		t.Errorf("branch = %+v, want %+v", got, c.Branch)
	}
	if got := s.dots[c.Dot.Name]; got == nil || got.ID != c.Dot.ID {
		t.Errorf("dot = %+v, want %+v", got, c.Dot)
	}
	if len(s.lines) != 1 || len(s.commits) != 1 || len(s.positions) != 1 {
		t.Errorf("%d lines, %d commits, %d positions; want one of each", len(s.lines), len(s.commits), len(s.positions))
	}
	ops, err := r.Ops(r.ctx, c.Dot.ID, 0, 10)
	if err != nil || len(ops) != 1 || ops[0].N != 1 || ops[0].Verb != dotmesh.VerbInit {
		t.Errorf("Ops = %+v, %v; want the init as entry 1", ops, err)
	}
}

func testRegister(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	reg := r.next(b, "one")
	for range 2 { // the second time it finds its own success
		if _, err := r.Register(r.ctx, reg); err != nil {
			t.Fatalf("Register: %v", err)
		}
	}
	got := r.list().branches[b.ID].Pointer
	want := b.Pointer
	want.Tip, want.Head, want.Seq, want.Count, want.Chain = reg.Commit.ID, reg.Commit.ID, 2, 2, reg.Commit.Chain
	if got != want {
		t.Errorf("pointer = %+v, want %+v", got, want)
	}
}
