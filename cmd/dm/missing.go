package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

// missing is the answer of a command that exists, and whose machinery does not yet.
func (e *env) missing(what string) error {
	return dotmesh.E("dm", dotmesh.Unsupported, "%s is not on this server yet; nothing was done", what)
}

// newMissingCommand is a command that only says so, whatever it is given: a script gets
// exit code 1 and that sentence, and no complaint about its flags.
func (e *env) newMissingCommand(use, short, long, example, what string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		Long:               fmt.Sprintf("%s\n\n%s is not on this server yet: the command says so and exits with 1.", long, what),
		Example:            example,
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		Args:               cobra.ArbitraryArgs,
		RunE:               e.timed(func(context.Context, []string) error { return e.missing(what) }),
	}
}
