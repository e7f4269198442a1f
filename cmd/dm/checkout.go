package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type checkoutOptions struct {
	*env
	target
	Create bool
	Name   string
	Commit string
}

func newCheckoutCommand(e *env) *cobra.Command {
	o := &checkoutOptions{env: e}
	cmd := &cobra.Command{
		Use:   "checkout [-b] BRANCH [COMMIT]",
		Short: "Make a branch the current one of its dot",
		Long: `Make a branch the current one of its dot: the one that "dm" commands and containers mean
when they name none. What follows the current branch, and is not pinned to one by name, is
pointed at the new branch; either all of it, or on failure nothing.

-b makes the branch first, from HEAD of the current branch or from COMMIT: a commit's id
or the first 7 characters of it, HEAD, HEAD^, HEAD~3, or a branch's name for that branch's
HEAD. No data is copied.`,
		Example: `  dm checkout master
  dm checkout -b try-migration
  dm checkout -b yesterday HEAD^^`,
		Args: func(cmd *cobra.Command, given []string) error {
			if o.Create {
				return args(1, 2, "the name of the new branch, and perhaps a commit")(cmd, given)
			}
			return args(1, 1, "the name of a branch")(cmd, given)
		},
		ValidArgsFunction: each(e.completeBranches, e.completeRefs),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Name = args[0]
			if len(args) > 1 {
				o.Commit = args[1]
			}
			return runCheckout(ctx, o)
		}),
	}
	cmd.Flags().BoolVarP(&o.Create, "branch", "b", false, "make the branch first")
	must(cmd.Flags().SetAnnotation("branch", notFromEnvironment, nil)) // DM_BRANCH names a branch elsewhere
	o.dotFlag(e, cmd)
	return cmd
}

func runCheckout(ctx context.Context, o *checkoutOptions) error {
	s, dot, name, err := o.reach(ctx, target{Dot: o.Dot, Branch: o.Name})
	if err != nil {
		return err
	}
	if o.Create {
		if _, err := createBranch(ctx, s, dot, name, o.Commit); err != nil {
			return err
		}
	}
	now, err := s.Checkout(ctx, dotmesh.BranchRequest{Dot: dot, Branch: name})
	switch {
	case err != nil && o.Create:
		return &dotmesh.Error{
			Op: "dm checkout", Kind: dotmesh.KindOf(err), Err: err,
			Text: "branch " + string(name) + " was made, but it could not be checked out",
		}
	case dotmesh.KindOf(err) == dotmesh.NotFound:
		return branchNotFound(ctx, s, dot, name, err)
	case err != nil:
		return err
	}
	if err := o.noteBranch(ctx, dot, name); err != nil {
		return err
	}
	o.IO.say("%s is on branch %s now.", dot, name)
	return o.showOnly(now)
}

func createBranch(ctx context.Context, s dotmesh.Service, dot dotmesh.DotName, name dotmesh.Name, from string) (dotmesh.BranchStatus, error) {
	made, err := s.CreateBranch(ctx, dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: dot, Ref: from}, Name: name})
	if dotmesh.KindOf(err) == dotmesh.Exists {
		err = dotmesh.E("dm", dotmesh.Exists, "Branch already exists: %s", name)
	}
	return made, err
}

// noteBranch writes the current branch down for clients made for the original.
func (e *env) noteBranch(ctx context.Context, dot dotmesh.DotName, branch dotmesh.Name) error {
	s, err := e.whom()
	if err != nil || !s.remote {
		return err
	}
	return e.updateConfig(ctx, func(c *config) error {
		c.setBranch(s, dot, branch)
		return nil
	})
}
