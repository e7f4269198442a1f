package server

import (
	"context"
	"encoding/json"
	"errors"
	"maps"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
)

// Commit implements dotmesh.Service.
func (s *service) Commit(ctx context.Context, r dotmesh.CommitRequest) (dotmesh.Commit, error) {
	const op = "server.Commit"
	c := dotmesh.Commit{
		ID: r.ID, Kind: dotmesh.UserCommit, Author: s.author(), Message: r.Message,
		Metadata: maps.Clone(r.Metadata), Time: s.node.now().UTC(),
	}
	if err := c.Validate(); err != nil {
		return dotmesh.Commit{}, err
	}
	if c.ID.IsZero() {
		c.ID = dotmesh.CommitID{UUID: dotmesh.NewUUID()}
	}
	request := dotmesh.BranchRequest{Dot: r.Dot, Branch: r.Branch}
	err := s.change(ctx, request, mayWrite, func(d *dotmesh.Dot, b *dotmesh.Branch) error {
		if done, err := s.node.madeBefore(ctx, b, &c); done || err != nil {
			return err
		}
		return s.node.commit(ctx, b, &c, s.op(d, b, dotmesh.VerbCommit, c.ID.UUID))
	})
	return copyOfCommit(c), dotmesh.Wrap(op, err)
}

// madeBefore finds what an earlier try of the same request made, and puts it into c. An id
// means one commit for ever, so one that is in use for anything else is refused.
func (n *Node) madeBefore(ctx context.Context, b *dotmesh.Branch, c *dotmesh.Commit) (bool, error) {
	have, err := n.commitWithID(ctx, b, c.ID)
	if err != nil || have == nil {
		return false, err
	}
	if have.Line == b.Pointer.Line && n.view.tombstone(have.ID.UUID) == nil &&
		have.Message == c.Message && have.Author == c.Author && maps.Equal(have.Metadata, c.Metadata) {
		*c = *have
		return true, nil
	}
	return false, dotmesh.E("server.madeBefore", dotmesh.Exists, "commit %s exists already, with another message, metadata or branch", c.ID)
}

// commitWithID returns the commit that has an id: one of those that the registry keeps, a
// deleted one, or one of the branch's line that only the pool still has. It returns nil
// for an id that is free, and for a snapshot that was never registered.
func (n *Node) commitWithID(ctx context.Context, b *dotmesh.Branch, id dotmesh.CommitID) (*dotmesh.Commit, error) {
	if t := n.view.tombstone(id.UUID); t != nil && t.Commit != nil {
		return t.Commit, nil
	}
	if line, ok := n.view.lineOf(id); ok {
		for _, c := range n.view.commits(line) {
			if c.ID == id {
				return &c, nil
			}
		}
	}
	have, err := n.snapshotWithID(ctx, dotmesh.Ref{Line: b.Pointer.Line, Commit: id})
	if have == nil || err != nil || have.Seq > b.Pointer.Seq {
		return nil, err
	}
	for c, err := range n.lineHistory(ctx, tipOf(b)) {
		if err != nil {
			return nil, err
		}
		if c.ID == id {
			return &c, nil
		}
	}
	return nil, nil
}

// snapshotWithID returns the record of a snapshot in the pool, registered or not, or nil.
func (n *Node) snapshotWithID(ctx context.Context, ref dotmesh.Ref) (*dotmesh.Commit, error) {
	meta, err := n.store.Meta(ctx, ref)
	if dotmesh.KindOf(err) == dotmesh.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := decodeCommit(dotmesh.CommitInfo{ID: ref.Commit, Meta: meta})
	return &c, err
}

// commit makes c the branch's newest commit. The caller holds the branch's lock. On
// success c is complete; after a failure the snapshot is gone again, and after an unknown
// outcome it stays until settle has found out.
func (n *Node) commit(ctx context.Context, b *dotmesh.Branch, c *dotmesh.Commit, op dotmesh.Op) error {
	p := b.Pointer
	c.Line, c.Seq, c.Parent = p.Line, p.Seq+1, p.Tip
	c.Time = c.Time.Round(0)
	c.Chain = p.Chain.After(c)
	if err := n.resume(ctx, c); err != nil {
		return err
	}
	if err := n.snapshot(ctx, c); err != nil {
		return err
	}
	if op.Verb != "" {
		op.New = dotmesh.Tip{Line: c.Line, Commit: c.ID}
	}
	err := fail.Point("commit.before-register")
	if err == nil {
		err = n.sees(ctx)(n.reg.Register(ctx, dotmesh.Registration{Branch: b.ID, Expect: p, Commit: *c, Op: op}))
	}
	if err != nil {
		n.unmake(ctx, c, err)
		return err
	}
	if err := fail.Point("commit.after-register"); err != nil {
		return err
	}
	n.stats.clean(b.ID, n.now())
	n.trim(ctx, b)
	return nil
}

