package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

const rootHelp = `dm is git for the data of containers.

A dot is a volume with branches and commits. A commit keeps everything in the dot as it
is now; a branch goes on from any commit without copying a byte; a reset goes back, and
what it drops is kept as a stash. Nothing that you type loses data: "dm undo" reverses
the last step.

Commands act on the current dot (dm switch) and on its current branch (dm checkout),
unless --dot and --branch name others. A dot is written "name", or "namespace/name".

With no remote configured dm talks to the server of this machine, over
/run/dotmesh/dm.sock. "dm remote add" configures others; DM_HOST (unix:///path,
http://localhost:port, https://host:port) with DM_API_KEY_FILE goes before both.
Environment variables can stand for flags: DM_CONFIG for --config, DM_DOT for --dot.
NO_COLOR switches colours off.

` + exitHelp

const rootExample = `  dm init shop
  dm mount shop /srv/shop
  dm commit -m "before the migration"
  dm checkout -b try-migration
  dm reset HEAD^
  dm undo`

// run does one command line and returns its exit code.
func run(ctx context.Context, e *env, args []string) int {
	root := newRoot(e)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if ferr := e.IO.Out.Flush(); err == nil && ferr != nil {
		err = failure("write the output", ferr)
	}
	if err != nil {
		e.report(cmd, err)
	}
	return exitCode(ctx, err)
}

// report tells the user what went wrong, in one line.
func (e *env) report(cmd *cobra.Command, err error) {
	if dotmesh.KindOf(err) == dotmesh.Canceled {
		err = dotmesh.E("dm", dotmesh.Canceled, "interrupted")
	}
	e.IO.say("Error: %s", dotmesh.Text(err))
	if e.flags.Verbose {
		e.IO.say("%s: %v", dotmesh.KindOf(err), err)
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		e.IO.say(`"%s --help" shows how`, cmd.CommandPath())
	}
}

// usageError is a command line that makes no sense.
type usageError struct{ err *dotmesh.Error }

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }

func usage(format string, args ...any) error {
	return &usageError{dotmesh.E("dm", dotmesh.Invalid, format, args...)}
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:               "dm",
		Short:             "Git for the data of containers",
		Long:              rootHelp,
		Example:           rootExample,
		Args:              noSubcommand,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return e.prepare(cmd) },
		RunE:              untimed(func(ctx context.Context, _ []string) error { return runAlone(ctx, e) }),
	}
	root.SetIn(e.IO.In)
	root.SetOut(e.IO.Out)
	root.SetErr(e.IO.Err)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(newHelpCommand())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%v", err) })
	e.addGlobals(root)
	root.AddCommand(
		newInitCommand(e), newListCommand(e), newSwitchCommand(e),
		newBranchCommand(e), newCheckoutCommand(e),
		newCommitCommand(e), newLogCommand(e), newResetCommand(e), newDiscardCommand(e),
		newUndoCommand(e), newOpCommand(e), newDiffCommand(e), newStatusCommand(e),
		newDotCommand(e), newMountCommand(e), newUnmountCommand(e), newMoveCommand(e),
		newRemoteCommand(e), newPushCommand(e), newPullCommand(e), newCloneCommand(e),
		newTransfersCommand(e), newS3Command(e),
		newClusterCommand(e), newCheckCommand(e), newUICommand(e),
		newDebugCommand(e), newVersionCommand(e), newCompletionCommand(e),
	)
	return root
}

func (e *env) addGlobals(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVarP(&e.flags.Config, "config", "c", "", "config file (default ~/.dotmesh/config)")
	f.StringVar(&e.flags.Host, "host", "", "server to talk to, instead of the current remote")
	f.StringVar(&e.flags.KeyFile, "api-key-file", "", "file with the API key to use")
	f.StringVar(&e.flags.CAHash, "ca-hash", "", "SHA-256 of the certificate authority that the server must have")
	f.StringVarP(&e.flags.Output, "output", "o", "text", "format of the output: text, json or yaml")
	f.BoolVar(&e.flags.Verbose, "verbose", false, "say more about failures")
	f.DurationVar(&e.flags.Timeout, "timeout", time.Minute, "give up after this long; 0: never")
	must(root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{formatText, formatJSON, formatYAML}, cobra.ShellCompDirectiveNoFileComp)))
}

// must is for what fails only where dm itself is wrong: a flag that is not there.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// runAlone is dm without a command: the UI where people look at it, else a summary.
func runAlone(ctx context.Context, e *env) error {
	if e.IO.Screen != nil && e.flags.Output == formatText {
		return runUI(ctx, &uiOptions{env: e})
	}
	ctx, cancel := e.deadline(ctx)
	defer cancel()
	return runSummary(ctx, &summaryOptions{env: e})
}

// newHelpCommand is cobra's, with an answer for a command that there is not.
func newHelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show how a command is used",
		Long:    "Show how a command is used, as --help does.",
		Example: "  dm help\n  dm help commit",
		RunE: func(cmd *cobra.Command, args []string) error {
			named, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("there is no command %q", strings.Join(args, " "))
			}
			named.InitDefaultHelpFlag()
			return named.Help()
		},
	}
}

// group is a command that only has subcommands.
func group(use, short, long, example string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(children...)
	return cmd
}

// noSubcommand refuses arguments that can only be meant as a subcommand, and says what is near.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("%q has no command %q", cmd.CommandPath(), args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		slices.Sort(near)
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return usage("%s", text)
}

// args accepts between low and high arguments; what names them as the help does.
func args(low, high int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < low:
			return usage("%s needs %s", cmd.CommandPath(), what)
		case len(args) > high && high == 0:
			return usage("%s takes no arguments, %q is one", cmd.CommandPath(), args[0])
		case len(args) > high:
			return usage("%s takes %s and no more, %q is too many", cmd.CommandPath(), what, args[high])
		}
		return nil
	}
}
