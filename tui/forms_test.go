package tui

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dotmesh.io/dotmesh"
)

// remake deletes a branch and makes another one of its name.
func (d *driver) remake(dot string, branch dotmesh.Name) dotmesh.BranchID {
	d.t.Helper()
	name := d.dot(dot).Name
	if err := d.cluster.DeleteBranch(d.ctx, dotmesh.BranchRequest{Dot: name, Branch: branch}); err != nil {
		d.t.Fatal(err)
	}
	made, err := d.cluster.CreateBranch(d.ctx, dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: name}, Name: branch})
	if err != nil {
		d.t.Fatal(err)
	}
	return made.ID
}

// onBranch makes a branch of a dot and puts the cursor on it.
func (d *driver) onBranch(dot string, branch dotmesh.Name) {
	d.t.Helper()
	made, err := d.cluster.CreateBranch(d.ctx, dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: d.dot(dot).Name}, Name: branch})
	if err != nil {
		d.t.Fatal(err)
	}
	d.onDot(dot)
	d.keys("tab")
	if !d.u.browse.branches.Select(made.ID) {
		d.t.Fatalf("%s is not among the branches", branch)
	}
	d.do(d.u.browse.moved())
	d.settle()
}

// TestADialogWhoseBranchIsGoneDoesNothing: what has the name then is another branch.
func TestADialogWhoseBranchIsGoneDoesNothing(t *testing.T) {
	for name, keys := range map[string][]string{
		"commit":  {"c", " not there", "ctrl+s"},
		"discard": {"X", "enter"},
		"delete":  {"D", "shift+tab", " side", "ctrl+s"},
		"move":    {"m", "down", "enter", "enter"},
	} {
		t.Run(name, func(t *testing.T) {
			drive(t, 140, 40, nil, func(d *driver) {
				d.onBranch("qa/fixtures", "side")
				last := len(keys) - 1
				d.keys(keys[:last]...)
				id := d.remake("qa/fixtures", "side")
				before := pickBranch(d.dot("qa/fixtures").All, id)
				d.settle()
				d.keys(keys[last])
				d.sees("is not there any more")
				if after := pickBranch(d.dot("qa/fixtures").All, id); after == nil || after.Pointer != before.Pointer {
					t.Errorf("it was done to another branch: %+v", after)
				}
			})
		})
	}
}

// TestWhatIsSentAtOnceIsAskedOfTheServer: the name has passed on, and no picture says so yet.
func TestWhatIsSentAtOnceIsAskedOfTheServer(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onBranch("qa/fixtures", "side")
		d.keys("D", "shift+tab", " side")
		id := d.remake("qa/fixtures", "side")
		d.do(d.u.press(press("ctrl+s")))
		d.settle()
		if pickBranch(d.dot("qa/fixtures").All, id) == nil {
			t.Error("another branch was deleted")
		}
	})
}

// TestEachOfManyHasItsOwnTime: the last of many must not fail because the first took long.
func TestEachOfManyHasItsOwnTime(t *testing.T) {
	w := &watched{commit: func(ctx context.Context) error {
		pause(ctx, callTime/2)
		return ctx.Err()
	}}
	drive(t, 140, 40, watch(w), func(d *driver) {
		for _, name := range []string{"shop", "sessions", "qa/fixtures"} {
			d.onDot(name)
			d.keys("space")
		}
		d.keys("c", " all", "ctrl+s")
		if !d.until(2*callTime, func() bool { return len(d.u.working) == 0 }) {
			t.Fatal("the commits do not end")
		}
		if len(d.u.faults) > 0 {
			t.Errorf("failed: %+v", d.u.faults)
		}
	})
}

// TestSeveralHaveMoreThanOneCommandLine: the one that is shown does not do all of it.
func TestSeveralHaveMoreThanOneCommandLine(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		for _, name := range []string{"shop", "sessions"} {
			d.onDot(name)
			d.keys("space")
		}
		d.keys("X")
		d.sees("= dm discard", "and 1 more")
	})
}

// TestADeadNodesBranchesAreTakenOverAtOnce: each with the epoch and tip that was seen.
func TestADeadNodesBranchesAreTakenOverAtOnce(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		names := []string{"shop", "ann/playground"}
		for _, name := range names {
			d.onDot(name)
			d.keys("space")
		}
		d.keys("T", "down", "enter")
		d.sees("- Take over shop@master, ann/playground@master", "shop@master: node-1 had +7.0M in no commit", "and 1 more")
		d.keys("shift+tab", " take over 2 branches", "ctrl+s")
		for _, name := range names {
			if at := d.dot(name).Branch; at.MasterName != "node-2" {
				t.Errorf("the master of %s is %s, want node-2", name, at.MasterName)
			}
		}
	})
}

