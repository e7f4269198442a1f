package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type moveOptions struct {
	*env
	Volume string
	Node   string
	Force  bool
	Epoch  int64 // negative: not given
	Commit string
}

func newMoveCommand(e *env) *cobra.Command {
	o := &moveOptions{env: e}
	cmd := &cobra.Command{
		Use:   "move DOT[@BRANCH] NODE",
		Short: "Make another node a branch's master",
		Long: `Make another node the master of a branch. The command prints the id of the transfer and does
not wait for it: "dm transfers --watch" follows it, and "dm transfers cancel" ends it, until
the other node has taken the branch. Refused while something uses the branch.

--force takes it over without the old master's consent, for when that will not come back.
--epoch must be the epoch that "dm status" shows, so that nothing that happened since is
overruled. Where the new master lacks the newest commit, --commit names an older one that
it holds. Commits are kept; dirty data that only the old master has are not on the new one.` + notYet("Moving a branch without --force"),
		Example: `  dm move shop node-2
  dm move shop@staging node-2 --force --epoch 4`,
		Args:              args(2, 2, "a dot and a node"),
		ValidArgsFunction: each(e.completeDots, e.completeNodes),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Volume, o.Node = args[0], args[1]
			return runMove(ctx, o)
		}),
	}
	cmd.Flags().BoolVar(&o.Force, "force", false, "without the old master's consent")
	cmd.Flags().Int64Var(&o.Epoch, "epoch", -1, "the branch's epoch as you saw it (needed with --force)")
	cmd.Flags().StringVar(&o.Commit, "commit", "", "an older commit to go on from, by its id")
	return cmd
}

func runMove(ctx context.Context, o *moveOptions) error {
	v, err := o.check()
	if err != nil {
		return err
	}
	s, err := o.connect()
	if err != nil {
		return err
	}
	if !o.Force {
		return o.move(ctx, s, v)
	}
	request, err := o.request(v)
	if err != nil {
		return err
	}
	if request.Node, err = findNode(ctx, s, o.Node); err != nil {
		return err
	}
	return o.takeover(ctx, s, request)
}

// check returns the branch that the arguments name, if they make sense.
func (o *moveOptions) check() (v dotmesh.Volume, err error) {
	if v, err = dotmesh.ParseVolume(o.Volume); err != nil {
		return v, err
	}
	switch {
	case v.Subdot != dotmesh.DefaultSubdot:
		return v, usage("a whole branch moves, and not the subdot %q of it", v.Subdot)
	case o.Force && o.Epoch < 0:
		return v, usage(`--force needs --epoch, as "dm status" shows it`)
	case !o.Force && (o.Epoch >= 0 || o.Commit != ""):
		return v, usage("--epoch and --commit are for --force")
	}
	return v, nil
}

// move begins a move with the old master's consent.
func (o *moveOptions) move(ctx context.Context, s dotmesh.Service, v dotmesh.Volume) error {
	t, err := s.Move(ctx, dotmesh.MoveRequest{Dot: v.Dot, Branch: v.Branch, Node: o.Node})
	if err != nil {
		return err
	}
	o.IO.say(`Moving %s@%s from %s to %s; "dm transfers --watch" follows it.`, t.Dot, t.Branch, t.From, t.To)
	return o.show(t, func() error {
		o.IO.Out.WriteString(t.ID.String() + "\n")
		return nil
	})
}

// request is what the arguments ask for by force, but for the node, which only the server
// knows.
func (o *moveOptions) request(v dotmesh.Volume) (r dotmesh.TakeoverRequest, err error) {
	r = dotmesh.TakeoverRequest{Dot: v.Dot, Branch: v.Branch, Epoch: uint64(o.Epoch)}
	if o.Commit != "" {
		r.Commit, err = dotmesh.ParseCommitID(o.Commit)
	}
	return r, err
}

func (e *env) completeNodes(cmd *cobra.Command, _ []string, _ string) (completions, cobra.ShellCompDirective) {
	return e.ask(cmd, func(ctx context.Context, s dotmesh.Service) (found completions) {
		nodes, err := s.Nodes(ctx)
		if err != nil {
			return nil
		}
		for _, n := range nodes {
			found = append(found, string(n.Name))
		}
		return found
	})
}
