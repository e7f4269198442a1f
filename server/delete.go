package server

import (
	"context"

	"dotmesh.io/dotmesh"
)

// DeleteDot implements dotmesh.Service.
func (s *service) DeleteDot(ctx context.Context, r dotmesh.DeleteDot) error {
	return dotmesh.Wrap("server.DeleteDot", s.deleteDot(ctx, r, 0))
}

func (s *service) deleteDot(ctx context.Context, r dotmesh.DeleteDot, undoes uint64) error {
	n := s.node
	var d *dotmesh.Dot
	release, err := n.locks.acquireFor(ctx, func() (ids []dotmesh.UUID, err error) {
		if d, err = s.dot(r.Dot, mayOwn); err != nil {
			return nil, err
		}
		ids = []dotmesh.UUID{d.ID.UUID}
		for _, b := range n.view.branchesOf(d.ID) {
			ids = append(ids, b.ID.UUID)
		}
		return ids, nil
	})
	if dotmesh.KindOf(err) == dotmesh.NotFound && s.deletedBefore(ctx, r) {
		return nil
	}
	if err != nil {
		return err
	}
	defer release()
	if err := n.mayChange(ctx); err != nil {
		return err
	}
	burial := s.burial(dotmesh.BuriedDot, d.ID.UUID, d)
	burial.Op = s.op(d, nil, dotmesh.VerbDeleteDot, r.Request)
	burial.Op.Undoes = undoes
	return n.bury(ctx, burial, n.view.branchesOf(d.ID))
}

// bury closes branches and registers the burial that covers them. If it fails, they are
// mounted as before.
func (n *Node) bury(ctx context.Context, burial dotmesh.Burial, branches []*dotmesh.Branch) (err error) {
	var closed []*dotmesh.Branch
	defer func() {
		for _, b := range closed {
			n.reopen(ctx, b, err)
		}
	}()
	for _, b := range branches {
		if b, err = n.closeBranch(ctx, b); err != nil {
			return err
		}
		closed = append(closed, b)
		cover(&burial, b)
		if burial.Tombstone.Kind == dotmesh.BuriedBranch {
			burial.Tombstone.Branch, burial.Op.Old = b, tipOf(b)
		}
	}
	return n.surely(ctx, func(ctx context.Context) (dotmesh.Cursor, error) { return n.reg.Bury(ctx, burial) })
}

// deletedBefore reports whether an earlier try of the same request deleted the dot.
func (s *service) deletedBefore(ctx context.Context, r dotmesh.DeleteDot) bool {
	id, tomb, err := s.dotOrTomb(r.Dot, mayOwn)
	if err != nil || tomb == nil {
		return false
	}
	before, _ := s.node.doneBefore(ctx, id, r.Request) // a log that cannot be read proves nothing
	return before != nil
}

// DeleteBranch implements dotmesh.Service.
func (s *service) DeleteBranch(ctx context.Context, r dotmesh.BranchRequest) error {
	return dotmesh.Wrap("server.DeleteBranch", s.deleteBranch(ctx, r, 0))
}

func (s *service) deleteBranch(ctx context.Context, r dotmesh.BranchRequest, undoes uint64) error {
	const op = "server.deleteBranch"
	n := s.node
	if r.Branch == "" {
		return dotmesh.E(op, dotmesh.Invalid, "name the branch to delete; \"dm branch\" shows them")
	}
	var d *dotmesh.Dot
	var b *dotmesh.Branch
	release, err := n.locks.acquireFor(ctx, func() (ids []dotmesh.UUID, err error) {
		if d, err = s.dot(r.Dot, mayOwn); err != nil {
			return nil, err
		}
		if b, err = s.branchOf(d, r.Branch); err != nil {
			return nil, err
		}
		return []dotmesh.UUID{d.ID.UUID, b.ID.UUID}, nil
	})
	if err != nil && d != nil && b == nil {
		if before, _ := n.doneBefore(ctx, d.ID, r.Request); before != nil {
			return nil // a log that cannot be read proves nothing
		}
	}
	if err != nil {
		return err
	}
	defer release()
	if err := n.mayChange(ctx); err != nil {
		return err
	}
	switch {
	case b.ID.UUID == d.ID.UUID:
		return dotmesh.E(op, dotmesh.Conflict, "the master branch goes only with its dot; \"dm dot delete %s\" deletes both", d.Name)
	case b.ID == d.Current:
		return dotmesh.E(op, dotmesh.Conflict, "%s is the current branch; check out another one first", b.Name)
	}
	burial := s.burial(dotmesh.BuriedBranch, b.ID.UUID, d)
	burial.Op = s.op(d, b, dotmesh.VerbDeleteBranch, r.Request)
	burial.Op.Undoes = undoes
	return n.bury(ctx, burial, []*dotmesh.Branch{b})
}

func (s *service) burial(kind dotmesh.TombstoneKind, id dotmesh.UUID, d *dotmesh.Dot) dotmesh.Burial {
	now := s.node.now().UTC().Round(0)
	return dotmesh.Burial{
		Tombstone: dotmesh.Tombstone{ID: id, Kind: kind, Dot: *d, By: s.author(), At: now, Keep: now.Add(KeepDeleted)},
		Expect:    map[dotmesh.BranchID]dotmesh.Pointer{},
	}
}