// TestIdsAreCopied: of what is marked, or under the cursor.
func TestIdsAreCopied(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		shop, sessions := d.dot("shop"), d.dot("sessions")
		for _, name := range []string{"shop", "sessions"} {
			d.onDot(name)
			d.keys("space")
		}
		d.keys("u")
		if want := sessions.ID.String() + "\n" + shop.ID.String(); d.copied != want {
			t.Errorf("copied %q, want %q", d.copied, want)
		}
		d.onDot("sessions")
		d.keys("tab", "u")
		if want := sessions.Branch.ID.String(); d.copied != want {
			t.Errorf("copied %q, want the branch %q", d.copied, want)
		}
	})
}

// TestAForkIsADotOfItsOwn: the cursor is on it when it is there, and it says what it was made
// out of.
func TestAForkIsADotOfItsOwn(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("shop")
		d.keys("p", " qa/shop-copy")
		d.sees("- Fork shop -", "Data are copied", "= dm dot fork qa/shop-copy master --dot shop")
		d.keys("ctrl+s")
		made, from := d.dot("qa/shop-copy"), d.dot("shop")
		head := pickBranch(from.All, dotmesh.BranchID(from.ID)).Pointer.Head
		if made.Origin != (dotmesh.DotOrigin{Dot: from.ID, Name: from.Name, Commit: head}) {
			t.Errorf("the fork is out of %+v, want master's HEAD %s", made.Origin, head)
		}
		d.settle()
		d.sees("out of shop at " + short(head))
		if at := d.u.browse.dot(); at == nil || at.ID != made.ID {
			t.Errorf("the cursor is on %+v, not on the fork", at)
		}
	})
}

// TestTheCommandLineDoesWhatTheDialogDoes: only the second of these checks the branch out.
func TestTheCommandLineDoesWhatTheDialogDoes(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("shop")
		d.keys("b", " try", "tab")
		d.sees("= dm branch try master --dot shop")
		d.keys("space")
		d.sees("= dm checkout -b try master --dot shop")
	})
}

// TestEnterAloneRunsNoPlanThatDestroys, however long it is held down.
func TestEnterAloneRunsNoPlanThatDestroys(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		w := &wizard{job: dotmesh.Job{Kind: dotmesh.JobReset}, planned: true, plan: dotmesh.Plan{
			Steps: []dotmesh.Step{{ID: "1", Text: "remove all data", Destroys: true}},
		}}
		d.do(d.u.ask(w))
		for range 20 {
			d.send(press("enter"))
			d.drain()
		}
		if w.running || w.ended {
			t.Fatal("it runs")
		}
	})
}

// TestTheCommandOfADialogIsCopied as it stands there, for the values that are typed by then.
func TestTheCommandOfADialogIsCopied(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("shop")
		d.keys("c", " paid", "ctrl+y")
		const want = "dm commit --dot shop --branch master -m paid"
		d.sees("= "+want, "copied: "+want, "^y copy command")
		if d.copied != want {
			t.Errorf("got %q, want %q", d.copied, want)
		}
		d.keys("esc", "space", "space", "X", "ctrl+y")
		d.sees("and 1 more")
		first, second, _ := strings.Cut(d.copied, "\n")
		if !strings.HasPrefix(first, "dm discard --dot ") || !strings.HasPrefix(second, "dm discard --dot ") || first == second {
			t.Errorf("got %q, want a command for each of the two", d.copied)
		}
	})
}

// TestMarksThatAFilterHides are kept, counted and listed before anything is done to them.
func TestMarksThatAFilterHides(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		for _, name := range []string{"shop", "sessions"} {
			d.onDot(name)
			d.keys("space")
		}
		d.keys("/", " ses", "enter")
		d.sees("2 marked (1 hidden)")
		d.keys("X")
		d.sees("sessions@master", "Also marked, and hidden by the filter: shop@master")
		d.keys("esc", "/", "ctrl+u", " nothing-is-called-so", "enter")
		d.sees("2 marked (2 hidden)")
		d.keys("D")
		d.sees("Marked, and hidden by the filter:", "shop: 3 branches", "sessions: 1 branch")
		d.keys("esc", "c")
		d.sees("Marked, and hidden by the filter: shop@master, sessions@master")
		d.keys(" both", "ctrl+s")
		d.sees("committed 2 of 2")
		d.keys("esc")
		d.seesNot("marked")
	})
}

// TestAPreviewIsSeenWhole: what there is no room for is seen further down.
func TestAPreviewIsSeenWhole(t *testing.T) {
	drive(t, 60, 15, nil, func(d *driver) {
		d.keys("home", "space", "end", "v", "D")
		d.sees("pgdown")
		var seen strings.Builder
		for range d.u.pic.Dots {
			seen.WriteString(d.frame())
			d.keys("pgdown")
		}
		d.seesNot("more than there is room for")
		for _, dot := range d.u.pic.Dots {
			if !strings.Contains(seen.String(), dot.Name.String()+": ") {
				t.Errorf("%s is not seen before it is deleted", dot.Name)
			}
		}
	})
}

