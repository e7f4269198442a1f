package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type unmountOptions struct {
	*env
	Path string
}

func newUnmountCommand(e *env) *cobra.Command {
	o := &unmountOptions{env: e}
	return &cobra.Command{
		Use:     "unmount PATH",
		Aliases: []string{"umount"},
		Short:   "Undo a dm mount",
		Long: `Remove the link that "dm mount" made at PATH, and let the volume go if no other link needs
it. Nothing that dm did not make is removed.`,
		Example: "  dm unmount /srv/shop",
		Args:    args(1, 1, "a path"),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Path = args[0]
			return runUnmount(ctx, o)
		}),
		ValidArgsFunction: first(e.completeMounts),
	}
}

func runUnmount(ctx context.Context, o *unmountOptions) error {
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return failure("find "+o.Path, err)
	}
	c, err := o.loadConfig()
	if err != nil {
		return err
	}
	ours := c.Mounts[path]
	if ours == nil {
		return dotmesh.E("dm unmount", dotmesh.NotFound, "dm mounted nothing at %s for this user", path)
	}
	switch at, err := os.Readlink(path); {
	case errors.Is(err, fs.ErrNotExist): // somebody removed the link: the rest is still to do
	case err != nil || at != ours.Target:
		return dotmesh.E("dm unmount", dotmesh.Conflict, "%s is not the link that dm made there any more; it is left as it is", path)
	}
	if !c.needs(ours, path) {
		if err := o.release(ctx, ours); err != nil {
			return err
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return failure("remove the link", err)
	}
	return o.updateConfig(ctx, func(c *config) error {
		delete(c.Mounts, path)
		return nil
	})
}

// needs reports whether a link at another path than this one needs the same volume or
// commit. A commit is mounted whole, whichever of its subdots a link points at.
func (c *config) needs(m *mount, path string) bool {
	for other, o := range c.Mounts {
		same := o.Commit == m.Commit && (!m.Commit.IsZero() || o.Volume == m.Volume)
		if other != path && o.Server == m.Server && same {
			return true
		}
	}
	return false
}

// release lets the server that mounted a volume let it go. One that is gone has done so.
func (o *unmountOptions) release(ctx context.Context, m *mount) error {
	v, err := dotmesh.ParseVolume(m.Volume)
	if err != nil {
		return err
	}
	server, err := o.whom()
	if err != nil {
		return err
	}
	if server.Name != m.Server {
		return dotmesh.E("dm unmount", dotmesh.Conflict,
			`%s was mounted by the server %s, and the current one is %s; choose that one with "dm remote switch" or --host`, v, m.Server, server.title())
	}
	s, err := o.connect()
	if err != nil {
		return err
	}
	err = s.Unmount(ctx, dotmesh.MountRequest{Volume: v, Commit: m.Commit})
	if dotmesh.KindOf(err) == dotmesh.NotFound {
		return nil
	}
	return err
}

// completeMounts offers the paths at which dm mounted something.
func (e *env) completeMounts(cmd *cobra.Command, _ []string, _ string) (found completions, _ cobra.ShellCompDirective) {
	if e.prepare(cmd) != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	c, err := e.loadConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	for path := range c.Mounts {
		found = append(found, path)
	}
	return found, cobra.ShellCompDirectiveDefault
}
