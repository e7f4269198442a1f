package server

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
)

// keepEvents is how many events a client may fall behind before it must list again.
const keepEvents = 8192

// feed is the node's recent events, numbered from 1. A cursor names this run of the server
// and a number, so that one of an earlier run is known to be stale.
type feed struct {
	run  string
	now  func() time.Time
	live bool // the first listing has passed; only the watch looks at it

	mu    sync.Mutex // guards the rest
	ring  []dotmesh.Event
	next  uint64        // the number of the next event
	grown chan struct{} // closed and replaced when events are added
}

func newFeed(now func() time.Time) *feed {
	return &feed{run: dotmesh.NewUUID().String()[:8], now: now, next: 1, grown: make(chan struct{})}
}

func (f *feed) add(events ...dotmesh.Event) {
	if len(events) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		e.Cursor, e.Time = f.cursor(f.next), f.now().UTC()
		f.ring = append(f.ring, e)
		f.next++
	}
	if over := len(f.ring) - keepEvents; over > keepEvents/4 {
		f.ring = append([]dotmesh.Event(nil), f.ring[over:]...)
	}
	close(f.grown)
	f.grown = make(chan struct{})
}

func (f *feed) cursor(number uint64) string { return fmt.Sprintf("%s-%d", f.run, number) }

// whole returns the update with deleted dots as the view still has them: who may be told
// that a dot is gone depends on whose it was. It is called before the view takes it in.
func (v *view) whole(u dotmesh.Update) dotmesh.Update {
	isGone := func(c dotmesh.Change) bool {
		_, dot := c.Record.(*dotmesh.Dot)
		return dot && c.Deleted
	}
	if !slices.ContainsFunc(u.Changes, isGone) {
		return u
	}
	u.Changes = slices.Clone(u.Changes)
	for i, c := range u.Changes {
		if !isGone(c) {
			continue
		}
		if d := v.dot(c.Record.(*dotmesh.Dot).Name); d != nil {
			u.Changes[i].Record = d
		}
	}
	return u
}

// registry turns a step of the registry's watch into events. A new listing after the
// first is a gap: what changed in between is not known one by one.
func (f *feed) registry(u dotmesh.Update, listed bool) {
	if listed {
		if f.live {
			f.add(dotmesh.Event{Kind: dotmesh.EventGap})
		}
		f.live = true
	}
	if listed || u.Cursor == 0 {
		return
	}
	var events []dotmesh.Event
	for _, c := range u.Changes {
		if e, ok := eventOf(c); ok {
			events = append(events, e)
		}
	}
	f.add(events...)
}

func eventOf(c dotmesh.Change) (dotmesh.Event, bool) {
	e := dotmesh.Event{Deleted: c.Deleted}
	switch r := c.Record.(type) {
	case *dotmesh.Dot:
		e.Kind, e.Dot = dotmesh.EventDot, r
	case *dotmesh.Branch:
		e.Kind, e.Branch = dotmesh.EventBranch, r
	case *dotmesh.Commit:
		e.Kind, e.Commit = dotmesh.EventCommit, r
	case *dotmesh.Node:
		e.Kind, e.Node = dotmesh.EventNode, r
	case *dotmesh.Alive:
		e.Kind, e.Node = dotmesh.EventNode, &dotmesh.Node{ID: r.Node}
	case *dotmesh.Tombstone:
		if r.Branch == nil || c.Deleted {
			return e, false
		}
		e.Kind, e.Branch, e.Deleted = dotmesh.EventBranch, r.Branch, true
	default:
		return e, false
	}
	return e, true
}

func (f *feed) stats(s dotmesh.Stats) {
	f.add(dotmesh.Event{Kind: dotmesh.EventStats, Stats: &s})
}

// since returns the events numbered from on, whether some before them are gone, and a
// channel that is closed when there are more.
func (f *feed) since(from uint64) (events []dotmesh.Event, gap bool, more <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	oldest := f.next - uint64(len(f.ring))
	if from < oldest || from > f.next {
		return nil, true, f.grown
	}
	return append(events, f.ring[from-oldest:]...), false, f.grown
}

// place returns the number after the event that a cursor names; an empty cursor is now.
// A cursor of another run has no place: number 0 is always a gap.
func (f *feed) place(cursor string) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cursor == "" {
		return f.next, nil
	}
	run, number, _ := strings.Cut(cursor, "-")
	n, err := strconv.ParseUint(number, 10, 63)
	switch {
	case err != nil:
		return 0, dotmesh.E("server.Events", dotmesh.Invalid, "invalid cursor %q: give one that an event carried, or none", cursor)
	case run != f.run:
		return 0, nil
	}
	return n + 1, nil
}

// Events implements dotmesh.Service.
func (s *service) Events(ctx context.Context, cursor string) iter.Seq2[dotmesh.Event, error] {
	f := s.node.events
	return func(yield func(dotmesh.Event, error) bool) {
		if err := s.known(); err != nil {
			yield(dotmesh.Event{}, err)
			return
		}
		at, err := f.place(cursor)
		if err != nil {
			yield(dotmesh.Event{}, err)
			return
		}
		for ctx.Err() == nil {
			events, gap, more := f.since(at)
			if gap {
				at, _ = f.place("")
				e := dotmesh.Event{Kind: dotmesh.EventGap, Cursor: f.cursor(at - 1), Time: f.now().UTC()}
				if !yield(e, nil) {
					return
				}
				continue
			}
			for _, e := range events {
				at++
				if s.sees(&e) && !yield(copyOfEvent(e), nil) {
					return
				}
			}
			if len(events) > 0 {
				continue
			}
			select {
			case <-more:
			case <-ctx.Done():
			}
		}
		yield(dotmesh.Event{}, dotmesh.Wrap("server.Events", ctx.Err()))
	}
}

// sees reports whether the caller may know of an event: those of dots that they may see,
// and those of no dot.
func (s *service) sees(e *dotmesh.Event) bool {
	if s.who.Admin {
		return true
	}
	var dot dotmesh.DotID
	switch {
	case e.Dot != nil:
		return rightOf(s.who, e.Dot) >= maySee
	case e.Transfer != nil:
		d := s.node.view.dot(e.Transfer.Dot)
		return d != nil && rightOf(s.who, d) >= maySee
	case e.Branch != nil:
		dot = e.Branch.Dot
	case e.Stats != nil:
		if b := s.node.view.branch(e.Stats.Branch); b != nil {
			dot = b.Dot
		}
	case e.Commit != nil:
		if l := s.node.view.line(e.Commit.Line); l != nil {
			dot = l.Dot
		}
	default:
		return e.Kind == dotmesh.EventGap || e.Kind == dotmesh.EventNode
	}
	d := s.node.view.dotByID(dot)
	return d != nil && rightOf(s.who, d) >= maySee
}
