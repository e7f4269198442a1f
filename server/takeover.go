package server

import (
	"context"

	"dotmesh.io/dotmesh"
)

// Takeover implements dotmesh.Service.
func (s *service) Takeover(ctx context.Context, r dotmesh.TakeoverRequest) (dotmesh.Changed, error) {
	const op = "server.Takeover"
	n := s.node
	if err := s.adminOnly(); err != nil {
		return dotmesh.Changed{}, err
	}
	if r.Node != "" && r.Node != n.ID() {
		return dotmesh.Changed{}, dotmesh.E(op, dotmesh.Unsupported, "ask node %s itself; this one is %s", n.nodeLabel(r.Node), n.nodeLabel(n.ID()))
	}
	d, err := s.dot(r.Dot, mayAll)
	if err != nil {
		return dotmesh.Changed{}, err
	}
	b, err := s.branchOf(d, r.Branch)
	if err != nil {
		return dotmesh.Changed{}, err
	}
	release, err := n.locks.acquire(ctx, b.ID.UUID)
	if err != nil {
		return dotmesh.Changed{}, err
	}
	defer release()
	if err := n.mayChange(ctx); err != nil {
		return dotmesh.Changed{}, err
	}
	line := dotmesh.LineID{UUID: requestID(r.Request).Derive("line")}
	if b, err = n.branchNow(b.ID); err != nil {
		return dotmesh.Changed{}, err
	}
	if b.Pointer.Line == line {
		return n.changed(d, b), nil
	}
	to, err := n.checkTakeover(ctx, b, r)
	if err != nil {
		return dotmesh.Changed{}, err
	}
	return n.takeOver(ctx, swing{
		dot: d, branch: b, to: to, line: line, why: dotmesh.StashDiverged, op: s.op(d, b, dotmesh.VerbTakeover, r.Request),
	})
}

// checkTakeover refuses what would not be what the administrator was shown, and returns
// the commit to go on from: one that is registered and that this node holds.
func (n *Node) checkTakeover(ctx context.Context, b *dotmesh.Branch, r dotmesh.TakeoverRequest) (dotmesh.Commit, error) {
	const op = "server.checkTakeover"
	p := b.Pointer
	switch {
	case b.Stash != nil:
		return dotmesh.Commit{}, dotmesh.E(op, dotmesh.Conflict, "%s is a stash, which never changes", b.Name)
	case p.Master == n.ID() && p.State.Phase == dotmesh.Held:
		return dotmesh.Commit{}, dotmesh.E(op, dotmesh.Conflict, "this node is the master of %s already", b.Name)
	case p.Epoch != r.Epoch:
		return dotmesh.Commit{}, dotmesh.E(op, dotmesh.Conflict, "the epoch of %s is %d, not %d; look again before you force anything", b.Name, p.Epoch, r.Epoch)
	case !r.Tip.IsZero() && p.Tip != r.Tip:
		return dotmesh.Commit{}, dotmesh.E(op, dotmesh.Conflict, "the newest commit of %s is %s by now; look again before you force anything", b.Name, p.Tip)
	}
	want := r.Commit
	if want.IsZero() {
		want = p.Tip
	}
	for c, err := range n.history(ctx, tipOf(b)) {
		if err != nil {
			return dotmesh.Commit{}, err
		}
		if c.ID != want {
			continue
		}
		if _, err := n.store.Meta(ctx, dotmesh.Ref{Line: c.Line, Commit: c.ID}); err != nil {
			return dotmesh.Commit{}, dotmesh.E(op, dotmesh.Conflict, "this node does not hold commit %s; name an older one with --commit, or ask a node that holds it", want)
		}
		return c, nil
	}
	return dotmesh.Commit{}, dotmesh.E(op, dotmesh.NotFound, "commit %s is not in the history of %s", want, b.Name)
}

// takeOver makes this node the master on a new line. What the old master still writes
// stays on the old one, which its stash names.
func (n *Node) takeOver(ctx context.Context, sw swing) (dotmesh.Changed, error) {
	n.log.Warn("forced takeover", "branch", sw.branch.ID, "from", sw.branch.Pointer.Master, "epoch", sw.branch.Pointer.Epoch, "by", sw.op.By)
	s, err := n.plotSwing(ctx, sw, sw.branch)
	if err != nil {
		return dotmesh.Changed{}, err
	}
	s.Stash.Stash.Node = sw.branch.Pointer.Master
	before, had, err := n.mem.authority(sw.branch.ID)
	if err != nil {
		return dotmesh.Changed{}, err
	}
	if err := n.forkFor(ctx, sw.branch.ID, s.Line); err != nil {
		return dotmesh.Changed{}, err
	}
	a := authority{Branch: sw.branch.ID, Line: sw.line, Epoch: s.Next.Epoch, Phase: swinging, Swing: &s}
	err = n.mem.putAuthority(a, intent{})
	if err == nil {
		err = n.sees(ctx)(n.reg.Swing(ctx, s))
	}
	if err != nil {
		n.withdraw(ctx, sw.branch.ID, s.Line.ID, before, had, err)
		return dotmesh.Changed{}, err
	}
	b, err := n.branchNow(sw.branch.ID)
	if err != nil {
		return dotmesh.Changed{}, err
	}
	if err := n.own(b); err != nil {
		return dotmesh.Changed{}, err
	}
	n.takeUp(ctx, b)
	return dotmesh.Changed{Branch: n.branchStatus(sw.dot, b), Stash: s.Stash}, nil
}

// forkFor forks a line for a branch, with an intent by which it can be cleared away.
func (n *Node) forkFor(ctx context.Context, id dotmesh.BranchID, line dotmesh.Line) error {
	if err := n.mem.intend(intent{Line: line.ID, Branch: id}); err != nil {
		return err
	}
	return n.store.Fork(ctx, line.ID, line.Origin)
}

// withdraw puts back what the node had noted before a takeover that certainly failed.
func (n *Node) withdraw(ctx context.Context, id dotmesh.BranchID, line dotmesh.LineID, before authority, had bool, cause error) {
	if dotmesh.KindOf(cause) == dotmesh.Unknown {
		n.log.Warn("takeover with unknown outcome", "branch", id, "line", line, "err", cause)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	err := n.store.Destroy(ctx, line)
	if err == nil {
		err = n.mem.settled([]dotmesh.LineID{line}, []dotmesh.BranchID{id})
	}
	if err == nil && had {
		err = n.mem.putAuthority(before, intent{})
	}
	if err != nil {
		n.log.Warn("failed takeover not cleared away", "branch", id, "line", line, "err", err)
	}
}
