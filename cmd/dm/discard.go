package main

import (
	"context"

	"github.com/spf13/cobra"
)

type discardOptions struct {
	*env
	target
	Discard bool
}

func newDiscardCommand(e *env) *cobra.Command {
	o := &discardOptions{env: e}
	cmd := &cobra.Command{
		Use:   "discard",
		Short: "Drop what is in no commit; it is kept as a stash",
		Long: `Point a branch at the state of its newest commit. The dirty data that this drops become a
stash that is kept for 30 days or as "dm dot set" says, or for one hour with --discard.
"dm undo" brings them back. Refused while something uses the branch.`,
		Example: "  dm discard\n  dm discard --dot shop --branch try-migration",
		Args:    args(0, 0, ""),
		RunE:    e.timed(func(ctx context.Context, _ []string) error { return runDiscard(ctx, o) }),
	}
	cmd.Flags().BoolVar(&o.Discard, "discard", false, "keep what is dropped for one hour only")
	o.bothFlags(e, cmd)
	return cmd
}

func runDiscard(ctx context.Context, o *discardOptions) error {
	s, err := o.connect()
	if err != nil {
		return err
	}
	return o.change(ctx, o.target, "", o.Discard, s.Discard)
}
