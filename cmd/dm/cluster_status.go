package main

import (
	"bufio"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

// clusterView is what dm cluster status shows.
type clusterView struct {
	Cluster *dotmesh.ClusterStatus `json:"cluster,omitempty"` // nil: it is for administrators
	Nodes   []dotmesh.NodeStatus   `json:"nodes"`
}

func newClusterStatusCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the cluster and its nodes",
		Long: `Show the nodes of the cluster: whether they are in reach, of how many branches each is the
master, how far it is behind with copies, its version, and how full its pool is. A star marks
the one that answers. A "voter" decides with others what the nodes agree on, and one of them
is the "leader".

To administrators it says as well whether changes are possible now, until when certificates
are good, and which tokens a new node could still join with.

With -H there is a line for each node. The fields are, in this order: id, name, alive or out
of reach, version, pool, size, free bytes, addresses, leader or voter if it is one, branches
that it is the master of, commits that it has yet to fetch, age of the oldest of them in
nanoseconds, draining if it is, and when it was last heard from.`,
		Example: "  dm cluster status\n  dm cluster status -o json",
		Args:    args(0, 0, ""),
		RunE:    e.timed(func(ctx context.Context, _ []string) error { return runClusterStatus(ctx, e) }),
	}
	e.scriptingFlag(cmd)
	return cmd
}

func runClusterStatus(ctx context.Context, e *env) error {
	s, err := e.connect()
	if err != nil {
		return err
	}
	view, err := fetchCluster(ctx, s)
	if err != nil {
		return err
	}
	return e.show(view, func() error {
		if e.flags.Scripting {
			for i := range view.Nodes {
				writeNodeFields(e.IO.Out, &view.Nodes[i])
			}
			return nil
		}
		return e.printCluster(view)
	})
}

func fetchCluster(ctx context.Context, s dotmesh.Service) (*clusterView, error) {
	nodes, err := s.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	view := &clusterView{Nodes: nonNil(nodes)}
	cluster, err := s.Cluster(ctx)
	switch {
	case dotmesh.KindOf(err) == dotmesh.Denied:
		return view, nil
	case err != nil:
		return nil, err
	}
	view.Cluster = &cluster
	return view, nil
}

func writeNodeFields(out *bufio.Writer, n *dotmesh.NodeStatus) {
	draining := ""
	if n.Draining {
		draining = "draining"
	}
	fields(out, string(n.ID), string(n.Name), reach(n), n.Version, n.Node.Pool,
		strconv.FormatInt(n.Pool.Size, 10), strconv.FormatInt(n.Pool.Free, 10), strings.Join(n.Addresses, ","),
		vote(n), strconv.Itoa(n.Masters), strconv.Itoa(n.Missing), strconv.FormatInt(int64(n.Behind), 10), draining, rfc3339(n.AsOf))
}

func (e *env) printCluster(view *clusterView) error {
	c := view.Cluster
	if c != nil {
		able := e.IO.paint(green, "changes are possible")
		if !c.Quorum {
			able = e.IO.paint(red, "nothing can be changed now")
		}
		e.IO.Out.WriteString("Cluster " + c.ID.String() + ", " + plural(c.Voters, "voter", "voters") + ": " + able + "\n\n")
	}
	if err := writeNodes(e, view.Nodes); err != nil || c == nil {
		return err
	}
	if err := e.printCertificates(c.Certificates); err != nil {
		return err
	}
	return e.printTokens(c.Tokens)
}

func (e *env) printCertificates(all []dotmesh.Certificate) error {
	if len(all) == 0 {
		return nil
	}
	e.IO.Out.WriteString("\n")
	table := newTable("CERTIFICATE", "GOOD UNTIL", "SHA-256")
	for _, c := range all {
		table.row(c.Name, stamp(c.Expires), c.Fingerprint)
	}
	return table.write(e.IO.Out)
}

func (e *env) printTokens(all []dotmesh.Token) error {
	if len(all) == 0 {
		return nil
	}
	e.IO.Out.WriteString("\n")
	table := newTable("TOKEN", "MADE BY", "GOOD UNTIL", "FOR")
	for i := range all {
		t := &all[i]
		table.row(t.ID.String(), t.By, stamp(t.Expires), tokenFor(t))
	}
	return table.write(e.IO.Out)
}

func writeNodes(e *env, nodes []dotmesh.NodeStatus) error {
	table := newTable("  NODE", "ID", "STATE", "MASTERS", "BEHIND", "VERSION", "SIZE", "FREE", "POOL")
	for i := range nodes {
		n := &nodes[i]
		table.row(star(n.Self)+string(n.Name), string(n.ID), nodeState(n), strconv.Itoa(n.Masters), lag(n.Missing, n.Behind), n.Version,
			size(n.Pool.Size), size(n.Pool.Free), n.Node.Pool)
	}
	return table.write(e.IO.Out)
}

// nodeState says whether a node is in reach, and what it is beside that.
func nodeState(n *dotmesh.NodeStatus) string {
	words := []string{reach(n)}
	if v := vote(n); v != "" {
		words = append(words, v)
	}
	if n.Draining {
		words = append(words, "draining")
	}
	return strings.Join(words, ", ")
}

func reach(n *dotmesh.NodeStatus) string {
	if n.Alive {
		return "alive"
	}
	return "out of reach"
}

func vote(n *dotmesh.NodeStatus) string {
	switch {
	case n.Leader:
		return "leader"
	case n.Voter:
		return "voter"
	}
	return ""
}

// lag says how many commits somebody has yet to fetch, and how old the oldest is.
func lag(missing int, behind time.Duration) string {
	if missing == 0 {
		return "-"
	}
	return plural(missing, "commit", "commits") + ", " + behind.Round(time.Second).String()
}
