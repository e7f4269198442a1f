// Command dotmesh-server is one node of Dotmesh: a pool of storage, the registry that
// says what is in it, and the doors that callers come in by.
//
// The program only wires. It reads its settings from a file, the environment and its
// flags (config.go), locks its data directory, opens the pool (storage.go) and the
// registry, which an etcd of its own keeps unless it is told of another one, and hands
// them to a server.Node, whose doors it opens (serve.go). It stops when it is told to by
// a signal, in the reverse order. What it made stays mounted: containers use it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/build"
	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// The exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// run is the program without its process: it returns the exit code. Talk goes to errw.
func run(ctx context.Context, args []string, getenv func(string) string, out, errw io.Writer) int {
	root := newCommand(getenv, errw)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errw)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(errw, "Error:", dotmesh.Text(err))
	if errors.Is(err, dotmesh.Invalid) {
		return exitUsage
	}
	return exitFailure
}

// newCommand is the command line.
func newCommand(getenv func(string) string, errw io.Writer) *cobra.Command {
	config := DefaultConfig()
	root := &cobra.Command{
		Use:   "dotmesh-server",
		Short: "Run a node of Dotmesh: git for the data of containers",
		Long: `Run a node of Dotmesh: git for the data of containers.

Settings come from a YAML file (--config), then the environment (DOTMESH_DATA_DIR for
--data-dir, and so on), then the flags; the last one wins. Without any, a node keeps its
state in /var/lib/dotmesh and its dots in the zpool "pool" or, where there is none, in a
pool of 10 GiB that it makes in a sparse file there, and answers at /run/dotmesh/dm.sock
and 127.0.0.1:32607.`,
		Example: `  dotmesh-server
  dotmesh-server --data-dir /srv/dotmesh --storage btrfs:/srv/pool
  dotmesh-server --config /etc/dotmesh.yaml --log-format json`,
		Args:          usage(cobra.NoArgs),
		Version:       build.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settled, err := config.settle(cmd.Flags(), getenv)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), settled, newLogger(settled, errw))
		},
	}
	config.flags(root.Flags())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return dotmesh.E("flags", dotmesh.Invalid, "%s; see dotmesh-server --help", err)
	})
	root.AddCommand(newEtcdCommand(errw))
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// usage makes a complaint about arguments one about usage.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return dotmesh.E("args", dotmesh.Invalid, "%s; see dotmesh-server --help", err)
		}
		return nil
	}
}
