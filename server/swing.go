package server

import (
	"context"
	"fmt"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
)

// swing is one change of a branch's history: from whatever it holds now to a commit.
type swing struct {
	dot    *dotmesh.Dot
	branch *dotmesh.Branch
	to     dotmesh.Commit
	op     dotmesh.Op
	why    dotmesh.StashReason
	keep   time.Duration // how long the stash is kept; 0: until it is deleted
	line   dotmesh.LineID
}

// Reset implements dotmesh.Service.
func (s *service) Reset(ctx context.Context, r dotmesh.ResetRequest) (dotmesh.Changed, error) {
	return s.reset(ctx, r, dotmesh.VerbReset)
}

// Discard implements dotmesh.Service.
func (s *service) Discard(ctx context.Context, r dotmesh.ResetRequest) (dotmesh.Changed, error) {
	r.Ref = "HEAD"
	return s.reset(ctx, r, dotmesh.VerbDiscard)
}

func (s *service) reset(ctx context.Context, r dotmesh.ResetRequest, verb dotmesh.Verb) (done dotmesh.Changed, err error) {
	request := dotmesh.BranchRequest{Dot: r.Dot, Branch: r.Branch}
	err = s.change(ctx, request, mayOwn, func(d *dotmesh.Dot, b *dotmesh.Branch) error {
		to, err := s.commitOf(ctx, d, b, r.Ref)
		if err != nil {
			return err
		}
		sw := swing{
			dot: d, branch: b, to: to, op: s.op(d, b, verb, r.Request), why: dotmesh.StashReset, keep: KeepStash,
			line: dotmesh.LineID{UUID: requestID(r.Request).Derive("line")},
		}
		if r.Discard {
			sw.keep = KeepDiscarded
		} else if d.Expires > 0 {
			sw.keep = d.Expires
		}
		done, err = s.node.swing(ctx, sw)
		return err
	})
	return done, dotmesh.Wrap("server."+string(verb), err)
}

// swing points the branch at a new line forked from a commit. The caller holds the
// branch's lock. A branch that holds nothing beyond that commit is left as it is.
func (n *Node) swing(ctx context.Context, sw swing) (dotmesh.Changed, error) {
	b := sw.branch
	if b.Pointer.Line == sw.line {
		return n.changed(sw.dot, b), nil // the same request has done it
	}
	if b.Pointer.Tip == sw.to.ID {
		dirty, err := n.dirty(ctx, b)
		if err != nil || dirty == 0 {
			return dotmesh.Changed{Branch: n.branchStatus(sw.dot, b)}, err
		}
	}
	a := authority{Branch: b.ID, Line: b.Pointer.Line, Epoch: b.Pointer.Epoch, Phase: swinging}
	if err := n.mem.putAuthority(a, intent{Line: sw.line, Branch: b.ID}); err != nil {
		return dotmesh.Changed{}, err
	}
	if err := fail.Point("swing.after-intent"); err != nil {
		return dotmesh.Changed{}, err
	}
	stash, err := n.turn(ctx, sw, a)
	n.regain(ctx, b.ID, sw.line, err)
	if err != nil {
		return dotmesh.Changed{}, err
	}
	if err := fail.Point("swing.after-mount"); err != nil {
		return dotmesh.Changed{}, err
	}
	if b, err = n.branchNow(b.ID); err != nil {
		return dotmesh.Changed{}, err
	}
	return dotmesh.Changed{Branch: n.branchStatus(sw.dot, b), Stash: stash}, nil
}

// turn does the work between the two entries in the node's memory, and returns the stash.
func (n *Node) turn(ctx context.Context, sw swing, a authority) (*dotmesh.Branch, error) {
	b := sw.branch
	if err := n.letGo(ctx, b); err != nil {
		return nil, err
	}
	if _, err := n.store.Fence(ctx, b.Pointer.Line, true); err != nil {
		return nil, err
	}
	b, err := n.closing(ctx, b, fmt.Sprintf("data that no commit held before the %s", sw.op.Verb))
	if err != nil {
		return nil, err
	}
	if err := fail.Point("swing.after-closing"); err != nil {
		return nil, err
	}
	s, err := n.plotSwing(ctx, sw, b)
	if err != nil {
		return nil, err
	}
	if err := n.store.Fork(ctx, s.Line.ID, s.Line.Origin); err != nil {
		return nil, err
	}
	if err := fail.Point("swing.after-fork"); err != nil {
		return nil, err
	}
	a.Swing = &s
	if err := n.mem.putAuthority(a, intent{}); err != nil {
		return nil, err
	}
	if err := fail.Point("swing.before-register"); err != nil {
		return nil, err
	}
	if err := n.sees(ctx)(n.reg.Swing(ctx, s)); err != nil {
		return nil, err
	}
	return copied(s.Stash, copyOfBranch), fail.Point("swing.after-register")
}

