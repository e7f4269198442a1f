package main

import "github.com/spf13/cobra"

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
