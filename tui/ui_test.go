package tui

import (
	"errors"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"dotmesh.io/dotmesh"
)

// onDot puts the cursor on a dot.
func (d *driver) onDot(name string) {
	d.t.Helper()
	d.do(d.u.browse.goTo(d.u, d.dot(name).ID))
	d.settle()
}

func TestTheTreeIsSeenAtOnce(t *testing.T) {
	drive(t, 160, 45, nil, func(d *driver) {
		d.onDot("shop")
		d.sees("LIVE", "Branches of shop", "Commits of", "shop-web-1")
		d.keys("tab", "tab", "down", "down")
		d.sees("added", "modified")
	})
}

func TestADotThatWasMadeGetsTheCursor(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("shop")
		d.keys("n", " qa/new-one", "ctrl+s")
		d.sees("made qa/new-one", "Branches of qa/new-one")
		if got, _ := d.u.browse.dots.Cursor(); got != d.dot("qa/new-one").ID {
			t.Error("the cursor is on another dot")
		}
	})
}

func TestACommitIsMadeAndSeen(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("shop")
		before := d.dot("shop").Branch.Pointer.Count
		d.keys("c", " before the sale", "tab", " job=sale", "ctrl+s")
		after := d.dot("shop").Branch.Pointer
		if after.Count != before+1 {
			t.Fatalf("%d commits, want %d", after.Count, before+1)
		}
		d.sees("before the sale", "committed shop@master")
		page, err := d.cluster.Log(d.ctx, dotmesh.LogRequest{Dot: d.dot("shop").Name, Limit: 1})
		if err != nil || page.Commits[0].Metadata["job"] != "sale" {
			t.Errorf("the commit is %+v, %v", page.Commits, err)
		}
	})
}

func TestAResetKeepsWhatItDropsAndUndoBringsItBack(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("qa/fixtures")
		before := d.dot("qa/fixtures")
		d.keys("tab", "tab", "end", "up", "R")
		d.sees("Off the branch", "A stash keeps all of it")
		d.keys("enter")
		after := d.dot("qa/fixtures")
		if after.Branch.Pointer.Head == before.Branch.Pointer.Head || after.Stashes != before.Stashes+1 {
			t.Fatalf("not reset: %+v", after.Branch.Pointer)
		}
		d.sees("z undoes")
		d.keys("z")
		d.sees("reset master, by ", "= dm undo ")
		if again := d.dot("qa/fixtures"); again.Branch.Pointer != after.Branch.Pointer {
			t.Fatal("it does not ask first")
		}
		d.keys("enter")
		if undone := d.dot("qa/fixtures"); undone.Branch.Pointer.Head != before.Branch.Pointer.Head {
			t.Errorf("not undone: %+v", undone.Branch.Pointer)
		}
	})
}

// TestEnterAloneDeletesNothing: the focus is on Cancel, and the name has to be typed.
func TestEnterAloneDeletesNothing(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("qa/fixtures")
		d.keys("D")
		d.sees("[ Cancel ]", "type qa/fixtures")
		d.keys("enter")
		d.keys("D", "tab", "enter") // the other button, and no name
		d.sees("to go on, type")
		if d.dot("qa/fixtures").ID.IsZero() {
			t.Fatal("it is gone")
		}
		d.keys("esc")
		d.keys("D", "shift+tab", " qa/fixtures", "ctrl+s")
		_, err := d.cluster.Dot(d.ctx, dotmesh.DotName{Namespace: "qa", Name: "fixtures"})
		if dotmesh.KindOf(err) != dotmesh.NotFound {
			t.Errorf("err = %v, want not found", err)
		}
		d.sees("dots 12", "deleted qa/fixtures")
	})
}

