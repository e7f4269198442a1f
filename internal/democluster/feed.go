package democluster

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
)

// keepEvents is how many events a client may fall behind before it must list again.
const keepEvents = 10_000

// maxBatch is how many events are copied at a time, so that others need not wait long.
const maxBatch = 500

// feed is the newest events, numbered from 1. The cluster's lock guards it. Cursors are
// "run-number", as a real node's.
type feed struct {
	run   string
	ring  []dotmesh.Event // at least the newest keepEvents, as far as there are any
	next  uint64          // the number of the next event
	grown chan struct{}   // closed and replaced when there is something to look at
}

func newFeed(run string) feed { return feed{run: run, next: 1, grown: make(chan struct{})} }

func (f *feed) add(e dotmesh.Event) {
	e.Cursor = f.cursor(f.next)
	f.next++
	f.ring = append(f.ring, e)
	if over := len(f.ring) - keepEvents; over > keepEvents/4 {
		f.ring = slices.Clone(f.ring[over:])
	}
	f.wake()
}

// wake lets everybody who waits look again.
func (f *feed) wake() {
	close(f.grown)
	f.grown = make(chan struct{})
}

func (f *feed) cursor(number uint64) string { return fmt.Sprintf("%s-%d", f.run, number) }

// place returns the number after the event that a cursor names; an empty cursor is now. A
// cursor of another cluster has no place: number 0 is always a gap.
func (f *feed) place(cursor string) (uint64, error) {
	if cursor == "" {
		return f.next, nil
	}
	run, number, _ := strings.Cut(cursor, "-")
	n, err := strconv.ParseUint(number, 10, 63)
	switch {
	case err != nil:
		return 0, dotmesh.E("democluster.Events", dotmesh.Invalid, "invalid cursor %q: give one that an event carried, or none", cursor)
	case run != f.run:
		return 0, nil
	}
	return n + 1, nil
}

// since returns the events numbered from on, or that some of them are gone.
func (f *feed) since(from uint64) (events []dotmesh.Event, gap bool) {
	newest := f.ring[max(0, len(f.ring)-keepEvents):]
	oldest := f.next - uint64(len(newest))
	if from < oldest || from > f.next {
		return nil, true
	}
	return newest[from-oldest:], false
}

// emit adds an event that happens now.
func (c *Cluster) emit(e dotmesh.Event) {
	if c.making() {
		return
	}
	e.Time = c.time()
	c.feed.add(e)
}

func (c *Cluster) emitDot(d *dot, deleted bool) {
	record := copyDot(d.Dot)
	c.emit(dotmesh.Event{Kind: dotmesh.EventDot, Dot: &record, Deleted: deleted})
}

func (c *Cluster) emitBranch(b *branch, deleted bool) {
	record := copyBranch(b.Branch)
	c.emit(dotmesh.Event{Kind: dotmesh.EventBranch, Branch: &record, Deleted: deleted})
}

func (c *Cluster) emitCommit(m *commit, deleted bool) {
	record := copyCommit(m.Commit)
	c.emit(dotmesh.Event{Kind: dotmesh.EventCommit, Commit: &record, Deleted: deleted})
}

func (c *Cluster) emitNode(n *node) {
	record := copyNode(n.Node)
	c.emit(dotmesh.Event{Kind: dotmesh.EventNode, Node: &record, Deleted: !n.alive})
}

func (c *Cluster) emitStats(b *branch) {
	c.emit(dotmesh.Event{Kind: dotmesh.EventStats, Stats: &dotmesh.Stats{Branch: b.ID, Size: b.data.bytes(), Dirty: b.dirty}})
}

func (c *Cluster) emitTransfer(t *transfer) {
	record := t.Transfer
	c.emit(dotmesh.Event{Kind: dotmesh.EventTransfer, Transfer: &record})
}

// logf writes a line of a node's log.
func (c *Cluster) logf(n *node, level, format string, args ...any) {
	c.emit(dotmesh.Event{Kind: dotmesh.EventLog, Log: &dotmesh.LogRecord{Node: n.ID, Level: level, Text: fmt.Sprintf(format, args...)}})
}

// Events implements dotmesh.Service.
func (s *service) Events(ctx context.Context, cursor string) iter.Seq2[dotmesh.Event, error] {
	return func(yield func(dotmesh.Event, error) bool) {
		at, err := ask(ctx, s, func() (uint64, error) { return s.c.feed.place(cursor) })
		for err == nil {
			var more []dotmesh.Event
			var grown <-chan struct{}
			if more, grown, err = s.newer(ctx, &at); err != nil {
				break
			}
			for _, e := range more {
				if !yield(e, nil) {
					return
				}
			}
			if len(more) > 0 {
				continue
			}
			select {
			case <-grown:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		yield(dotmesh.Event{}, dotmesh.Wrap("democluster.Events", err))
	}
}

// newer returns the events from at on that the caller may know of, and raises at above
// them. If some were missed, it returns a gap. If there is nothing yet, grown is closed when
// it is worth to look again.
func (s *service) newer(ctx context.Context, at *uint64) (seen []dotmesh.Event, grown <-chan struct{}, err error) {
	seen, err = ask(ctx, s, func() ([]dotmesh.Event, error) {
		f := &s.c.feed
		grown = f.grown
		for {
			all, gap := f.since(*at)
			if gap {
				*at = f.next
				return []dotmesh.Event{{Kind: dotmesh.EventGap, Cursor: f.cursor(f.next - 1), Time: s.c.time()}}, nil
			}
			all = all[:min(len(all), maxBatch)]
			*at += uint64(len(all))
			if seen := s.visible(all); len(seen) > 0 || len(all) == 0 {
				return seen, nil
			}
		}
	})
	return seen, grown, err
}

// visible returns copies of the events that the caller may know of: those of dots that they
// may see, and those of no dot.
func (s *service) visible(all []dotmesh.Event) (seen []dotmesh.Event) {
	for _, e := range all {
		if s.mayKnow(&e) {
			seen = append(seen, copyEvent(e))
		}
	}
	return seen
}

func (s *service) mayKnow(e *dotmesh.Event) bool {
	if s.who.Admin {
		return true
	}
	var d *dot
	switch {
	case e.Dot != nil:
		return rightOf(s.who, e.Dot) >= maySee
	case e.Branch != nil:
		d = s.c.dots[e.Branch.Dot]
	case e.Stats != nil:
		d = s.c.dotOfBranch(e.Stats.Branch)
	case e.Transfer != nil:
		d = s.c.dotOfBranch(e.Transfer.BranchID)
	case e.Commit != nil:
		d = s.c.dotOfLine(e.Commit.Line)
	default:
		return e.Kind == dotmesh.EventGap || e.Kind == dotmesh.EventNode
	}
	return d != nil && rightOf(s.who, &d.Dot) >= maySee
}

func (c *Cluster) dotOfBranch(id dotmesh.BranchID) *dot {
	if b := c.branches[id]; b != nil {
		return b.dot
	}
	return nil
}

func (c *Cluster) dotOfLine(id dotmesh.LineID) *dot {
	if l := c.lines[id]; l != nil {
		return l.dot
	}
	return nil
}
