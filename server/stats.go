package server

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
)

// stats holds what this node last measured of branches, and which of them are mounted and
// so may change. A branch that is not mounted cannot become dirty: its figure stays true.
type stats struct {
	mu      sync.Mutex // guards both
	figures map[dotmesh.BranchID]figures
	mounted map[dotmesh.BranchID]bool
}

type figures struct {
	Size  int64
	Dirty dotmesh.Bytes
}

func newStats() *stats {
	return &stats{figures: map[dotmesh.BranchID]figures{}, mounted: map[dotmesh.BranchID]bool{}}
}

func (s *stats) get(id dotmesh.BranchID) figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.figures[id]
}

// put stores figures and reports whether bytes differ from those before.
func (s *stats) put(id dotmesh.BranchID, f figures) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.figures[id]
	s.figures[id] = f
	return old.Size != f.Size || old.Dirty.Bytes != f.Dirty.Bytes
}

// forked notes a branch that was just forked from another one: until it is measured it is
// as large as that.
func (s *stats) forked(id, from dotmesh.BranchID, now time.Time) {
	s.clean(id, now)
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.figures[id]
	f.Size = s.figures[from].Size
	s.figures[id] = f
}

// clean notes that at that time everything of the branch was in a commit.
func (s *stats) clean(id dotmesh.BranchID, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.figures[id]
	f.Dirty = dotmesh.Bytes{AsOf: now.UTC(), Exact: true}
	s.figures[id] = f
}

// forget drops what is known of branches that are gone.
func (s *stats) forget(ids []dotmesh.BranchID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		delete(s.figures, id)
		delete(s.mounted, id)
	}
}

func (s *stats) watch(id dotmesh.BranchID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mounted[id] = true
}

func (s *stats) unwatch(id dotmesh.BranchID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mounted, id)
}

func (s *stats) watched(id dotmesh.BranchID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mounted[id]
}

func (s *stats) allWatched() []dotmesh.BranchID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.mounted))
}

// poll measures the mounted branches every few seconds, and once every branch that this
// node masters, since those may have been written to by an earlier run.
func (n *Node) poll(ctx context.Context) error {
	n.measureAll(ctx)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		for _, id := range n.stats.allWatched() {
			if err := n.measure(ctx, id, false); err != nil {
				n.log.Warn("branch not measured", "branch", id, "err", err)
			}
		}
	}
}

func (n *Node) measureAll(ctx context.Context) {
	for _, b := range n.view.allBranches() {
		if ctx.Err() != nil {
			return
		}
		if b.Stash != nil || b.Pointer.Master != n.ID() || n.buried(b) {
			continue
		}
		if err := n.measure(ctx, b.ID, false); err != nil {
			n.log.Warn("branch not measured", "branch", b.ID, "err", err)
		}
	}
}

// measure looks at a branch's head and publishes what changed. Only its master can.
func (n *Node) measure(ctx context.Context, id dotmesh.BranchID, fresh bool) error {
	b := n.view.branch(id)
	if b == nil || b.Pointer.Master != n.ID() {
		return nil
	}
	since, err := n.headRef(ctx, b)
	if err != nil {
		return err
	}
	usage, err := n.store.Usage(ctx, b.Pointer.Line, since, fresh)
	if err != nil {
		return err
	}
	f := figures{Size: usage.Referenced, Dirty: usage.Dirty}
	if n.stats.put(id, f) {
		n.events.stats(dotmesh.Stats{Branch: id, Size: f.Size, Dirty: f.Dirty})
	}
	return nil
}

// measured is measure for callers who do not hold the branch's lock. What is measured afresh
// must not be mounted meanwhile.
func (n *Node) measured(ctx context.Context, id dotmesh.BranchID, fresh bool) error {
	if fresh {
		release, err := n.locks.acquire(ctx, id.UUID)
		if err != nil {
			return err
		}
		defer release()
	}
	return n.measure(ctx, id, fresh)
}

// headRef returns the branch's HEAD as the store knows it.
func (n *Node) headRef(ctx context.Context, b *dotmesh.Branch) (dotmesh.Ref, error) {
	for c, err := range n.history(ctx, tipOf(b)) {
		if err != nil {
			return dotmesh.Ref{}, err
		}
		if c.ID == b.Pointer.Head {
			return dotmesh.Ref{Line: c.Line, Commit: c.ID}, nil
		}
	}
	return dotmesh.Ref{}, nil
}
