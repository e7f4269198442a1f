package feed

import (
	"time"

	"dotmesh.io/dotmesh"
)

// replay keeps the events that come while a listing is on its way. What is listed may be
// older than they are, so they are applied once more on top of it.
type replay struct {
	open   bool // a listing is on its way
	events []dotmesh.Event
	over   bool // there were more than can be kept
}

const maxReplay = 1 << 16

func (r *replay) keep(e *dotmesh.Event) {
	switch {
	case !r.open:
	case len(r.events) < maxReplay:
		r.events = append(r.events, *e)
	default:
		r.over = true
	}
}

// event takes one event in. The latest word wins; nobody is woken but for the first
// change since the last picture.
func (f *Feed) event(e *dotmesh.Event) {
	cleanEvent(e)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hear()
	f.events++
	if e.Cursor != "" {
		f.cursor = e.Cursor
	}
	f.replay.keep(e)
	if f.apply(e) {
		f.changed()
	}
}

// again applies the events about transfers, or those about all else, that came while a
// listing was on its way. They have been told of. The lock is held.
func (f *Feed) again(transfers bool) {
	f.quiet = true
	for i := range f.replay.events {
		if e := &f.replay.events[i]; transfers == (e.Kind == dotmesh.EventTransfer) {
			f.apply(e)
		}
	}
	f.quiet = false
}

// apply takes an event in, tells what happened, and reports whether there is something new
// to show. The lock is held.
func (f *Feed) apply(e *dotmesh.Event) bool {
	switch {
	case e.Kind == dotmesh.EventGap && f.quiet:
	case e.Kind == dotmesh.EventGap:
		f.tell(Line{Time: e.Time, Kind: e.Kind, Level: Warn, Text: "some events were missed; everything is listed anew"})
		signal(f.gap)
	case e.Kind == dotmesh.EventDot && e.Dot != nil:
		return f.applyDot(e)
	case e.Kind == dotmesh.EventBranch && e.Branch != nil:
		return f.applyBranch(e)
	case e.Kind == dotmesh.EventCommit && e.Commit != nil:
		return f.applyCommit(e)
	case e.Kind == dotmesh.EventNode && e.Node != nil:
		return f.applyNode(e)
	case e.Kind == dotmesh.EventStats && e.Stats != nil:
		return f.applyStats(e.Stats)
	case e.Kind == dotmesh.EventTransfer && e.Transfer != nil:
		return f.applyTransfer(e)
	case e.Kind == dotmesh.EventLog && e.Log != nil:
		f.tell(f.logLine(e))
	default:
		return false // of a kind that is not known here
	}
	return true
}

// fresh is how young a dot is of which all branches are still to be heard of.
const fresh = time.Minute

func (f *Feed) applyDot(e *dotmesh.Event) bool {
	d := f.dots.byID[e.Dot.ID]
	switch {
	case e.Deleted && d == nil:
		return false
	case e.Deleted:
		f.tell(f.dotLine(e, nil))
		f.dots.remove(e.Dot.ID)
	case d == nil || !d.shown:
		f.tell(f.dotLine(e, nil))
		f.newDot(e)
	default:
		f.tell(f.dotLine(e, d.status))
		f.changeDot(d, e.Dot)
	}
	return true
}

func (f *Feed) newDot(e *dotmesh.Event) {
	d := f.dots.get(e.Dot.ID)
	d.changes++
	d.whole = e.Time.Sub(e.Dot.Created).Abs() < fresh
	f.dots.edit(d).Dot = *e.Dot
	f.dots.show(d)
	if f.dots.known(d) {
		f.dots.put(d, f.dots.branches[d.status.Current].status)
	} else {
		f.dots.edit(d).Branch = dotmesh.BranchStatus{Branch: dotmesh.Branch{ID: e.Dot.Current, Dot: e.Dot.ID}, Current: true}
	}
	f.dots.count(d)
	f.doubt(d)
}

func (f *Feed) changeDot(d *dot, next *dotmesh.Dot) {
	if d.status.Name != next.Name {
		d = f.dots.rename(d, next.Name)
	}
	d.changes++
	if d.status.Current != next.Current {
		f.dots.makeCurrent(d, next.Current)
		f.inquire(d) // who uses it is known to the server only
	}
	f.dots.edit(d).Dot = *next
}

// doubt inquires about a dot of which not all is known.
func (f *Feed) doubt(d *dot) {
	if !d.whole || d.shown && !f.dots.known(d) {
		f.inquire(d)
	}
}

// inquire has the server asked about one dot, soon.
func (f *Feed) inquire(d *dot) {
	f.unclear[d.status.ID] = struct{}{}
	signal(f.ask)
}

