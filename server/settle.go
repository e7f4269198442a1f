package server

import (
	"context"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
	"dotmesh.io/dotmesh/server/plan"
)

// settle finishes or clears away what an earlier run left half done. It runs before calls
// are served, and not at all while the node is frozen: then nothing may be destroyed.
func (n *Node) settle(ctx context.Context) error {
	if n.mayChangeNow() != nil {
		return nil
	}
	for _, step := range []func(context.Context) error{n.settleSwings, n.settleIntents, n.settleSnapshots} {
		if err := step(ctx); err != nil {
			return dotmesh.Wrap("settle what was left half done", err)
		}
		if err := fail.Point("settle.after-step"); err != nil {
			return err
		}
	}
	n.settleMounts(ctx)
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
		if a.Phase == swinging {
			if err := n.askAgain(ctx, a.Branch); err != nil {
				return err
			}
		}
		b := n.view.branch(a.Branch)
		if b == nil || b.Pointer.Master != n.ID() || b.Stash != nil {
			continue
		}
		if a.Phase == mine && a.Line == b.Pointer.Line && a.Epoch == b.Pointer.Epoch {
			continue
		}
		if err := n.own(b); err != nil {
			return err
		}
	}
	return nil
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
		b := n.view.branch(line.Owner)
		if b == nil || b.Pointer.Master != n.ID() {
			continue
		}
		if err := n.settleLine(ctx, b, info); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) settleLine(ctx context.Context, b *dotmesh.Branch, info dotmesh.LineInfo) error {
	known := map[dotmesh.CommitID]bool{}
	for _, c := range n.view.commits(info.ID) {
		known[c.ID] = true
	}
	for _, have := range info.Commits {
		if known[have.ID] || n.view.tombstone(have.ID.UUID) != nil {
			continue
		}
		c, err := decodeCommit(have)
		if err != nil {
			return err
		}
		fate := plan.Judge(&c, n.view.branch(b.ID), n.view.commits(info.ID))
		if err := n.carryOut(ctx, fate, n.view.branch(b.ID), &c); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) carryOut(ctx context.Context, fate plan.Fate, b *dotmesh.Branch, c *dotmesh.Commit) error {
	switch fate {
	case plan.Remove:
		n.log.Info("removing a snapshot that was never registered", "commit", c.ID, "line", c.Line)
		return n.store.Drop(ctx, c.Line, []dotmesh.CommitID{c.ID})
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
