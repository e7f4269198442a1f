package server

import (
	"context"
	"slices"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
	"dotmesh.io/dotmesh/server/plan"
)

// settle finishes or clears away what an earlier run left half done. It runs before calls
// are served, and not at all while the node is frozen: then nothing may be destroyed. What
// cannot be settled is logged and left as it is, for one branch must not keep the others
// from being served.
func (n *Node) settle(ctx context.Context) error {
	if n.mayChangeNow() != nil {
		return nil
	}
	if err := n.settleSteps(ctx, n.settleSwings, n.settleIntents, n.settleSnapshots); err != nil {
		return err
	}
	n.settleMounts(ctx)
	return nil
}

// resettle is settle for a registry that has come back another one than it was: that a
// line is not in it proves nothing, so intents are left alone.
func (n *Node) resettle(ctx context.Context) error {
	if n.mayChangeNow() != nil {
		return nil
	}
	if err := n.settleSteps(ctx, n.settleSwings, n.settleSnapshots); err != nil {
		return err
	}
	n.settleMounts(ctx)
	return nil
}

func (n *Node) settleSteps(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return dotmesh.Wrap("settle what was left half done", err)
		}
		if err := fail.Point("settle.after-step"); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) mayChangeNow() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.frozen
}

// settleSwings finds out how interrupted swings ended, and takes note of what the registry
// says of every branch that this node may write to.
func (n *Node) settleSwings(ctx context.Context) error {
	all, err := load[authority](n.store.KV(), bucketAuthority)
	if err != nil {
		return err
	}
	for _, a := range all {
		if err := n.settleSwing(ctx, a.Branch); err != nil {
			n.log.Error("branch not mounted until its last change is known", "branch", a.Branch, "err", err)
		}
	}
	return ctx.Err()
}

// settleSwing makes the node's note of one branch agree with the registry. Where the note
// says that this node writes to another line, whatever is mounted of that goes first: an
// application must not go on writing where no commit will look.
func (n *Node) settleSwing(ctx context.Context, id dotmesh.BranchID) error {
	release, err := n.locks.acquire(ctx, id.UUID)
	if err != nil {
		return err
	}
	defer release()
	a, ok, err := n.mem.authority(id)
	if err != nil || !ok {
		return err
	}
	if a.Phase == swinging {
		if err := n.askAgain(ctx, a.Branch); err != nil {
			return err
		}
	}
	b := n.view.branch(a.Branch)
	if b == nil {
		return n.forget(ctx, a)
	}
	if b.Pointer.Master != n.ID() || b.Stash != nil {
		return nil
	}
	if a.Phase == mine && a.Line == b.Pointer.Line && a.Epoch == b.Pointer.Epoch {
		return nil
	}
	if a.Line != b.Pointer.Line {
		n.log.Warn("the registry has the branch on another line", "branch", b.ID, "line", a.Line, "registered", b.Pointer.Line)
		if err := n.letGo(ctx, b); err != nil {
			return err
		}
	}
	return n.own(b)
}

// forget drops the note of a branch that is gone, and its line with it. While the line is
// there nothing is forgotten, whatever the registry says.
func (n *Node) forget(ctx context.Context, a authority) error {
	_, err := n.store.Line(ctx, a.Line)
	if dotmesh.KindOf(err) != dotmesh.NotFound {
		return err
	}
	return n.mem.settled(nil, []dotmesh.BranchID{a.Branch})
}

// settleIntents destroys the lines that were forked for something that never happened.
// Only what an intent names is touched.
func (n *Node) settleIntents(ctx context.Context) error {
	all, err := load[intent](n.store.KV(), bucketIntents)
	if err != nil {
		return err
	}
	var lines []dotmesh.LineID
	var branches []dotmesh.BranchID
	for _, i := range all {
		if n.view.line(i.Line) == nil {
			if err := n.store.Destroy(ctx, i.Line); err != nil {
				n.log.Warn("line of an interrupted operation left behind", "line", i.Line, "err", err)
				continue
			}
			n.log.Info("cleared an interrupted operation", "line", i.Line, "branch", i.Branch)
		}
		if n.view.branch(i.Branch) == nil {
			branches = append(branches, i.Branch)
		}
		lines = append(lines, i.Line)
	}
	return n.mem.settled(lines, branches)
}

