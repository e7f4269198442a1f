package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
	"dotmesh.io/dotmesh/etcdstate"
	"dotmesh.io/dotmesh/server"
	"dotmesh.io/dotmesh/tests/daemon"
)

// fixture is a node with a past: so many dots, each with so many commits, the initial one
// included.
type fixture struct{ dots, commits int }

func (f fixture) large() bool { return f.dots*f.commits > 5000 }

// The files of a kept fixture.
const (
	fixturePool = "pool"
	fixtureEtcd = "etcd"
)

// makers say what a pool and a registry look like. A fixture that others of them made is
// of no use.
var makers = []string{
	"branch.go", "commit.go", "dot.go", "id.go", "line.go", "node.go", "op.go", "btrfs/layout.go", "btrfs/meta.go",
	"internal/kv/*.go", "internal/verbs/key.go", "internal/verbs/value.go", "server/memory.go", "tests/bench/fixture.go",
}

// fixture returns a place with the fixture in it, which is made if it is not there yet.
func (l *lab) fixture(ctx context.Context, f fixture) (*place, error) {
	key, err := f.key()
	if err != nil {
		return nil, err
	}
	kept := filepath.Join(l.cache, fmt.Sprintf("%dx%d-%s", f.dots, f.commits, key))
	if _, err := os.Stat(kept); errors.Is(err, os.ErrNotExist) {
		if err := l.make(ctx, f, kept); err != nil {
			return nil, fmt.Errorf("make %s: %w", f, err)
		}
	}
	p, err := l.newPlace()
	if err != nil {
		return nil, err
	}
	p.pool = filepath.Join(kept, fixturePool)
	return p, os.Symlink(filepath.Join(kept, fixtureEtcd), filepath.Join(p.Data(), "etcd"))
}

func (f fixture) String() string {
	return fmt.Sprintf("%s dots of %d commits", thousands(f.dots), f.commits)
}

// key is a hash over the sources that decide what a fixture holds.
func (f fixture) key() (string, error) {
	h := sha256.New()
	for _, pattern := range makers {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		if len(paths) == 0 {
			return "", fmt.Errorf("there is no %s here; run the bench from the top of the source", pattern)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(h, "%s %d\n%s", path, len(text), text)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}

// make builds a fixture beside its place, looks at it through a server, and moves it there.
// Older ones of that size go first.
func (l *lab) make(ctx context.Context, f fixture, kept string) error {
	l.say("making %s, once; this takes some minutes if they are many", f)
	old, err := filepath.Glob(filepath.Join(l.cache, fmt.Sprintf("%dx%d-*", f.dots, f.commits)))
	for _, path := range old {
		err = errors.Join(err, os.RemoveAll(path))
	}
	if err != nil {
		return err
	}
	half := kept + ".half"
	if err := errors.Join(os.Mkdir(half, 0o700), f.build(ctx, l, half), l.inspect(ctx, f, half)); err != nil {
		return errors.Join(err, os.RemoveAll(half))
	}
	return os.Rename(half, kept)
}

// build runs a node in this process, from the same parts as dotmesh-server wires, and lets
// many callers fill it. The pool is mounted without write barriers, since a power cut only
// means to begin anew; it is the one thing that differs.
func (f fixture) build(ctx context.Context, l *lab, dir string) (err error) {
	p, err := l.newPlace()
	if err != nil {
		return err
	}
	pool := filepath.Join(dir, fixturePool)
	if err := quietly(ctx, "truncate", "--size", poolSize, pool); err != nil {
		return err
	}
	if err := quietly(ctx, "mkfs.btrfs", "--quiet", "--label", "dotmesh", pool); err != nil {
		return err
	}
	top := filepath.Join(p.Dir, "top")
	if err := os.Mkdir(top, 0o700); err != nil {
		return err
	}
	if err := quietly(ctx, "mount", "-o", "loop,nobarrier,noatime", pool, top); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.Unmount(top)) }()
	store, err := btrfs.Open(ctx, btrfs.Config{Dir: top})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return l.registry(ctx, filepath.Join(dir, fixtureEtcd), filepath.Join(p.Dir, "etcd.sock"), func(r dotmesh.Registry) error {
		// The second node settles what the first left to be settled, as any start does.
		for _, work := range []func(context.Context, dotmesh.Service) error{f.fill, f.check} {
			if err := runNode(ctx, store, r, p, work); err != nil {
				return err
			}
		}
		return nil
	})
}

