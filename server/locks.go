package server

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"dotmesh.io/dotmesh"
)

// maxResolves is how often a caller looks again at what it has to lock.
const maxResolves = 10

// locks is a set of locks named by ids. A lock exists only while somebody holds it or
// waits for it.
type locks struct {
	mu   sync.Mutex // guards held
	held map[dotmesh.UUID]*lock
}

type lock struct {
	token   chan struct{} // holds one token while the lock is free
	waiters int
}

// acquire takes the locks of all ids, in an order that is the same for every caller, and
// returns what releases them. It gives up when ctx ends.
func (l *locks) acquire(ctx context.Context, ids ...dotmesh.UUID) (release func(), err error) {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b dotmesh.UUID) int { return cmp.Compare(string(a[:]), string(b[:])) })
	ids = slices.Compact(ids)
	taken := 0
	release = func() {
		for _, id := range ids[:taken] {
			l.leave(id, true)
		}
	}
	for _, id := range ids {
		select {
		case <-l.join(id).token:
			taken++
		case <-ctx.Done():
			l.leave(id, false)
			release()
			return nil, dotmesh.Wrap("wait for other work on the same branch", ctx.Err())
		}
	}
	return release, nil
}

// acquireFor takes the locks of the ids that resolve returns. What a caller asked for may
// have changed while it waited, so resolve is called again under the locks; if it names
// another lock then, everything is let go and begun anew.
func (l *locks) acquireFor(ctx context.Context, resolve func() ([]dotmesh.UUID, error)) (release func(), err error) {
	for range maxResolves {
		ids, err := resolve()
		if err != nil {
			return nil, err
		}
		release, err := l.acquire(ctx, ids...)
		if err != nil {
			return nil, err
		}
		now, err := resolve()
		if err == nil && !slices.ContainsFunc(now, func(id dotmesh.UUID) bool { return !slices.Contains(ids, id) }) {
			return release, nil
		}
		release()
		if err != nil {
			return nil, err
		}
	}
	return nil, dotmesh.E("server.acquireFor", dotmesh.Busy, "it is being changed again and again; try again in a moment")
}

func (l *locks) join(id dotmesh.UUID) *lock {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[dotmesh.UUID]*lock{}
	}
	k := l.held[id]
	if k == nil {
		k = &lock{token: make(chan struct{}, 1)}
		k.token <- struct{}{}
		l.held[id] = k
	}
	k.waiters++
	return k
}

func (l *locks) leave(id dotmesh.UUID, holding bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.held[id]
	if holding {
		k.token <- struct{}{}
	}
	if k.waiters--; k.waiters == 0 {
		delete(l.held, id)
	}
}