// toldTo is an operator that says something whenever it is told to, and notes its end.
type toldTo struct {
	dotmesh.Operator
	speak chan struct{}
	ended *atomic.Bool
}

func (o toldTo) Plan(context.Context, dotmesh.Job) (dotmesh.Plan, error) {
	return dotmesh.Plan{Steps: []dotmesh.Step{{ID: "talk", Text: "talk"}}}, nil
}

func (o toldTo) Run(ctx context.Context, _ dotmesh.Plan) iter.Seq2[dotmesh.StepEvent, error] {
	return func(yield func(dotmesh.StepEvent, error) bool) {
		defer o.ended.Store(true)
		for {
			select {
			case <-o.speak:
			case <-ctx.Done():
				return
			}
			if !yield(dotmesh.StepEvent{Step: "talk", Text: "word"}, nil) {
				return
			}
		}
	}
}

// TestAJobEndsWithTheUI: what the operator said last is not looked at any more.
func TestAJobEndsWithTheUI(t *testing.T) {
	o := toldTo{ended: &atomic.Bool{}}
	change := func(options *Options) {
		o.speak = make(chan struct{})
		options.Operator = o
	}
	drive(t, 100, 30, change, func(d *driver) {
		d.do(d.u.openWizard(dotmesh.Job{Kind: dotmesh.JobInit}))
		d.settle()
		d.keys("enter")
		o.speak <- struct{}{}
		d.settle()
		d.sees("run 1 talk  word")
		o.speak <- struct{}{}
		synctest.Wait() // it is on its way, and the user leaves
	})
	if !o.ended.Load() {
		t.Error("the job has not ended")
	}
}

// TestAJobThatGoesOnIsFoundAgain: esc closes the wizard, and the key leads back to it.
func TestAJobThatGoesOnIsFoundAgain(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.keys("5")
		d.do(d.u.openWizard(dotmesh.Job{Kind: dotmesh.JobInit}))
		d.settle()
		d.keys("enter")
		d.sees("of 9 steps", "close, it goes on")
		d.keys("esc", "a")
		d.sees("of 9 steps", "close, it goes on")
	})
}

// TestADrainIsOfWhatWasShown: somebody else has drained the node meanwhile.
func TestADrainIsOfWhatWasShown(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.keys("2", "end", "N")
		name := d.u.screens[atNodes].(*nodes).name()
		if _, err := d.cluster.Drain(d.ctx, dotmesh.DrainRequest{Node: name}); err != nil {
			t.Fatal(err)
		}
		d.cluster.Step(time.Second)
		d.settle()
		d.settle()
		d.keys("enter")
		d.sees("it is being drained already")
	})
}

// TestOneOfManyThatFails does not hide what became of the others.
func TestOneOfManyThatFails(t *testing.T) {
	first := true
	w := &watched{commit: func(context.Context) error {
		defer func() { first = false }()
		if first {
			return dotmesh.E("test", dotmesh.Busy, "it is in use")
		}
		return nil
	}}
	drive(t, 140, 40, watch(w), func(d *driver) {
		for _, name := range []string{"shop", "sessions"} {
			d.onDot(name)
			d.keys("space")
		}
		d.keys("c", " both", "ctrl+s")
		d.sees("committed 1 of 2", "it is in use")
	})
}

// TestADialogIsDisarmedAsSoonAsItsTargetIsGone: nobody has to press a key to learn it.
func TestADialogIsDisarmedAsSoonAsItsTargetIsGone(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("qa/fixtures")
		d.keys("D")
		if err := d.cluster.DeleteDot(d.ctx, dotmesh.DeleteDot{Dot: d.dot("qa/fixtures").Name}); err != nil {
			t.Fatal(err)
		}
		d.settle()
		d.sees("Delete 1 dot", "is not there any more")
	})
}

// TestASmallTerminalShowsFirstWhatGoes: what does not fit is left out below it, and says so.
func TestASmallTerminalShowsFirstWhatGoes(t *testing.T) {
	drive(t, minWidth, minRows, nil, func(d *driver) {
		for _, name := range []string{"payments-db", "qa/payments-copy", "reporting/warehouse", "search/index"} {
			d.onDot(name)
			d.keys("space")
		}
		d.keys("D")
		d.sees("payments-db:", "~ more", "type delete 4 dots", "Cancel")
	})
}

// TestADiscardShowsWhatItDrops, file by file, and then what keeps it.
func TestADiscardShowsWhatItDrops(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("ann/playground")
		at := d.dot("ann/playground").Branch
		d.keys("X")
		d.sees("ann/playground@"+string(at.Name)+": +", "in no commit", "modified", "~ ")
		d.keys("enter")
		d.sees("discarded ann/playground@"+string(at.Name), "keeps what was dropped, z undoes")
		d.keys("X", "enter")
		d.sees("nothing was dropped")
	})
}

