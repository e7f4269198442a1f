//go:build failpoints && zfs

package faults_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/zfs"
)

// storePoints begins the failpoints of the store that is tested.
const storePoints = "zfs."

// poolSize is what a zpool needs: ZFS keeps 128 MiB for itself.
const poolSize = 512 << 20

// servers is how many of them run at once. On an emulated processor two keep each other's
// etcd from answering in time.
const servers = 1

// patience is how long anything is waited for that should happen by itself. There a server
// may take two minutes to start while the host does something else.
const patience = 15 * time.Minute

// here reports whether a fault is tested on this kind of store: those in which the server is
// killed, since what becomes of it then is the store's doing, too. What etcd's faults and
// refusals come to does not hang on the store, and takes long on an emulated processor.
func here(f fault) bool {
	return strings.HasPrefix(f.name, "killed ")
}

// elsewhere reports whether a failpoint is none of the store's, so that it is for the same
// tests on btrfs, or whether these servers cannot come by it: nothing that they are asked
// for sends or receives commits. The store's own tests do.
func elsewhere(point string) bool {
	what, ours := strings.CutPrefix(point, storePoints)
	return !ours || strings.HasPrefix(what, "send.") || strings.HasPrefix(what, "receive.")
}

// pool is the name of the node's zpool.
func (n *node) pool() string { return filepath.Base(n.Dir) }

func (n *node) storage() string { return "zfs:" + n.pool() }

// makePool makes a zpool in a file, as an administrator would on a disk.
func (n *node) makePool() {
	n.Helper()
	n.must(os.WriteFile(n.path("pool"), nil, 0o600))
	n.must(os.Truncate(n.path("pool"), poolSize))
	n.zpool("create", "-o", "cachefile=none", "-O", "mountpoint=none", "-O", "canmount=off", n.pool(), n.path("pool"))
}

// removePool exports it.
func (n *node) removePool() { n.zpool("export", n.pool()) }

func (n *node) zpool(args ...string) {
	n.Helper()
	if out, err := exec.Command("zpool", args...).CombinedOutput(); err != nil {
		n.Errorf("zpool %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// openPool opens the pool of a stopped server.
func (n *node) openPool() dotmesh.Store {
	n.Helper()
	store, err := zfs.Open(n.Context(), zfs.Config{Pool: n.pool()})
	n.must(err)
	return store
}

// poolLeft names the zpool if it is still imported.
func (n *node) poolLeft() (left []string, err error) {
	if exec.Command("zpool", "list", n.pool()).Run() == nil {
		left = append(left, "zpool "+n.pool())
	}
	return left, nil
}
