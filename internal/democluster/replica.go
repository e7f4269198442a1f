package democluster

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
)

// maxMissing bounds the commits that a replica is told to lack.
const maxMissing = 100

// lag is a line of which a node does not have all yet.
type lag struct {
	node     *node
	line     *line
	sent     int64 // bytes of the next commit that have arrived
	transfer *transfer
	paused   bool // somebody cancelled the transfer: it goes on with the next commit
}

// keeps reports whether a node is to hold a branch's commits, as its dot's setting says.
func (c *Cluster) keeps(n *node, b *branch) bool {
	setting := b.dot.Replicas
	if n.ID == b.Pointer.Master || setting == "" {
		return true
	}
	count, err := strconv.Atoi(setting)
	if err != nil {
		return slices.Contains(strings.Split(setting, ","), string(n.Name))
	}
	for _, other := range c.nodes { // the master, and the first of the others
		if count--; other.ID == b.Pointer.Master {
			count++
		}
		if other == n {
			return count > 0
		}
	}
	return false
}

// spread notes what replicas have to fetch of a branch. While the cluster is being made
// they have it at once.
func (c *Cluster) spread(b *branch) {
	for _, n := range c.nodes {
		if !c.keeps(n, b) {
			continue
		}
		seq := b.Pointer.Seq
		for l := b.line; l != nil; l, seq = l.above() {
			if l.held[n.number] >= seq {
				continue
			}
			if c.making() {
				l.held[n.number] = seq
				continue
			}
			c.lagging(n, l)
		}
	}
}

// above returns the line that l was forked from, and up to where it is needed.
func (l *line) above() (*line, uint64) {
	if l.origin == nil {
		return nil, 0
	}
	return l.origin.line, l.origin.Seq
}

func (c *Cluster) lagging(n *node, l *line) {
	for _, have := range c.lags {
		if have.node == n && have.line == l {
			have.paused = false
			return
		}
	}
	c.lags = append(c.lags, &lag{node: n, line: l})
}

// dropLags forgets what was to be fetched of a line.
func (c *Cluster) dropLags(l *line) {
	c.lags = slices.DeleteFunc(c.lags, func(have *lag) bool { return have.line == l })
}

// unspread forgets what nodes were to fetch of a dot's branches that are to keep them no more.
func (c *Cluster) unspread(d *dot) {
	c.lags = slices.DeleteFunc(c.lags, func(l *lag) bool {
		if l.line.dot != d || c.keeps(l.node, l.line.owner) || l.paused {
			return false
		}
		if l.transfer != nil {
			c.end(l.transfer, dotmesh.TransferCancelled, "the dot's commits are not to be on "+string(l.node.Name)+" any more")
		}
		return true
	})
}

// next returns the commit that is to be fetched next, or nil.
func (l *lag) next() *commit {
	_, oldest := l.missing()
	return oldest
}

// missing counts the commits that are still to be fetched, and returns the oldest.
func (l *lag) missing() (count int, oldest *commit) {
	for _, m := range slices.Backward(l.line.commits) {
		if m.Seq <= l.line.held[l.node.number] {
			break
		}
		if !m.buried {
			count, oldest = count+1, m
		}
	}
	return count, oldest
}

func (l *lag) bytes() (all int64) {
	for _, m := range slices.Backward(l.line.commits) {
		if m.Seq <= l.line.held[l.node.number] {
			break
		}
		if !m.buried {
			all += m.bytes()
		}
	}
	return all
}

// missing returns the branch's commits that a node does not hold, oldest first, and the age
// of the oldest.
func (c *Cluster) missing(n *node, b *branch) (all []dotmesh.CommitID, behind time.Duration) {
	if n.ID == b.Pointer.Master {
		return nil, 0
	}
	for m := range b.tip.history() {
		if m.on(n) || len(all) == maxMissing {
			break
		}
		all = append(all, m.ID)
		behind = c.time().Sub(m.Time)
	}
	slices.Reverse(all)
	return all, max(behind, 0)
}

// source returns a node that can send a commit to another one, or nil.
func (c *Cluster) source(m *commit, to *node) *node {
	if owner := c.node(m.line.owner.Pointer.Master); owner != to && owner.alive && m.on(owner) {
		return owner
	}
	for _, n := range c.nodes {
		if n != to && n.alive && m.on(n) {
			return n
		}
	}
	return nil
}

// replicate lets every node fetch for some time what it lacks.
func (c *Cluster) replicate(d time.Duration) {
	budget := map[*node]int64{}
	for _, n := range c.nodes {
		if n.alive {
			budget[n] = c.portion(n.rate, d)
		}
	}
	for _, l := range slices.Clone(c.lags) {
		if l.paused || budget[l.node] <= 0 {
			continue
		}
		c.fetch(l, d, budget)
	}
	c.lags = slices.DeleteFunc(c.lags, func(l *lag) bool { return l.next() == nil })
}

// portion is what flows in some time at about that rate.
func (c *Cluster) portion(rate int64, d time.Duration) int64 {
	return int64(float64(rate) * d.Seconds() * (0.85 + 0.3*c.rng.Float64()))
}

// fetch fetches commits of a lag as far as the node's budget goes. What arrives within one
// step is no transfer; what takes longer is one.
func (c *Cluster) fetch(l *lag, d time.Duration, budget map[*node]int64) {
	var flowed int64
	for m := l.next(); m != nil; m = l.next() {
		from := c.source(m, l.node)
		if from == nil || m.line.origin != nil && !m.line.origin.on(l.node) {
			c.starve(l, m)
			return
		}
		part := min(m.bytes()-l.sent, budget[l.node])
		l.sent, budget[l.node], flowed = l.sent+part, budget[l.node]-part, flowed+part
		if l.sent < m.bytes() {
			c.follow(l, m, from, flowed, d)
			return
		}
		c.arrive(l, m)
	}
	if t := l.transfer; t != nil {
		t.flow(c, flowed, d)
		c.end(t, dotmesh.TransferDone, "")
	}
	c.emitBranch(l.line.owner, false)
}

// arrive records that a node holds a commit now.
func (c *Cluster) arrive(l *lag, m *commit) {
	l.line.held[l.node.number], l.sent = m.Seq, 0
	l.node.other += m.bytes()
	if t := l.transfer; t != nil {
		t.Commits++
	}
}

// follow shows a fetch that goes on as a transfer.
func (c *Cluster) follow(l *lag, m *commit, from *node, flowed int64, d time.Duration) {
	if l.transfer == nil {
		count, _ := l.missing()
		l.transfer = c.newTransfer(transfer{branch: l.line.owner, from: from, to: l.node, lag: l}, dotmesh.Transfer{
			Kind: dotmesh.TransferReplica, Of: count, Size: l.bytes(),
		})
	}
	t := l.transfer
	count, _ := l.missing()
	t.Of, t.Size = t.Commits+count, max(t.Size, t.Sent+l.bytes()-l.sent)
	t.Commit, t.State, t.Reason, t.from, t.From = m.ID, dotmesh.TransferRunning, "", from, string(from.Name)
	t.flow(c, flowed, d)
}

// starve shows that nobody who is alive has what a node lacks.
func (c *Cluster) starve(l *lag, m *commit) {
	if t := l.transfer; t != nil && t.State == dotmesh.TransferRunning {
		c.wait(t, "no node that answers holds commit "+m.ID.String()[:7]+"; it goes on when one is back")
	}
}
