package etcdstate_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/etcdstate"
)

// contest is a request that was done and taken back at the same time.
type contest struct {
	reg       dotmesh.Registration
	did, took error
	ended     dotmesh.Response // as taking it back was told
}

// newContest makes a dot and a request to commit to it; false if etcd did not do it.
func newContest(ctx context.Context, r *etcdstate.Registry, name string) (*contest, bool) {
	c := newDot(dotmesh.Name(name))
	if _, err := r.Create(ctx, c); err != nil {
		return nil, false
	}
	q := dotmesh.Request{
		ID: dotmesh.NewUUID(), Node: "aaaaaaaaaaaaaaaa", From: "bbbbbbbbbbbbbbbb",
		Branch: c.Branch.ID, Expect: c.Branch.Pointer, Call: "commit", Life: dotmesh.MaxAsk,
	}
	if _, err := r.Ask(ctx, q); err != nil {
		return nil, false
	}
	reg, _ := follow(c.Branch.ID, c.Branch.Pointer, "x")
	reg.Reply = &dotmesh.Reply{Node: q.Node, ID: q.ID}
	return &contest{reg: reg}, true
}

// hold lets both sides try. Taking back is quicker than the work, unless it begins late.
func (c *contest) hold(ctx context.Context, r *etcdstate.Registry, late bool) {
	var both sync.WaitGroup
	both.Go(func() { _, c.did = r.Register(ctx, c.reg) })
	both.Go(func() {
		if late {
			_, _ = r.Latest(ctx) // one answer later
		}
		c.ended, c.took = r.Answer(ctx, c.reg.Reply.Node, dotmesh.Response{ID: c.reg.Reply.ID, Kind: dotmesh.Canceled})
	})
	both.Wait()
}

// check compares what both sides were told with what there is.
func (c *contest) check(t *testing.T, k *known) {
	t.Helper()
	there := k.commits[c.reg.Commit.ID]
	kind, ended := k.ended[c.reg.Reply.ID]
	did := dotmesh.KindOf(c.did)
	switch {
	case ended && (kind == "") != there, !ended && there:
		t.Errorf("the request has ended: %v, with %q, and the commit is there: %v", ended, kind, there)
	case did == "" && !there, did != "" && did != dotmesh.Unknown && there:
		t.Errorf("the work ended with %v, and the commit is there: %v", c.did, there)
	case c.took == nil && (c.ended.Kind == "") != there:
		t.Errorf("taking it back ended with %q, and the commit is there: %v", c.ended.Kind, there)
	}
}

func TestARequestEndsOnceThoughEtcdIsKilled(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	r := closing(t, e.open(t, ""))
	must(t)(r.PutNode(t.Context(), dotmesh.Node{ID: "aaaaaaaaaaaaaaaa", Name: "a"}))
	var mu sync.Mutex
	var all []*contest
	enough := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	var askers sync.WaitGroup
	for a := range 3 {
		askers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				c, ok := newContest(t.Context(), r, fmt.Sprintf("dot-%d-%d", a, i))
				if !ok {
					continue
				}
				c.hold(t.Context(), r, i%2 == 0)
				mu.Lock()
				all = append(all, c)
				mu.Unlock()
				select {
				case enough <- struct{}{}:
				case <-ctx.Done():
				}
			}
		})
	}
	for range 3 {
		for range 25 {
			<-enough
		}
		e.kill()
		e.start()
	}
	for range 25 {
		<-enough
	}
	cancel()
	askers.Wait()
	k := watch(t, r, 0)(listed)
	outcomes := map[string]int{}
	for _, c := range all {
		c.check(t, k)
		outcomes[fmt.Sprintf("%s/%s", dotmesh.KindOf(c.did), c.ended.Kind)]++
	}
	t.Logf("outcomes: %v", outcomes)
}