func (f *Feed) applyBranch(e *dotmesh.Event) bool {
	if e.Deleted {
		return f.dropBranch(e)
	}
	d := f.dots.get(e.Branch.Dot)
	d.changes++
	before := f.dots.branch(e.Branch.ID)
	f.tell(f.branchLine(e, before))
	if before == nil {
		f.doubt(d)
	}
	f.changeBranch(d, e, before)
	f.dots.count(d)
	return true
}

func (f *Feed) dropBranch(e *dotmesh.Event) bool {
	before := f.dots.branch(e.Branch.ID)
	d := f.dots.byID[e.Branch.Dot]
	if d == nil || before == nil && d.whole {
		return false
	}
	d.changes++
	f.tell(f.branchLine(e, before))
	f.dots.forget(e.Branch.ID)
	f.dots.count(d)
	f.doubt(d)
	return true
}

func (f *Feed) changeBranch(d *dot, e *dotmesh.Event, before *dotmesh.BranchStatus) {
	next := dotmesh.BranchStatus{}
	if before != nil {
		next = *before
	}
	if before == nil || before.Pointer.Head != e.Branch.Pointer.Head {
		next.Dirty = dotmesh.Bytes{AsOf: e.Time, Exact: true} // all of it is in the commit, or in a stash
	}
	next.Branch = *e.Branch
	next.MasterName = ""
	if node := f.nodes.get(e.Branch.Pointer.Master); node != nil {
		next.MasterName = node.Name
	}
	f.dots.put(d, &next)
	f.settleLoose(next.Pointer.Line)
}

func (f *Feed) applyStats(s *dotmesh.Stats) bool {
	now := f.dots.branch(s.Branch)
	if now == nil || now.Size == s.Size && sameBytes(now.Dirty, s.Dirty) {
		return false
	}
	b, d := f.dots.editBranch(s.Branch)
	b.Size, b.Dirty = s.Size, s.Dirty
	d.changes++
	return true
}

// applyCommit only tells of a commit: what it changes is told by its branch's own event.
// Which may come after it, so one of a line that nothing is known of waits a moment.
func (f *Feed) applyCommit(e *dotmesh.Event) bool {
	id, ok := f.dots.lines[e.Commit.Line]
	if f.quiet {
		return false
	}
	if !ok {
		f.loose = append(f.loose, *e)
		if len(f.loose) > maxLoose {
			f.tell(f.commitLine(&f.loose[0]))
			f.loose = f.loose[1:]
		}
		return true
	}
	if b := f.dots.branches[id]; b != nil {
		f.dots.byID[b.dot].changes++
	}
	f.tell(f.commitLine(e))
	return true
}

const maxLoose = 64

// settleLoose tells of the commits that waited for their line.
func (f *Feed) settleLoose(line dotmesh.LineID) {
	kept := f.loose[:0]
	for i := range f.loose {
		if f.loose[i].Commit.Line == line {
			f.log.add(f.commitLine(&f.loose[i]))
		} else {
			kept = append(kept, f.loose[i])
		}
	}
	clear(f.loose[len(kept):])
	f.loose = kept
}

// flushLoose tells of the commits whose line never came.
func (f *Feed) flushLoose() {
	for i := range f.loose {
		f.tell(f.commitLine(&f.loose[i]))
	}
	clear(f.loose)
	f.loose = f.loose[:0]
}

// applyNode notes what the event says; the rest is asked for.
func (f *Feed) applyNode(e *dotmesh.Event) bool {
	signal(f.recount)
	line, news := f.nodeLine(e)
	if !news {
		return false
	}
	f.tell(line)
	if node := f.nodes.edit(e.Node.ID); node != nil {
		if e.Node.Name == "" {
			node.Alive = !e.Deleted
		} else if !e.Deleted {
			node.Node = *e.Node
		}
	}
	return true
}

func (f *Feed) applyTransfer(e *dotmesh.Event) bool {
	before, known := f.transfers.byID[e.Transfer.ID]
	if line, news := f.transferLine(e, &before, known); news {
		f.tell(line)
	}
	if e.Deleted {
		f.transfers.remove(e.Transfer.ID)
	} else {
		f.transfers.put(*e.Transfer)
	}
	return true
}

// hear notes that the server said something. The lock is held.
func (f *Feed) hear() {
	f.heard++
	f.heardAt = f.now()
}

// tell adds a line to the log, unless it says nothing or says it again. The lock is held.
func (f *Feed) tell(l Line) {
	if l.Text != "" && !f.quiet {
		if l.Time.IsZero() {
			l.Time = f.now()
		}
		f.log.add(l)
	}
}