// registry hands f the registry that an etcd of our own keeps in dir.
func (l *lab) registry(ctx context.Context, dir, socket string, f func(dotmesh.Registry) error) error {
	etcd, stop := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error {
		return etcdstate.Supervise(etcd, etcdstate.SuperviseConfig{
			Executable: l.server, DataDir: dir, Socket: socket, Stderr: io.Discard,
		})
	})
	r, err := etcdstate.Connect(etcdstate.Config{Endpoints: []string{"unix://" + socket}})
	if err == nil {
		err = errors.Join(f(r), r.Close())
	}
	stop()
	return errors.Join(err, ended(g.Wait()))
}

// runNode runs a node for as long as work takes.
func runNode(ctx context.Context, store dotmesh.Store, r dotmesh.Registry, p *place, work func(context.Context, dotmesh.Service) error) error {
	n := server.New(server.Config{
		Store: store, Registry: r, Mounter: server.System{}, Name: "bench", Version: "bench", MountDir: filepath.Join(p.Dir, "mnt"),
	})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, working := errgroup.WithContext(ctx)
	g.Go(func() error { return n.Run(working) })
	var err error
	select {
	case <-n.Ready():
		err = work(working, n.As(dotmesh.Principal{User: dotmesh.AdminID, Name: dotmesh.AdminNamespace, Admin: true}))
	case <-working.Done():
	}
	stop()
	return errors.Join(err, ended(g.Wait()))
}

// ended takes the end that was asked for for no error.
func ended(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// callers fill a fixture at once: commits of different lines are one transaction of the
// file system.
const callers = 64

func (f fixture) fill(ctx context.Context, s dotmesh.Service) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(callers)
	for i := range f.dots {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			name := dotName(i)
			if _, err := s.CreateDot(ctx, dotmesh.CreateDot{Dot: name}); err != nil {
				return err
			}
			for c := 1; c < f.commits; c++ {
				if _, err := s.Commit(ctx, dotmesh.CommitRequest{Dot: name, Message: fmt.Sprintf("commit %d", c)}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func dotName(i int) dotmesh.DotName {
	return dotmesh.DotName{Namespace: dotmesh.AdminNamespace, Name: dotmesh.Name(fmt.Sprintf("dot-%05d", i))}
}

// inspect looks at a fixture through the real server.
func (l *lab) inspect(ctx context.Context, f fixture, dir string) error {
	p, err := l.newPlace()
	if err != nil {
		return err
	}
	p.pool = filepath.Join(dir, fixturePool)
	if err := os.Symlink(filepath.Join(dir, fixtureEtcd), filepath.Join(p.Data(), "etcd")); err != nil {
		return err
	}
	return l.with(ctx, p, func(n *node) error { return f.check(ctx, n) })
}

// check compares what the service shows with what a fixture is, and a sample in depth.
func (f fixture) check(ctx context.Context, s dotmesh.Service) error {
	dots, err := s.Dots(ctx)
	if err != nil {
		return err
	}
	if len(dots) != f.dots {
		return fmt.Errorf("there are %d dots and not %d", len(dots), f.dots)
	}
	for i, d := range dots {
		if d.Name != dotName(i) || d.Branch.Pointer.Count != uint64(f.commits) {
			return fmt.Errorf("dot %d is %s with %d commits", i, d.Name, d.Branch.Pointer.Count)
		}
	}
	const sample = 20
	for i := 0; i < f.dots; i += max(1, f.dots/sample) {
		if err := f.checkDot(ctx, s, &dots[i]); err != nil {
			return fmt.Errorf("%s: %w", dots[i].Name, err)
		}
	}
	return nil
}

// checkDot follows a dot's chain, and lets the store compare the data of two commits.
func (f fixture) checkDot(ctx context.Context, s dotmesh.Service, d *dotmesh.DotStatus) error {
	log, err := s.Log(ctx, dotmesh.LogRequest{Dot: d.Name})
	if err != nil {
		return err
	}
	if len(log.Commits) != f.commits {
		return fmt.Errorf("the log has %d commits and not %d", len(log.Commits), f.commits)
	}
	var chain dotmesh.Chain
	for _, c := range slices.Backward(log.Commits) {
		if chain = chain.After(&c); chain != c.Chain || c.GUID == "" {
			return fmt.Errorf("commit %s breaks the chain", c.ID)
		}
	}
	if chain != d.Branch.Pointer.Chain {
		return errors.New("the branch is not at the end of its log")
	}
	for change, err := range s.Diff(ctx, dotmesh.DiffRequest{Dot: d.Name, From: log.Commits[len(log.Commits)-1].ID.String()}) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%s has changed in a dot that nobody wrote to", change.Path)
	}
	return nil
}
