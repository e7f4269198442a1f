package etcdstate_test

import (
	"errors"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/etcdstate"
)

// TestWhatIsRememberedIsNotTrusted: a client first tries what it has written last, which
// another one may have changed since.
func TestWhatIsRememberedIsNotTrusted(t *testing.T) {
	e := startEtcd(t)
	prefix := prefixOf(t)
	one, other := e.open(t, prefix), e.open(t, prefix)
	defer func() {
		if err := errors.Join(one.Close(), other.Close()); err != nil {
			t.Error(err)
		}
	}()
	c := newDot("shop")
	if _, err := one.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	p := c.Branch.Pointer
	register := func(r *etcdstate.Registry, message string) dotmesh.Pointer {
		t.Helper()
		reg, next := follow(c.Branch.ID, p, message)
		reg.Op = dotmesh.Op{Dot: c.Dot.ID, Verb: dotmesh.VerbCommit}
		if _, err := r.Register(t.Context(), reg); err != nil {
			t.Fatal(err)
		}
		return next
	}
	for range 3 {
		p = register(one, "of one")
	}
	stale := p
	for range 2 {
		p = register(other, "of the other")
	}
	late, _ := follow(c.Branch.ID, stale, "too late")
	if _, err := one.Register(t.Context(), late); !errors.Is(err, dotmesh.Conflict) {
		t.Errorf("a commit after a tip that another client has moved: got %v", err)
	}
	p = register(one, "of one again")
	ops, err := other.Ops(t.Context(), c.Dot.ID, 0, 100)
	if err != nil || len(ops) != 6 {
		t.Fatalf("got %d entries, %v", len(ops), err)
	}
	for i, op := range ops {
		if want := uint64(len(ops) - i); op.N != want {
			t.Errorf("entry %d has the number %d", want, op.N)
		}
	}
}
