//go:build linux

package zfs

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

func TestALineHasOneTurnAtATime(t *testing.T) {
	lines := make([]dotmesh.LineID, 5)
	for i := range lines {
		lines[i] = dotmesh.LineID{UUID: dotmesh.NewUUID()}
	}
	var turns turns
	busy := make([]sync.Mutex, len(lines))
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for range 200 {
				x, y := rand.IntN(len(lines)), rand.IntN(len(lines))
				give, err := turns.take(t.Context(), lines[x], lines[y], lines[x])
				if err != nil {
					t.Error(err)
					return
				}
				mine := slices.Compact([]int{x, y})
				for _, i := range mine {
					if !busy[i].TryLock() {
						t.Error("two have the turn of one line")
						return
					}
				}
				for _, i := range mine {
					busy[i].Unlock()
				}
				give()
			}
		})
	}
	group.Wait()
	if len(turns.taken) != 0 {
		t.Errorf("%d turns were not given back", len(turns.taken))
	}
}

func TestWhoGivesUpHasNoTurn(t *testing.T) {
	a, b := dotmesh.LineID{UUID: dotmesh.UUID{1}}, dotmesh.LineID{UUID: dotmesh.UUID{2}}
	var turns turns
	give, err := turns.take(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := turns.take(ctx, a, b); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v", err)
	}
	again, err := turns.take(t.Context(), a) // it was given back
	if err != nil {
		t.Fatal(err)
	}
	again()
	give()
}

func TestWhatLeavesDuringAListingIsNotShown(t *testing.T) {
	a, b := dotmesh.LineID{UUID: dotmesh.UUID{1}}, dotmesh.LineID{UUID: dotmesh.UUID{2}}
	var l leaving
	l.add(a) // nobody lists
	end1 := l.begin()
	l.add(b)
	end2 := l.begin()
	for i, end := range []func() map[dotmesh.LineID]bool{end1, end2} {
		if gone := end(); gone[a] || !gone[b] {
			t.Errorf("listing %d: gone = %v", i, gone)
		}
	}
	if gone := l.begin()(); len(gone) != 0 {
		t.Errorf("gone = %v", gone)
	}
}
