package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
	"dotmesh.io/dotmesh/server/plan"
)

// stashGrace is how long a stash that has expired is kept after it was buried.
const stashGrace = time.Hour

// janitor sweeps once an hour, and when somebody asks for it.
func (n *Node) janitor(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		n.sweep(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-n.sweeps:
		}
	}
}

// Sweep asks for a round of garbage collection and does not wait for it.
func (n *Node) Sweep() { poke(n.sweeps) }

// sweep buries stashes whose time has come, puts mounts right that something cut off left
// wrong, and destroys what tombstones allow. What fails is left to the next round.
func (n *Node) sweep(ctx context.Context) {
	if n.mayChange(ctx) != nil {
		return
	}
	for _, b := range n.view.allBranches() {
		if b.Stash != nil && expired(b.Stash.Expires, n.now()) && !n.buried(b) && b.Pointer.Master == n.ID() {
			n.retry(ctx, "stash not buried", b.ID.UUID, func() error { return n.buryStash(ctx, b) })
		}
	}
	n.settleMounts(ctx)
	// A line that is gone from the registry lets go of the one that it was forked from.
	for freed := true; freed; {
		freed = false
		for _, t := range n.view.allTombstones() {
			n.retry(ctx, "tombstone not carried out", t.ID, func() error {
				more, err := n.collect(ctx, t.ID)
				freed = freed || more
				return err
			})
		}
	}
	n.log.Debug("swept", "tombstones", len(n.view.allTombstones()))
}

// expired reports whether a time that may be "never" has passed.
func expired(at, now time.Time) bool { return !at.IsZero() && at.Before(now) }

func (n *Node) retry(ctx context.Context, what string, id dotmesh.UUID, f func() error) {
	if ctx.Err() != nil {
		return
	}
	if err := f(); err != nil {
		n.log.Warn(what+"; the next round tries again", "id", id, "err", err)
	}
}

// buryStash deletes a stash that has expired. It is kept for a little longer, so that a
// clock that was wrong for a moment destroys nothing.
func (n *Node) buryStash(ctx context.Context, b *dotmesh.Branch) error {
	d := n.view.dotByID(b.Dot)
	if d == nil {
		return nil // its dot's tombstone covers it
	}
	s := &service{node: n, who: dotmesh.Principal{Name: "system", Admin: true}}
	burial := s.burial(dotmesh.BuriedBranch, b.ID.UUID, d)
	burial.Tombstone.Branch, burial.Tombstone.Keep = b, burial.Tombstone.At.Add(stashGrace)
	cover(&burial, b)
	return n.sees(ctx)(n.reg.Bury(ctx, burial))
}

// collect destroys what a tombstone allows on this node and acknowledges it. It reports
// whether a line has gone from the registry by that. Only a clock says when to begin, but
// the registry's seal decides that nothing can be brought back from then on.
func (n *Node) collect(ctx context.Context, id dotmesh.UUID) (freed bool, err error) {
	release, err := n.locks.acquire(ctx, id)
	if err != nil {
		return false, err
	}
	defer release()
	t := n.view.tombstone(id)
	if t == nil || !plan.Due(t, n.now()) {
		return false, nil
	}
	if err := n.mayChange(ctx); err != nil {
		return false, err
	}
	if !t.Sealed {
		if err := n.sees(ctx)(n.reg.Seal(ctx, id)); err != nil {
			return false, err
		}
		if err := fail.Point("collect.after-seal"); err != nil {
			return false, err
		}
	}
	what := plan.Collect(t, n.view.line)
	gone, fault := n.destroy(ctx, what)
	if len(gone) == 0 && !what.Empty() {
		return false, fault
	}
	if err := n.forgetOwners(gone, what.Lines); err != nil {
		return false, errors.Join(fault, err)
	}
	if err := n.acknowledge(ctx, id, gone); err != nil {
		return false, errors.Join(fault, err)
	}
	freed = slices.ContainsFunc(gone, func(id dotmesh.LineID) bool { return n.view.line(id) == nil })
	return freed, fault
}

