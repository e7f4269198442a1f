package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

type checkOptions struct {
	*env
	Dot string
	All bool
}

func newCheckCommand(e *env) *cobra.Command {
	o := &checkOptions{env: e}
	cmd := &cobra.Command{
		Use:   "check [DOT]",
		Short: "Read every commit that the node holds, and compare it with what it was",
		Long: `Read every commit that the node holds of a dot, stashes included, and compare each with
what it was when it was first checked. That reads all of the data, and is slow for much of
it; it disturbs nobody and changes nothing.

A commit is "new" the first time, "same" if not a bit has changed since, "differs" if one
has, and "unreadable" if the disk returns something else than was written. The command
exits with 1 if one is damaged, after all have been read.

With -H the fields are, in this order: state, dot, branch, commit, hash over its files, size
in bytes, what is wrong. With -o json there is one object a line.`,
		Example: "  dm check\n  dm check shop\n  dm check --all",
		Args:    args(0, 1, "one dot at most"),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Dot = ""
			if len(args) > 0 {
				o.Dot = args[0]
			}
			return runCheck(ctx, o)
		}),
		ValidArgsFunction: each(e.completeDots),
	}
	cmd.Flags().BoolVar(&o.All, "all", false, "check all dots; for the administrator")
	e.scriptingFlag(cmd)
	return cmd
}

func runCheck(ctx context.Context, o *checkOptions) error {
	s, err := o.connect()
	if err != nil {
		return err
	}
	var r dotmesh.CheckRequest
	switch {
	case o.All && o.Dot != "":
		return usage("name a dot or give --all, not both")
	case !o.All:
		if r.Dot, _, err = o.resolve(ctx, target{Dot: o.Dot}); err != nil {
			return err
		}
	}
	sound, damaged := 0, 0
	for c, err := range s.Check(ctx, r) {
		if err != nil {
			return err
		}
		if c.Sound() {
			sound++
		} else {
			damaged++
		}
		if err := o.print(&c); err != nil {
			return err
		}
	}
	if damaged > 0 {
		return dotmesh.E("dm", dotmesh.Corrupt, "%d of %d commits are damaged; make copies of what you still can read, and see the server's and the kernel's logs", damaged, damaged+sound)
	}
	o.IO.say("%d commits are what they were", sound)
	return nil
}

func (o *checkOptions) print(c *dotmesh.Checked) error {
	switch {
	case o.flags.Output == formatJSON:
		return writeJSONLine(o.IO.Out, c)
	case o.flags.Output == formatYAML:
		return writeYAML(o.IO.Out, []*dotmesh.Checked{c}) // lists that follow each other are one list
	case o.flags.Scripting:
		fields(o.IO.Out, string(c.State), c.Dot.String(), string(c.Branch), c.Commit.String(), c.Tree, strconv.FormatInt(c.Bytes, 10), c.Text)
	default:
		line := fmt.Sprintf("%-10s  %s  %s@%s  %s", c.State, c.Commit, c.Dot, c.Branch, size(c.Bytes))
		if c.Text != "" {
			line += "  " + c.Text
		}
		paint := green
		if !c.Sound() {
			paint = red
		}
		o.IO.Out.WriteString(o.IO.paint(paint, termsafe.Line(line)) + "\n")
	}
	return o.IO.Out.Flush()
}
