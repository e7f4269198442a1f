package tui

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/democluster"
)

// TestZBringsBackNoOtherDot: somebody has made one of that name meanwhile.
func TestZBringsBackNoOtherDot(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("qa/fixtures")
		name := d.dot("qa/fixtures").Name
		d.keys("D", "shift+tab", " qa/fixtures", "ctrl+s")
		d.sees("deleted qa/fixtures")
		made, err := d.cluster.CreateDot(d.ctx, dotmesh.CreateDot{Dot: name})
		if err != nil {
			t.Fatal(err)
		}
		d.keys("z", "enter")
		d.sees("another dot is called qa/fixtures by now")
		if d.dot("qa/fixtures").ID != made.ID {
			t.Error("that was undone")
		}
	})
}

// TestAnUndoIsOfTheOperationThatItNames: somebody does another one while it asks.
func TestAnUndoIsOfTheOperationThatItNames(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("qa/fixtures")
		dot := d.dot("qa/fixtures")
		d.keys("tab", "tab", "end", "up", "R", "enter", "z")
		d.sees("reset master, by ")
		late, err := d.cluster.Commit(d.ctx, dotmesh.CommitRequest{Dot: dot.Name, Message: "late"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.cluster.CreateBranch(d.ctx, dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: dot.Name}, Name: "later"}); err != nil {
			t.Fatal(err)
		}
		d.settle()
		d.keys("enter")
		after := d.dot("qa/fixtures")
		if !slices.ContainsFunc(after.All, func(b dotmesh.BranchStatus) bool { return b.Name == "later" }) {
			t.Error("what was done last was undone")
		}
		if head := after.Branch.Pointer.Head; head == late.ID {
			t.Error("what it asked about was not undone")
		}
	})
}

// TestAnUndoAsksWhereItWasAskedFor: its operation is read, and the user goes on meanwhile.
func TestAnUndoAsksWhereItWasAskedFor(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("qa/fixtures")
		d.send(press("z"))
		d.send(press("up"))
		d.settle()
		if d.u.dialog() != nil {
			t.Errorf("it asks about another dot than the one under the cursor: %s", d.u.dialog().title())
		}
	})
}

// TestWhatIsSaidOfAnUndoIsTrue: z again goes one further back, as it does in lazygit.
func TestWhatIsSaidOfAnUndoIsTrue(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("qa/fixtures")
		d.keys("tab", "tab", "end", "up", "R", "enter", "z", "enter")
		d.sees("undid reset")
		undone := d.dot("qa/fixtures").Branch.Pointer.Head
		d.seesNot("z undoes that")
		d.keys("6", "home", "z", "enter") // the undo itself
		if d.dot("qa/fixtures").Branch.Pointer.Head == undone {
			t.Error("the undo was not undone")
		}
	})
}

// TestUndoAloneDeletesNothing: to undo that something was made is to delete it.
func TestUndoAloneDeletesNothing(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		name := dotmesh.DotName{Namespace: "admin", Name: "new"}
		if _, err := d.cluster.CreateDot(d.ctx, dotmesh.CreateDot{Dot: name}); err != nil {
			t.Fatal(err)
		}
		d.settle()
		d.onDot("new")
		d.keys("b", " side", "ctrl+s", "z")
		d.sees("The operation made branch side")
		d.keys("enter")
		d.sees("undid branch side")
		d.keys("z", "enter", "z", "tab", "enter", "esc")
		d.keys("6", "end", "z", "enter", "esc", "1") // nor by its number
		if d.dot("new").ID.IsZero() {
			t.Fatal("it is gone")
		}
		d.keys("z", "shift+tab", " new", "ctrl+s")
		if _, err := d.cluster.Dot(d.ctx, name); dotmesh.KindOf(err) != dotmesh.NotFound {
			t.Errorf("err = %v, want not found", err)
		}
	})
}

// TestPlainUndoAloneDeletesNothing: the same in words.
func TestPlainUndoAloneDeletesNothing(t *testing.T) {
	cluster := democluster.New(democluster.Options{Dots: 12, Seed: 1, Now: time.Now})
	name := dotmesh.DotName{Namespace: "admin", Name: "aaa"}
	if _, err := cluster.CreateDot(t.Context(), dotmesh.CreateDot{Dot: name}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		answers string
		there   bool
	}{{"5\n1\n\n", true}, {"5\n1\naaa\n", false}} {
		var out strings.Builder
		o := Options{Service: cluster, Where: "test", In: strings.NewReader(test.answers), Out: &out}
		if err := Plain(t.Context(), o, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := cluster.Dot(t.Context(), name); (err == nil) != test.there {
			t.Errorf("after %q: %v\n%s", test.answers, err, &out)
		}
	}
}
