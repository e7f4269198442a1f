//go:build linux

package zfs

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"dotmesh.io/dotmesh"
)

// turns let one caller at a time change a line. Different lines change at once, which ZFS
// makes cheap: changes that are asked for together share a transaction group.
type turns struct {
	mu    sync.Mutex // guards taken
	taken map[dotmesh.LineID]chan struct{}
}

// take waits for the turns of lines, and returns what gives them back. Everybody takes
// them in one order, so that nobody waits for each other.
func (t *turns) take(ctx context.Context, lines ...dotmesh.LineID) (give func(), err error) {
	lines = slices.Clone(lines)
	slices.SortFunc(lines, func(a, b dotmesh.LineID) int { return cmp.Compare(string(a.UUID[:]), string(b.UUID[:])) })
	lines = slices.Compact(lines)
	for i, line := range lines {
		if err := t.takeOne(ctx, line); err != nil {
			t.give(lines[:i])
			return nil, err
		}
	}
	return func() { t.give(lines) }, nil
}

func (t *turns) takeOne(ctx context.Context, line dotmesh.LineID) error {
	for {
		t.mu.Lock()
		if t.taken == nil {
			t.taken = map[dotmesh.LineID]chan struct{}{}
		}
		given, taken := t.taken[line]
		if !taken {
			t.taken[line] = make(chan struct{})
		}
		t.mu.Unlock()
		if !taken {
			return nil
		}
		select {
		case <-given:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *turns) give(lines []dotmesh.LineID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range lines {
		close(t.taken[line])
		delete(t.taken, line)
	}
}
