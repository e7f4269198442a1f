//go:build linux

package zfs

import (
	"context"
	"errors"
	"slices"
	"sync"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
)

const (
	// maxMeta is the largest Meta that a commit may have.
	maxMeta = 64 << 10
	// maxAtOnce bounds the snapshots that one command takes.
	maxAtOnce = 500
)

// queue holds the snapshots that wait. One command takes those of many lines in one
// transaction group, so whoever's turn it is takes those of all others along.
type queue struct {
	once    sync.Once
	turn    chan struct{} // holds one token
	mu      sync.Mutex    // guards waiting
	waiting []*ticket
}

// ticket is one call of Snapshot. Its results are read by its owner once done.
type ticket struct {
	requests []dotmesh.SnapRequest
	results  []dotmesh.Snapshot
	done     bool // guarded by the queue's turn
}

func (q *queue) join(t *ticket) {
	q.once.Do(func() { q.turn = make(chan struct{}, 1) })
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, t)
}

func (q *queue) takeAll() []*ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	return all
}

// leave takes a ticket back. It reports false if the ticket is being served.
func (q *queue) leave(t *ticket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, t)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	return true
}

// Snapshot makes commits, those of different lines together. A caller whose context ends
// meanwhile is told [dotmesh.Unknown] within a second: the commit may still come to be,
// and asking again with the same id tells.
func (s *Store) Snapshot(ctx context.Context, requests []dotmesh.SnapRequest) []dotmesh.Snapshot {
	t := &ticket{requests: requests, results: make([]dotmesh.Snapshot, len(requests))}
	failed := make([]dotmesh.Snapshot, len(requests)) // the ticket may still be written to
	lines := make([]dotmesh.LineID, len(requests))
	for i, r := range requests {
		t.results[i] = dotmesh.Snapshot{Line: r.Line, Commit: r.Commit}
		failed[i], lines[i] = t.results[i], r.Line
	}
	err := s.detached(ctx, "zfs.Snapshot", func() error {
		give, err := s.turns.take(ctx, lines...)
		if err != nil {
			return err
		}
		defer give()
		defer s.glances.forget(lines...)
		return s.serve(ctx, t)
	})
	if err == nil {
		return t.results
	}
	for i := range failed {
		failed[i].Err = err
	}
	return failed
}

// serve waits until the ticket was served by whoever had the turn, or serves it and all
// others that wait. The lines of all of them are different.
func (s *Store) serve(ctx context.Context, t *ticket) error {
	s.queue.join(t)
	select {
	case s.queue.turn <- struct{}{}:
	case <-ctx.Done():
		if s.queue.leave(t) {
			return ctx.Err()
		}
		s.queue.turn <- struct{}{} // it is being served: see it through
	}
	defer func() { <-s.queue.turn }()
	if t.done {
		return nil
	}
	all := s.queue.takeAll()
	for _, round := range rounds(all) {
		s.takeSnapshots(context.WithoutCancel(ctx), round)
	}
	for _, t := range all {
		t.done = true
	}
	return nil
}

// wish is one snapshot that is asked for.
type wish struct {
	request *dotmesh.SnapRequest
	result  *dotmesh.Snapshot
}

func (w wish) ref() dotmesh.Ref { return dotmesh.Ref{Line: w.request.Line, Commit: w.request.Commit} }

// settled reports whether the wish has its answer.
func (w wish) settled() bool { return w.result.GUID != "" || w.result.Err != nil }

func (w wish) fail(err error) { w.result.GUID, w.result.Err = "", fault("zfs.Snapshot", err) }

// rounds splits what is asked for, so that no line is in a round twice: one command takes
// one snapshot of a line.
func rounds(tickets []*ticket) (rounds [][]wish) {
	count := map[dotmesh.LineID]int{}
	for _, t := range tickets {
		for i := range t.requests {
			n := count[t.requests[i].Line]
			count[t.requests[i].Line]++
			if n == len(rounds) {
				rounds = append(rounds, nil)
			}
			rounds[n] = append(rounds[n], wish{&t.requests[i], &t.results[i]})
		}
	}
	return rounds
}

// takeSnapshots answers all wishes of a round.
func (s *Store) takeSnapshots(ctx context.Context, round []wish) {
	for _, w := range round {
		s.prepare(ctx, w)
	}
	open := slices.DeleteFunc(slices.Clone(round), wish.settled)
	for some := range slices.Chunk(open, maxAtOnce) {
		s.takeAtOnce(ctx, some)
	}
}

