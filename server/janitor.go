package server

import (
	"context"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/plan"
)

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

// sweep buries stashes whose time has come and destroys what tombstones allow. What fails
// is left to the next round.
func (n *Node) sweep(ctx context.Context) {
	if n.mayChange(ctx) != nil {
		return
	}
	for _, b := range n.view.allBranches() {
		if b.Stash != nil && expired(b.Stash.Expires, n.now()) && !n.buried(b) && b.Pointer.Master == n.ID() {
			n.retry(ctx, "stash not buried", b.ID.UUID, func() error { return n.buryStash(ctx, b) })
		}
	}
	for _, t := range n.view.allTombstones() {
		n.retry(ctx, "tombstone not carried out", t.ID, func() error { return n.collect(ctx, t) })
	}
	n.log.Debug("swept", "tombstones", len(n.view.allTombstones()))
}

func (n *Node) retry(ctx context.Context, what string, id dotmesh.UUID, f func() error) {
	if ctx.Err() != nil {
		return
	}
	if err := f(); err != nil {
		n.log.Warn(what+"; the next round tries again", "id", id, "err", err)
	}
}

// buryStash deletes a stash that has expired. Its retention has ended, so nothing is kept
// for longer.
func (n *Node) buryStash(ctx context.Context, b *dotmesh.Branch) error {
	d := n.view.dotByID(b.Dot)
	if d == nil {
		return nil // its dot's tombstone covers it
	}
	s := &service{node: n, who: dotmesh.Principal{Name: "system", Admin: true}}
	burial := s.burial(dotmesh.BuriedBranch, b.ID.UUID, d)
	burial.Tombstone.Branch, burial.Tombstone.Keep = b, burial.Tombstone.At
	cover(&burial, b)
	return n.sees(ctx)(n.reg.Bury(ctx, burial))
}

// collect destroys what a tombstone allows on this node and acknowledges it.
func (n *Node) collect(ctx context.Context, t *dotmesh.Tombstone) error {
	what, due := plan.Collect(t, n.view.line, n.now())
	if !due {
		return nil
	}
	covers := map[dotmesh.LineID]dotmesh.Cover{}
	for _, c := range t.Covers {
		covers[c.Line] = c
	}
	for _, c := range what.Commits {
		if err := n.store.Drop(ctx, c.Line, []dotmesh.CommitID{c.Commit}); err != nil {
			return err
		}
	}
	for _, id := range what.Lines {
		if err := n.destroyLine(ctx, covers[id]); err != nil {
			return err
		}
	}
	for _, id := range what.Shrink {
		if err := n.shrinkLine(ctx, covers[id]); err != nil {
			return err
		}
	}
	if !what.Done() {
		return nil
	}
	members, _ := n.view.allNodes()
	ids := make([]dotmesh.NodeID, 0, len(members))
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	return n.sees(ctx)(n.reg.Acknowledge(ctx, t.ID, n.ID(), ids))
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

func (n *Node) destroyLine(ctx context.Context, cover dotmesh.Cover) error {
	if _, err := n.exact(ctx, cover); err != nil {
		if dotmesh.KindOf(err) == dotmesh.NotFound {
			return nil // an earlier round did it
		}
		return err
	}
	return n.store.Destroy(ctx, cover.Line)
}

// shrinkLine gives up what an origin holds beyond its last child, once and for all: a line
// without a head has been shrunk already.
func (n *Node) shrinkLine(ctx context.Context, cover dotmesh.Cover) error {
	info, err := n.store.Line(ctx, cover.Line)
	if err != nil || !info.Head {
		return err
	}
	if info, err = n.exact(ctx, cover); err != nil {
		return err
	}
	ids := make([]dotmesh.CommitID, len(info.Commits))
	for i, c := range info.Commits {
		ids[i] = c.ID
	}
	if err := n.store.Drop(ctx, cover.Line, plan.Droppable(n.view.line(cover.Line), ids)); err != nil {
		return err
	}
	return n.store.DropHead(ctx, cover.Line)
}
