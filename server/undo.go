package server

import (
	"cmp"
	"context"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/plan"
)

const (
	defaultOps = 50
	maxOps     = 1000
)

// Ops implements dotmesh.Service.
func (s *service) Ops(ctx context.Context, r dotmesh.OpsRequest) ([]dotmesh.Op, error) {
	id, _, err := s.dotOrTomb(r.Dot, maySee)
	if err != nil {
		return nil, err
	}
	limit := min(cmp.Or(max(r.Limit, 0), defaultOps), maxOps)
	ops, err := s.node.reg.Ops(ctx, id, r.Before, limit)
	return ops, dotmesh.Wrap("server.Ops", err)
}

// Undo implements dotmesh.Service.
func (s *service) Undo(ctx context.Context, r dotmesh.UndoRequest) (dotmesh.Undone, error) {
	const op = "server.Undo"
	id, tomb, err := s.dotOrTomb(r.Dot, mayOwn)
	if err != nil {
		return dotmesh.Undone{}, err
	}
	ops, err := s.node.reg.Ops(ctx, id, 0, maxOps)
	if err != nil {
		return dotmesh.Undone{}, dotmesh.Wrap(op, err)
	}
	if before, target := plan.UndoneBy(ops, r.Request); before != nil {
		return dotmesh.Undone{Op: target, Change: s.node.changedBy(before)}, nil
	}
	target, err := plan.Undoable(ops, r.N)
	if tomb != nil {
		target, err = plan.Deletion(ops)
	}
	if err != nil {
		return dotmesh.Undone{}, err
	}
	done := dotmesh.Undone{Op: target}
	if tomb != nil {
		return done, s.undelete(ctx, tomb.ID, target, tomb.Dot.ID, r.Request)
	}
	done.Change, err = s.reverse(ctx, r, target)
	return done, dotmesh.Wrap(op, err)
}

// changedBy describes what an undo did that was done before: nil where no history changed.
func (n *Node) changedBy(o *dotmesh.Op) *dotmesh.Changed {
	b := n.view.branch(o.Branch)
	d := n.view.dotByID(o.Dot)
	if o.Stash.IsZero() || b == nil || d == nil {
		return nil
	}
	return &dotmesh.Changed{Branch: n.branchStatus(d, b), Stash: copied(n.view.branch(o.Stash), copyOfBranch)}
}

// dotOrTomb returns the id of the dot of that name, or if there is none of the newest
// deleted one that can still be brought back, with its tombstone.
func (s *service) dotOrTomb(name dotmesh.DotName, need right) (dotmesh.DotID, *dotmesh.Tombstone, error) {
	d, err := s.dot(name, need)
	if dotmesh.KindOf(err) != dotmesh.NotFound {
		if err != nil {
			return dotmesh.DotID{}, nil, err
		}
		return d.ID, nil, nil
	}
	var newest *dotmesh.Tombstone
	for _, t := range s.node.view.allTombstones() {
		if t.Kind == dotmesh.BuriedDot && t.Dot.Name == name && rightOf(s.who, &t.Dot) >= need {
			newest = t
		}
	}
	if newest == nil {
		return dotmesh.DotID{}, nil, err
	}
	return newest.Dot.ID, newest, nil
}

// reverse does the opposite of an operation on a dot that is there.
func (s *service) reverse(ctx context.Context, r dotmesh.UndoRequest, target dotmesh.Op) (*dotmesh.Changed, error) {
	d, err := s.dot(r.Dot, mayOwn)
	if err != nil {
		return nil, err
	}
	request := dotmesh.BranchRequest{Dot: r.Dot, Request: r.Request}
	switch target.Verb {
	case dotmesh.VerbInit:
		return nil, s.deleteDot(ctx, dotmesh.DeleteDot{Dot: r.Dot, Request: r.Request}, target.N)
	case dotmesh.VerbBranch:
		b := s.node.view.branch(target.Branch)
		if b == nil || s.node.buried(b) {
			return nil, dotmesh.E("server.reverse", dotmesh.NotFound, "branch %s has been deleted since", target.Name)
		}
		request.Branch = b.Name
		return nil, s.deleteBranch(ctx, request, target.N)
	case dotmesh.VerbCheckout:
		b := s.node.view.branch(target.Before)
		if b == nil || s.node.buried(b) {
			return nil, dotmesh.E("server.reverse", dotmesh.NotFound, "the branch that was current before has been deleted; \"dm branch\" shows those that are there")
		}
		request.Branch = b.Name
		_, err := s.checkout(ctx, request, target.N)
		return nil, err
	case dotmesh.VerbDeleteBranch:
		return nil, s.undelete(ctx, target.Branch.UUID, target, d.ID, r.Request)
	case dotmesh.VerbDeleteCommit:
		return nil, s.undelete(ctx, target.Old.Commit.UUID, target, d.ID, r.Request)
	}
	return s.swingBack(ctx, d, target, r.Request)
}

// swingBack forks from the place where history stood before the operation.
func (s *service) swingBack(ctx context.Context, d *dotmesh.Dot, target dotmesh.Op, request dotmesh.UUID) (*dotmesh.Changed, error) {
	branch := s.node.view.branch(target.Branch)
	if branch == nil || s.node.buried(branch) {
		return nil, dotmesh.E("server.swingBack", dotmesh.NotFound, "branch %s has been deleted since; undo that first", target.Name)
	}
	var done dotmesh.Changed
	named := dotmesh.BranchRequest{Dot: d.Name, Branch: branch.Name}
	err := s.change(ctx, named, mayOwn, func(d *dotmesh.Dot, b *dotmesh.Branch) error {
		to, err := s.node.commitAt(ctx, target.Old)
		if err != nil {
			return err
		}
		sw := swing{
			dot: d, branch: b, to: to, op: s.op(d, b, dotmesh.VerbUndo, request), why: dotmesh.StashReset, keep: KeepStash,
			line: dotmesh.LineID{UUID: requestID(request).Derive("line")},
		}
		sw.op.Undoes = target.N
		done, err = s.node.swing(ctx, sw)
		return err
	})
	return &done, err
}

// undelete brings back what a tombstone buried.
func (s *service) undelete(ctx context.Context, tombstone dotmesh.UUID, target dotmesh.Op, dot dotmesh.DotID, request dotmesh.UUID) error {
	if err := s.node.mayChange(ctx); err != nil {
		return err
	}
	release, err := s.node.locks.acquire(ctx, tombstone) // against the garbage collection
	if err != nil {
		return err
	}
	defer release()
	if t := s.node.view.tombstone(tombstone); t != nil && !s.node.now().Before(t.Keep) {
		return dotmesh.E("server.undelete", dotmesh.NotFound, "it was kept until %s and can not be brought back any more", t.Keep.Format(time.DateTime))
	}
	op := dotmesh.Op{
		Dot: dot, Branch: target.Branch, Name: target.Name, Verb: dotmesh.VerbUndo, Undoes: target.N,
		By: s.author(), Time: s.node.now().UTC(), New: target.Old, Request: request,
	}
	return s.node.sees(ctx)(s.node.reg.Unbury(ctx, tombstone, op))
}
