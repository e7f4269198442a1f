package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type dotSetUpstreamOptions struct {
	*env
	target
	Remote    string
	RemoteDot string
}

func newDotSetUpstreamCommand(e *env) *cobra.Command {
	o := &dotSetUpstreamOptions{env: e}
	cmd := &cobra.Command{
		Use:   "set-upstream [DOT] REMOTE REMOTE-DOT",
		Short: "Say which dot on a remote a dot is pushed to and pulled from",
		Long: `Say which dot on a remote a dot is pushed to and pulled from when none is named. It is
remembered on this machine; the dot need not be there yet.`,
		Example:           "  dm dot set-upstream hub alice/shop\n  dm dot set-upstream shop hub alice/shop",
		Args:              args(2, 3, "perhaps a dot, a remote, and a dot on the remote"),
		ValidArgsFunction: each(e.completeRemotes),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			if len(args) == 3 {
				o.Dot, args = args[0], args[1:]
			}
			o.Remote, o.RemoteDot = args[0], args[1]
			return runDotSetUpstream(ctx, o)
		}),
	}
	o.dotFlag(e, cmd)
	return cmd
}

func runDotSetUpstream(ctx context.Context, o *dotSetUpstreamOptions) error {
	there, err := dotmesh.ParseDotName(o.RemoteDot)
	if err != nil {
		return err
	}
	here, _, err := o.resolve(ctx, o.target)
	if err != nil {
		return err
	}
	return o.updateConfig(ctx, func(c *config) error {
		r := c.Remotes[o.Remote]
		if r == nil {
			return noRemote(o.Remote)
		}
		r.setUpstream(here, there)
		return nil
	})
}

func (r *remote) setUpstream(here, there dotmesh.DotName) {
	if r.DefaultRemoteVolumes == nil {
		r.DefaultRemoteVolumes = map[string]map[string]*remoteDot{}
	}
	dots := r.DefaultRemoteVolumes[string(here.Namespace)]
	if dots == nil {
		dots = map[string]*remoteDot{}
		r.DefaultRemoteVolumes[string(here.Namespace)] = dots
	}
	dots[string(here.Name)] = &remoteDot{Namespace: string(there.Namespace), Name: string(there.Name)}
}
