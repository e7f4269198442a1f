package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

type diffOptions struct {
	*env
	target
	From, To string
}

func newDiffCommand(e *env) *cobra.Command {
	o := &diffOptions{env: e}
	cmd := &cobra.Command{
		Use:   "diff [A [B]]",
		Short: "Show which files differ between two commits",
		Long: `Show which files differ from A to B, by path: "A" added, "M" modified, "D" removed. Without B
it is the data as they are now; without A as well, what has changed since HEAD. Commits are
named as for "dm reset".

With -H the fields are, in this order: added, modified or removed; size in bytes; path.
With -o json there is one object a line.`,
		Example: "  dm diff\n  dm diff HEAD^\n  dm diff master try-migration",
		Args:    args(0, 2, "two commits at most"),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.From, o.To = "", ""
			if len(args) > 0 {
				o.From = args[0]
			}
			if len(args) > 1 {
				o.To = args[1]
			}
			return runDiff(ctx, o)
		}),
		ValidArgsFunction: each(e.completeRefs, e.completeRefs),
	}
	e.scriptingFlag(cmd)
	o.bothFlags(e, cmd)
	return cmd
}

func runDiff(ctx context.Context, o *diffOptions) error {
	s, dot, branch, err := o.reach(ctx, o.target)
	if err != nil {
		return err
	}
	for change, err := range s.Diff(ctx, dotmesh.DiffRequest{Dot: dot, Branch: branch, From: o.From, To: o.To}) {
		if err != nil {
			return err
		}
		if err := o.print(change); err != nil {
			return err
		}
	}
	return nil
}

func (o *diffOptions) print(c dotmesh.FileChange) error {
	switch {
	case o.flags.Output == formatJSON:
		return writeJSONLine(o.IO.Out, c)
	case o.flags.Output == formatYAML:
		return writeYAML(o.IO.Out, []dotmesh.FileChange{c}) // lists that follow each other are one list
	case o.flags.Scripting:
		fields(o.IO.Out, string(c.Kind), strconv.FormatInt(c.Size, 10), c.Path)
	default:
		letter, colour := changeMark(c.Kind)
		o.IO.Out.WriteString(o.IO.paint(colour, letter+" "+termsafe.Line(c.Path)) + "\n")
	}
	return nil
}

func changeMark(k dotmesh.ChangeKind) (string, colour) {
	switch k {
	case dotmesh.Added:
		return "A", green
	case dotmesh.Removed:
		return "D", red
	case dotmesh.Modified:
		return "M", yellow
	}
	return "?", yellow
}
