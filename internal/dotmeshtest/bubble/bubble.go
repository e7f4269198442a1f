// Package bubble runs tests in bubbles of testing/synctest.
package bubble

import (
	"runtime"
	"testing"
	"testing/synctest"
)

// Test calls [synctest.Test], on one processor: with more, two threads may run timers of one
// bubble at once, which the race detector's own program does not survive (golang/go#78156,
// "ThreadSanitizer: CHECK failed"). Races are found on one processor just as well, because
// what is looked at is what waits for what, and not what happens at the same time.
//
// A test that calls this is not parallel: the processors are those of the whole program.
func Test(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, f)
}
