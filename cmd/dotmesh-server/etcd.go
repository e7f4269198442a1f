package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/etcdstate"
	"github.com/spf13/cobra"
)

// newEtcdCommand is the registry's etcd as a process of its own. A lone server starts it
// by itself.
func newEtcdCommand(errw io.Writer) *cobra.Command {
	c := DefaultConfig()
	c.DataDir, c.Socket = etcdPaths(c.DataDir)
	cmd := &cobra.Command{
		Use:   "etcd",
		Short: "Run only the registry's etcd, on a unix socket",
		Long: `Run only the registry's etcd, on a unix socket that only this user can open.

A server that is told of no --etcd-endpoints starts this by itself.`,
		Example: "  dotmesh-server etcd --data-dir /var/lib/dotmesh/etcd --socket /var/lib/dotmesh/etcd.sock",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.Validate(); err != nil {
				return err
			}
			return etcdstate.Serve(cmd.Context(), etcdstate.ServeConfig{
				DataDir: c.DataDir, Socket: c.Socket, Logger: newLogger(c, errw).With("part", "etcd"),
				Ready: keepGarbage(),
			})
		},
	}
	for _, s := range c.settings() {
		switch s.name {
		case "data-dir":
			cmd.Flags().StringVar(s.value, s.name, *s.value, "directory of etcd's data")
		case "socket", "log-format", "log-level":
			cmd.Flags().StringVar(s.value, s.name, *s.value, s.help)
		}
	}
	return cmd
}

// etcdPaths are where the etcd of the server with this data directory is.
func etcdPaths(dataDir string) (data, socket string) {
	return filepath.Join(dataDir, "etcd"), filepath.Join(dataDir, "etcd.sock")
}

// etcdLevel is the level of etcd's log: it writes dozens of lines a second for debugging.
func (c *Config) etcdLevel() string {
	if c.LogLevel == "debug" {
		return "info"
	}
	return c.LogLevel
}

// openRegistry returns the registry. If it is kept by an etcd of the server's own, that
// runs, and is started again when it ends, until the task is stopped.
func openRegistry(ctx context.Context, c *Config, log *slog.Logger) (dotmesh.Registry, *task, error) {
	endpoints := c.endpoints()
	etcd := idle()
	if endpoints == nil {
		program, err := os.Executable()
		if err != nil {
			return nil, nil, dotmesh.Wrap("start etcd", err)
		}
		data, socket := etcdPaths(c.DataDir)
		endpoints = []string{"unix://" + socket}
		etcd = begin(ctx, func(ctx context.Context) error {
			return etcdstate.Supervise(ctx, etcdstate.SuperviseConfig{
				Executable: program, DataDir: data, Socket: socket, Logger: log,
				Args: []string{"--log-format", c.LogFormat, "--log-level", c.etcdLevel()},
			})
		})
	}
	registry, err := etcdstate.Connect(etcdstate.Config{Endpoints: endpoints, Logger: log})
	if err != nil {
		return nil, nil, joinErrors(err, etcd.stop())
	}
	return registry, etcd, nil
}
