package main

import "github.com/spf13/cobra"

func newDotCommand(e *env) *cobra.Command {
	return group("dot", "Show, change and delete dots",
		"Show a dot in full, change its settings, say where it is pushed, or delete it.",
		"  dm dot show\n  dm dot set shop expires=7d\n  dm dot delete shop",
		newDotShowCommand(e), newDotSetCommand(e), newDotDeleteCommand(e),
		newDotSetUpstreamCommand(e), newDotSmashCommand(e))
}
