package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type dotForkOptions struct {
	*env
	target
	Name   string
	Commit string
}

func newDotForkCommand(e *env) *cobra.Command {
	o := &dotForkOptions{env: e}
	cmd := &cobra.Command{
		Use:   "fork NAME [COMMIT]",
		Short: "Make a dot out of a commit of another one",
		Long: `Make a dot of your own out of HEAD of the current branch or out of COMMIT, with all history
before it. Data are copied: nothing that is done to either dot changes the other. A branch,
which copies none, does where that is not needed.` + notYet("Making a dot out of another one"),
		Example:           "  dm dot fork shop-trial\n  dm dot fork --dot alice/shop shop HEAD^",
		Args:              args(1, 2, "the name of the new dot, and perhaps a commit"),
		ValidArgsFunction: each(cobra.NoFileCompletions, e.completeRefs),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Name, o.Commit = args[0], strings.Join(args[1:], "")
			return runDotFork(ctx, o)
		}),
	}
	o.dotFlag(e, cmd)
	return cmd
}

func runDotFork(ctx context.Context, o *dotForkOptions) error {
	name, err := dotmesh.ParseDotName(o.Name)
	if err != nil {
		return err
	}
	s, dot, _, err := o.reach(ctx, o.target)
	if err != nil {
		return err
	}
	made, err := s.ForkDot(ctx, dotmesh.ForkDot{From: dotmesh.CommitRef{Dot: dot, Ref: o.Commit}, Dot: name})
	if err != nil {
		return err
	}
	o.IO.say("Made %s out of commit %s of %s.", made.Name, made.Origin.Commit, dot)
	return o.showOnly(made)
}
