package tui

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
	"dotmesh.io/dotmesh/tui/feed"
)

// work is a call under way that was asked for by a key.
type work struct{ what string }

// done is how a call ended. One for several things may have failed for some of them.
type done struct {
	*work
	said string // what to tell
	errs []failed
	then func(*ui) // what else it changes; nil: nothing
}

// failed is what could not be done, and why.
type failed struct {
	what string
	err  error
}

// call asks the server for something in the background. What do returns is told when it has
// succeeded; what it fails with stays among the errors.
func (u *ui) call(what string, do func(ctx context.Context, s dotmesh.Service) (string, error)) tea.Cmd {
	return u.begin(what, func(ctx context.Context, s dotmesh.Service) done {
		ctx, cancel := context.WithTimeout(ctx, callTime)
		defer cancel()
		said, err := do(ctx, s)
		if err != nil {
			return done{errs: []failed{{what, err}}}
		}
		return done{said: said}
	})
}

// begin runs something in the background that is named on the last line but one meanwhile.
func (u *ui) begin(what string, do func(ctx context.Context, s dotmesh.Service) done) tea.Cmd {
	w := &work{termsafe.Brief(what)}
	u.working = append(u.working, w)
	ctx, s := u.ctx, u.service()
	return caught(func() tea.Msg {
		d := do(ctx, s)
		d.work = w
		return d
	})
}

// callEach does the same for several things, one after the other, and says at the end what
// became of them.
func callEach[T fmt.Stringer](u *ui, verb, past string, all []T, do func(ctx context.Context, s dotmesh.Service, one T) error) tea.Cmd {
	what := verb + " " + all[0].String() + more(len(all)-1)
	return u.begin(what, func(ctx context.Context, s dotmesh.Service) (d done) {
		for _, one := range all { // each with a time of its own, however many there are
			limited, cancel := context.WithTimeout(ctx, callTime)
			if err := do(limited, s, one); err != nil {
				d.errs = append(d.errs, failed{verb + " " + one.String(), err})
			}
			cancel()
		}
		switch {
		case len(all) > 1:
			d.said = past + " " + count(len(all)-len(d.errs)) + " of " + count(len(all))
		case len(d.errs) == 0:
			d.said = past + " " + all[0].String()
		}
		return d
	})
}

func (d done) into(u *ui) tea.Cmd {
	u.working = slices.DeleteFunc(u.working, func(w *work) bool { return w == d.work })
	if d.then != nil {
		d.then(u)
	}
	var told tea.Cmd
	if d.said != "" && len(d.errs) == 0 {
		told = u.say(d.said)
	}
	for _, f := range d.errs {
		u.fault(f.what, f.err)
	}
	u.feed.Refresh() // some changes make no events, such as an undo's
	switch n := len(d.errs); {
	case n > 1:
		u.toast.text = d.said + ", " + plural(n, "error", "errors") + " (7 shows them)"
	case n == 1 && d.said != "": // the others were done
		u.toast.text = d.said + "; " + u.toast.text
	}
	return tea.Batch(told, u.shown().enter())
}

// panicMsg is a panic of a command. Update goes on with it where Bubble Tea can put the
// terminal back and print all of it before the program ends.
type panicMsg struct{ text string }

// caught is a command that brings its panic as a message.
func caught(do func() tea.Msg) tea.Cmd {
	return func() (msg tea.Msg) {
		defer func() {
			if v := recover(); v != nil {
				msg = panicMsg{fmt.Sprintf("%v\n\n%s", v, debug.Stack())}
			}
		}()
		return do()
	}
}

// toast is what is said on the last line but one for a while.
type toast struct {
	text string
	bad  bool // stays until a key is pressed
	n    uint64
}

// toastOver ends one toast and no later one.
type toastOver struct{ toast }

func (u *ui) say(text string) tea.Cmd {
	if text == "" {
		return nil
	}
	u.toast = toast{text: termsafe.Brief(text), n: u.rev}
	t := u.toast
	return tea.Tick(toastFor, func(time.Time) tea.Msg { return toastOver{t} })
}

// fault is something that went wrong.
type fault struct {
	n    uint64 // 1, 2, … since the start
	at   time.Time
	what string
	text string // with what to do
	kind dotmesh.Kind
}

const (
	maxFaults = 500
	sameFault = 10 * time.Second // a fetch that fails as the last thing did says nothing new so long
)

// fault tells what went wrong, and keeps it.
func (u *ui) fault(what string, err error) {
	if err == nil || dotmesh.KindOf(err) == dotmesh.Canceled && u.ctx.Err() != nil {
		return
	}
	u.failures++
	f := fault{n: u.failures, at: u.o.Now(), what: what, text: termsafe.Brief(errorText(err)), kind: dotmesh.KindOf(err)}
	u.faults = append(u.faults, f)
	if len(u.faults) > maxFaults {
		u.faults = slices.Delete(u.faults, 0, len(u.faults)-maxFaults)
	}
	u.toast = toast{text: f.what + ": " + f.text, bad: true, n: u.rev}
	u.screens[atFaults].take(u.pic)
}

// errorText is an error in the server's own words.
func errorText(err error) string {
	if err == nil {
		return ""
	}
	return dotmesh.Text(err)
}

// unread tells of a fetch that failed. While the server is lost, which was told, every row
// that the cursor comes to would say it again.
func (u *ui) unread(what string, err error) {
	if u.pic.State == feed.Lost {
		return
	}
	if n := len(u.faults); n > 0 {
		if last := &u.faults[n-1]; last.text == termsafe.Brief(errorText(err)) && u.o.Now().Sub(last.at) < sameFault {
			return
		}
	}
	u.fault(what, err)
}

// atRest goes on with then once the cursor has rested, if what was to be read is wanted
// still: a cursor that is held down passes thousands of rows, and none of them is read.
func (u *ui) atRest(rest time.Duration, wanted func() bool, then func() tea.Cmd) tea.Cmd {
	ctx := u.ctx
	return func() tea.Msg {
		if !pause(ctx, rest) {
			return nil
		}
		return hasRested(func() tea.Cmd {
			if !wanted() {
				return nil
			}
			return then()
		})
	}
}

// hasRested goes on after a rest. By itself it changes nothing that is seen.
type hasRested func() tea.Cmd

// fetch asks the server for something to look at and hands the answer to got, which says
// whether it is still wanted.
func fetch[T any](u *ui, ask func(context.Context, dotmesh.Service) (T, error), got func(*ui, T, error) tea.Cmd) tea.Cmd {
	parent, s := u.ctx, u.service()
	return caught(func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, callTime)
		defer cancel()
		v, err := ask(ctx, s)
		return fetched(func(u *ui) tea.Cmd { return got(u, v, err) })
	})
}

// fetched is the answer of a fetch.
type fetched func(*ui) tea.Cmd

func (f fetched) into(u *ui) tea.Cmd { return f(u) }

// pause waits, and reports whether ctx lived that long.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
