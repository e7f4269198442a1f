//go:build linux && zfs && zfsfull && failpoints

package zfs_test

import (
	"fmt"
	"testing"
)

// TestAFailureOfAnyStepIsReportedAndCanBeRetried tells the story in one process, in which
// one failpoint after the other fails.
func TestAFailureOfAnyStepIsReportedAndCanBeRetried(t *testing.T) {
	w := newWalk(t)
	w.start()
	is := picture{}
	for i, step := range (&teller{}).steps() {
		for nth := 1; ; nth++ {
			w.arm(fmt.Sprintf("*=error@%d", nth))
			said := w.ask(i)
			reached := len(w.reached()) >= nth
			w.arm("")
			if !reached {
				w.must(said == "done", "%s: %s, and nothing was to fail", step.name, said)
				break
			}
			w.must(said != "done", "%s: a failure at %s is not reported", step.name, w.last())
			w.want(is, i, w.look(), "a failure at "+w.last())
		}
		is = step.after(is)
		w.want(is, i, w.look(), "the step")
	}
}
