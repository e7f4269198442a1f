package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type dotDeleteOptions struct {
	*env
	Dot   string
	Force bool
}

func newDotDeleteCommand(e *env) *cobra.Command {
	o := &dotDeleteOptions{env: e}
	cmd := &cobra.Command{
		Use:   "delete DOT",
		Short: "Delete a dot with all its branches and commits",
		Long: `Delete a dot with all its branches and commits, after a question that only "Y" answers. Its
name is free at once. The data are kept until its retention ends: until then, and as long as
the name is not used again, "dm undo --dot DOT" brings it back. Refused while something
uses it.`,
		Example:           "  dm dot delete shop\n  dm dot delete --force shop",
		Args:              args(1, 1, "the name of a dot"),
		ValidArgsFunction: first(e.completeDots),
		RunE: untimed(func(ctx context.Context, args []string) error {
			o.Dot = args[0]
			return runDotDelete(ctx, o)
		}),
	}
	cmd.Flags().BoolVarP(&o.Force, "force", "f", false, "do not ask")
	return cmd
}

func runDotDelete(ctx context.Context, o *dotDeleteOptions) error {
	dot, err := dotmesh.ParseDotName(o.Dot)
	if err != nil {
		return err
	}
	s, err := o.connect()
	if err != nil {
		return err
	}
	if !o.Force {
		if err := o.IO.confirm("Please confirm that you really want to delete the dot %s, with all its branches and commits", dot); err != nil {
			return err
		}
	}
	ctx, cancel := o.deadline(ctx)
	defer cancel()
	if err := s.DeleteDot(ctx, dotmesh.DeleteDot{Dot: dot}); err != nil {
		return err
	}
	if err := o.forget(ctx, dot); err != nil {
		return err
	}
	o.IO.say(`Deleted %s; "dm undo --dot %[1]s" brings it back.`, dot)
	return nil
}

// forget drops what the config file says of a dot that is gone.
func (e *env) forget(ctx context.Context, dot dotmesh.DotName) error {
	server, err := e.whom()
	if err != nil {
		return err
	}
	return e.updateConfig(ctx, func(c *config) error {
		c.forget(server, dot)
		return nil
	})
}
