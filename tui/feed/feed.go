// Package feed keeps a picture of a cluster up to date.
//
// A Feed lists everything once, follows the server's events from then on, and lists anew
// when it may have missed some. What it knows is one small store in which the latest word
// on each thing wins:
//
//	Service ── listings ──┐                       ┌── Next: at most eight pictures a second
//	        ── events ────┴─> dots, branches,  ───┤
//	        ── answers        nodes, transfers    └── Dot, Branch, Node: by id, at once
//
// An event costs the same however many dots there are and wakes nobody but the reader who
// waits for a first change. The reader makes the picture: a million events between two
// pictures are two pictures.
//
// A server that does not answer is a state of the picture and no end. Whoever shows it
// says how old it is; the feed knocks until somebody opens.
package feed

import (
	"context"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
)

// Feed is a picture of a cluster that is kept up to date while Run runs. Its methods are
// for any goroutine.
type Feed struct {
	service dotmesh.Service
	now     func() time.Time
	log     *Log

	refresh chan struct{} // holds one word: list anew, now
	gap     chan struct{} // … soon
	recount chan struct{} // … the nodes
	ask     chan struct{} // … the dots in unclear

	mu        sync.Mutex    // guards the rest
	picture   *Picture      // the last one; never nil
	published time.Time     // when that was
	stale     bool          // there is something that it does not show
	grown     chan struct{} // closed and replaced when it becomes stale

	state    State
	err      error
	heard    uint64        // how often the server said something
	events   uint64        // how many of those were events
	answered time.Duration // how long the last answer to a knock took
	heardAt  time.Time
	cursor   string // where to go on; empty: nothing was heard yet
	version  dotmesh.Version
	user     dotmesh.User

	dots      dots
	nodes     nodes
	transfers transfers
	unclear   map[dotmesh.DotID]struct{} // dots to be asked about
	loose     []dotmesh.Event            // commits of lines that nothing is known of yet
	replay    replay
	quiet     bool // what is applied was told of before
}

// New returns a feed of what s says; it does nothing before Run. The clock now dates what
// is heard.
func New(s dotmesh.Service, now func() time.Time) *Feed {
	word := func() chan struct{} { return make(chan struct{}, 1) }
	f := &Feed{
		service: s, now: now, log: newLog(),
		refresh: word(), gap: word(), recount: word(), ask: word(),
		grown: make(chan struct{}), unclear: map[dotmesh.DotID]struct{}{},
		dots: newDots(), nodes: newNodes(), transfers: newTransfers(),
	}
	f.picture = &Picture{Rev: 1, Log: f.log}
	return f
}

// pace is the shortest time between two pictures. Each costs a terminal that changes all over
// one percent of a core, and nobody reads faster.
const pace = 125 * time.Millisecond

// Next waits for a picture with another Rev than seen, and returns the newest. The first
// change after a quiet time is one at once, further ones are at most eight a second. The
// only error is ctx's.
func (f *Feed) Next(ctx context.Context, seen uint64) (*Picture, error) {
	for {
		p, wait, grown := f.peek(seen)
		if p != nil {
			return p, nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-grown:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// peek returns a picture that was not seen, or how long to wait for one at least and what
// to wait for; a nil channel: only the time.
func (f *Feed) peek(seen uint64) (p *Picture, wait time.Duration, grown <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	wait = pace - time.Since(f.published)
	if f.stale && wait <= 0 {
		f.publish()
	}
	switch {
	case f.picture.Rev != seen:
		return f.picture, 0, nil
	case f.stale:
		return nil, wait, nil
	}
	return nil, time.Hour, f.grown
}

// changed notes that there is something to show. The lock is held.
func (f *Feed) changed() {
	if f.stale {
		return
	}
	f.stale = true
	close(f.grown)
	f.grown = make(chan struct{})
}

// Refresh lists everything anew, now.
func (f *Feed) Refresh() { signal(f.refresh) }

// signal leaves a word for whoever waits for it, unless one lies there already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func drain(c chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// Dot returns a dot as it is now, which may be newer than the last picture. It never
// changes.
func (f *Feed) Dot(id dotmesh.DotID) (*dotmesh.DotStatus, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.dots.byID[id]
	if d == nil || !d.shown {
		return nil, false
	}
	d.sealed = true
	return d.status, true
}

// Changes returns a number that grows with every event about a dot, its branches and their
// commits and figures: whoever shows more of a dot than the picture has asks anew when it
// has grown. Listings that find a change count as one.
func (f *Feed) Changes(id dotmesh.DotID) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.dots.byID[id]; d != nil {
		return d.changes
	}
	return 0
}

// Branch returns a branch as it is now. The feed knows the current branches of all dots,
// and others from when something happens to them.
func (f *Feed) Branch(id dotmesh.BranchID) (dotmesh.BranchStatus, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.dots.branch(id); s != nil {
		return *s, true
	}
	return dotmesh.BranchStatus{}, false
}

// Node returns a node as it is now.
func (f *Feed) Node(id dotmesh.NodeID) (dotmesh.NodeStatus, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i, ok := f.nodes.at[id]; ok {
		return f.nodes.out[i], true
	}
	return dotmesh.NodeStatus{}, false
}

// Transfer returns a transfer as it is now.
func (f *Feed) Transfer(id dotmesh.UUID) (dotmesh.Transfer, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.transfers.byID[id]
	return t, ok
}
