package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type initOptions struct {
	*env
	Dot string
}

func newInitCommand(e *env) *cobra.Command {
	o := &initOptions{env: e}
	return &cobra.Command{
		Use:     "init DOT",
		Short:   "Make a dot and switch to it",
		Long:    "Make an empty dot with a branch called master and a first commit, and make it the current dot.",
		Example: "  dm init shop\n  dm init alice/shop",
		Args:    args(1, 1, "the name of the new dot"),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Dot = args[0]
			return runInit(ctx, o)
		}),
	}
}

func runInit(ctx context.Context, o *initOptions) error {
	dot, err := dotmesh.ParseDotName(o.Dot)
	if err != nil {
		return err
	}
	s, err := o.connect()
	if err != nil {
		return err
	}
	made, err := s.CreateDot(ctx, dotmesh.CreateDot{Dot: dot})
	if dotmesh.KindOf(err) == dotmesh.Exists {
		return dotmesh.E("dm init", dotmesh.Exists, `%s exists already; "dm switch %[1]s" makes it the current dot`, dot)
	}
	if err != nil {
		return err
	}
	if err := o.choose(ctx, dot); err != nil {
		return err
	}
	return o.showOnly(made)
}
