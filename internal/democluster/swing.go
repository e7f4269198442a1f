package democluster

import (
	"context"
	"fmt"
	"time"

	"dotmesh.io/dotmesh"
)

// swing is one change of a branch's history: from whatever it holds now to a commit.
type swing struct {
	branch *branch
	to     *commit
	op     dotmesh.Op
	why    dotmesh.StashReason
	keep   time.Duration // how long the stash is kept; 0: until it is deleted
	line   dotmesh.LineID
	master *node // nil: it stays
}

// Reset implements dotmesh.Service.
func (s *service) Reset(ctx context.Context, r dotmesh.ResetRequest) (dotmesh.Changed, error) {
	return change(ctx, s, func() (dotmesh.Changed, error) { return s.reset(r, dotmesh.VerbReset) })
}

// Discard implements dotmesh.Service.
func (s *service) Discard(ctx context.Context, r dotmesh.ResetRequest) (dotmesh.Changed, error) {
	r.Ref = "HEAD"
	return change(ctx, s, func() (dotmesh.Changed, error) { return s.reset(r, dotmesh.VerbDiscard) })
}

func (s *service) reset(r dotmesh.ResetRequest, verb dotmesh.Verb) (dotmesh.Changed, error) {
	b, err := s.writable(r.Dot, r.Branch, mayOwn)
	if err != nil {
		return dotmesh.Changed{}, err
	}
	if done := s.c.swungBefore(b, r.Request); done != nil {
		return *done, nil
	}
	to, err := commitOf(b, r.Ref)
	if err != nil {
		return dotmesh.Changed{}, err
	}
	sw := swing{branch: b, to: to, op: s.entry(b, verb, r.Request), why: dotmesh.StashReset, keep: keepStash, line: s.c.lineFor(r.Request)}
	if r.Discard {
		sw.keep = keepDiscarded
	} else if b.dot.Expires > 0 {
		sw.keep = b.dot.Expires
	}
	return s.c.swing(sw)
}

// lineFor returns the id of the line that a request forks.
func (c *Cluster) lineFor(request dotmesh.UUID) dotmesh.LineID {
	return dotmesh.LineID{UUID: c.requestID(request).Derive("line")}
}

// swungBefore returns what an earlier try of the same request did to the branch, or nil.
func (c *Cluster) swungBefore(b *branch, request dotmesh.UUID) *dotmesh.Changed {
	if request.IsZero() || c.lines[c.lineFor(request)] == nil {
		return nil
	}
	done := dotmesh.Changed{Branch: c.branchStatus(b)}
	if stash := c.branches[dotmesh.BranchID{UUID: c.lineFor(request).Derive("stash")}]; stash != nil {
		done.Stash = copied(&stash.Branch, copyBranch)
	}
	return &done
}

// swing points the branch at a new line forked from a commit. A branch that holds nothing
// beyond that commit is left as it is.
func (c *Cluster) swing(sw swing) (dotmesh.Changed, error) {
	b := sw.branch
	if b.tip == sw.to && b.data == sw.to.data {
		return dotmesh.Changed{Branch: c.branchStatus(b)}, nil
	}
	if err := c.inUse(b); err != nil {
		return dotmesh.Changed{}, err
	}
	c.close(b, fmt.Sprintf("data that no commit held before the %s", sw.op.Verb))
	stash := c.turn(sw)
	return dotmesh.Changed{Branch: c.branchStatus(b), Stash: copied(&stash.Branch, copyBranch)}, nil
}

// turn is the transaction: the branch gets the new line, and the stash the old one with all
// that is on it.
func (c *Cluster) turn(sw swing) *branch {
	b := sw.branch
	stash := c.newStash(sw)
	sw.op.Old, sw.op.New, sw.op.Stash = tipOf(b), dotmesh.Tip{Line: sw.line, Commit: sw.to.ID}, stash.ID
	master := b.Pointer.Master
	if sw.master != nil {
		master = sw.master.ID
	}
	b.point(c.newLine(b.dot, sw.line, sw.to), sw.to, master, b.Pointer.Epoch+1)
	b.dot.insert(stash)
	c.note(b.dot, nil, sw.op)
	c.measure(b)
	c.emitBranch(stash, false)
	c.emitBranch(b, false)
	c.emitStats(b)
	c.spread(b)
	return stash
}