// TestADialogWhoseTargetIsGoneDoesNothing: what has the name then is another dot.
func TestADialogWhoseTargetIsGoneDoesNothing(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("qa/fixtures")
		name := d.dot("qa/fixtures").Name
		d.keys("D", "shift+tab", " qa/fixtures")
		if err := d.cluster.DeleteDot(d.ctx, dotmesh.DeleteDot{Dot: name}); err != nil {
			t.Fatal(err)
		}
		made, err := d.cluster.CreateDot(d.ctx, dotmesh.CreateDot{Dot: name})
		if err != nil {
			t.Fatal(err)
		}
		d.settle()
		d.keys("ctrl+s")
		d.sees("is not there any more")
		if d.dot("qa/fixtures").ID != made.ID {
			t.Error("another dot was deleted")
		}
	})
}

func TestSeveralAreMarkedAndAllAreActedOn(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		var before []uint64
		for _, name := range []string{"shop", "sessions"} {
			d.onDot(name)
			d.keys("space")
			before = append(before, d.dot(name).Branch.Pointer.Count)
		}
		d.sees("2 marked")
		d.keys("c", " both", "ctrl+s")
		d.sees("committed 2 of 2")
		for i, name := range []string{"shop", "sessions"} {
			if got := d.dot(name).Branch.Pointer.Count; got != before[i]+1 {
				t.Errorf("%s has %d commits, want %d", name, got, before[i]+1)
			}
		}
	})
}

func TestARefusalIsShownInTheServersWordsAndStays(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("shop")
		before := d.dot("shop").Branch.Pointer
		d.keys("tab", "tab", "end", "R", "enter")
		if got := d.dot("shop").Branch.Pointer; got != before {
			t.Fatal("it was reset while it is in use")
		}
		d.sees("shop-web-1")
		d.keys("down")
		d.keys("7")
		d.sees("reset shop@master", "busy")
	})
}

func TestALostServerIsSaidAndForgiven(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.sees("LIVE")
		d.cluster.Break(dotmesh.E("test", dotmesh.Unreachable, "the cable is out"))
		d.settle()
		d.sees("! LOST, as of", "the cable is out", "shop")
		d.keys("2", "1", "down") // it goes on working
		d.cluster.Break(nil)
		d.live()
		d.sees("LIVE")
		d.seesNot("LOST")
	})
}

func TestTheCursorStaysOnItsDotWhateverComesAndGoes(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("shop")
		id := d.dot("shop").ID
		for _, name := range []string{"aaa", "bbb", "zzz"} {
			if _, err := d.cluster.CreateDot(d.ctx, dotmesh.CreateDot{Dot: dotmesh.DotName{Namespace: "admin", Name: dotmesh.Name(name)}}); err != nil {
				t.Fatal(err)
			}
		}
		d.settle()
		d.sees("aaa", "zzz")
		if got, _ := d.u.browse.dots.Cursor(); got != id {
			t.Error("the cursor is on another dot")
		}
	})
}

func TestAMoveGoesStepByStepAndCanBeFollowed(t *testing.T) {
	drive(t, 150, 40, nil, func(d *driver) {
		d.onDot("qa/fixtures")
		d.keys("m")
		d.sees("node-2", "free")
		d.keys("down", "enter", "enter", "3")
		d.sees("move qa/fixtures@master node-1>node-2")
		for range 60 {
			d.cluster.Step(time.Second)
		}
		d.settle()
		d.sees("done")
		d.keys("1")
		d.onDot("qa/fixtures")
		if got := d.dot("qa/fixtures").Branch.MasterName; got != "node-2" {
			t.Errorf("the master is %s", got)
		}
	})
}

func TestLongHistoriesComeInPages(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		long := ""
		dots, err := d.cluster.Dots(d.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range dots {
			if one.Branch.Pointer.Count > 400 {
				long = one.Name.String()
			}
		}
		d.onDot(long)
		d.keys("tab", "tab")
		if n := len(d.u.browse.log.commits); n != pageSize {
			t.Fatalf("%d commits were read, want a page of %d", n, pageSize)
		}
		for range 3 {
			d.keys("end")
		}
		if n, all := len(d.u.browse.log.commits), int(d.dot(long).Branch.Pointer.Count); n != all {
			t.Errorf("%d commits of %d were read", n, all)
		}
		d.sees("Initial commit")
	})
}

