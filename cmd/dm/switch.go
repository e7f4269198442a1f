package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type switchOptions struct {
	*env
	Dot string
}

func newSwitchCommand(e *env) *cobra.Command {
	o := &switchOptions{env: e}
	return &cobra.Command{
		Use:   "switch DOT",
		Short: "Make a dot the current one",
		Long: `Make a dot the current one: the one that commands act on when no --dot is given. That is
remembered on this machine, for each server by itself; nothing moves.`,
		Example:           "  dm switch shop",
		Args:              args(1, 1, "the name of a dot"),
		ValidArgsFunction: first(e.completeDots),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Dot = args[0]
			return runSwitch(ctx, o)
		}),
	}
}

func runSwitch(ctx context.Context, o *switchOptions) error {
	dot, err := dotmesh.ParseDotName(o.Dot)
	if err != nil {
		return err
	}
	s, err := o.connect()
	if err != nil {
		return err
	}
	if _, err := s.Dot(ctx, dot); dotmesh.KindOf(err) == dotmesh.NotFound {
		return dotmesh.E("dm switch", dotmesh.NotFound, `%s doesn't exist; "dm list" shows the dots that do`, dot)
	} else if err != nil {
		return err
	}
	return o.choose(ctx, dot)
}
