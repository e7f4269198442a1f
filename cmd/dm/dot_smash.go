package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type dotSmashOptions struct {
	*env
	target
	Server string
	Force  bool
}

func newDotSmashCommand(e *env) *cobra.Command {
	o := &dotSmashOptions{env: e}
	cmd := &cobra.Command{
		Use:   "smash-branch-master [DOT] BRANCH [SERVER]",
		Short: "Make a node a branch's master without the old one's consent",
		Long: `Make a node (by default the one that answers) the master of a branch without the old one's
consent, for when the old one will not come back. It is "dm move --force" with the epoch
read first, after a question that only "Y" answers.

Commits are kept; dirty data that only the old master has are not on the new one. Should the
old one return, its data become a stash.`,
		Example:           "  dm dot smash-branch-master master\n  dm dot smash-branch-master shop master node-2",
		Args:              args(1, 3, "perhaps a dot, a branch, and perhaps a server"),
		ValidArgsFunction: first(e.completeBranches),
		RunE: untimed(func(ctx context.Context, args []string) error {
			if len(args) > 1 {
				o.Dot, args = args[0], args[1:]
			}
			o.Branch = args[0]
			if len(args) > 1 {
				o.Server = args[1]
			}
			return runDotSmash(ctx, o)
		}),
	}
	cmd.Flags().BoolVarP(&o.Force, "force", "f", false, "do not ask")
	o.dotFlag(e, cmd)
	return cmd
}

func runDotSmash(ctx context.Context, o *dotSmashOptions) error {
	s, err := o.connect()
	if err != nil {
		return err
	}
	request, err := o.plan(ctx, s)
	if err != nil {
		return err
	}
	if !o.Force {
		err := o.IO.confirm("Please confirm that %s@%s (epoch %d) really is to have a new master, and that dirty data of the old one may be left behind",
			request.Dot, request.Branch, request.Epoch)
		if err != nil {
			return err
		}
	}
	ctx, cancel := o.deadline(ctx)
	defer cancel()
	return o.takeover(ctx, s, request)
}

// plan reads what the takeover is to be based on.
func (o *dotSmashOptions) plan(ctx context.Context, s dotmesh.Service) (r dotmesh.TakeoverRequest, err error) {
	ctx, cancel := o.deadline(ctx)
	defer cancel()
	if r.Dot, r.Branch, err = o.resolve(ctx, o.target); err != nil {
		return r, err
	}
	now, err := s.Status(ctx, dotmesh.StatusRequest{Dot: r.Dot, Branch: r.Branch})
	if dotmesh.KindOf(err) == dotmesh.NotFound {
		return r, branchNotFound(ctx, s, r.Dot, r.Branch, err)
	}
	if err != nil {
		return r, err
	}
	r.Branch, r.Epoch, r.Tip = now.Name, now.Pointer.Epoch, now.Pointer.Tip
	r.Node, err = findNode(ctx, s, o.Server)
	return r, err
}

// takeover does a forced change of master and says what it did.
func (e *env) takeover(ctx context.Context, s dotmesh.Service, r dotmesh.TakeoverRequest) error {
	changed, err := s.Takeover(ctx, r)
	if err != nil {
		return err
	}
	e.IO.say("%s is the master of %s@%s now, epoch %d.", masterOf(&changed.Branch), r.Dot, changed.Branch.Name, changed.Branch.Pointer.Epoch)
	e.sayChanged(r.Dot, changed)
	return e.showOnly(changed)
}

// findNode returns the id of the node that s names or is the id of; empty stays empty.
func findNode(ctx context.Context, s dotmesh.Service, name string) (dotmesh.NodeID, error) {
	if name == "" {
		return "", nil
	}
	nodes, err := s.Nodes(ctx)
	if err != nil {
		return "", err
	}
	for _, n := range nodes {
		if string(n.Name) == name || string(n.ID) == name {
			return n.ID, nil
		}
	}
	return "", dotmesh.E("find node", dotmesh.NotFound, `there is no node %q; "dm cluster status" shows those there are`, name)
}