// TestTheWizardPlansFirstAndGoesOnWhereItFailed drives an init on the operator of the demo.
func TestTheWizardPlansFirstAndGoesOnWhereItFailed(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.do(d.u.openWizard(dotmesh.Job{Kind: dotmesh.JobInit, Options: map[string]string{"fail": "etcd"}}))
		d.settle()
		d.sees("start etcd", "0 of 9 steps")
		d.keys("enter")
		for range 200 {
			d.cluster.Step(time.Second)
			d.drain()
		}
		d.settle()
		d.sees("!!")
		d.keys("enter", "enter")
		for range 200 {
			d.cluster.Step(time.Second)
			d.drain()
		}
		d.settle()
		d.sees("Done.", "9 of 9 steps")
	})
}

func TestEveryFrameFitsEverySize(t *testing.T) {
	for _, size := range [][2]int{{60, 15}, {80, 24}, {100, 30}, {119, 29}, {120, 35}, {200, 50}, {500, 200}} {
		drive(t, size[0], size[1], nil, func(d *driver) {
			for _, keys := range [][]string{{"1"}, {"tab"}, {"tab"}, {"2"}, {"3"}, {"4"}, {"5"}, {"6"}, {"7"}, {"?"}, {"esc"}, {"1", ":"}, {"esc", "c"}, {"esc", "D"}} {
				d.keys(keys...)
				lines := strings.Split(d.u.View().Content, "\n")
				if len(lines) != size[1] {
					t.Errorf("%v at %v: %d lines", keys, size, len(lines))
				}
				for i, line := range lines {
					if w := ansi.StringWidth(line); w > size[0] {
						t.Errorf("%v at %v: line %d is %d wide: %q", keys, size, i, w, ansi.Strip(line))
					}
				}
			}
		})
	}
}

// TestWhatIsFrozenStandsStill until the key is pressed again, or something is to be done.
func TestWhatIsFrozenStandsStill(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		create := func(name dotmesh.Name) {
			t.Helper()
			if _, err := d.cluster.CreateDot(d.ctx, dotmesh.CreateDot{Dot: dotmesh.DotName{Namespace: "admin", Name: name}}); err != nil {
				t.Fatal(err)
			}
			d.settle()
		}
		since := when(d.u.o.Now(), d.u.o.Now())
		d.send(press("f"))
		before := d.frame()
		d.sees("FROZEN, as of " + since)
		create("aaa")
		if after := d.frame(); after != before {
			t.Errorf("it has changed:\n%s", after)
		}
		d.keys("4")
		d.sees("aaa was made")
		d.keys("1", "f")
		d.sees("aaa", "LIVE")
		d.seesNot("FROZEN")
		d.keys("f")
		create("aab")
		d.seesNot("aab")
		d.keys("c") // of what it is now
		d.sees("aab")
		d.seesNot("FROZEN")
	})
}

// TestATerminalThatIsTooSmallCanBeLeft with the key that leaves, and no other key does anything.
func TestATerminalThatIsTooSmallCanBeLeft(t *testing.T) {
	for _, key := range []string{"q", "Q"} {
		drive(t, 40, 10, func(o *Options) { o.Settings.Keys = map[string][]string{"quit": {key}} }, func(d *driver) {
			if d.keys("n", "esc"); d.u.dialog() != nil || d.quit {
				t.Error("another key did something")
			}
			if d.keys(key); !d.quit {
				t.Errorf("%s does not leave", key)
			}
		})
	}
}

func TestATerminalThatIsTooSmallIsToldWhatIsNeeded(t *testing.T) {
	drive(t, 59, 14, nil, func(d *driver) {
		d.sees("dm needs 60x15, this is 59x14; q leaves")
		d.send(tea.WindowSizeMsg{Width: 80, Height: 24})
		d.settle()
		d.sees("Dots")
	})
}