// plotSwing decides the transaction.
func (n *Node) plotSwing(ctx context.Context, sw swing, b *dotmesh.Branch) (dotmesh.Swinging, error) {
	line := dotmesh.Line{
		ID: sw.line, Dot: b.Dot, Owner: b.ID,
		Origin: dotmesh.Origin{Line: sw.to.Line, Commit: sw.to.ID}, OriginSeq: sw.to.Seq,
	}
	next, err := n.pointerAt(ctx, &line, &sw.to, b.Pointer.Epoch+1)
	if err != nil {
		return dotmesh.Swinging{}, err
	}
	s := dotmesh.Swinging{Branch: b.ID, Expect: b.Pointer, Next: next, Line: line, Op: sw.op}
	s.Stash = n.newStash(b, sw.why, sw.keep, sw.line.Derive("stash"))
	s.Op.Old, s.Op.New, s.Op.Stash = tipOf(b), dotmesh.Tip{Line: line.ID, Commit: sw.to.ID}, s.Stash.ID
	return s, nil
}

// newStash returns the stash that will own what the branch points at now.
func (n *Node) newStash(b *dotmesh.Branch, why dotmesh.StashReason, keep time.Duration, id dotmesh.UUID) *dotmesh.Branch {
	now := n.now().UTC().Round(0)
	stash := &dotmesh.Branch{
		ID: dotmesh.BranchID{UUID: id}, Dot: b.Dot, Pointer: b.Pointer, Created: now,
		Stash: &dotmesh.Stash{Reason: why, Of: b.ID, Node: n.ID(), Epoch: b.Pointer.Epoch, At: now},
	}
	if keep > 0 {
		stash.Stash.Expires = now.Add(keep)
	}
	stash.Name = n.freeStashName(b, why, now)
	return stash
}

func (n *Node) freeStashName(b *dotmesh.Branch, why dotmesh.StashReason, now time.Time) dotmesh.Name {
	for try := 1; ; try++ {
		name := dotmesh.StashName(b.Name, why, now, try)
		if n.view.branchNamed(b.Dot, name) == nil {
			return name
		}
	}
}

// regain makes the branch the node's own again after a swing that ended with cause, on
// whichever line the registry says, and mounts what was mounted. With an unknown outcome
// nothing is mounted until it is known.
func (n *Node) regain(ctx context.Context, id dotmesh.BranchID, line dotmesh.LineID, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	if dotmesh.KindOf(cause) == dotmesh.Unknown {
		if err := n.askAgain(ctx, id); err != nil {
			n.log.Error("branch not mounted until its last change is known", "branch", id, "cause", cause, "err", err)
			return
		}
	}
	b, err := n.branchNow(id)
	if err == nil {
		err = n.own(b)
	}
	if err != nil {
		n.log.Error("branch not mounted", "branch", id, "err", err)
		return
	}
	if fail.Point("swing.after-own") != nil {
		return
	}
	if b.Pointer.Line == line {
		n.stats.clean(id, n.now())
	}
	n.takeUp(ctx, b)
}

// own notes the branch as the node's own, on the line that the registry says.
func (n *Node) own(b *dotmesh.Branch) error {
	return n.mem.own(authority{Branch: b.ID, Line: b.Pointer.Line, Epoch: b.Pointer.Epoch})
}

// finish brings a swing to its end whose outcome is still not known, and mounts the branch
// again. The caller holds the branch's lock. A branch without such a swing is left alone.
func (n *Node) finish(ctx context.Context, id dotmesh.BranchID) error {
	a, ok, err := n.mem.authority(id)
	if err != nil || !ok || a.Phase != swinging {
		return err
	}
	if err := n.askAgain(ctx, id); err != nil {
		return &dotmesh.Error{
			Op: "server.finish", Kind: dotmesh.Unreachable, Err: err,
			Text: "how the branch's last change ended is not known yet; try again when the registry answers",
		}
	}
	b, err := n.branchNow(id)
	if err != nil {
		return err
	}
	if err := n.own(b); err != nil {
		return err
	}
	n.takeUp(ctx, b)
	return nil
}

// askAgain finds out how a swing ended whose answer was lost, by asking for it once more:
// the registry answers the same request the same way.
func (n *Node) askAgain(ctx context.Context, id dotmesh.BranchID) error {
	a, ok, err := n.mem.authority(id)
	if err != nil || !ok || a.Swing == nil {
		return err
	}
	err = n.sees(ctx)(n.reg.Swing(ctx, *a.Swing))
	switch dotmesh.KindOf(err) {
	case dotmesh.Conflict, dotmesh.NotFound, dotmesh.Exists, dotmesh.Invalid:
		return nil // it never happened, and cannot any more
	}
	return err
}

// changed describes what a request did that was done before.
func (n *Node) changed(d *dotmesh.Dot, b *dotmesh.Branch) dotmesh.Changed {
	return dotmesh.Changed{
		Branch: n.branchStatus(d, b),
		Stash:  copied(n.view.branch(dotmesh.BranchID{UUID: b.Pointer.Line.Derive("stash")}), copyOfBranch),
	}
}
