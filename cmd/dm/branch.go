package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type branchOptions struct {
	*env
	target
	Delete  bool
	Stashes bool
	Name    string
	Commit  string
}

func newBranchCommand(e *env) *cobra.Command {
	o := &branchOptions{env: e}
	cmd := &cobra.Command{
		Use:   "branch [[-d] NAME [COMMIT]]",
		Short: "List the branches of a dot, make one, or delete one",
		Long: `List the branches of a dot; a star marks the current one.

With a name it makes a branch, from HEAD of the current branch or from COMMIT, and the
current branch stays what it is; "dm checkout -b" makes one and checks it out. No data is
copied.

--stashes lists the stashes instead: branches that keep what a reset, a discard or an undo
dropped, or what an old master wrote after it had lost a branch. A stash can be read,
compared, and branched from.

-d deletes a branch or a stash; "dm undo" brings it back until its retention ends. The
branch master goes only with its dot.

With -H the fields are, in this order: name, id, HEAD, id of the master, and for a stash the
reason and until when it is kept.`,
		Example: `  dm branch
  dm branch yesterday HEAD^^
  dm branch --dot shop --stashes
  dm branch -d try-migration`,
		Args: func(cmd *cobra.Command, given []string) error {
			switch {
			case o.Delete && o.Stashes:
				return usage("-d and --stashes cannot both be had; a stash is deleted like a branch")
			case o.Delete:
				return args(1, 1, "the name of a branch")(cmd, given)
			case o.Stashes && len(given) > 0:
				return usage("--stashes lists all stashes of the dot and takes no name")
			}
			return args(0, 2, "the name of the new branch, and perhaps a commit")(cmd, given)
		},
		ValidArgsFunction: each(e.completeBranches, e.completeRefs),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			if len(args) == 0 {
				return runBranchList(ctx, o)
			}
			o.Name = args[0]
			if o.Delete {
				return runBranchDelete(ctx, o)
			}
			o.Commit = strings.Join(args[1:], "")
			return runBranchCreate(ctx, o)
		}),
	}
	cmd.Flags().BoolVarP(&o.Delete, "delete", "d", false, "delete the branch or stash")
	cmd.Flags().BoolVar(&o.Stashes, "stashes", false, "list the stashes")
	e.scriptingFlag(cmd)
	o.dotFlag(e, cmd)
	return cmd
}

func runBranchList(ctx context.Context, o *branchOptions) error {
	s, dot, _, err := o.reach(ctx, o.target)
	if err != nil {
		return err
	}
	detail, err := s.Dot(ctx, dot)
	if err != nil {
		return err
	}
	branches := slices.DeleteFunc(detail.All, func(b dotmesh.BranchStatus) bool { return (b.Stash != nil) != o.Stashes })
	slices.SortFunc(branches, func(a, b dotmesh.BranchStatus) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return o.show(nonNil(branches), func() error {
		switch {
		case o.flags.Scripting:
			branchScripting(o, branches)
		case o.Stashes:
			return stashText(o, branches)
		default:
			for _, b := range branches {
				o.IO.Out.WriteString(star(b.Current) + string(b.Name) + "\n")
			}
		}
		return nil
	})
}

// branchScripting prints name, id, HEAD, master and, for a stash, its reason and expiry.
func branchScripting(o *branchOptions, branches []dotmesh.BranchStatus) {
	for _, b := range branches {
		values := []string{string(b.Name), b.ID.String(), b.Pointer.Head.String(), string(b.Pointer.Master)}
		if b.Stash != nil {
			values = append(values, string(b.Stash.Reason), rfc3339(b.Stash.Expires))
		}
		fields(o.IO.Out, values...)
	}
}

func stashText(o *branchOptions, stashes []dotmesh.BranchStatus) error {
	if len(stashes) == 0 {
		o.IO.say("No stashes.")
		return nil
	}
	table := newTable("STASH", "REASON", "SERVER", "COMMITS", "MADE", "KEPT UNTIL")
	for _, b := range stashes {
		expires := "deleted"
		if !b.Stash.Expires.IsZero() {
			expires = stamp(b.Stash.Expires)
		}
		table.row(string(b.Name), string(b.Stash.Reason), masterOf(&b), count(b.Pointer.Count), stamp(b.Stash.At), expires)
	}
	return table.write(o.IO.Out)
}

func runBranchCreate(ctx context.Context, o *branchOptions) error {
	s, dot, name, err := o.reach(ctx, target{Dot: o.Dot, Branch: o.Name})
	if err != nil {
		return err
	}
	made, err := createBranch(ctx, s, dot, name, o.Commit)
	if err != nil {
		return err
	}
	return o.showOnly(made)
}

func runBranchDelete(ctx context.Context, o *branchOptions) error {
	s, dot, name, err := o.reach(ctx, target{Dot: o.Dot, Branch: o.Name})
	if err != nil {
		return err
	}
	err = s.DeleteBranch(ctx, dotmesh.BranchRequest{Dot: dot, Branch: name})
	if dotmesh.KindOf(err) == dotmesh.NotFound {
		return branchNotFound(ctx, s, dot, name, err)
	}
	if err != nil {
		return err
	}
	o.IO.say(`Deleted branch %s of %s; "dm undo" brings it back.`, name, dot)
	return nil
}

// branchNotFound tells a missing branch from a missing dot.
func branchNotFound(ctx context.Context, s dotmesh.Service, dot dotmesh.DotName, branch dotmesh.Name, err error) error {
	if _, derr := s.Dot(ctx, dot); derr != nil {
		return err
	}
	return dotmesh.E("dm", dotmesh.NotFound, `Branch does not exist: %s; "dm branch" shows those of %s`, branch, dot)
}