func TestADialogSaysHowLongAStashIsKept(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("shop")
		d.keys("X")
		d.sees("A stash keeps what is dropped for 30 days;")
		d.keys("esc")
		d.onDot("platform/ci-cache")
		d.keys("X")
		d.sees("A stash keeps what is dropped for 3d;")
		d.keys("esc", "space")
		d.onDot("shop")
		d.keys("space", "X")
		d.sees("A stash keeps what is dropped as long as its dot's settings say;")
	})
}

// TestATransferIsFollowed where it is described, until it has ended, and then there is
// nothing left to cancel.
func TestATransferIsFollowed(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.keys("3")
		s := d.u.screens[atTransfers].(*transfers)
		running := slices.IndexFunc(d.u.pic.Transfers, func(t dotmesh.Transfer) bool {
			return t.Kind == dotmesh.TransferPush && t.State == dotmesh.TransferRunning
		})
		s.rows.Select(d.u.pic.Transfers[running].ID)
		d.keys("enter")
		d.sees("state     running", " to go")
		d.seesNot("ended  ")
		for range 60 {
			d.cluster.Step(time.Second)
		}
		d.settle()
		d.sees("state     done", "100%", "ended  ")
		d.seesNot(" to go")
		d.keys("esc", "x")
		d.sees("put the cursor on a transfer that is under way first")
	})
}

// TestMarkedCommitsAreDeletedTogether, and marked branches copied so: a mark is never passed
// over for what the cursor is on.
func TestMarkedCommitsAreDeletedTogether(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onBranch("qa/fixtures", "side")
		d.keys("space", "home", "space", "y")
		if want := "qa/fixtures@master\nqa/fixtures@side"; d.copied != want {
			t.Errorf("copied %q, want %q", d.copied, want)
		}
		d.onDot("shop")
		d.keys("tab", "tab", "end", "up", "up", "space", "space", "home")
		marked := d.u.browse.commits.Marked()
		d.keys("D")
		d.sees("- Delete 2 commits of shop@master", short(marked[0])+", ", short(marked[1])+", ", "and 1 more")
		d.keys("shift+tab", " delete 2 commits", "ctrl+s")
		d.sees("deleted 2 of 2")
		page, err := d.cluster.Log(d.ctx, dotmesh.LogRequest{Dot: d.dot("shop").Name, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range page.Commits {
			if slices.Contains(marked, c.ID) {
				t.Errorf("%s is still there", short(c.ID))
			}
		}
	})
}

// TestWhatWasTypedOutlivesARefusal: whoever opens the dialog again finds it there, and once
// it is done nobody does.
func TestWhatWasTypedOutlivesARefusal(t *testing.T) {
	refuse := true
	w := &watched{commit: func(context.Context) error {
		if refuse {
			return dotmesh.E("test", dotmesh.Busy, "there is no quorum")
		}
		return nil
	}}
	drive(t, 140, 40, watch(w), func(d *driver) {
		d.onDot("qa/fixtures")
		d.keys("c", " a long message", "tab", " job=nightly", "ctrl+s")
		d.sees("there is no quorum")
		refuse = false
		d.keys("c")
		d.sees("-m a long message --metadata job=nightly")
		d.keys("ctrl+s")
		d.sees("committed qa/fixtures@master")
		d.keys("c")
		d.seesNot("-m a long message")
		d.keys("esc", ".", "ctrl+u", " node-9", "ctrl+s")
		d.sees("there is no node")
		d.keys(".")
		d.sees("replicas=all") // as it is now
	})
}

// TestNobodyLeavesAJobByASlip: q asks first while the cluster is being changed.
func TestNobodyLeavesAJobByASlip(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.keys("5")
		d.do(d.u.openWizard(dotmesh.Job{Kind: dotmesh.JobInit}))
		d.settle()
		d.keys("enter", "esc", "q")
		if d.quit {
			t.Fatal("it has left")
		}
		d.sees("- Leave -", "The init of the cluster is under way")
		d.keys("enter")
		if !d.quit {
			t.Error("it has not left when it was told to")
		}
	})
}

// TestAfterADeletionNothingIsWrong: the log of what is gone is read by nobody.
func TestAfterADeletionNothingIsWrong(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("qa/fixtures")
		d.keys("D", "shift+tab", " qa/fixtures")
		d.cluster.Step(time.Second) // a picture comes now, and the next one only after a while
		d.drain()
		d.do(d.u.press(press("ctrl+s")))
		d.settle()
		d.sees("deleted qa/fixtures; z undoes")
		if len(d.u.faults) > 0 {
			t.Errorf("it says %+v", d.u.faults)
		}
	})
}
