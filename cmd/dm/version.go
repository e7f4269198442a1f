package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/build"
	"dotmesh.io/dotmesh/internal/termsafe"
)

type versionOptions struct {
	*env
	Client bool
}

func newVersionCommand(e *env) *cobra.Command {
	o := &versionOptions{env: e}
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the versions of dm and of the server",
		Long:    "Show the versions of dm and of the server that it talks to.",
		Example: "  dm version\n  dm version --client",
		Args:    args(0, 0, ""),
		RunE:    e.timed(func(ctx context.Context, _ []string) error { return runVersion(ctx, o) }),
	}
	cmd.Flags().BoolVar(&o.Client, "client", false, "only dm's own; no server is asked")
	return cmd
}

// versions is what -o shows.
type versions struct {
	Remote string           `json:"remote,omitempty"`
	Client string           `json:"client"`
	Server *dotmesh.Version `json:"server,omitempty"`
}

func runVersion(ctx context.Context, o *versionOptions) error {
	v := versions{Client: build.Version()}
	if o.Client {
		return o.show(v, func() error {
			o.IO.Out.WriteString("Client:\n\tVersion: " + v.Client + "\n")
			return nil
		})
	}
	server, err := o.whom()
	if err != nil {
		return err
	}
	v.Remote = server.title()
	s, err := o.connect()
	if err != nil {
		return err
	}
	answer, asked := s.Version(ctx)
	if asked == nil {
		v.Server = &answer
	}
	err = o.show(v, func() error {
		o.IO.Out.WriteString("Current remote: " + termsafe.Line(v.Remote) + "\n\nClient:\n\tVersion: " + v.Client + "\n")
		if v.Server != nil {
			o.IO.Out.WriteString("Server:\n\tVersion: " + termsafe.Line(v.Server.Version) + "\n")
		}
		return nil
	})
	if err != nil {
		return err
	}
	return asked
}
