package main

import "github.com/spf13/cobra"

func newDotCommand(e *env) *cobra.Command {
	return group("dot", "Show, change, fork and delete dots",
		"Show a dot in full, change its settings, make another one out of it, say where it is\npushed, or delete it.",
		"  dm dot show\n  dm dot set shop expires=7d\n  dm dot delete shop",
		newDotShowCommand(e), newDotSetCommand(e), newDotForkCommand(e), newDotDeleteCommand(e),
		newDotSetUpstreamCommand(e), newDotSmashCommand(e))
}