func cover(burial *dotmesh.Burial, b *dotmesh.Branch) {
	burial.Expect[b.ID] = b.Pointer
	c := dotmesh.Cover{Line: b.Pointer.Line, Commit: b.Pointer.Tip, Chain: b.Pointer.Chain}
	burial.Tombstone.Covers = append(burial.Tombstone.Covers, c)
}

// closeBranch lets go of a branch and commits its dirty data, so that what is deleted is
// exactly what the registry says. A stash was closed when it became one. The caller calls
// reopen with the result.
func (n *Node) closeBranch(ctx context.Context, b *dotmesh.Branch) (*dotmesh.Branch, error) {
	if b.Stash != nil {
		return b, nil
	}
	b, err := n.writable(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	if err := n.letGo(ctx, b); err != nil {
		return nil, err
	}
	closed, err := n.closing(ctx, b, "data that no commit held before the deletion")
	if err != nil {
		n.takeUp(ctx, b)
		return nil, err
	}
	return closed, nil
}

// reopen mounts a branch again whose deletion failed with cause, and forgets the
// attachments of one that was deleted. Where nobody knows, nothing is mounted until a
// sweep or the next Mount.
func (n *Node) reopen(ctx context.Context, b *dotmesh.Branch, cause error) {
	switch {
	case b.Stash != nil:
		return
	case dotmesh.KindOf(cause) == dotmesh.Unknown:
		n.Sweep()
		return
	case cause != nil:
		n.takeUp(ctx, b)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	for _, a := range n.attachments(b.ID) {
		if err := n.detach(ctx, a.Attachment, a.volume.Volume); err != nil {
			n.log.Warn("attachment of a deleted branch left to the next sweep", "volume", a.Volume, "err", err)
		}
	}
}

// DeleteCommit implements dotmesh.Service.
func (s *service) DeleteCommit(ctx context.Context, r dotmesh.CommitRef) error {
	request := dotmesh.BranchRequest{Dot: r.Dot, Branch: r.Branch}
	return dotmesh.Wrap("server.DeleteCommit", s.change(ctx, request, mayOwn, func(d *dotmesh.Dot, b *dotmesh.Branch) error {
		if before, err := s.node.doneBefore(ctx, d.ID, r.Request); before != nil || err != nil {
			return err
		}
		c, err := s.commitOf(ctx, d, b, r.Ref)
		if err != nil {
			return err
		}
		burial, err := s.burialOfCommit(ctx, d, &c)
		if err != nil {
			return err
		}
		burial.Op = s.op(d, b, dotmesh.VerbDeleteCommit, r.Request)
		burial.Op.Old = dotmesh.Tip{Line: c.Line, Commit: c.ID}
		return s.node.sees(ctx)(s.node.reg.Bury(ctx, burial))
	}))
}

// burialOfCommit decides what deleting a commit changes: the count of every branch in
// whose history it is, and the head where it was that.
func (s *service) burialOfCommit(ctx context.Context, d *dotmesh.Dot, c *dotmesh.Commit) (dotmesh.Burial, error) {
	burial := s.burial(dotmesh.BuriedCommit, c.ID.UUID, d)
	burial.Tombstone.Commit = c
	burial.Tombstone.Covers = []dotmesh.Cover{{Line: c.Line, Commit: c.ID, Chain: c.Chain}}
	burial.Next = map[dotmesh.BranchID]dotmesh.Pointer{}
	if line := s.node.view.line(c.Line); line == nil || line.Forked(c.ID) {
		return burial, dotmesh.E("server.burialOfCommit", dotmesh.Conflict, "a branch or stash was made from commit %s, so it must stay", c.ID)
	}
	for _, b := range s.node.view.branchesOf(d.ID) {
		if b.Pointer.Tip == c.ID {
			return burial, dotmesh.E("server.burialOfCommit", dotmesh.Conflict, "commit %s is the newest one of %s; reset that branch first", c.ID, b.Name)
		}
		next, found, err := s.node.without(ctx, b, c)
		if err != nil {
			return burial, err
		}
		if found {
			burial.Expect[b.ID], burial.Next[b.ID] = b.Pointer, next
		}
	}
	return burial, nil
}

// without returns the branch's pointer as it is when commit c is no longer in its history,
// and whether c is in it at all.
func (n *Node) without(ctx context.Context, b *dotmesh.Branch, c *dotmesh.Commit) (dotmesh.Pointer, bool, error) {
	p, found := b.Pointer, false
	var head dotmesh.CommitID
	for past, err := range n.history(ctx, tipOf(b)) {
		if err != nil {
			return p, false, err
		}
		if past.ID == c.ID {
			found = true
		} else if past.Visible() && head.IsZero() {
			head = past.ID
		}
		if found && !head.IsZero() {
			break
		}
	}
	if found && c.Visible() {
		p.Head, p.Count = head, p.Count-1
	}
	return p, found, nil
}