// newStash returns the stash that owns what the branch points at until now.
func (c *Cluster) newStash(sw swing) *branch {
	b, now := sw.branch, c.time()
	stash := &branch{dot: b.dot, line: b.line, tip: b.tip, data: b.tip.data, Branch: dotmesh.Branch{
		ID: dotmesh.BranchID{UUID: sw.line.Derive("stash")}, Dot: b.Dot, Pointer: b.Pointer, Created: now,
		Stash: &dotmesh.Stash{Reason: sw.why, Of: b.ID, Node: b.Pointer.Master, Epoch: b.Pointer.Epoch, At: now},
	}}
	stash.Pointer.State = dotmesh.State{Phase: dotmesh.Held}
	if sw.keep > 0 {
		stash.Stash.Expires = now.Add(sw.keep)
	}
	for try := 1; stash.Name == ""; try++ {
		if name := dotmesh.StashName(b.Name, sw.why, now, try); b.dot.find(name) == nil {
			stash.Name = name
		}
	}
	stash.line.owner, stash.line.Owner = stash, stash.ID
	stash.dirty = dotmesh.Bytes{AsOf: now, Exact: true}
	c.branches[stash.ID] = stash
	return stash
}

// Takeover implements dotmesh.Service.
func (s *service) Takeover(ctx context.Context, r dotmesh.TakeoverRequest) (dotmesh.Changed, error) {
	return change(ctx, s, func() (dotmesh.Changed, error) {
		if err := s.adminOnly(); err != nil {
			return dotmesh.Changed{}, err
		}
		b, err := s.branch(r.Dot, r.Branch, mayAll)
		if err != nil {
			return dotmesh.Changed{}, err
		}
		if done := s.c.swungBefore(b, r.Request); done != nil {
			return *done, nil
		}
		n := s.at
		if r.Node != "" {
			if n, err = s.c.findNode(string(r.Node)); err != nil {
				return dotmesh.Changed{}, err
			}
		}
		to, err := s.c.checkTakeover(b, n, r)
		if err != nil {
			return dotmesh.Changed{}, err
		}
		return s.c.takeOver(swing{
			branch: b, to: to, line: s.c.lineFor(r.Request), why: dotmesh.StashDiverged, master: n,
			op: s.entry(b, dotmesh.VerbTakeover, r.Request),
		}), nil
	})
}

// checkTakeover refuses what would not be what the administrator was shown, and returns
// the commit to go on from: one that is registered and that the node holds.
func (c *Cluster) checkTakeover(b *branch, n *node, r dotmesh.TakeoverRequest) (*commit, error) {
	const op = "democluster.Takeover"
	p := b.Pointer
	switch {
	case b.Stash != nil:
		return nil, dotmesh.E(op, dotmesh.Conflict, "%s is a stash, which never changes", b.Name)
	case !n.alive:
		return nil, dotmesh.E(op, dotmesh.Unreachable, "node %s does not answer; take over on one that does", n.Name)
	case p.Master == n.ID && p.State.Phase == dotmesh.Held:
		return nil, dotmesh.E(op, dotmesh.Conflict, "this node is the master of %s already", b.Name)
	case p.Epoch != r.Epoch:
		return nil, dotmesh.E(op, dotmesh.Conflict, "the epoch of %s is %d, not %d; look again before you force anything", b.Name, p.Epoch, r.Epoch)
	case !r.Tip.IsZero() && p.Tip != r.Tip:
		return nil, dotmesh.E(op, dotmesh.Conflict, "the newest commit of %s is %s by now; look again before you force anything", b.Name, p.Tip)
	}
	want := r.Commit
	if want.IsZero() {
		want = p.Tip
	}
	for m := range b.tip.history() {
		switch {
		case m.ID != want:
		case !m.on(n):
			return nil, dotmesh.E(op, dotmesh.Conflict, "this node does not hold commit %s; name an older one with --commit, or ask a node that holds it", want)
		default:
			return m, nil
		}
	}
	return nil, dotmesh.E(op, dotmesh.NotFound, "commit %s is not in the history of %s", want, b.Name)
}

// takeOver makes a node the master on a new line. What the old master has in no commit stays
// on the old one, and is committed there as soon as that node is heard from.
func (c *Cluster) takeOver(sw swing) dotmesh.Changed {
	b := sw.branch
	old, left, dirty := c.node(b.Pointer.Master), b.data, b.dirty
	for _, t := range c.transfers {
		if t.Kind == dotmesh.TransferMove && t.branch == b && !t.State.Ended() {
			c.end(t, dotmesh.TransferFailed, fmt.Sprintf("%s took the branch over; move it again if it is still needed", sw.master.Name))
		}
	}
	c.logf(sw.master, "warn", "%s took over %s of %s from %s, epoch %d, by %s", sw.master.Name, b.Name, b.dot.Name, old.Name, b.Pointer.Epoch, sw.op.By)
	stash := c.turn(sw)
	stash.data, stash.dirty = left, dirty
	b.used = nil // its containers go on at the old master, on the old line
	c.settle(old, stash)
	return dotmesh.Changed{Branch: c.branchStatus(b), Stash: copied(&stash.Branch, copyBranch)}
}
