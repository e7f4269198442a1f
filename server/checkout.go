package server

import (
	"context"
	"slices"

	"dotmesh.io/dotmesh"
)

// Checkout implements dotmesh.Service.
func (s *service) Checkout(ctx context.Context, r dotmesh.BranchRequest) (dotmesh.BranchStatus, error) {
	b, err := s.checkout(ctx, r, 0)
	return b, dotmesh.Wrap("server.Checkout", err)
}

func (s *service) checkout(ctx context.Context, r dotmesh.BranchRequest, undoes uint64) (dotmesh.BranchStatus, error) {
	n := s.node
	var d *dotmesh.Dot
	var to *dotmesh.Branch
	release, err := n.locks.acquireFor(ctx, func() (ids []dotmesh.UUID, err error) {
		if d, err = s.dot(r.Dot, mayWrite); err != nil {
			return nil, err
		}
		if to, err = s.branchOf(d, r.Branch); err != nil {
			return nil, err
		}
		ids = []dotmesh.UUID{d.ID.UUID, d.Current.UUID, to.ID.UUID}
		for _, a := range n.followers(d) {
			ids = append(ids, a.Branch.UUID)
		}
		return ids, nil
	})
	if err != nil {
		return dotmesh.BranchStatus{}, err
	}
	defer release()
	if err := n.mayChange(ctx); err != nil {
		return dotmesh.BranchStatus{}, err
	}
	if to, err = n.writable(ctx, to.ID); err != nil {
		return dotmesh.BranchStatus{}, err
	}
	next := *d
	next.Current = to.ID
	if d.Current == to.ID {
		err = n.handOver(ctx, to, n.followers(d)) // an earlier try may have been cut off
	} else {
		op := s.op(d, to, dotmesh.VerbCheckout, r.Request)
		op.Old, op.Before, op.Undoes = dotmesh.Tip{}, d.Current, undoes
		err = n.repoint(ctx, d, to, next, op)
	}
	if err != nil {
		return dotmesh.BranchStatus{}, err
	}
	return n.branchStatus(&next, to), nil
}

// repoint makes to the current branch and moves over to it the volumes of this node that
// follow the dot. It first lets go of every one of them, and puts all of them back if one
// is in use or the registry refuses. If nobody knows what the registry did, they stay
// unmounted until a sweep or their next Mount.
func (n *Node) repoint(ctx context.Context, d *dotmesh.Dot, to *dotmesh.Branch, next dotmesh.Dot, op dotmesh.Op) error {
	follow := n.followers(d)
	err := n.unbindAll(ctx, follow)
	if err == nil && len(follow) > 0 {
		err = n.mountBranch(ctx, to.ID, to.Pointer.Line)
	}
	if err == nil {
		err = n.surely(ctx, func(ctx context.Context) (dotmesh.Cursor, error) { return n.reg.PutDot(ctx, *d, next, op, nil) })
	}
	switch {
	case err == nil:
		return n.handOver(ctx, to, follow)
	case dotmesh.KindOf(err) == dotmesh.Unknown:
		n.Sweep()
	default:
		n.bindAll(ctx, follow)
	}
	return err
}

// unbindAll unmounts volumes up to the first that is in use.
func (n *Node) unbindAll(ctx context.Context, all []attachment) error {
	for _, a := range all {
		if len(a.Holders) > 0 {
			return heldBy(a.Volume, a.Holders)
		}
		if err := n.cfg.Mounter.Unmount(ctx, n.volumeDir(a.volume.Volume)); err != nil {
			return err
		}
	}
	return nil
}

// followers returns this node's attachments that mean the dot's current branch, whichever
// branch they are on now: a Checkout may have been cut off.
func (n *Node) followers(d *dotmesh.Dot) []attachment {
	var all []*dotmesh.Attachment
	for _, a := range n.allAttached() {
		if b := n.view.branch(a.Branch); b != nil && b.Dot == d.ID {
			all = append(all, &a)
		}
	}
	return slices.DeleteFunc(n.parse(all), func(a attachment) bool { return !a.volume.follows(d) })
}

// handOver mounts volumes from their new branch and records it, where that is not so yet.
// The branch is checked out already, so what fails here is not "nothing was done".
func (n *Node) handOver(ctx context.Context, to *dotmesh.Branch, follow []attachment) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	var failed error
	for _, a := range follow {
		if err := n.moveTo(ctx, to, a); err != nil {
			n.log.Error("volume not moved to its new branch", "volume", a.Volume, "branch", to.ID, "err", err)
			failed = err
		}
	}
	if failed == nil {
		return nil
	}
	n.Sweep()
	return &dotmesh.Error{
		Op: "server.handOver", Kind: dotmesh.Unknown, Err: failed,
		Text: "the branch is checked out, but not every volume shows it yet; run the command again",
	}
}

// moveTo makes an attached volume show a branch. One that somebody holds is not taken away
// from where it is.
func (n *Node) moveTo(ctx context.Context, to *dotmesh.Branch, a attachment) error {
	if a.Branch != to.ID && len(a.Holders) > 0 {
		return heldBy(a.Volume, a.Holders)
	}
	return n.attach(ctx, to, a.volume.Volume, a.Attachment, a.Holders)
}
