package democluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"dotmesh.io/dotmesh"
)

// The steps of a move.
const (
	stepBegin   = "begin"
	stepRelease = "release"
	stepReceive = "receive"
	stepTake    = "take"
)

// maxDrains is how many branches leave a node that is drained at the same time.
const maxDrains = 4

// Move implements dotmesh.Service.
func (s *service) Move(ctx context.Context, r dotmesh.MoveRequest) (dotmesh.Transfer, error) {
	return change(ctx, s, func() (dotmesh.Transfer, error) {
		b, err := s.branch(r.Dot, r.Branch, mayOwn)
		if err != nil {
			return dotmesh.Transfer{}, err
		}
		to, err := s.c.findNode(r.Node)
		if err != nil {
			return dotmesh.Transfer{}, err
		}
		id := s.c.requestID(r.Request).Derive("move")
		if before := s.c.transferBy(id); before != nil {
			return before.Transfer, nil
		}
		if err := s.c.movable(b, to); err != nil {
			return dotmesh.Transfer{}, err
		}
		t := s.c.newTransfer(transfer{branch: b, from: s.c.node(b.Pointer.Master), to: to}, dotmesh.Transfer{ID: id, Kind: dotmesh.TransferMove, Step: stepBegin})
		s.c.beginMove(t)
		return t.Transfer, nil
	})
}

func (c *Cluster) transferBy(id dotmesh.UUID) *transfer {
	for _, t := range c.transfers {
		if t.ID == id {
			return t
		}
	}
	return nil
}

// movable says why a branch cannot go to a node now, or nil.
func (c *Cluster) movable(b *branch, to *node) error {
	const op = "democluster.Move"
	switch {
	case b.Stash != nil:
		return dotmesh.E(op, dotmesh.Conflict, "%s is a stash, which stays where it is; make a branch from it and move that", b.Name)
	case b.Pointer.Master == to.ID:
		return dotmesh.E(op, dotmesh.Conflict, "%s is the master of %s@%s already", to.Name, b.dot.Name, b.Name)
	}
	if err := c.changeable(b); err != nil {
		return err
	}
	switch free := c.usage(to); {
	case !to.alive:
		return dotmesh.E(op, dotmesh.Unreachable, "node %s does not answer; nothing was done, choose another one or try again when it is back", to.Name)
	case to.draining:
		return dotmesh.E(op, dotmesh.Conflict, "node %s is being drained; choose another one, or stop that with \"dm cluster drain --stop %s\"", to.Name, to.Name)
	case c.lacks(b, to) > free.Free-free.Reserve:
		return dotmesh.E(op, dotmesh.NoSpace, "the pool of node %s has too little space for %s", to.Name, b.dot.Name)
	}
	return c.inUse(b)
}

// lacks returns how many bytes of a branch a node does not hold.
func (c *Cluster) lacks(b *branch, n *node) (bytes int64) {
	for m := range b.tip.history() {
		if m.on(n) {
			break
		}
		bytes += m.bytes()
	}
	return bytes
}

// beginMove asks the master to hand the branch over.
func (c *Cluster) beginMove(t *transfer) {
	b := t.branch
	t.from, t.From = c.node(b.Pointer.Master), string(c.node(b.Pointer.Master).Name)
	t.drain, t.Step, t.State, t.Reason, t.left = false, stepBegin, dotmesh.TransferRunning, "", stepTime
	b.Pointer.State = dotmesh.State{Phase: dotmesh.Moving, To: t.to.ID, Move: t.ID, Deadline: time.Minute}
	c.emitBranch(b, false)
	c.emitTransfer(t)
}

// abort gives the branch back to its master, if the move has begun.
func (c *Cluster) abort(t *transfer) {
	b := t.branch
	if t.Kind != dotmesh.TransferMove || b.Pointer.State.Move != t.ID {
		return
	}
	b.Pointer.State = dotmesh.State{Phase: dotmesh.Held}
	b.Pointer.Epoch++
	c.emitBranch(b, false)
	for l := b.line; l != nil; l, _ = l.above() {
		c.lags = slices.DeleteFunc(c.lags, func(have *lag) bool { return have.node == t.to && have.line == l && have.transfer == nil })
	}
	c.spread(b)
}

// stepMove lets a move go on.
func (c *Cluster) stepMove(t *transfer, d time.Duration, going map[*node]int) {
	if t.drain {
		c.turnToGo(t, going)
		return
	}
	if reason := c.stuck(t); reason != "" {
		c.wait(t, reason)
		return
	}
	if t.State == dotmesh.TransferWaiting {
		t.State, t.Reason = dotmesh.TransferRunning, ""
		c.emitTransfer(t)
	}
	if t.Step == stepReceive {
		c.receive(t, d)
		return
	}
	if t.left -= d; t.left > 0 {
		return
	}
	switch t.Step {
	case stepBegin:
		c.next(t, stepRelease)
	case stepRelease:
		c.release(t)
	case stepTake:
		c.take(t)
	}
}

