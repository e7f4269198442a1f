package feed_test

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
)

// server is as much of a Service as a feed asks for, in memory. It can be away (refuses at
// once), mute (answers nothing and sends nothing) and slow.
type server struct {
	dotmesh.Service

	mu        sync.Mutex // guards the rest
	dots      map[dotmesh.DotID]dotmesh.Dot
	branches  map[dotmesh.BranchID]dotmesh.BranchStatus
	nodes     []dotmesh.NodeStatus
	transfers []dotmesh.Transfer
	events    []dotmesh.Event // event n has the cursor "n"
	base      int             // the number of the first one
	kept      int             // from which event on a stream can go on
	cut       chan struct{}   // closed and replaced to end all streams
	grown     chan struct{}   // closed and replaced when something happens
	fault     error           // of every call
	mute      bool
	patient   bool          // calls that a mute server got are answered when it speaks again
	deaf      bool          // streams say nothing
	slow      time.Duration // between what Dots saw and its answer
	latency   time.Duration // of every call
	calls     map[string]int
	cursors   []string // that streams were asked to go on from
}

func newServer(dots int) *server {
	s := &server{
		dots: map[dotmesh.DotID]dotmesh.Dot{}, branches: map[dotmesh.BranchID]dotmesh.BranchStatus{},
		cut: make(chan struct{}), grown: make(chan struct{}), calls: map[string]int{},
		nodes: []dotmesh.NodeStatus{node(1), node(2)},
	}
	for i := range dots {
		d, b := dotOf(i)
		d.Created, b.Created = time.Time{}, time.Time{}
		s.dots[d.ID], s.branches[b.ID] = d, b
	}
	return s
}

func nodeID(i int) dotmesh.NodeID { return dotmesh.NodeID(fmt.Sprintf("%016x", i)) }

func node(i int) dotmesh.NodeStatus {
	return dotmesh.NodeStatus{Alive: true, Node: dotmesh.Node{ID: nodeID(i), Name: dotmesh.Name("node-" + strconv.Itoa(i)), Version: "1.4.0"}}
}

func uuid(kind byte, i int) (u dotmesh.UUID) {
	u[0], u[13], u[14], u[15] = kind, byte(i>>16), byte(i>>8), byte(i)
	return u
}

func dotName(i int) dotmesh.DotName {
	return dotmesh.DotName{Namespace: "admin", Name: dotmesh.Name(fmt.Sprintf("dot-%05d", i))}
}

// dotOf returns dot i and its master branch, made now.
func dotOf(i int) (dotmesh.Dot, dotmesh.BranchStatus) {
	id := uuid('d', i)
	d := dotmesh.Dot{ID: dotmesh.DotID{UUID: id}, Name: dotName(i), Current: dotmesh.BranchID{UUID: id}, Created: time.Now().UTC()}
	b := branchOf(d.ID, dotmesh.BranchID{UUID: id}, dotmesh.MasterBranch)
	return d, b
}

func branchOf(dot dotmesh.DotID, id dotmesh.BranchID, name dotmesh.Name) dotmesh.BranchStatus {
	line := id.UUID
	line[1] = 'l'
	return dotmesh.BranchStatus{
		MasterName: "node-2",
		Branch: dotmesh.Branch{
			ID: id, Dot: dot, Name: name, Created: time.Now().UTC(),
			Pointer: dotmesh.Pointer{Line: dotmesh.LineID{UUID: line}, Master: nodeID(2), State: dotmesh.State{Phase: dotmesh.Held}},
		},
	}
}

// answer is how every call begins.
func (s *server) answer(ctx context.Context, call string) error {
	s.mu.Lock()
	s.calls[call]++
	fault, mute, latency := s.fault, s.mute, s.latency
	s.mu.Unlock()
	pass(ctx, latency)
	for mute && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
		s.do(func() { mute = s.mute || !s.patient })
	}
	return cmp.Or(dotmesh.Wrap(call, ctx.Err()), fault)
}

func (s *server) Version(ctx context.Context) (dotmesh.Version, error) {
	return dotmesh.Version{Version: "1.4.0", Name: "node-1", Node: nodeID(1)}, s.answer(ctx, "Version")
}

