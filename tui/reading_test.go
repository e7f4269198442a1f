package tui

import (
	"context"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

// watched is a cluster whose calls are counted, held up or refused.
type watched struct {
	dotmesh.Service
	dot    func(dotmesh.DotName) error
	log    func(dotmesh.LogRequest) error
	ops    func(dotmesh.OpsRequest) error
	commit func(context.Context) error
}

func (w *watched) Dot(ctx context.Context, name dotmesh.DotName) (dotmesh.DotDetail, error) {
	if w.dot != nil {
		if err := w.dot(name); err != nil {
			return dotmesh.DotDetail{}, err
		}
	}
	return w.Service.Dot(ctx, name)
}

func (w *watched) Log(ctx context.Context, r dotmesh.LogRequest) (dotmesh.LogPage, error) {
	if w.log != nil {
		if err := w.log(r); err != nil {
			return dotmesh.LogPage{}, err
		}
	}
	return w.Service.Log(ctx, r)
}

func (w *watched) Ops(ctx context.Context, r dotmesh.OpsRequest) ([]dotmesh.Op, error) {
	if w.ops != nil {
		if err := w.ops(r); err != nil {
			return nil, err
		}
	}
	return w.Service.Ops(ctx, r)
}

func (w *watched) Commit(ctx context.Context, r dotmesh.CommitRequest) (dotmesh.Commit, error) {
	if w.commit != nil {
		if err := w.commit(ctx); err != nil {
			return dotmesh.Commit{}, err
		}
	}
	return w.Service.Commit(ctx, r)
}

// watch puts w between the UI and its cluster.
func watch(w *watched) func(*Options) {
	return func(o *Options) { w.Service, o.Service = o.Service, w }
}

// long is the name of a dot with several pages of commits.
func (d *driver) long() string {
	d.t.Helper()
	dots, err := d.cluster.Dots(d.ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	for i := range dots {
		if dots[i].Branch.Pointer.Count > 400 {
			return dots[i].Name.String()
		}
	}
	d.t.Fatal("no dot has a long history")
	return ""
}

// TestAPageThatComesLateIsNotPutIntoAnotherList: it was asked for before the cursor left.
func TestAPageThatComesLateIsNotPutIntoAnotherList(t *testing.T) {
	var hold chan struct{}
	w := &watched{log: func(r dotmesh.LogRequest) error {
		if !r.Before.IsZero() && hold != nil {
			<-hold
		}
		return nil
	}}
	drive(t, 140, 40, watch(w), func(d *driver) {
		d.onDot(d.long())
		d.keys("tab", "tab", "end") // has the second page read
		hold = make(chan struct{})
		d.keys("end") // asks for the third one
		d.keys("h", "h", "down", "up")
		close(hold)
		hold = nil
		d.settle()
		page, err := d.cluster.Log(d.ctx, dotmesh.LogRequest{Dot: d.u.browse.dot().Name, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range d.u.browse.log.commits {
			if c.ID != page.Commits[i].ID {
				t.Fatalf("commit %d of the list is another one", i)
			}
		}
	})
}

// TestAPageThatCannotBeReadIsNotAskedForAgainAndAgain: it fails once and is told once.
func TestAPageThatCannotBeReadIsNotAskedForAgainAndAgain(t *testing.T) {
	asked := 0
	w := &watched{log: func(r dotmesh.LogRequest) error {
		if r.Before.IsZero() {
			return nil
		}
		asked++
		return dotmesh.E("test", dotmesh.NotFound, "there is no such commit")
	}}
	drive(t, 140, 40, watch(w), func(d *driver) {
		d.onDot(d.long())
		d.keys("tab", "tab", "end", "up", "down", "up", "down")
		for range 20 {
			d.cluster.Step(time.Second)
			d.settle()
		}
		if asked != 1 || len(d.u.faults) != 1 {
			t.Errorf("asked %d times, %d errors, want 1 and 1", asked, len(d.u.faults))
		}
	})
}

func TestOperationsThatCannotBeReadAreNotAskedForAgainAndAgain(t *testing.T) {
	asked := 0
	w := &watched{ops: func(dotmesh.OpsRequest) error {
		asked++
		return dotmesh.E("test", dotmesh.Corrupt, "the log is damaged")
	}}
	drive(t, 140, 40, watch(w), func(d *driver) {
		d.onDot("qa/fixtures")
		d.keys("6", "up", "down", "up", "down")
		if asked != 1 || len(d.u.faults) != 1 {
			t.Errorf("asked %d times, %d errors, want 1 and 1", asked, len(d.u.faults))
		}
	})
}

// TestWhatCouldNotBeReadIsReadWhenTheServerIsBack, and moving about meanwhile adds no errors.
func TestWhatCouldNotBeReadIsReadWhenTheServerIsBack(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.onDot("shop")
		d.cluster.Break(dotmesh.E("test", dotmesh.Unreachable, "the cable is out"))
		d.settle()
		d.keys("home", "down", "down", "up", "end", "up", "up", "home")
		if n := len(d.u.faults); n > 1 {
			t.Errorf("%d errors say that the server is lost, want 1", n)
		}
		d.cluster.Break(nil)
		d.live()
		d.sees("LIVE")
		if d.u.browse.detail() == nil || len(d.u.browse.log.commits) == 0 {
			t.Error("branches and commits of the dot under the cursor were not read")
		}
	})
}

// TestWhatACursorPassesIsNotRead: it is what it rests on that is looked at.
func TestWhatACursorPassesIsNotRead(t *testing.T) {
	asked := map[dotmesh.DotName]int{}
	w := &watched{dot: func(name dotmesh.DotName) error {
		asked[name]++
		return nil
	}}
	drive(t, 140, 40, watch(w), func(d *driver) {
		d.keys("home")
		clear(asked)
		for range 8 {
			d.send(press("down"))
			d.look(restTime / 3)
		}
		d.settle()
		if len(asked) != 1 {
			t.Errorf("%d dots were asked about, want the last one: %v", len(asked), asked)
		}
	})
}

// TestAnOperationOfAnotherDotIsNotUndone: the dot is gone whose operations are still shown.
func TestAnOperationOfAnotherDotIsNotUndone(t *testing.T) {
	var hold chan struct{}
	w := &watched{ops: func(dotmesh.OpsRequest) error {
		if hold != nil {
			<-hold
		}
		return nil
	}}
	drive(t, 140, 40, watch(w), func(d *driver) {
		d.onDot("qa/fixtures")
		d.keys("6")
		hold = make(chan struct{})
		d.send(press("r"))
		d.drain()
		if err := d.cluster.DeleteDot(d.ctx, dotmesh.DeleteDot{Dot: d.dot("qa/fixtures").Name}); err != nil {
			t.Fatal(err)
		}
		d.settle()
		d.keys("z")
		if d.u.dialog() != nil {
			t.Errorf("it asks: %s", d.u.dialog().title())
		}
		close(hold)
		hold = nil
		d.settle()
		if got, want := d.u.screens[atOps].(*ops).opLog.dot, d.u.browse.dot().ID; got != want {
			t.Error("the operations shown are those of another dot")
		}
	})
}