// prepare refuses what cannot be, finds what is there already, and makes the line ready.
func (s *Store) prepare(ctx context.Context, w wish) {
	r := w.ref()
	if r.Commit.IsZero() {
		w.fail(dotmesh.E("", dotmesh.Invalid, "a commit needs an id"))
		return
	}
	if len(w.request.Meta) > maxMeta {
		w.fail(dotmesh.E("", dotmesh.Invalid, "the commit's metadata is larger than 64 KiB"))
		return
	}
	if r.Line.IsZero() {
		w.fail(missing(head(r.Line)))
		return
	}
	known, err := s.record(r.Line)
	if err != nil {
		w.fail(err)
		return
	}
	_, begun, err := s.meta(r)
	if err != nil {
		w.fail(err)
		return
	}
	if begun { // it was asked for before
		c, err := s.findCommit(ctx, r)
		if err == nil {
			w.result.GUID = c.guid
			return
		}
		if !errors.Is(err, dotmesh.NotFound) {
			w.fail(err)
			return
		}
	}
	switch {
	case known.Doomed:
		w.fail(missing(head(r.Line)))
	case known.Headless, known.Incoming:
		if _, err := s.find(ctx, r.Line); err != nil {
			w.fail(err)
			return
		}
		w.fail(noHead(r.Line))
	default:
		if err := s.replay(ctx, r.Line); err != nil {
			w.fail(err)
		}
	}
}

// takeAtOnce takes snapshots of different lines by one command, and one by one if that
// fails: then none was taken, unless it failed after that.
func (s *Store) takeAtOnce(ctx context.Context, wishes []wish) {
	err := s.takeAll(ctx, wishes)
	if err != nil && len(wishes) > 1 {
		for _, w := range wishes {
			if s.tookAnyway(ctx, w, err) {
				continue
			}
			if err := s.takeAll(ctx, []wish{w}); err != nil {
				w.fail(s.without(ctx, w, err))
			}
		}
	} else if err != nil {
		wishes[0].fail(s.without(ctx, wishes[0], err))
	}
	taken := slices.DeleteFunc(slices.Clone(wishes), wish.settled)
	if err := s.readGUIDs(ctx, taken); err != nil {
		for _, w := range taken {
			w.fail(err)
		}
	}
}

// tookAnyway reports whether a command that failed has taken a snapshot all the same, as one
// does that is killed while the kernel works. Taken anew it would be one made by hand.
func (s *Store) tookAnyway(ctx context.Context, w wish, failed error) bool {
	if errors.Is(failed, exists) || errors.Is(failed, notExist) { // what it says has kept it from taking any
		return false
	}
	_, err := s.findCommit(ctx, w.ref())
	return err == nil
}

// takeAll takes all of the snapshots or none. Their metadata are durable before they are.
func (s *Store) takeAll(ctx context.Context, wishes []wish) error {
	err := s.kv.Update(func(tx dotmesh.KVWriter) error {
		for _, w := range wishes {
			if err := tx.Put(metaBucket, metaKey(w.ref()), w.request.Meta); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = fail.Point("zfs.snapshot.after-meta")
	}
	if err != nil {
		return err
	}
	names := make([]string, len(wishes))
	for i, w := range wishes {
		names[i] = s.at(w.ref())
	}
	err = s.lending(ctx, func() error { return s.run.run(ctx, takeSnapshots(names...)) })
	if err == nil {
		err = fail.Point("zfs.snapshot.after")
	}
	return err
}

// without forgets the metadata of a commit that did not come to be, and returns why. Where
// a crash comes before, the next Open does.
func (s *Store) without(ctx context.Context, w wish, err error) error {
	if errors.Is(err, exists) { // made by hand, since it has no metadata
		return join(s.dropMetas(w.ref()), nil)
	}
	if _, lookErr := s.findCommit(ctx, w.ref()); !errors.Is(lookErr, dotmesh.NotFound) {
		return err
	}
	if errors.Is(err, notExist) {
		err = missing(head(w.ref().Line))
	}
	return join(err, s.dropMetas(w.ref()))
}

// readGUIDs fills in what the kernel calls the snapshots.
func (s *Store) readGUIDs(ctx context.Context, wishes []wish) error {
	if len(wishes) == 0 {
		return nil
	}
	names := make([]string, len(wishes))
	for i, w := range wishes {
		names[i] = s.at(w.ref())
	}
	all, err := s.list(ctx, listThese(names...))
	if err != nil {
		return err
	}
	for _, w := range wishes {
		l := newState(w.request.Line, all[w.request.Line], record{})
		c := l.commit(w.request.Commit)
		if c == nil {
			return missing(w.ref())
		}
		w.result.GUID = c.guid
	}
	return nil
}
