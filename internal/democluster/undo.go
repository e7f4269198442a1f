package democluster

import (
	"cmp"
	"context"
	"slices"
	"time"

	"dotmesh.io/dotmesh"
)

const (
	defaultOps = 50
	maxOps     = 1000
)

// entry begins an entry of an operation log.
func (s *service) entry(b *branch, verb dotmesh.Verb, request dotmesh.UUID) dotmesh.Op {
	op := dotmesh.Op{Verb: verb, By: s.author(), Request: request}
	if b != nil {
		op.Branch, op.Name, op.Old = b.ID, b.Name, tipOf(b)
	}
	return op
}

// note writes an entry into a dot's operation log; b is the branch that it made, if any.
func (c *Cluster) note(d *dot, b *branch, op dotmesh.Op) {
	op.N, op.Dot, op.Time = 1, d.ID, c.time()
	if last := len(d.ops); last > 0 {
		op.N = d.ops[last-1].N + 1
	}
	if b != nil {
		op.Branch, op.Name, op.New = b.ID, b.Name, tipOf(b)
	}
	d.ops = append(d.ops, op)
	if len(d.ops) > 2*maxOps {
		d.ops = slices.Clone(d.ops[len(d.ops)-maxOps:])
	}
}

// doneBefore returns the entry that an earlier try of the same request left, or nil.
func (d *dot) doneBefore(request dotmesh.UUID) *dotmesh.Op {
	if request.IsZero() {
		return nil
	}
	for i := range d.ops {
		if d.ops[i].Request == request {
			return &d.ops[i]
		}
	}
	return nil
}

// Ops implements dotmesh.Service.
func (s *service) Ops(ctx context.Context, r dotmesh.OpsRequest) ([]dotmesh.Op, error) {
	return ask(ctx, s, func() ([]dotmesh.Op, error) {
		d, _, err := s.dotOrTomb(r.Dot, maySee)
		if err != nil {
			return nil, err
		}
		limit := min(cmp.Or(max(r.Limit, 0), defaultOps), maxOps)
		all := []dotmesh.Op{}
		for _, op := range slices.Backward(d.ops) {
			if (r.Before == 0 || op.N < r.Before) && len(all) < limit {
				all = append(all, op)
			}
		}
		return all, nil
	})
}

// Undo implements dotmesh.Service.
func (s *service) Undo(ctx context.Context, r dotmesh.UndoRequest) (dotmesh.Undone, error) {
	return change(ctx, s, func() (dotmesh.Undone, error) {
		d, t, err := s.dotOrTomb(r.Dot, mayOwn)
		if err != nil {
			return dotmesh.Undone{}, err
		}
		if before := d.doneBefore(r.Request); before != nil && before.Undoes > 0 {
			return s.c.undoneBy(d, before), nil
		}
		if t != nil {
			target, err := deletion(d.ops)
			if err != nil {
				return dotmesh.Undone{}, err
			}
			return dotmesh.Undone{Op: target}, s.undelete(t.ID, target, r.Request)
		}
		target, err := undoable(d.ops, r.N)
		if err != nil {
			return dotmesh.Undone{}, err
		}
		done := dotmesh.Undone{Op: target}
		done.Change, err = s.reverse(d, target, r)
		return done, err
	})
}

// undoneBy describes what an undo did that was done before.
func (c *Cluster) undoneBy(d *dot, before *dotmesh.Op) dotmesh.Undone {
	done := dotmesh.Undone{Op: dotmesh.Op{N: before.Undoes}}
	for _, op := range d.ops {
		if op.N == before.Undoes {
			done.Op = op
		}
	}
	if b, stash := c.branches[before.Branch], c.branches[before.Stash]; b != nil && stash != nil {
		done.Change = &dotmesh.Changed{Branch: c.branchStatus(b), Stash: copied(&stash.Branch, copyBranch)}
	}
	return done
}

// undoable returns the entry of an operation log, oldest first, that an undo reverses: the
// newest that neither is an undo nor was undone, or for n > 0 the one numbered n.
func undoable(ops []dotmesh.Op, n uint64) (dotmesh.Op, error) {
	const op = "democluster.Undo"
	undone := map[uint64]bool{}
	for _, o := range slices.Backward(ops) { // an undo that was undone itself has undone nothing
		if o.Undoes > 0 && !undone[o.N] {
			undone[o.Undoes] = true
		}
	}
	for _, o := range slices.Backward(ops) {
		switch {
		case n == 0 && (o.Undoes > 0 || undone[o.N]):
		case n == 0:
			return o, nil
		case o.N == n && undone[n]:
			return o, dotmesh.E(op, dotmesh.Conflict, "operation %d has been undone already; \"dm op log\" shows by which", n)
		case o.N == n && o.Verb == dotmesh.VerbUndo && o.Old.IsZero():
			return o, dotmesh.E(op, dotmesh.Unsupported, "operation %d is an undo that changed no history; repeat what it had undone instead", n)
		case o.N == n:
			return o, nil
		}
	}
	if n > 0 {
		return dotmesh.Op{}, dotmesh.E(op, dotmesh.NotFound, "no operation %d in the log; \"dm op log\" shows it", n)
	}
	return dotmesh.Op{}, dotmesh.E(op, dotmesh.NotFound, "nothing is left to undo; \"dm op log\" shows what was done")
}

// deletion returns the entry by which a dot that is gone was deleted.
func deletion(ops []dotmesh.Op) (dotmesh.Op, error) {
	for _, o := range slices.Backward(ops) {
		if o.Verb == dotmesh.VerbDeleteDot {
			return o, nil
		}
	}
	return dotmesh.Op{}, dotmesh.E("democluster.Undo", dotmesh.NotFound, "the log does not say how the dot was deleted; \"dm op log\" shows it")
}

