package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dotmesh.io/dotmesh/tests/daemon"
)

// The kinds of pools that the demo knows, and what they are called.
const (
	onBtrfs = "btrfs-file"
	onZFS   = "zfs-file"
)

var poolTitles = map[string]string{onBtrfs: "btrfs pool", onZFS: "zpool"}

const (
	startIn = time.Minute
	leaveIn = 10 * time.Second
)

// node is a dotmesh-server of our own.
type node struct {
	*daemon.Daemon
	storage string // what kind of pool it has
}

func newNode(program, dir, storage string) *node {
	n := &node{&daemon.Daemon{Program: program, Dir: dir}, storage}
	n.Args = []string{"--listen", "127.0.0.1:0", "--storage", storage + ":" + n.image(), "--pool-size", "2G", "--node-name", "demo"}
	return n
}

func (n *node) image() string { return filepath.Join(n.Dir, "pool") }

// start returns when the node is ready.
func (n *node) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startIn)
	defer cancel()
	return n.Start(ctx)
}

// leave takes away what a node leaves when it ends: its mounts, and its zpool.
func (n *node) leave() error {
	return errors.Join(daemon.Unmount(n.Dir), n.export())
}

// leftovers names what of the node is still there. It waits a little for what is on its way out.
func (n *node) leftovers(ctx context.Context) (left []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, leaveIn)
	defer cancel()
	return n.Gone(ctx, n.pools)
}

// export takes the node's zpool away, which a node leaves imported. It does nothing where
// there is none, or another one of that name.
func (n *node) export() error {
	left, err := n.pools()
	for _, pool := range left {
		out, failed := exec.Command("zpool", "export", strings.TrimPrefix(pool, poolMark)).CombinedOutput()
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("export the pool: %w: %s", failed, out))
		}
	}
	return err
}

// poolMark begins what leftovers calls a zpool.
const poolMark = "zpool "

// pools returns the zpool that lies in the node's file, if it is imported.
func (n *node) pools() (left []string, err error) {
	if n.storage != onZFS {
		return nil, nil
	}
	out, err := exec.Command("zpool", "list", "-HPv", "-o", "name").Output()
	pool := ""
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if fields[0] != "" { // a pool's own line; those of its devices begin with a tab
			pool = fields[0]
		}
		if slices.Contains(fields, n.image()) {
			left = append(left, poolMark+pool)
		}
	}
	return left, err
}
