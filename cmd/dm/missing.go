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

func newPushCommand(e *env) *cobra.Command {
	return e.newMissingCommand("push REMOTE [DOT [BRANCH]]", "Send a branch's commits to a remote",
		"Send a branch's commits to a dot on a remote, which is made if it is not there.",
		"  dm push hub\n  dm push hub shop staging --remote-name alice/shop", "Pushing to a remote")
}

func newPullCommand(e *env) *cobra.Command {
	return e.newMissingCommand("pull REMOTE [DOT [BRANCH]]", "Fetch a branch's commits from a remote",
		"Fetch the commits of a dot's branches from a remote.",
		"  dm pull hub\n  dm pull hub shop staging", "Pulling from a remote")
}

func newCloneCommand(e *env) *cobra.Command {
	return e.newMissingCommand("clone REMOTE [DOT [BRANCH]]", "Make a dot from one on a remote",
		"Make a dot here from one on a remote, with its commits.",
		"  dm clone hub shop\n  dm clone hub alice/shop --local-name shop", "Cloning from a remote")
}

func newS3Command(e *env) *cobra.Command {
	remote := group("remote", "Name S3 buckets as remotes", "Name S3 buckets as remotes.",
		"  dm s3 remote add backups KEY:SECRET",
		e.newMissingCommand("add NAME KEY:SECRET[@ENDPOINT]", "Name an S3 account",
			"Name an S3 account, to push to and to clone from.",
			"  dm s3 remote add backups KEY:SECRET@http://localhost:9000", "S3"))
	return group("s3", "Work with S3 buckets", "Work with S3 buckets.", "  dm s3 remote add backups KEY:SECRET", remote,
		e.newMissingCommand("clone-subset REMOTE BUCKET PREFIX,...", "Make a dot from a part of a bucket",
			"Make a dot from those objects of a bucket whose names begin with one of the prefixes.",
			"  dm s3 clone-subset backups photos 2026/,2027/", "S3"))
}
