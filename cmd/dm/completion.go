package main

import (
	"github.com/spf13/cobra"
)

func newCompletionCommand(e *env) *cobra.Command {
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script that teaches a shell to complete dm commands",
		Long: `Print a script that teaches bash, zsh or fish to complete dm's commands and flags, and dots,
branches and commits as the server has them at that moment.`,
		Example: `  source <(dm completion bash)
  dm completion zsh > "${fpath[1]}/_dm"
  dm completion fish > ~/.config/fish/completions/dm.fish`,
		Args:              args(1, 1, "bash, zsh or fish"),
		ValidArgsFunction: first(cobra.FixedCompletions(shells, cobra.ShellCompDirectiveNoFileComp)),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), e.IO.Out
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return usage("completion is there for bash, zsh and fish, and not for %q", args[0])
		},
	}
}
