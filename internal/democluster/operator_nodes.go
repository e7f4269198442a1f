package democluster

import (
	"cmp"
	"fmt"
	"time"

	"dotmesh.io/dotmesh"
)

// joinTasks bring one more node into the cluster.
func (o operator) joinTasks(job dotmesh.Job) ([]task, error) {
	for _, needed := range []string{"address", "token"} {
		if job.Options[needed] == "" {
			return nil, dotmesh.E("democluster.Plan", dotmesh.Invalid, `give the %s of the cluster to join; "dm cluster token" on one of its nodes shows both`, needed)
		}
	}
	name, err := dotmesh.ParseName(cmp.Or(job.Options["name"], "node-4"))
	if err != nil {
		return nil, err
	}
	versions := step("versions", "compare versions and clocks", 600*time.Millisecond, "v1.4.0 here and there", "clocks differ by 3 ms")
	member := step("member", fmt.Sprintf("add %s as a member", name), 2*time.Second, "certificate issued", "member added, without a vote")
	member.check = func(dotmesh.Job) error { return o.joinable(name) }
	member.effect = func() { o.c.join(name) }
	sync := step("sync", "fetch all commits for the first time", time.Second)
	sync.until = func() string { return o.c.toSync(name) }
	return append(installTasks(job), versions, member, sync, step("remote", `save the remote "local"`, 100*time.Millisecond, "127.0.0.1:32607")), nil
}

// joinable says why a node of that name cannot join now, or nil.
func (o operator) joinable(name dotmesh.Name) error {
	switch {
	case o.c.nodeNamed(string(name)) != nil:
		return dotmesh.E("democluster.Run", dotmesh.Exists, "there is a node called %s already; choose another name with --name", name)
	case !o.c.quorum():
		return dotmesh.E("democluster.Run", dotmesh.Unreachable, "the registry has no quorum; nobody can join until more of its nodes are back")
	}
	return nil
}

// join adds a node that holds nothing yet.
func (c *Cluster) join(name dotmesh.Name) {
	number := len(c.nodes)
	n := &node{
		Node: dotmesh.Node{
			ID: c.newNodeID(), Name: name, Addresses: []string{fmt.Sprintf("10.0.0.%d:32607", 11+number)},
			Pool: "zfs:pool", Version: c.nodes[0].Version,
		},
		number: number, alive: true, rtt: 1800 * time.Microsecond, rate: 1200 << 20,
		size: 2048 * gib, other: 2 * gib, expires: c.time().Add(365 * day),
	}
	c.nodes = append(c.nodes, n)
	for _, l := range c.lines {
		l.held = append(l.held, 0)
	}
	c.emitNode(n)
	c.logf(n, "info", "%s joined the cluster", n.Name)
	for _, d := range c.order {
		for _, b := range d.branches {
			c.spread(b)
		}
	}
}

// toSync says how much a node still has to fetch, "" if nothing.
func (c *Cluster) toSync(name dotmesh.Name) string {
	n := c.nodeNamed(string(name))
	lines, bytes := 0, int64(0)
	for _, l := range c.lags {
		if l.node == n && !l.paused {
			lines, bytes = lines+1, bytes+l.bytes()-l.sent
		}
	}
	if lines == 0 {
		return ""
	}
	eta := time.Duration(float64(bytes) / float64(n.rate) * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%d lines and %.1f GB to go, about %s", lines, float64(bytes)/1e9, eta)
}

// upgradeTasks replace the server of one node after the other, the leader's last.
func (o operator) upgradeTasks(job dotmesh.Job) []task {
	version := cmp.Or(job.Options["version"], newest)
	var tasks []task
	for _, leader := range []bool{false, true} {
		for _, n := range o.c.nodes {
			if n.leader == leader {
				tasks = append(tasks, o.upgradeNode(n, version)...)
			}
		}
	}
	return tasks
}

// upgradeNode replaces one node's server. The node that answers calls here is not seen to
// be away: what shows the cluster would have nobody to ask.
func (o operator) upgradeNode(n *node, version string) []task {
	id := func(what string) string { return string(n.Name) + "." + what }
	away := n != o.c.service.at
	gate := step(id("wait"), fmt.Sprintf("wait until the cluster can do without %s", n.Name), 500*time.Millisecond, "quorum without it, no replica behind")
	gate.check = func(dotmesh.Job) error { return o.spared(n) }
	gate.until = o.lagging
	stop := step(id("stop"), fmt.Sprintf("stop the server of %s", n.Name), 2*time.Second, "its branches are released", "stopped")
	stop.check = gate.check
	stop.effect = func() {
		if away {
			o.c.silence(n, true)
		}
	}
	start := step(id("start"), fmt.Sprintf("start %s on %s", version, n.Name), 2*time.Second, "container created", "started")
	start.effect = func() {
		n.Version = version
		if away {
			o.c.silence(n, false)
		}
		o.c.emitNode(n)
	}
	catch := step(id("catch-up"), fmt.Sprintf("wait until %s has caught up", n.Name), time.Second, "ready")
	catch.until = func() string { return o.c.toSync(n.Name) }
	return []task{gate, stop, pull(id("pull"), "dotmesh-server:"+version+" on "+string(n.Name), 6*time.Second), start, catch}
}

// spared says why the cluster cannot do without a node now, or nil.
func (o operator) spared(n *node) error {
	for _, other := range o.c.nodes {
		if other != n && !other.alive && other.voter {
			return dotmesh.E("democluster.Run", dotmesh.Unreachable, "%s does not answer: without %s there would be no quorum; run it again when it is back", other.Name, n.Name)
		}
	}
	return nil
}

// lagging says how many commits replicas still have to fetch, "" if none.
func (o operator) lagging() string {
	all := 0
	for _, l := range o.c.lags {
		if count, _ := l.missing(); !l.paused && l.node.alive {
			all += count
		}
	}
	if all == 0 {
		return ""
	}
	return fmt.Sprintf("%d commits to go", all)
}