// TestNothingIsDrawnTwice: View runs after every message, and idle means no bytes.
func TestNothingIsDrawnTwice(t *testing.T) {
	drive(t, 120, 35, nil, func(d *driver) {
		first := d.u.View()
		drawn := d.u.drawn
		d.u.Update(struct{}{})
		if d.u.View().Content != first.Content || d.u.drawn != drawn {
			t.Error("a message that means nothing has drawn a frame")
		}
	})
}

func TestWhatACommandFailsWithIsKept(t *testing.T) {
	drive(t, 120, 35, nil, func(d *driver) {
		d.u.fault("something", errors.New("plain \x1b[2J text"))
		d.keys("7")
		d.sees("something")
		if strings.Contains(d.u.View().Content, "\x1b[2J") {
			t.Error("an error moved the cursor")
		}
	})
}

// TestALongMessageLeavesInSightWhatADialogSays: only its beginning is shown there.
func TestALongMessageLeavesInSightWhatADialogSays(t *testing.T) {
	drive(t, 80, 24, nil, func(d *driver) {
		name := d.dot("qa/fixtures").Name
		for _, message := range []string{"short", strings.Repeat("long ", 800)} {
			if _, err := d.cluster.Commit(d.ctx, dotmesh.CommitRequest{Dot: name, Message: message}); err != nil {
				t.Fatal(err)
			}
		}
		d.onDot("qa/fixtures")
		d.keys("tab", "tab", "home", "down", "R")
		d.sees("Back to", "short", "Off the branch: 1 commit", "long long", "A stash keeps all of it")
		d.keys("esc", "home", "D")
		d.sees("long long", "What is deleted goes from")
	})
}

// TestWhatIsPastedIsSeen: a text from a web page can turn the letters after it around.
func TestWhatIsPastedIsSeen(t *testing.T) {
	for _, open := range []string{"c", "/", ":"} {
		drive(t, 120, 35, nil, func(d *driver) {
			d.onDot("shop")
			d.keys(open)
			d.send(tea.PasteMsg{Content: "two\nlines \u202eturned\x1b[2J\n"})
			d.settle()
			d.sees(`two lines \u202eturned\x1b[2J`)
			if strings.Contains(d.u.View().Content, "\u202e") {
				t.Errorf("%s: what was pasted gives orders to the terminal", open)
			}
		})
	}
}

// TestZBringsBackADotThatWasDeleted: the cursor is on another one then, whose operations are
// nobody's business.
func TestZBringsBackADotThatWasDeleted(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("qa/fixtures")
		id := d.dot("qa/fixtures").ID
		d.keys("D", "shift+tab", " qa/fixtures", "ctrl+s")
		d.sees("dots 12", "deleted qa/fixtures")
		next := d.u.browse.dot()
		before := d.dot(next.Name.String())
		d.keys("z")
		d.sees("bring back 1 dot", "= dm undo --dot qa/fixtures")
		d.keys("enter")
		if after := d.dot(next.Name.String()); after.Branch.Pointer != before.Branch.Pointer {
			t.Errorf("%s was changed", next.Name)
		}
		if d.dot("qa/fixtures").ID != id {
			t.Error("another dot came back")
		}
	})
}

// TestACommandLineStandsStill: it is made anew for every frame.
func TestACommandLineStandsStill(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("shop")
		d.keys("c", " m", "tab", " c=1, a=2, b=3")
		form := d.u.dialog().(*form)
		for range 20 {
			if line := form.commandLine(d.u); !strings.HasSuffix(line, "--metadata a=2 --metadata b=3 --metadata c=1") {
				t.Fatal(line)
			}
		}
	})
}

// TestThePaletteKnowsWhatOtherScreensDo, and leads there.
func TestThePaletteKnowsWhatOtherScreensDo(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.keys(":", " drain", "enter")
		d.sees("- Drain node-1", "3 nodes")
		d.keys("esc", ":", " checkout", "enter")
		d.sees("- Check out master", "Branches of")
		d.keys("esc", ":", " token", "enter")
		d.sees("- New token", "Certificates")
	})
}
