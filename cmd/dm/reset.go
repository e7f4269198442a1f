package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type resetOptions struct {
	*env
	target
	Ref     string
	Discard bool
}

func newResetCommand(e *env) *cobra.Command {
	o := &resetOptions{env: e}
	cmd := &cobra.Command{
		Use:   "reset [--discard] COMMIT",
		Short: "Go back to a commit; what is dropped is kept as a stash",
		Long: `Point a branch at the state of a commit: its id or the first 7 characters of it, HEAD,
HEAD^, HEAD~3, or a branch's name for that branch's HEAD.

What that drops, later commits and dirty data, becomes a stash that is kept for 30 days or
as "dm dot set" says, or for one hour with --discard. "dm undo" goes back to where the branch
was. Refused while something uses the branch.

--hard is accepted for scripts made for the original Dotmesh and changes nothing.`,
		Example:           "  dm reset HEAD^\n  dm reset 0b5f7c1\n  dm reset --discard master",
		Args:              args(1, 1, "a commit"),
		ValidArgsFunction: first(e.completeRefs),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Ref = args[0]
			return runReset(ctx, o)
		}),
	}
	cmd.Flags().BoolVar(&o.Discard, "discard", false, "keep what is dropped for one hour only")
	cmd.Flags().Bool("hard", false, "changes nothing")
	o.bothFlags(e, cmd)
	return cmd
}

func runReset(ctx context.Context, o *resetOptions) error {
	if o.Ref == "" {
		return usage("a commit to reset to must be named, such as HEAD^")
	}
	s, err := o.connect()
	if err != nil {
		return err
	}
	return o.change(ctx, o.target, o.Ref, o.Discard, s.Reset)
}

// change makes one change of history and says what became of what it dropped.
func (e *env) change(ctx context.Context, t target, ref string, discard bool,
	do func(context.Context, dotmesh.ResetRequest) (dotmesh.Changed, error),
) error {
	dot, branch, err := e.resolve(ctx, t)
	if err != nil {
		return err
	}
	request := dotmesh.ResetRequest{
		CommitRef: dotmesh.CommitRef{Dot: dot, Branch: branch, Ref: ref},
		Discard:   discard,
	}
	changed, err := do(ctx, request)
	if err != nil {
		return err
	}
	e.sayChanged(dot, changed)
	return e.showOnly(changed)
}

// sayChanged says where a branch is now and where the rest went.
func (e *env) sayChanged(dot dotmesh.DotName, c dotmesh.Changed) {
	e.IO.say("%s@%s is at %s now.", dot, c.Branch.Name, c.Branch.Pointer.Head)
	if c.Stash == nil || c.Stash.Stash == nil {
		return
	}
	kept := "until it is deleted"
	if until := c.Stash.Stash.Expires; !until.IsZero() {
		kept = "until " + stamp(until)
	}
	e.IO.say(`What was dropped is kept as %s %s; "dm undo" goes back.`, c.Stash.Name, kept)
}
