package server

import (
	"context"

	"dotmesh.io/dotmesh"
)

// Checkout implements dotmesh.Service.
func (s *service) Checkout(ctx context.Context, r dotmesh.BranchRequest) (dotmesh.BranchStatus, error) {
	b, err := s.checkout(ctx, r, 0)
	return b, dotmesh.Wrap("server.Checkout", err)
}

func (s *service) checkout(ctx context.Context, r dotmesh.BranchRequest, undoes uint64) (dotmesh.BranchStatus, error) {
	n := s.node
	d, err := s.dot(r.Dot, mayWrite)
	if err != nil {
		return dotmesh.BranchStatus{}, err
	}
	to, err := s.branchOf(d, r.Branch)
	if err != nil {
		return dotmesh.BranchStatus{}, err
	}
	release, err := n.locks.acquire(ctx, d.ID.UUID, d.Current.UUID, to.ID.UUID)
	if err != nil {
		return dotmesh.BranchStatus{}, err
	}
	defer release()
	if err := n.mayChange(ctx); err != nil {
		return dotmesh.BranchStatus{}, err
	}
	if to, err = n.ownBranch(to.ID); err != nil {
		return dotmesh.BranchStatus{}, err
	}
	if d = n.view.dotByID(to.Dot); d.Current == to.ID {
		return n.branchStatus(d, to), nil
	}
	next := *d
	next.Current = to.ID
	op := s.op(d, to, dotmesh.VerbCheckout, r.Request)
	op.Old, op.Before, op.Undoes = dotmesh.Tip{}, d.Current, undoes
	if err := n.repoint(ctx, d, to, next, op); err != nil {
		return dotmesh.BranchStatus{}, err
	}
	return n.branchStatus(&next, n.view.branch(to.ID)), nil
}

// repoint makes to the current branch and moves over to it the volumes of this node that
// follow the dot. It first lets go of every one of them, and puts all of them back if one
// is in use or the registry refuses.
func (n *Node) repoint(ctx context.Context, d *dotmesh.Dot, to *dotmesh.Branch, next dotmesh.Dot, op dotmesh.Op) error {
	from := n.view.branch(d.Current)
	follow := n.followers(d)
	for i, a := range follow {
		err := heldByAny(a)
		if err == nil {
			err = n.cfg.Mounter.Unmount(ctx, n.volumeDir(a.volume.Volume))
		}
		if err != nil {
			n.bindAll(ctx, from, follow[:i])
			return err
		}
	}
	if len(follow) > 0 {
		if err := n.mountBranch(ctx, to.ID, to.Pointer.Line); err != nil {
			n.bindAll(ctx, from, follow)
			return err
		}
	}
	if err := n.sees(ctx)(n.reg.PutDot(ctx, *d, next, op)); err != nil {
		n.bindAll(ctx, from, follow)
		return err
	}
	n.handOver(ctx, from.ID, to, follow)
	return nil
}

func heldByAny(a attachment) error {
	if len(a.Holders) > 0 {
		return heldBy(a.Volume, a.Holders)
	}
	return nil
}

// followers returns this node's attachments that mean the dot's current branch.
func (n *Node) followers(d *dotmesh.Dot) []attachment {
	var all []attachment
	for _, a := range n.attachments(d.Current) {
		if a.volume.follows(d) {
			all = append(all, a)
		}
	}
	return all
}

func (n *Node) bindAll(ctx context.Context, b *dotmesh.Branch, all []attachment) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	for _, a := range all {
		if _, err := n.mountVolume(ctx, b, a.volume.Volume); err != nil {
			n.log.Error("volume not mounted", "volume", a.Volume, "branch", b.ID, "err", err)
		}
	}
}

// handOver mounts the volumes from their new branch and records it. The branch is checked
// out by then, so what fails is logged, and put right by the next Mount or start.
func (n *Node) handOver(ctx context.Context, from dotmesh.BranchID, to *dotmesh.Branch, follow []attachment) {
	if len(follow) == 0 {
		return
	}
	n.bindAll(ctx, to, follow)
	for _, a := range follow {
		moved := *a.Attachment
		moved.Branch = to.ID
		if err := n.putAttachment(ctx, moved); err != nil {
			n.log.Error("volume recorded with its old branch", "volume", a.Volume, "branch", from, "err", err)
		}
	}
	n.stats.watch(to.ID)
	if len(n.attachments(from)) > 0 {
		return
	}
	n.measure(ctx, from, true)
	n.stats.unwatch(from)
	if err := n.cfg.Mounter.Unmount(ctx, n.branchDir(from)); err != nil {
		n.log.Error("branch still mounted", "branch", from, "err", err)
	}
}
