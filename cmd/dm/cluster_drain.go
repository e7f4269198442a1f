package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type clusterDrainOptions struct {
	*env
	Node string
	Stop bool
}

func newClusterDrainCommand(e *env) *cobra.Command {
	o := &clusterDrainOptions{env: e}
	cmd := &cobra.Command{
		Use:   "drain NODE",
		Short: "Move every branch away from a node",
		Long: `Move every branch that a node is the master of to other nodes, and keep new ones away from it,
before it is switched off or removed. The command prints the transfers and does not wait for
them: "dm transfers --watch" follows them. A branch that is in use waits until it no longer is.

--stop lets the node take branches again. What has moved does not come back by itself.

With -H the fields are those of "dm transfers -H".` + notYet("Moving branches to another node"),
		Example:           "  dm cluster drain node-2\n  dm cluster drain node-2 --stop",
		Args:              args(1, 1, "the name or id of a node"),
		ValidArgsFunction: first(e.completeNodes),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Node = args[0]
			return runClusterDrain(ctx, o)
		}),
	}
	cmd.Flags().BoolVar(&o.Stop, "stop", false, "let the node take branches again")
	e.scriptingFlag(cmd)
	return cmd
}

func runClusterDrain(ctx context.Context, o *clusterDrainOptions) error {
	s, err := o.connect()
	if err != nil {
		return err
	}
	transfers, err := s.Drain(ctx, dotmesh.DrainRequest{Node: o.Node, Stop: o.Stop})
	if err != nil {
		return err
	}
	switch n := len(transfers); {
	case o.Stop:
		o.IO.say("Node %s takes branches again.", o.Node)
	case n == 0:
		o.IO.say("Node %s is the master of no branch, and gets no new ones.", o.Node)
	default:
		o.IO.say(`%s to leave node %s; "dm transfers --watch" follows them.`, plural(n, "branch is", "branches are"), o.Node)
	}
	return o.showTransfers(transfers)
}