func (s *server) Whoami(ctx context.Context) (dotmesh.User, error) {
	return dotmesh.User{Name: "ann", Email: "ann\x1b@x"}, s.answer(ctx, "Whoami")
}

func (s *server) Nodes(ctx context.Context) ([]dotmesh.NodeStatus, error) {
	err := s.answer(ctx, "Nodes")
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.nodes), err
}

func (s *server) Transfers(ctx context.Context) ([]dotmesh.Transfer, error) {
	err := s.answer(ctx, "Transfers")
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.transfers), err
}

func (s *server) Dots(ctx context.Context) ([]dotmesh.DotStatus, error) {
	if err := s.answer(ctx, "Dots"); err != nil {
		return nil, err
	}
	all := s.list()
	s.mu.Lock()
	slow := s.slow
	s.mu.Unlock()
	select {
	case <-time.After(slow):
		return all, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// streamed is a server that hands its dots out one after the other. It saw them all at the
// beginning, and takes its time.
type streamed struct{ *server }

func (s streamed) EachDot(ctx context.Context) iter.Seq2[dotmesh.DotStatus, error] {
	return func(yield func(dotmesh.DotStatus, error) bool) {
		if err := s.answer(ctx, "Dots"); err != nil {
			yield(dotmesh.DotStatus{}, err)
			return
		}
		all := s.list()
		var slow time.Duration
		s.do(func() { slow = s.slow })
		for _, status := range all {
			pass(ctx, slow/time.Duration(len(all)))
			if ctx.Err() != nil {
				yield(dotmesh.DotStatus{}, ctx.Err())
				return
			}
			if !yield(status, nil) {
				return
			}
		}
	}
}

func (streamed) Dots(context.Context) ([]dotmesh.DotStatus, error) {
	panic("a list of all dots at once")
}

func (s *server) Dot(ctx context.Context, name dotmesh.DotName) (detail dotmesh.DotDetail, err error) {
	if err := s.answer(ctx, "Dot"); err != nil {
		return detail, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.dots {
		if d.Name == name {
			detail.DotStatus = s.status(d)
			for _, b := range s.branches {
				if b.Dot == d.ID {
					b.Current = b.ID == d.Current
					detail.All = append(detail.All, b)
				}
			}
			return detail, nil
		}
	}
	return detail, dotmesh.E("Dot", dotmesh.NotFound, "no dot called %q", name)
}

// list returns the truth.
func (s *server) list() (all []dotmesh.DotStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.dots {
		all = append(all, s.status(d))
	}
	slices.SortFunc(all, func(a, b dotmesh.DotStatus) int { return cmp.Compare(a.Name.Name, b.Name.Name) })
	return all
}

func (s *server) status(d dotmesh.Dot) dotmesh.DotStatus {
	status := dotmesh.DotStatus{Dot: d, Branch: s.branches[d.Current]}
	status.Branch.Current = true
	for _, b := range s.branches {
		switch {
		case b.Dot != d.ID:
		case b.Stash != nil:
			status.Stashes++
		default:
			status.Branches++
		}
	}
	return status
}

func (s *server) Events(ctx context.Context, cursor string) iter.Seq2[dotmesh.Event, error] {
	return func(yield func(dotmesh.Event, error) bool) {
		if err := s.answer(ctx, "Events"); err != nil {
			yield(dotmesh.Event{}, err)
			return
		}
		at, cut, err := s.open(cursor)
		for err == nil {
			var events []dotmesh.Event
			var grown chan struct{}
			events, at, grown = s.since(at)
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
			}
			select {
			case <-grown:
			case <-cut:
				err = dotmesh.E("Events", dotmesh.Unreachable, "the stream broke")
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		yield(dotmesh.Event{}, err)
	}
}

func (s *server) open(cursor string) (at int, cut chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursors = append(s.cursors, cursor)
	if cursor == "" {
		return s.base + len(s.events), s.cut, nil
	}
	if at, err = strconv.Atoi(cursor); err != nil {
		return 0, nil, dotmesh.E("Events", dotmesh.Invalid, "invalid cursor %q", cursor)
	}
	return at + 1, s.cut, nil
}

func (s *server) since(at int) ([]dotmesh.Event, int, chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.mute || s.deaf:
		return nil, at, s.grown
	case at < s.kept:
		gap := dotmesh.Event{Kind: dotmesh.EventGap, Cursor: strconv.Itoa(s.base + len(s.events) - 1), Time: time.Now()}
		again := make(chan struct{})
		close(again)
		return []dotmesh.Event{gap}, s.base + len(s.events), again
	}
	return slices.Clone(s.events[at-s.base:]), s.base + len(s.events), s.grown
}

// do changes something under the lock.
func (s *server) do(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// happen tells all streams of an event. The lock is held.
func (s *server) happen(e dotmesh.Event) {
	e.Cursor, e.Time = strconv.Itoa(s.base+len(s.events)), time.Now().UTC()
	s.events = append(s.events, e)
	s.wake()
}

// wake has the streams look for what there is.
func (s *server) wake() {
	close(s.grown)
	s.grown = make(chan struct{})
}

// breakStreams ends all streams, as a server does that ends.
func (s *server) breakStreams() {
	close(s.cut)
	s.cut = make(chan struct{})
}

func (s *server) called(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

// The things that happen to dots. The lock is held.

func (s *server) create(i int) {
	d, b := dotOf(i)
	s.dots[d.ID], s.branches[b.ID] = d, b
	s.happen(dotmesh.Event{Kind: dotmesh.EventDot, Dot: &d})
	s.happen(dotmesh.Event{Kind: dotmesh.EventBranch, Branch: &b.Branch})
}

func (s *server) destroy(id dotmesh.DotID) {
	d := s.dots[id]
	delete(s.dots, id)
	s.happen(dotmesh.Event{Kind: dotmesh.EventDot, Dot: &d, Deleted: true})
	for _, b := range s.branches {
		if b.Dot == id {
			delete(s.branches, b.ID)
			s.happen(dotmesh.Event{Kind: dotmesh.EventBranch, Branch: &b.Branch, Deleted: true})
		}
	}
}

func (s *server) fork(dot dotmesh.DotID, id dotmesh.BranchID, name dotmesh.Name, stash *dotmesh.Stash) {
	b := branchOf(dot, id, name)
	b.Stash, b.Dirty = stash, dotmesh.Bytes{AsOf: time.Now().UTC(), Exact: true}
	s.branches[id] = b
	s.happen(dotmesh.Event{Kind: dotmesh.EventBranch, Branch: &b.Branch})
}

func (s *server) drop(id dotmesh.BranchID) {
	b := s.branches[id]
	delete(s.branches, id)
	s.happen(dotmesh.Event{Kind: dotmesh.EventBranch, Branch: &b.Branch, Deleted: true})
}

func (s *server) checkout(id dotmesh.BranchID) {
	d := s.dots[s.branches[id].Dot]
	d.Current = id
	s.dots[d.ID] = d
	s.happen(dotmesh.Event{Kind: dotmesh.EventDot, Dot: &d})
}

func (s *server) commit(id dotmesh.BranchID, n int, message string) {
	b := s.branches[id]
	c := dotmesh.Commit{ID: dotmesh.CommitID{UUID: uuid('c', n)}, Line: b.Pointer.Line, Kind: dotmesh.UserCommit, Author: "ann", Message: message}
	b.Pointer.Tip, b.Pointer.Head, b.Pointer.Count = c.ID, c.ID, b.Pointer.Count+1
	b.Dirty = dotmesh.Bytes{AsOf: time.Now().UTC(), Exact: true}
	s.branches[id] = b
	s.happen(dotmesh.Event{Kind: dotmesh.EventCommit, Commit: &c})
	s.happen(dotmesh.Event{Kind: dotmesh.EventBranch, Branch: &b.Branch})
}

func (s *server) measure(id dotmesh.BranchID, size int64) {
	b := s.branches[id]
	b.Size, b.Dirty = size, dotmesh.Bytes{Bytes: size / 2, AsOf: time.Now().UTC()}
	s.branches[id] = b
	s.happen(dotmesh.Event{Kind: dotmesh.EventStats, Stats: &dotmesh.Stats{Branch: id, Size: size, Dirty: b.Dirty}})
}

// pass waits until so much of the bubble's time has passed, or ctx has ended.
func pass(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