// resume looks for the snapshot that an earlier try of the same request left when its
// outcome was unknown. One that still follows the tip is what the request made: its record
// is taken as it is. One that does not is from a history that went on without it; madeBefore
// has made sure that it was never registered.
func (n *Node) resume(ctx context.Context, c *dotmesh.Commit) error {
	have, err := n.snapshotWithID(ctx, dotmesh.Ref{Line: c.Line, Commit: c.ID})
	if err != nil || have == nil {
		return err
	}
	if have.Seq == c.Seq && have.Parent == c.Parent {
		*c = *have
		return nil
	}
	return n.store.Drop(ctx, c.Line, []dotmesh.CommitID{c.ID})
}

// snapshot makes the commit in the store and completes its record.
func (n *Node) snapshot(ctx context.Context, c *dotmesh.Commit) error {
	meta, err := json.Marshal(c)
	if err != nil {
		return err
	}
	made := n.store.Snapshot(ctx, []dotmesh.SnapRequest{{Line: c.Line, Commit: c.ID, Meta: meta}})
	c.GUID = made[0].GUID
	return made[0].Err
}

// unmake destroys the snapshot of a commit that was certainly not registered. The data are
// still in the line's head.
func (n *Node) unmake(ctx context.Context, c *dotmesh.Commit, cause error) {
	if dotmesh.KindOf(cause) == dotmesh.Unknown {
		n.log.Warn("commit with unknown outcome", "commit", c.ID, "line", c.Line, "err", cause)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	if err := n.store.Drop(ctx, c.Line, []dotmesh.CommitID{c.ID}); err != nil {
		n.log.Warn("unregistered snapshot left behind", "commit", c.ID, "line", c.Line, "err", errors.Join(err, n.mem.condemn(c.ID)))
	}
}

// closing commits what the branch's head holds beyond its tip, so that it is not lost when
// the branch lets go of the line. It does nothing if there is nothing. The branch must not
// be mounted. It returns the branch as it is then.
func (n *Node) closing(ctx context.Context, b *dotmesh.Branch, why string) (*dotmesh.Branch, error) {
	if err := fail.Point("closing.before-flush"); err != nil {
		return b, err
	}
	dirty, err := n.dirty(ctx, b)
	if err != nil || dirty == 0 {
		return b, err
	}
	c := dotmesh.Commit{
		ID: dotmesh.CommitID{UUID: dotmesh.NewUUID()}, Kind: dotmesh.SystemCommit,
		Author: "system", Message: why, Time: n.now().UTC(),
	}
	if err := n.commit(ctx, b, &c, dotmesh.Op{}); err != nil {
		return b, err
	}
	return n.branchNow(b.ID)
}

// dirty returns how much the branch's head holds beyond its registered tip, flushed first.
// The pool's newest snapshot would not do: it may be one that was never registered.
func (n *Node) dirty(ctx context.Context, b *dotmesh.Branch) (int64, error) {
	tip, err := n.commitAt(ctx, tipOf(b))
	if err != nil {
		return 0, err
	}
	usage, err := n.store.Usage(ctx, b.Pointer.Line, dotmesh.Ref{Line: tip.Line, Commit: tip.ID}, true)
	return usage.Dirty.Bytes, err
}

// trim removes the records of a line's older commits from the registry once there are
// twice as many as it keeps, and with them all but the newest entries of the dot's
// operation log. The pool has the commits; its snapshots are judged first, since only the
// registry's records tell a commit from a snapshot that was never registered.
func (n *Node) trim(ctx context.Context, b *dotmesh.Branch) {
	line := b.Pointer.Line
	if n.view.countCommits(line) < trimAt {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	info, err := n.store.Line(ctx, line)
	if err == nil {
		err = n.settleLine(ctx, b, info)
	}
	if err == nil {
		commits := n.view.commits(line)
		err = n.reg.TrimCommits(ctx, line, commits[len(commits)-keepCommits].Seq)
	}
	if err == nil {
		err = n.trimOps(ctx, b.Dot)
	}
	if err != nil {
		n.log.Warn("old records stay in the registry", "dot", b.Dot, "line", line, "err", err)
	}
}

func (n *Node) trimOps(ctx context.Context, dot dotmesh.DotID) error {
	ops, err := n.reg.Ops(ctx, dot, 0, maxOps)
	if err != nil || len(ops) < maxOps {
		return err
	}
	return n.reg.TrimOps(ctx, dot, ops[len(ops)-1].N)
}