// destroy destroys what may go, each by itself: one that is still in use does not keep the
// others. It returns the lines of which nothing is left here that the tombstone covers.
func (n *Node) destroy(ctx context.Context, what plan.Collectable) (gone []dotmesh.LineID, err error) {
	var faults []error
	try := func(covers []dotmesh.Cover, do func(context.Context, dotmesh.Cover) error) (done []dotmesh.LineID) {
		for _, c := range covers {
			if err := do(ctx, c); err != nil && dotmesh.KindOf(err) != dotmesh.NotFound {
				faults = append(faults, err)
				continue
			}
			done = append(done, c.Line) // or an earlier round did it
		}
		return done
	}
	gone = append(try(what.Commits, n.dropCommit), try(what.Lines, n.destroyLine)...)
	try(what.Shrink, n.shrinkLine)
	return gone, errors.Join(faults...)
}

// forgetOwners drops what the node knows of the branches whose whole lines are gone.
func (n *Node) forgetOwners(gone []dotmesh.LineID, whole []dotmesh.Cover) error {
	var owners []dotmesh.BranchID
	for _, c := range whole {
		if l := n.view.line(c.Line); l != nil && slices.Contains(gone, c.Line) {
			owners = append(owners, l.Owner)
		}
	}
	n.stats.forget(owners)
	return n.mem.settled(nil, owners)
}

func (n *Node) acknowledge(ctx context.Context, tombstone dotmesh.UUID, gone []dotmesh.LineID) error {
	members, _ := n.view.allNodes()
	ids := make([]dotmesh.NodeID, 0, len(members))
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	return n.sees(ctx)(n.reg.Acknowledge(ctx, tombstone, n.ID(), gone, ids))
}

// exact refuses a line that holds anything that the tombstone does not cover.
func (n *Node) exact(ctx context.Context, cover dotmesh.Cover) (dotmesh.LineInfo, error) {
	info, err := n.store.Line(ctx, cover.Line)
	if err != nil {
		return info, err
	}
	held := plan.Held{Head: info.Head}
	if len(info.Commits) > 0 {
		c, err := decodeCommit(info.Commits[len(info.Commits)-1])
		if err != nil {
			return info, err
		}
		held.Newest = &c
	}
	if info.Head {
		usage, err := n.store.Usage(ctx, cover.Line, dotmesh.Ref{}, true)
		if err != nil {
			return info, err
		}
		held.Dirty = usage.Dirty.Bytes
	}
	if !plan.Exact(held, n.view.commits(cover.Line), cover) {
		return info, dotmesh.E("server.exact", dotmesh.Dirty, "line %s holds more than what was deleted; it is kept", cover.Line)
	}
	return info, nil
}

func (n *Node) dropCommit(ctx context.Context, cover dotmesh.Cover) error {
	return n.drop(ctx, cover.Line, []dotmesh.CommitID{cover.Commit})
}

// drop destroys commits, and then what was noted of their files.
func (n *Node) drop(ctx context.Context, line dotmesh.LineID, commits []dotmesh.CommitID) error {
	if err := n.store.Drop(ctx, line, commits); err != nil {
		return err
	}
	return n.mem.forgetTrees(commits)
}

func (n *Node) destroyLine(ctx context.Context, cover dotmesh.Cover) error {
	info, err := n.exact(ctx, cover)
	if err != nil {
		return err
	}
	if err := n.store.Destroy(ctx, cover.Line); err != nil {
		return err
	}
	return n.mem.forgetTrees(idsOf(info.Commits))
}

func idsOf(commits []dotmesh.CommitInfo) []dotmesh.CommitID {
	ids := make([]dotmesh.CommitID, len(commits))
	for i, c := range commits {
		ids[i] = c.ID
	}
	return ids
}

// shrinkLine gives up what an origin holds beyond its last child, once and for all: a line
// without a head has been shrunk already.
func (n *Node) shrinkLine(ctx context.Context, cover dotmesh.Cover) error {
	line := n.view.line(cover.Line)
	info, err := n.store.Line(ctx, cover.Line)
	if err != nil || !info.Head || line == nil {
		return err
	}
	if info, err = n.exact(ctx, cover); err != nil {
		return err
	}
	if err := n.drop(ctx, cover.Line, plan.Droppable(line, idsOf(info.Commits))); err != nil {
		return err
	}
	return n.store.DropHead(ctx, cover.Line)
}
