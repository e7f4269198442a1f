package server_test

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
)

// dripRegistry takes its time before each piece of a listing, which it makes of one change.
type dripRegistry struct {
	*dotmeshtest.Registry
	pause time.Duration
}

func (r *dripRegistry) Watch(ctx context.Context, from dotmesh.Cursor) iter.Seq[dotmesh.Update] {
	return func(yield func(dotmesh.Update) bool) {
		for u := range r.Registry.Watch(ctx, from) {
			for i := range u.Changes {
				last := i == len(u.Changes)-1
				piece := dotmesh.Update{Reset: u.Reset && i == 0, Changes: u.Changes[i : i+1], Err: u.Err}
				if last {
					piece.Cursor = u.Cursor
				}
				if u.Reset && !wait(ctx, r.pause) || !yield(piece) {
					return
				}
			}
		}
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// TestReadsWaitForAListingThatComes: what the registry says is newer than what the node
// remembers, so only a silent one is not waited for.
func TestReadsWaitForAListingThatComes(t *testing.T) {
	for name, test := range map[string]struct {
		pause time.Duration
		warns bool
	}{
		"in small pieces": {2 * time.Second, false},
		"not for long":    {10 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.init()
				_, err := w.commit("first")
				w.must(err)
				w.stop()
				var log bytes.Buffer
				w.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				w.cfg.Registry = &dripRegistry{w.reg, test.pause}
				began := time.Now()
				w.start()
				if took := time.Since(began); test.warns != (took < test.pause) {
					t.Errorf("it was ready after %s", took)
				}
				w.wantLog("first, Initial commit")
				w.stop()
				if got := strings.Contains(log.String(), "the registry does not answer"); got != test.warns {
					t.Errorf("it says that the registry does not answer: %t, want %t", got, test.warns)
				}
			})
		})
	}
}
