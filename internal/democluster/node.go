package democluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"dotmesh.io/dotmesh"
)

const gib = 1 << 30

// node is one machine of the cluster. Its place in Cluster.nodes is its number, by which
// lines know who holds them.
type node struct {
	dotmesh.Node
	number   int
	alive    bool
	voter    bool
	leader   bool
	draining bool
	heard    time.Time // not alive: when it was last heard from
	rtt      time.Duration
	rate     int64 // bytes a second that it can receive
	size     int64 // of its pool
	other    int64 // bytes in its pool that no dot of ours accounts for
	expires  time.Time
}

// makeNodes makes three nodes that joined one after the other.
func (c *Cluster) makeNodes(now time.Time) {
	for i, size := range []int64{1024 * gib, 1024 * gib, 768 * gib} {
		c.nodes = append(c.nodes, &node{
			Node: dotmesh.Node{
				ID: c.newNodeID(), Name: dotmesh.Name(fmt.Sprintf("node-%d", i+1)),
				Addresses: []string{fmt.Sprintf("10.0.0.%d:32607", 11+i)},
				Pool:      []string{"zfs:pool", "zfs:pool", "btrfs-file:/var/lib/dotmesh/pool"}[i],
				Version:   []string{"v1.4.0", "v1.4.0", "v1.3.9"}[i],
			},
			number: i, alive: true, voter: true, leader: i == 0,
			rtt: []time.Duration{0, 2100 * time.Microsecond, 3400 * time.Microsecond}[i], rate: []int64{64 << 20, 48 << 20, 40 << 20}[i],
			size: size, other: int64(240+20*i) * gib, expires: now.Add(time.Duration(340-47*i) * 24 * time.Hour),
		})
	}
}

// nodeNamed returns the node of that name or id, or nil.
func (c *Cluster) nodeNamed(name string) *node {
	for _, n := range c.nodes {
		if string(n.Name) == name || string(n.ID) == name {
			return n
		}
	}
	return nil
}

// node returns the node with that id. Ids of nodes in records are always some node's.
func (c *Cluster) node(id dotmesh.NodeID) *node { return c.nodeNamed(string(id)) }

// findNode is nodeNamed for names that a caller gave.
func (c *Cluster) findNode(name string) (*node, error) {
	if n := c.nodeNamed(name); n != nil {
		return n, nil
	}
	return nil, dotmesh.E("democluster.findNode", dotmesh.NotFound, `there is no node %q; "dm cluster status" shows those there are`, name)
}

func (c *Cluster) voters() (all, alive int) {
	for _, n := range c.nodes {
		if n.voter {
			all++
			if n.alive {
				alive++
			}
		}
	}
	return all, alive
}

// quorum reports whether the registry can be changed.
func (c *Cluster) quorum() bool {
	all, alive := c.voters()
	return alive > all/2
}

// Silence makes a node fall silent: it neither answers nor sends anything, and what it
// masters cannot be changed. With false it is back. It is [dotmesh.NotFound] for a node that
// there is not. Calls to a node that is silent itself fail.
func (c *Cluster) Silence(name dotmesh.Name, silent bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.findNode(string(name))
	if err != nil {
		return err
	}
	if c.life.quiet == n {
		c.life.quiet = nil // it does not come back by itself any more
	}
	c.silence(n, silent)
	return nil
}

func (c *Cluster) silence(n *node, silent bool) {
	if n.alive != silent {
		return
	}
	n.alive = !silent
	if silent {
		n.heard = c.time()
	}
	c.emitNode(n)
	c.elect()
	if silent {
		c.logf(c.witness(), "warn", "%s does not answer", n.Name)
		c.stall(n)
	} else {
		c.logf(n, "info", "%s is back after %s", n.Name, c.time().Sub(n.heard).Round(time.Second))
		c.comeBack()
	}
	c.feed.wake()
}

// witness returns the first node that is alive, or node-1.
func (c *Cluster) witness() *node {
	for _, n := range c.nodes {
		if n.alive {
			return n
		}
	}
	return c.nodes[0]
}

// elect gives the registry a leader that is alive, if there can be one.
func (c *Cluster) elect() {
	var next *node
	for _, n := range c.nodes {
		if n.leader && n.alive && c.quorum() {
			return
		}
		if next == nil && n.voter && n.alive && c.quorum() {
			next = n
		}
	}
	for _, n := range c.nodes {
		n.leader = n == next
	}
	if next != nil {
		c.emitNode(next)
		c.logf(next, "info", "%s leads the registry now", next.Name)
	}
}

// Nodes implements dotmesh.Service.
func (s *service) Nodes(ctx context.Context) ([]dotmesh.NodeStatus, error) {
	return ask(ctx, s, func() ([]dotmesh.NodeStatus, error) {
		masters := s.c.masters()
		all := []dotmesh.NodeStatus{}
		for _, n := range s.c.nodes {
			all = append(all, s.nodeStatus(n, masters[n.ID]))
		}
		return all, nil
	})
}

func (s *service) nodeStatus(n *node, masters int) dotmesh.NodeStatus {
	c := s.c
	status := dotmesh.NodeStatus{
		Node: copyNode(n.Node), Alive: n.alive, Self: n == s.at, Voter: n.voter, Leader: n.leader, Draining: n.draining,
		Masters: masters, RTT: max(n.rtt-s.at.rtt, s.at.rtt-n.rtt), AsOf: n.heard, Pool: c.usage(n),
	}
	if n.alive {
		status.AsOf = c.time()
	} else {
		status.RTT = 0
	}
	for _, l := range c.lags {
		if l.node != n || !c.keeps(n, l.line.owner) {
			continue
		}
		missing, oldest := l.missing()
		status.Missing += missing
		if oldest != nil {
			status.Behind = max(status.Behind, c.time().Sub(oldest.Time))
		}
	}
	return status
}

// masters counts the branches that each node is the master of, without stashes.
func (c *Cluster) masters() map[dotmesh.NodeID]int {
	all := map[dotmesh.NodeID]int{}
	for _, d := range c.order {
		for _, b := range d.branches {
			if b.Stash == nil {
				all[b.Pointer.Master]++
			}
		}
	}
	return all
}

func (c *Cluster) usage(n *node) dotmesh.PoolUsage {
	return dotmesh.PoolUsage{Size: n.size, Free: max(n.size-n.other, 0), Reserve: n.size / 20}
}

// Cluster implements dotmesh.Service.
func (s *service) Cluster(ctx context.Context) (dotmesh.ClusterStatus, error) {
	return ask(ctx, s, func() (dotmesh.ClusterStatus, error) {
		if err := s.adminOnly(); err != nil {
			return dotmesh.ClusterStatus{}, err
		}
		c := s.c
		voters, _ := c.voters()
		status := dotmesh.ClusterStatus{Cluster: c.record, Voters: voters, Quorum: c.quorum(), Tokens: c.usableTokens()}
		status.Certificates = append(status.Certificates, c.certificate("authority", c.record.Created.Add(10*365*24*time.Hour)))
		for _, n := range c.nodes {
			status.Certificates = append(status.Certificates, c.certificate(string(n.Name), n.expires))
		}
		return status, nil
	})
}

func (c *Cluster) certificate(name string, expires time.Time) dotmesh.Certificate {
	sum := sha256.Sum256([]byte(c.record.ID.String() + name))
	return dotmesh.Certificate{Name: name, Fingerprint: hex.EncodeToString(sum[:]), Expires: expires}
}
