package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"dotmesh.io/dotmesh/server/api"
	"dotmesh.io/dotmesh/tests/daemon"
)

const (
	startIn  = 2 * time.Minute
	askEvery = time.Millisecond
	poolSize = "8G" // sparse
)

// place is where a node's files are. Its pool and etcd's data may be a fixture's.
type place struct {
	*daemon.Daemon
	pool string
}

// newPlace makes a place for a node that has nothing yet.
func (l *lab) newPlace() (*place, error) {
	l.places++
	p := &place{Daemon: &daemon.Daemon{Program: l.server, Dir: filepath.Join(l.dir, strconv.Itoa(l.places))}}
	p.pool = filepath.Join(p.Dir, "pool")
	return p, os.MkdirAll(p.Data(), 0o700)
}

// node is a dotmesh-server of our own, with the etcd that it starts.
type node struct {
	*place
	*api.Client
	took time.Duration // from exec to the first answer
}

// start returns when the node has answered Dots, and says how long that took.
func (l *lab) start(ctx context.Context, p *place) (*node, error) {
	client, err := api.NewClient(api.Remote{URL: p.URL()})
	if err != nil {
		return nil, err
	}
	p.Args = []string{"--listen", "127.0.0.1:0", "--storage", "btrfs-file:" + p.pool, "--pool-size", poolSize, "--node-name", "bench"}
	n := &node{place: p, Client: client}
	began := time.Now()
	if err := n.Launch(); err != nil {
		return nil, err
	}
	if err := n.await(ctx); err != nil {
		return nil, fmt.Errorf("%w\n%s", errors.Join(err, n.stop()), n.LastWords())
	}
	n.took = time.Since(began)
	return n, nil
}

// await asks for the dots until there is an answer.
func (n *node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startIn)
	defer cancel()
	again := time.NewTicker(askEvery)
	defer again.Stop()
	for {
		_, err := n.Dots(ctx)
		if !errors.Is(err, dotmesh.Unreachable) {
			return err
		}
		select {
		case <-n.Ended():
			return errors.New("the node ended instead of starting")
		case <-ctx.Done():
			return fmt.Errorf("the node does not answer: %w", err)
		case <-again.C:
		}
	}
}

// stop takes away the node's mounts, asks it to end and waits for it.
func (n *node) stop() error {
	err := daemon.Unmount(n.Dir)
	n.Close()
	return errors.Join(err, n.Stop())
}

// with starts a node, hands it to f and stops it.
func (l *lab) with(ctx context.Context, p *place, f func(*node) error) error {
	n, err := l.start(ctx, p)
	if err != nil {
		return err
	}
	err = f(n)
	return errors.Join(err, n.stop())
}

// mountsBelow lists the mount points at or beneath dir.
func mountsBelow(dir string) (points []string, err error) {
	entries, err := mounts.List(dir)
	for _, e := range entries {
		points = append(points, e.Target)
	}
	return points, err
}
