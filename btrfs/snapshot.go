//go:build linux

package btrfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
)

// maxMeta is the largest Meta that a commit may have.
const maxMeta = 64 << 10

// maxAtOnce bounds the snapshots that the kernel is asked for at once.
const maxAtOnce = 64

// queue holds the snapshots that wait for their turn. Each costs a transaction of the
// whole file system, but those that the kernel is asked for at once share one. So whoever's
// turn it is takes those of all others along.
type queue struct {
	mu      sync.Mutex // guards waiting
	waiting []*ticket
}

// ticket is one call of Snapshot. Its results are read by its owner once done.
type ticket struct {
	requests []dotmesh.SnapRequest
	results  []dotmesh.Snapshot
	done     bool // guarded by the store's turn
}

func (q *queue) join(t *ticket) {
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

// Snapshot makes commits, one transaction each. A caller whose context ends while the
// kernel writes out its data is told [dotmesh.Unknown] within a second: the commit may
// still come to be, and asking again with the same id tells.
func (s *Store) Snapshot(ctx context.Context, requests []dotmesh.SnapRequest) []dotmesh.Snapshot {
	t := &ticket{requests: requests, results: make([]dotmesh.Snapshot, len(requests))}
	for i, r := range requests {
		t.results[i] = dotmesh.Snapshot{Line: r.Line, Commit: r.Commit}
	}
	err := s.detached(ctx, "btrfs.Snapshot", func() error { return s.serve(ctx, t) })
	if err == nil {
		return t.results
	}
	failed := make([]dotmesh.Snapshot, len(requests)) // the ticket may still be written to
	for i, r := range requests {
		failed[i] = dotmesh.Snapshot{Line: r.Line, Commit: r.Commit, Err: err}
	}
	return failed
}

// serve waits until the ticket was served by whoever had the turn, or serves it and all
// others that wait.
func (s *Store) serve(ctx context.Context, t *ticket) error {
	s.queue.join(t)
	if err := s.takeTurn(ctx); err != nil {
		if s.queue.leave(t) {
			return err
		}
		s.turn <- struct{}{} // it is being served: see it through
	}
	defer s.giveTurn()
	if t.done {
		return nil
	}
	s.seen = nil
	all := s.queue.takeAll()
	s.takeSnapshots(context.WithoutCancel(ctx), all)
	for _, t := range all {
		t.done = true
	}
	s.reserve.take()
	return nil
}

// wish is one snapshot that has still to be taken.
type wish struct {
	request *dotmesh.SnapRequest
	result  *dotmesh.Snapshot
}

func (w wish) ref() dotmesh.Ref { return dotmesh.Ref{Line: w.request.Line, Commit: w.request.Commit} }

// takeSnapshots fills in the results of all tickets.
func (s *Store) takeSnapshots(ctx context.Context, tickets []*ticket) {
	var wishes, there []wish
	for _, t := range tickets {
		for i := range t.requests {
			w := wish{&t.requests[i], &t.results[i]}
			switch w.result.GUID, w.result.Err = s.existing(w.request); {
			case w.result.GUID != "":
				there = append(there, w)
			case w.result.Err == nil:
				wishes = append(wishes, w)
			}
		}
	}
	s.takeAtOnce(ctx, wishes)
	s.settle(there)
}

// settle makes durable what was there already: it may be of a call that failed.
func (s *Store) settle(there []wish) {
	if len(there) == 0 {
		return
	}
	if err := s.pool.sync(); err != nil {
		for _, w := range there {
			w.result.GUID, w.result.Err = "", fault("btrfs.Snapshot", err)
		}
	}
}

// takeAtOnce takes the snapshots of different lines together, and those of one line in the
// order in which they were asked for.
func (s *Store) takeAtOnce(ctx context.Context, wishes []wish) {
	lines := map[dotmesh.LineID][]wish{}
	for _, w := range wishes {
		lines[w.request.Line] = append(lines[w.request.Line], w)
	}
	var g errgroup.Group
	g.SetLimit(maxAtOnce)
	for _, line := range lines {
		g.Go(func() error {
			for _, w := range line {
				w.result.GUID, w.result.Err = s.takeSnapshot(ctx, w.ref(), w.request.Meta)
			}
			return nil
		})
	}
	_ = g.Wait() // each result has its own error
}

// existing checks a request and returns the guid of a commit that is there already.
func (s *Store) existing(r *dotmesh.SnapRequest) (guid string, err error) {
	const op = "btrfs.Snapshot"
	if r.Commit.IsZero() {
		return "", dotmesh.E(op, dotmesh.Invalid, "a commit needs an id")
	}
	if len(r.Meta) > maxMeta {
		return "", dotmesh.E(op, dotmesh.Invalid, "the commit's metadata is larger than 64 KiB")
	}
	if _, err := s.line(r.Line); err != nil {
		return "", fault(op, err)
	}
	v, err := s.subvol(dotmesh.Ref{Line: r.Line, Commit: r.Commit})
	if errors.Is(err, dotmesh.NotFound) {
		return "", nil
	}
	if err != nil {
		return "", fault(op, err)
	}
	return v.guid(), nil
}

// takeSnapshot makes one commit. The ioctl makes it durable, with its metadata and under
// its final name.
func (s *Store) takeSnapshot(ctx context.Context, r dotmesh.Ref, meta []byte) (guid string, err error) {
	err = s.lending(func() error {
		live, err := s.subvol(head(r.Line))
		if err != nil {
			return err
		}
		if there, err := s.has(r); there || err != nil { // asked for twice in one batch
			return err
		}
		if err := s.notNested(ctx, live); err != nil {
			return err
		}
		since, err := s.lastSnapshot(ctx, live)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(s.commitsDir(r.Line), 0o700); err != nil {
			return err
		}
		if err := s.putMeta(r, meta); err != nil {
			return err
		}
		if err := fail.Point("btrfs.snapshot.after-meta"); err != nil {
			return err
		}
		if err := fail.Point("btrfs.snapshot.before-ioctl"); err != nil {
			return err
		}
		if err := snapshot(s.at(head(r.Line)), s.at(r), true); err != nil {
			return err
		}
		if err := fail.Point("btrfs.snapshot.after-ioctl"); err != nil {
			return err
		}
		// A subvolume made meanwhile would be an empty directory in the commit.
		err = s.notNested(ctx, live)
		if err == nil {
			err = s.filesTaken(ctx, r, live, since)
		}
		if err != nil {
			return join(err, s.destroyTree(ctx, s.at(r)), s.pool.sync())
		}
		return nil
	})
	if err != nil {
		return "", fault("btrfs.Snapshot", join(err, s.forget(r)))
	}
	v, err := s.subvol(r)
	if err != nil {
		return "", fault("btrfs.Snapshot", err)
	}
	return v.guid(), nil
}

// notNested refuses a head with subvolumes in it: a snapshot would leave them out.
func (s *Store) notNested(ctx context.Context, live *subvol) error {
	nested, err := s.nested(ctx, live.id)
	if err != nil || len(nested) == 0 {
		return err
	}
	names := make([]string, len(nested))
	for i, n := range nested {
		names[i] = n.name
	}
	return dotmesh.E("", dotmesh.Invalid,
		"the data hold btrfs subvolumes, which a commit would leave out: %s; replace them by directories", strings.Join(names, ", "))
}

// inner is a subvolume that lies in another.
type inner struct {
	id   uint64
	name string
}

// nested returns the subvolumes that lie directly in one.
func (s *Store) nested(ctx context.Context, id uint64) (list []inner, err error) {
	err = newFinder(s.lines, smallSearch).search(ctx, of(rootTree, id, rootRef, rootRef), func(i item) error {
		r, err := parseRootRef(i.data)
		list = append(list, inner{id: i.offset, name: r.name})
		return err
	})
	return list, err
}

// forget removes the metadata of a commit that did not come to be. Where a crash comes
// before, the next Open does.
func (s *Store) forget(r dotmesh.Ref) error {
	if there, err := s.has(r); there || err != nil {
		return err
	}
	return s.dropMeta(r)
}

// committed returns NotFound unless the ref is a commit of a line that is there.
func (s *Store) committed(r dotmesh.Ref) error {
	if _, err := s.line(r.Line); err != nil {
		return err
	}
	_, err := s.subvol(r)
	return err
}

// guid is what the subvolume is called on every node: its own uuid, or that of the one
// which it was received from.
func (v *subvol) guid() string { return guidOf(v.uuid, v.received) }

func guidOf(own, received [16]byte) string {
	if received != [16]byte{} {
		own = received
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", own[:4], own[4:6], own[6:8], own[8:10], own[10:])
}