// stuck says what a move waits for, "" for nothing.
func (c *Cluster) stuck(t *transfer) string {
	asksSource := t.Step == stepBegin || t.Step == stepRelease
	switch err := c.inUse(t.branch); {
	case asksSource && !t.from.alive:
		return fmt.Sprintf("%s, the master, does not answer; it goes on when that is back", t.from.Name)
	case !t.to.alive:
		return fmt.Sprintf("%s does not answer; it goes on when that is back", t.to.Name)
	case asksSource && err != nil:
		return dotmesh.Text(err)
	}
	return ""
}

func (c *Cluster) next(t *transfer, step string) {
	t.Step, t.left, t.Updated = step, stepTime, c.time()
	c.emitTransfer(t)
}

// release makes the master let go: what no commit holds becomes one, and nobody writes any
// more.
func (c *Cluster) release(t *transfer) {
	b := t.branch
	c.close(b, fmt.Sprintf("data that no commit held before the move to %s", t.to.Name))
	b.used = nil
	b.Pointer.State = dotmesh.State{Phase: dotmesh.Released, To: t.to.ID, Move: t.ID, Commit: b.tip.ID, GUID: b.tip.GUID}
	c.emitBranch(b, false)
	t.Of, t.Size = len(c.toReceive(t)), c.lacks(b, t.to)
	c.next(t, stepReceive)
}

// toReceive returns the commits that the target lacks, oldest first.
func (c *Cluster) toReceive(t *transfer) (all []*commit) {
	for m := range t.branch.tip.history() {
		if m.on(t.to) {
			break
		}
		all = append(all, m)
	}
	slices.Reverse(all)
	return all
}

// receive lets commits flow to the target. The next replica of the same node does not fetch
// them a second time.
func (c *Cluster) receive(t *transfer, d time.Duration) {
	todo := c.toReceive(t)
	t.Of = t.Commits + len(todo)
	budget := c.portion(t.to.rate, d)
	for _, m := range todo {
		if c.source(m, t.to) == nil {
			c.wait(t, fmt.Sprintf("no node that answers holds commit %s; it goes on when one is back", m.ID.String()[:7]))
			return
		}
		l := c.lagOf(t.to, m.line)
		part := min(m.bytes()-l.sent, budget)
		l.sent, budget = l.sent+part, budget-part
		t.Commit = m.ID
		t.flow(c, part, d)
		if l.sent < m.bytes() {
			return
		}
		c.arrive(l, m)
		t.Commits++
	}
	t.Sent = t.Size
	c.next(t, stepTake)
}

// lagOf returns what a node lacks of a line, and keeps it from being fetched by itself.
func (c *Cluster) lagOf(n *node, l *line) *lag {
	for _, have := range c.lags {
		if have.node == n && have.line == l {
			have.paused = true
			return have
		}
	}
	made := &lag{node: n, line: l, paused: true}
	c.lags = append(c.lags, made)
	return made
}

// take makes the target the master.
func (c *Cluster) take(t *transfer) {
	b := t.branch
	b.Pointer.Master, b.Pointer.Epoch, b.Pointer.State = t.to.ID, b.Pointer.Epoch+1, dotmesh.State{Phase: dotmesh.Held}
	b.line.held[t.to.number] = b.Pointer.Seq
	c.measure(b)
	c.end(t, dotmesh.TransferDone, "")
	c.emitBranch(b, false)
	c.emitStats(b)
	c.emitNode(t.from)
	c.emitNode(t.to)
	c.logf(t.to, "info", "%s is the master of %s of %s now", t.to.Name, b.Name, b.dot.Name)
	c.spread(b)
}

// stall notes that a node fell silent: it comes before anything that waits for it.
func (c *Cluster) stall(n *node) {
	for _, t := range c.transfers {
		if t.State == dotmesh.TransferRunning && (t.from == n || t.to == n) && t.Kind != dotmesh.TransferMove {
			c.wait(t, fmt.Sprintf("%s does not answer; it goes on when that is back", n.Name))
		}
	}
}

// comeBack lets nodes that are heard from again commit what they still had of branches that
// were taken over meanwhile.
func (c *Cluster) comeBack() {
	lost := c.lost
	c.lost = nil
	for _, stash := range lost {
		c.settle(c.node(stash.Pointer.Master), stash)
	}
}

