package tui

import (
	"context"
	"testing"

	"dotmesh.io/dotmesh"
)

func TestSortingKeepsTheCursorOnItsNode(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.keys("2", "end")
		n := d.u.screens[atNodes].(*nodes)
		before := n.name()
		for range 4 {
			d.keys("o")
			if n.name() != before {
				t.Fatalf("the cursor went from %s to %s", before, n.name())
			}
		}
	})
}

// TestTheFirstErrorsAreCountedToo though only the newest are kept.
func TestTheFirstErrorsAreCountedToo(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		for range maxFaults + 1 {
			d.u.fault("try", context.DeadlineExceeded)
		}
		d.keys("7")
		d.sees("501 errors since the start")
	})
}

// TestNoKeyIsOfferedThatDoesNothing in a place.
func TestNoKeyIsOfferedThatDoesNothing(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("qa/fixtures")
		for _, place := range []string{"2", "6"} {
			d.keys(place)
			d.seesNot("spc mark")
		}
		for _, key := range []string{"d", "enter"} {
			d.keys(key)
			if d.u.dialog() == nil {
				t.Fatalf("%s shows nothing of an operation", key)
			}
			d.sees("operation", "by")
			d.keys("esc")
		}
	})
}

// TestANodeLeadsToItsOwnDots and not to those of one whose name begins like it.
func TestANodeLeadsToItsOwnDots(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.keys("2", "enter")
		for _, master := range []dotmesh.Name{"node-1", "node-10"} {
			dot := &dotmesh.DotStatus{Branch: dotmesh.BranchStatus{MasterName: master}}
			shown := d.u.browse.wanted.Match(func(field string) string { return dotField(dot, field) })
			if want := master == "node-1"; shown != want {
				t.Errorf("a dot of %s is shown: %v, want %v", master, shown, want)
			}
		}
	})
}
