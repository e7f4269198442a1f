package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type commitDeleteOptions struct {
	*env
	target
	Ref string
}

func newCommitDeleteCommand(e *env) *cobra.Command {
	o := &commitDeleteOptions{env: e}
	cmd := &cobra.Command{
		Use:   "delete COMMIT",
		Short: "Take one commit out of a branch's history",
		Long: `Take one commit out of a branch's history, to free the space that only it uses. Neither the
newest commit nor one that a branch was made from can go. "dm undo" brings it back until
its retention ends.`,
		Example:           "  dm commit delete HEAD^^\n  dm commit delete 0b5f7c1",
		Args:              args(1, 1, "a commit"),
		ValidArgsFunction: first(e.completeCommits),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Ref = args[0]
			return runCommitDelete(ctx, o)
		}),
	}
	o.bothFlags(e, cmd)
	return cmd
}

func runCommitDelete(ctx context.Context, o *commitDeleteOptions) error {
	if o.Ref == "" {
		return usage("a commit to delete must be named")
	}
	s, dot, branch, err := o.reach(ctx, o.target)
	if err != nil {
		return err
	}
	ref := dotmesh.CommitRef{Dot: dot, Branch: branch, Ref: o.Ref}
	if err := s.DeleteCommit(ctx, ref); err != nil {
		return err
	}
	o.IO.say(`Deleted commit %s; "dm undo" brings it back.`, o.Ref)
	return nil
}
