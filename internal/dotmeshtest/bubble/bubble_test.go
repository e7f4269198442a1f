package bubble_test

import (
	"sync"
	"testing"
	"time"

	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
)

// Without the one processor the race detector ends this program within a second, on most runs.
func TestManyTimersAtOnce(t *testing.T) {
	bubble.Test(t, func(*testing.T) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(readTicks)
		}
		all.Wait()
	})
}

// readTicks reads a ticker late and never waits for it, so that it runs in the reader's thread.
func readTicks() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 20_000 {
		<-time.After(time.Millisecond)
		for range 2 {
			select {
			case <-tick.C:
			default:
			}
		}
	}
}
