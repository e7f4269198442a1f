package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type mountOptions struct {
	*env
	target
	Volume string
	Path   string
	Create bool
	Commit string
}

func newMountCommand(e *env) *cobra.Command {
	o := &mountOptions{env: e}
	cmd := &cobra.Command{
		Use:   "mount DOT PATH",
		Short: "Make a dot's files appear at a path of this machine",
		Long: `Make a dot's files appear at PATH, as a symbolic link to where the server on this machine
has them. The dot is written as containers do: [namespace/]dot[@branch][.subdot]. Without a
branch the link follows the dot's current one.

With --commit the link shows a commit of the branch, which nobody can change.

PATH must be free, an empty folder, or a link that dm made. "dm unmount PATH" removes it.`,
		Example: `  dm mount shop /srv/shop
  dm mount --create shop@staging /srv/staging
  dm mount --commit HEAD^ shop /srv/shop-before`,
		Args:              args(2, 2, "a dot and a path"),
		ValidArgsFunction: each(e.completeDots, completePaths),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Volume, o.Path = args[0], args[1]
			return runMount(ctx, o)
		}),
	}
	cmd.Flags().BoolVarP(&o.Create, "create", "r", false, "make the dot if there is none")
	cmd.Flags().StringVar(&o.Commit, "commit", "", "show this commit, read-only")
	cmd.Flags().StringVar(&o.Branch, "branch", "", "branch to mount (default the dot's current one)")
	must(cmd.RegisterFlagCompletionFunc("branch", e.completeBranches))
	must(cmd.RegisterFlagCompletionFunc("commit", e.completeCommits))
	return cmd
}

func completePaths(*cobra.Command, []string, string) (completions, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

func runMount(ctx context.Context, o *mountOptions) error {
	v, err := o.volume()
	if err != nil {
		return err
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return failure("find "+o.Path, err)
	}
	c, err := o.loadConfig()
	if err != nil {
		return err
	}
	if err := checkFree(path, c.Mounts[path]); err != nil {
		return err
	}
	mounted, err := o.mount(ctx, v)
	if err != nil {
		return err
	}
	if info, err := os.Lstat(mounted.Path); err != nil || !info.IsDir() {
		return dotmesh.E("dm mount", dotmesh.Unsupported,
			"there is no folder %s to link to: the server is on another machine, the folder is not for you to see, or the commit has none of that name", mounted.Path)
	}
	made := &mount{Volume: v.String(), Commit: mounted.Commit, Target: mounted.Path}
	if err := o.link(ctx, path, made); err != nil {
		return err
	}
	o.IO.say("%s is at %s now.", v, path)
	return o.show(mounted, func() error {
		o.IO.Out.WriteString(mounted.Path + "\n")
		return nil
	})
}

// volume is the volume that the arguments mean.
func (o *mountOptions) volume() (dotmesh.Volume, error) {
	v, err := dotmesh.ParseVolume(o.Volume)
	if err != nil {
		return v, err
	}
	branch, err := parseBranch(o.Branch)
	switch {
	case err != nil:
		return v, err
	case branch != "" && v.Branch != "" && branch != v.Branch:
		return v, usage("%s names another branch than --branch %s", o.Volume, branch)
	case branch != "":
		v.Branch = branch
	}
	if o.Create && o.Commit != "" {
		return v, usage("a dot that is made now has no commit to mount")
	}
	return v, nil
}

func (o *mountOptions) mount(ctx context.Context, v dotmesh.Volume) (dotmesh.Mounted, error) {
	s, err := o.connect()
	if err != nil {
		return dotmesh.Mounted{}, err
	}
	if o.Commit != "" {
		mounted, err := s.MountCommit(ctx, dotmesh.CommitRef{Dot: v.Dot, Branch: v.Branch, Ref: o.Commit})
		if v.Subdot != dotmesh.RootSubdot { // a commit is mounted whole
			mounted.Path = filepath.Join(mounted.Path, string(v.Subdot))
		}
		return mounted, err
	}
	if !o.Create {
		if _, err := s.Dot(ctx, v.Dot); dotmesh.KindOf(err) == dotmesh.NotFound {
			return dotmesh.Mounted{}, dotmesh.E("dm mount", dotmesh.NotFound, "Dot %s does not exist. Use --create to make it.", v.Dot)
		} else if err != nil {
			return dotmesh.Mounted{}, err
		}
	}
	return s.Mount(ctx, dotmesh.MountRequest{Volume: v, Create: o.Create})
}

// link puts the link at path, after writing down that it is ours: a link that nobody
// remembers could not be removed again, a memory without a link does no harm.
func (o *mountOptions) link(ctx context.Context, path string, made *mount) error {
	server, err := o.whom()
	if err != nil {
		return err
	}
	made.Server = server.Name
	err = o.updateConfig(ctx, func(c *config) error {
		if err := checkFree(path, c.Mounts[path]); err != nil {
			return err
		}
		if c.Mounts == nil {
			c.Mounts = map[string]*mount{}
		}
		c.Mounts[path] = made
		return nil
	})
	if err != nil {
		return err
	}
	return placeLink(path, made.Target)
}

// checkFree refuses a path at which anything is that the user could miss. ours is the
// link that dm made there, if it made one.
func checkFree(path string, ours *mount) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return failure("look at "+path, err)
	case info.Mode()&fs.ModeSymlink != 0:
		at, err := os.Readlink(path)
		if err != nil {
			return failure("look at "+path, err)
		}
		if ours == nil || ours.Target != at {
			return dotmesh.E("dm mount", dotmesh.Exists, "%s is a symbolic link to %s that dm did not make; remove it first", path, at)
		}
		return nil
	case info.IsDir():
		return checkEmpty(path)
	}
	return dotmesh.E("dm mount", dotmesh.Exists, "%s exists already and is not a folder; remove it first", path)
}

func checkEmpty(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return failure("look into "+folder, err)
	}
	if len(entries) > 0 {
		return dotmesh.E("dm mount", dotmesh.Exists, "%s is a folder that is not empty; name another path", folder)
	}
	return nil
}

// placeLink makes path a link to target in one step. Only an empty folder gives way: where
// one has been filled meanwhile, removing it fails and nothing is done.
func placeLink(path, target string) error {
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.dm-%s", filepath.Base(path), dotmesh.NewUUID()))
	if err := os.Symlink(target, temp); err != nil {
		return failure("make the link", err)
	}
	info, err := os.Lstat(path)
	if err == nil && info.IsDir() {
		err = os.Remove(path)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return failure("make the link", errors.Join(err, os.Remove(temp)))
	}
	return nil
}
