package dotmeshtest_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
)

func TestRegistryInMemory(t *testing.T) {
	dotmeshtest.RunRegistryTests(t, func(*testing.T) dotmesh.Registry { return dotmeshtest.NewRegistry() })
}

func TestRegistryFailsAsToldTo(t *testing.T) {
	ctx, r := t.Context(), dotmeshtest.NewRegistry()
	node := dotmesh.Node{ID: "aaaaaaaaaaaaaaaa", Name: "a"}
	key := "nodes/aaaaaaaaaaaaaaaa"
	r.FailNext("PutNode", dotmesh.NoSpace)
	r.FailNext("PutNode", dotmesh.Unknown)
	r.LoseNext("PutNode")
	for _, want := range []struct {
		kind  dotmesh.Kind
		there bool
	}{{dotmesh.NoSpace, false}, {dotmesh.Unknown, false}, {dotmesh.Unknown, true}, {"", true}} {
		_, err := r.PutNode(ctx, node)
		if there := r.Peek(key) != nil; dotmesh.KindOf(err) != want.kind || there != want.there {
			t.Errorf("PutNode = %v, there: %v; want kind %q, there: %v", err, there, want.kind, want.there)
		}
	}
	r.SetDown(true)
	if err := r.Confirm(ctx); dotmesh.KindOf(err) != dotmesh.Unreachable {
		t.Errorf("Confirm = %v, want one of kind %q", err, dotmesh.Unreachable)
	}
	r.SetDown(false)
	if err := r.Confirm(ctx); err != nil {
		t.Errorf("Confirm: %v", err)
	}
}

func TestRegistryForgetsWhoDoesNotRefresh(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := dotmeshtest.NewRegistry()
		var alive sync.WaitGroup
		alive.Go(func() {
			if err := r.StayAlive(ctx, "aaaaaaaaaaaaaaaa"); err != nil {
				t.Errorf("StayAlive: %v", err)
			}
		})
		there := func(want bool) {
			t.Helper()
			synctest.Wait()
			if got := r.Peek("alive/aaaaaaaaaaaaaaaa") != nil; got != want {
				t.Errorf("alive = %v, want %v", got, want)
			}
		}
		there(true)
		r.SetDown(true)
		there(true)
		<-time.After(15*time.Second + time.Millisecond)
		there(false)
		r.SetDown(false)
		there(true)
		cancel()
		alive.Wait()
		there(false)
	})
}

func TestRegistryTellsOfAnOutageAndOfItsEnd(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := dotmeshtest.NewRegistry()
		var updates []dotmesh.Update
		var watching sync.WaitGroup
		watching.Go(func() {
			for u := range r.Watch(ctx, 0) {
				updates = append(updates, u)
			}
		})
		for _, change := range []func(){
			func() {},
			func() { r.SetDown(true) },
			func() { r.SetDown(true) },
			func() { r.SetDown(false) },
			func() { r.Compact() },
			func() { r.Poke("nodes/aaaaaaaaaaaaaaaa", []byte(`{"v":1,"id":"aaaaaaaaaaaaaaaa"}`)) },
		} {
			change()
			synctest.Wait()
		}
		cancel()
		watching.Wait()
		if len(updates) != 4 || !updates[0].Reset || updates[1].Err == nil || updates[2].Err != nil || len(updates[3].Changes) != 1 {
			t.Errorf("updates = %+v, want a listing, an error, none, and a change", updates)
		}
	})
}
