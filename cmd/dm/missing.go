package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

// missing is the answer of a command that exists, and whose machinery does not yet.
func (e *env) missing(what string) error {
	return dotmesh.E("dm", dotmesh.Unsupported, "%s is not on this server yet; nothing was done", what)
}

// notYet ends the help of a command whose machinery the server does not have.
func notYet(what string) string {
	return "\n\n" + what + " is not on this server yet: the command says so and exits with 1."
}

// newMissingCommand is a command that only says so, whatever it is given: a script gets
// exit code 1 and that sentence, and no complaint about its flags.
func (e *env) newMissingCommand(use, short, long, example, what string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short,
		Long:               long + notYet(what),
		Example:            example,
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		Args:               cobra.ArbitraryArgs,
		RunE:               e.timed(func(context.Context, []string) error { return e.missing(what) }),
	}
}