// settleSnapshots judges the pool's snapshots that the registry does not know.
func (n *Node) settleSnapshots(ctx context.Context) error {
	for info, err := range n.store.Inventory(ctx) {
		if err != nil {
			return err
		}
		line := n.view.line(info.ID)
		if line == nil {
			n.log.Warn("the pool holds a line that the registry does not know; it is left alone", "line", info.ID)
			continue
		}
		if !slices.ContainsFunc(info.Commits, n.strange) {
			continue
		}
		if err := n.settleStrange(ctx, line); err != nil {
			n.log.Error("snapshots not judged", "line", info.ID, "branch", line.Owner, "err", err)
		}
	}
	return ctx.Err()
}

// strange reports whether neither the registry nor a tombstone knows a snapshot.
func (n *Node) strange(have dotmesh.CommitInfo) bool {
	_, known := n.view.lineOf(have.ID)
	return !known && n.view.tombstone(have.ID.UUID) == nil
}

// settleStrange judges the snapshots of a line under its branch's lock, since calls may be
// under way, and from what the pool holds then.
func (n *Node) settleStrange(ctx context.Context, line *dotmesh.Line) error {
	release, err := n.locks.acquire(ctx, line.Owner.UUID)
	if err != nil {
		return err
	}
	defer release()
	b := n.view.branch(line.Owner)
	if b == nil || b.Pointer.Master != n.ID() || n.buried(b) || n.view.dotByID(b.Dot) == nil {
		return nil
	}
	info, err := n.store.Line(ctx, line.ID)
	if err != nil {
		return err
	}
	return n.settleLine(ctx, b, info)
}

// settleLine judges the snapshots of one line. The caller holds its branch's lock. Where
// several could be the tip's successor, it is the newest: the others are commits with a
// lost answer, which a later one has passed.
func (n *Node) settleLine(ctx context.Context, b *dotmesh.Branch, info dotmesh.LineInfo) error {
	var strangers []dotmesh.Commit
	for _, have := range info.Commits {
		if !n.strange(have) {
			continue
		}
		c, err := decodeCommit(have)
		if err != nil {
			return err
		}
		strangers = append(strangers, c)
	}
	for len(strangers) > 0 {
		b, err := n.branchNow(b.ID)
		if err != nil {
			return err
		}
		fates := make([]plan.Fate, len(strangers))
		for i := range strangers {
			if fates[i], err = n.judgeSnapshot(&strangers[i], b); err != nil {
				return err
			}
		}
		next := plan.Next(fates)
		if err := n.carryOut(ctx, fates[next], b, &strangers[next]); err != nil {
			return err
		}
		strangers = slices.Delete(strangers, next, next+1)
	}
	return nil
}

func (n *Node) judgeSnapshot(c *dotmesh.Commit, b *dotmesh.Branch) (plan.Fate, error) {
	condemned, err := n.mem.isCondemned(c.ID)
	if err != nil || condemned {
		return plan.Remove, err
	}
	others := n.view.commits(c.Line)
	for _, t := range n.view.allTombstones() {
		if t.Commit != nil && t.Commit.Line == c.Line {
			others = append(others, *t.Commit)
		}
	}
	return plan.Judge(c, b, others), nil
}

func (n *Node) carryOut(ctx context.Context, fate plan.Fate, b *dotmesh.Branch, c *dotmesh.Commit) error {
	switch fate {
	case plan.Remove:
		n.log.Info("removing a snapshot that was never registered", "commit", c.ID, "line", c.Line)
		if err := n.store.Drop(ctx, c.Line, []dotmesh.CommitID{c.ID}); err != nil {
			return err
		}
		return n.mem.pardon(c.ID)
	case plan.Complete:
		n.log.Info("completing a commit that was cut off", "commit", c.ID, "line", c.Line)
		r := dotmesh.Registration{Branch: b.ID, Expect: b.Pointer, Commit: *c}
		if c.Visible() {
			r.Op = dotmesh.Op{
				Dot: b.Dot, Branch: b.ID, Name: b.Name, Verb: dotmesh.VerbCommit, Old: tipOf(b),
				New: dotmesh.Tip{Line: c.Line, Commit: c.ID}, By: c.Author, Why: "completed after a crash", Time: n.now().UTC(),
			}
		}
		return n.sees(ctx)(n.reg.Register(ctx, r))
	}
	return nil
}