// tombOf returns the newest deleted dot of a name that can still be brought back, or nil.
func (s *service) tombOf(name dotmesh.DotName, need right) (newest *tomb) {
	for _, t := range s.c.tombs {
		if t.Kind != dotmesh.BuriedDot || t.Dot.Name != name || rightOf(s.who, &t.Dot) < need {
			continue
		}
		if newest == nil || t.serial > newest.serial {
			newest = t
		}
	}
	return newest
}

// dotOrTomb returns the dot of that name, or if there is none the newest deleted one, with
// its tombstone.
func (s *service) dotOrTomb(name dotmesh.DotName, need right) (*dot, *tomb, error) {
	d, err := s.dot(name, need)
	if dotmesh.KindOf(err) != dotmesh.NotFound {
		return d, nil, err
	}
	if t := s.tombOf(name, need); t != nil {
		return t.dot, t, nil
	}
	return nil, nil, err
}

// reverse does the opposite of an operation on a dot that is there.
func (s *service) reverse(d *dot, target dotmesh.Op, r dotmesh.UndoRequest) (*dotmesh.Changed, error) {
	request := dotmesh.BranchRequest{Dot: r.Dot, Request: r.Request}
	switch target.Verb {
	case dotmesh.VerbInit:
		return nil, s.deleteDot(dotmesh.DeleteDot{Dot: r.Dot, Request: r.Request}, target.N)
	case dotmesh.VerbBranch:
		b := d.withID(target.Branch)
		if b == nil {
			return nil, dotmesh.E("democluster.Undo", dotmesh.NotFound, "branch %s has been deleted since", target.Name)
		}
		request.Branch = b.Name
		return nil, s.deleteBranch(request, target.N)
	case dotmesh.VerbCheckout:
		b := d.withID(target.Before)
		if b == nil {
			return nil, dotmesh.E("democluster.Undo", dotmesh.NotFound, "the branch that was current before has been deleted; \"dm branch\" shows those that are there")
		}
		request.Branch = b.Name
		_, err := s.checkout(request, target.N)
		return nil, err
	case dotmesh.VerbDeleteBranch:
		return nil, s.undelete(target.Branch.UUID, target, r.Request)
	case dotmesh.VerbDeleteCommit:
		return nil, s.undelete(target.Old.Commit.UUID, target, r.Request)
	}
	return s.swingBack(d, target, r.Request)
}

func (d *dot) withID(id dotmesh.BranchID) *branch {
	for _, b := range d.branches {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// swingBack forks from the place where history stood before the operation.
func (s *service) swingBack(d *dot, target dotmesh.Op, request dotmesh.UUID) (*dotmesh.Changed, error) {
	b := d.withID(target.Branch)
	if b == nil {
		return nil, dotmesh.E("democluster.Undo", dotmesh.NotFound, "branch %s has been deleted since; undo that first", target.Name)
	}
	if err := s.c.changeable(b); err != nil {
		return nil, err
	}
	to := s.c.commits[target.Old.Commit]
	if to == nil || to.buried {
		return nil, dotmesh.E("democluster.Undo", dotmesh.NotFound, "commit %s is not there any more", target.Old.Commit)
	}
	if master := s.c.node(b.Pointer.Master); !to.on(master) {
		return nil, dotmesh.E("democluster.Undo", dotmesh.Conflict, "node %s does not hold commit %s yet; try again when it does", master.Name, to.ID)
	}
	op := s.entry(b, dotmesh.VerbUndo, request)
	op.Undoes = target.N
	done, err := s.c.swing(swing{branch: b, to: to, op: op, why: dotmesh.StashReset, keep: keepStash, line: s.c.lineFor(request)})
	return &done, err
}

// undelete brings back what a tombstone buried.
func (s *service) undelete(id dotmesh.UUID, target dotmesh.Op, request dotmesh.UUID) error {
	const op = "democluster.Undo"
	t := s.c.tombs[id]
	switch {
	case t == nil:
		return dotmesh.E(op, dotmesh.NotFound, "it was kept for %s and can not be brought back any more", keepDeleted)
	case !s.c.time().Before(t.Keep):
		return dotmesh.E(op, dotmesh.NotFound, "it was kept until %s and can not be brought back any more", t.Keep.Format(time.DateTime))
	}
	if err := s.c.unbury(t); err != nil {
		return err
	}
	delete(s.c.tombs, id)
	s.c.note(t.dot, nil, dotmesh.Op{
		Branch: target.Branch, Name: target.Name, Verb: dotmesh.VerbUndo, Undoes: target.N, By: s.author(), New: target.Old, Request: request,
	})
	return nil
}

// unbury shows again what was buried, if its name is still free.
func (c *Cluster) unbury(t *tomb) error {
	const op = "democluster.Undo"
	switch t.Kind {
	case dotmesh.BuriedDot:
		if c.dotNamed(t.dot.Name) != nil {
			return dotmesh.E(op, dotmesh.Exists, "%s exists already", t.dot.Name)
		}
		c.show(t.dot)
		c.emitDot(t.dot, false)
		for _, b := range t.dot.branches {
			c.emitBranch(b, false)
			c.spread(b)
		}
	case dotmesh.BuriedBranch:
		if t.dot.find(t.branch.Name) != nil {
			return dotmesh.E(op, dotmesh.Exists, "Branch already exists: %s", t.branch.Name)
		}
		t.dot.insert(t.branch)
		t.branch.recount()
		c.emitBranch(t.branch, false)
		c.spread(t.branch)
	case dotmesh.BuriedCommit:
		c.setBuried(t.dot, t.commit, false)
	}
	return nil
}
