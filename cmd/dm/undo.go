package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

type undoOptions struct {
	*env
	target
	N uint64
}

func newUndoCommand(e *env) *cobra.Command {
	o := &undoOptions{env: e}
	cmd := &cobra.Command{
		Use:   "undo [N]",
		Short: "Reverse the last operation on a dot, or operation N",
		Long: `Reverse the newest operation on a dot that was not undone yet, or the one that "dm op log"
shows with the number N. What the branch had since is kept as a stash, and an undo can be
undone like everything else.`,
		Example: "  dm undo\n  dm op log\n  dm undo 12",
		Args:    args(0, 1, "the number of an operation"),
		RunE: e.timed(func(ctx context.Context, args []string) (err error) {
			o.N = 0
			if len(args) > 0 {
				if o.N, err = strconv.ParseUint(args[0], 10, 64); err != nil || o.N == 0 {
					return usage(`an operation's number is one that "dm op log" shows, and not %q`, args[0])
				}
			}
			return runUndo(ctx, o)
		}),
	}
	o.dotFlag(e, cmd)
	return cmd
}

func runUndo(ctx context.Context, o *undoOptions) error {
	s, dot, _, err := o.reach(ctx, o.target)
	if err != nil {
		return err
	}
	undone, err := s.Undo(ctx, dotmesh.UndoRequest{Dot: dot, N: o.N})
	if err != nil {
		return err
	}
	o.IO.say("Undid operation %d: %s.", undone.Op.N, describe(&undone.Op))
	if undone.Change != nil {
		o.sayChanged(dot, *undone.Change)
	}
	return o.showOnly(undone)
}

// describe says what an operation did, in a few words.
func describe(op *dotmesh.Op) string {
	text := termsafe.Line(string(op.Verb))
	if op.Name != "" {
		text += " of " + string(op.Name)
	}
	if op.Undoes != 0 {
		text += " (of operation " + strconv.FormatUint(op.Undoes, 10) + ")"
	}
	return text
}
