package etcdstate_test

import "testing"

// BenchmarkRegister is the hot path: a read and a transaction.
func BenchmarkRegister(b *testing.B) {
	e := startEtcd(b)
	r := e.open(b, prefixOf(b))
	defer func() {
		if err := r.Close(); err != nil {
			b.Error(err)
		}
	}()
	c := newDot("shop")
	if _, err := r.Create(b.Context(), c); err != nil {
		b.Fatal(err)
	}
	p := c.Branch.Pointer
	for b.Loop() {
		reg, next := follow(c.Branch.ID, p, "x")
		reg.Op.Dot = c.Dot.ID
		if _, err := r.Register(b.Context(), reg); err != nil {
			b.Fatal(err)
		}
		p = next
	}
}