// settle commits what an old master had in no commit when a branch was taken from it, once
// that node is heard from.
func (c *Cluster) settle(n *node, stash *branch) {
	if stash.data == stash.tip.data || c.gone(stash) {
		return
	}
	if !n.alive {
		c.lost = append(c.lost, stash)
		return
	}
	c.commit(stash, dotmesh.Commit{
		ID: dotmesh.CommitID{UUID: c.newID()}, Kind: dotmesh.SystemCommit, Author: "system",
		Message: "data that no commit held when the branch was taken over",
	}, dotmesh.Op{})
	c.logf(n, "warn", "what %s had in no commit when %s was taken over is kept in %s", n.Name, stash.dot.Name, stash.Name)
}

// Drain implements dotmesh.Service.
func (s *service) Drain(ctx context.Context, r dotmesh.DrainRequest) ([]dotmesh.Transfer, error) {
	return change(ctx, s, func() ([]dotmesh.Transfer, error) {
		if err := s.adminOnly(); err != nil {
			return nil, err
		}
		n, err := s.c.findNode(r.Node)
		if err != nil {
			return nil, err
		}
		if r.Stop {
			return s.stopDrain(n), nil
		}
		if err := s.c.reachable(n, "its branches"); err != nil {
			return nil, err
		}
		if s.c.roomiest(n, nil) == nil {
			return nil, dotmesh.E("democluster.Drain", dotmesh.Conflict, "no other node can take the branches of %s", n.Name)
		}
		return s.c.drain(n), nil
	})
}

// stopDrain lets a node take branches again. Those that have not left yet stay.
func (s *service) stopDrain(n *node) []dotmesh.Transfer {
	stopped := []dotmesh.Transfer{}
	if n.draining {
		n.draining = false
		s.c.emitNode(n)
	}
	for _, t := range s.c.transfers {
		if t.drain && t.from == n && !t.State.Ended() {
			s.c.end(t, dotmesh.TransferCancelled, "the draining was stopped by "+s.author())
			stopped = append(stopped, t.Transfer)
		}
	}
	return stopped
}

// drain makes a transfer of every branch of a node that none moves away yet, and returns
// all of them.
func (c *Cluster) drain(n *node) []dotmesh.Transfer {
	if !n.draining {
		n.draining = true
		c.emitNode(n)
		c.logf(n, "info", "%s gives its branches away", n.Name)
	}
	leaving := c.leaving(n)
	given, going := map[*node]int64{}, c.going()
	all := []dotmesh.Transfer{}
	for _, d := range c.order {
		for _, b := range d.branches {
			if b.Stash != nil || b.Pointer.Master != n.ID {
				continue
			}
			t := leaving[b.ID]
			if t == nil {
				to := c.roomiest(n, given)
				given[to] += max(b.data.bytes(), 1)
				t = c.newTransfer(transfer{branch: b, from: n, to: to, drain: true}, dotmesh.Transfer{
					Kind: dotmesh.TransferMove, State: dotmesh.TransferWaiting, Reason: "it waits for its turn",
				})
				c.turnToGo(t, going)
			}
			all = append(all, t.Transfer)
		}
	}
	return all
}

// leaving returns the moves that take branches away from a node.
func (c *Cluster) leaving(n *node) map[dotmesh.BranchID]*transfer {
	all := map[dotmesh.BranchID]*transfer{}
	for _, t := range c.transfers {
		if t.Kind == dotmesh.TransferMove && t.from == n && !t.State.Ended() {
			all[t.BranchID] = t
		}
	}
	return all
}

// roomiest returns the node other than n that can take most, counting what it was given
// already; nil if there is none.
func (c *Cluster) roomiest(n *node, given map[*node]int64) (best *node) {
	for _, other := range c.nodes {
		if other == n || !other.alive || other.draining {
			continue
		}
		if best == nil || c.usage(other).Free-given[other] > c.usage(best).Free-given[best] {
			best = other
		}
	}
	return best
}

// going counts the moves that are under way from each node.
func (c *Cluster) going() map[*node]int {
	all := map[*node]int{}
	for _, t := range c.transfers {
		if t.Kind == dotmesh.TransferMove && !t.drain && !t.State.Ended() {
			all[t.from]++
		}
	}
	return all
}

// turnToGo begins a move of a drain if not too many others are going and the branch can go.
func (c *Cluster) turnToGo(t *transfer, going map[*node]int) {
	if going[t.from] >= maxDrains {
		c.wait(t, "it waits for its turn")
		return
	}
	if t.branch.Pointer.Master != t.from.ID {
		c.end(t, dotmesh.TransferCancelled, "it has left "+t.From+" already")
		return
	}
	if !t.to.alive || t.to.draining {
		if to := c.roomiest(t.from, nil); to != nil {
			t.to, t.To = to, string(to.Name)
		}
	}
	if err := c.movable(t.branch, t.to); err != nil {
		c.wait(t, dotmesh.Text(err))
		return
	}
	going[t.from]++
	c.beginMove(t)
}
