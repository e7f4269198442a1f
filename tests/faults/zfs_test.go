//go:build failpoints && zfs

package faults_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// stayMounted says whether dots stay mounted that a test is done with. A server measures
// what is mounted every five seconds, by two programs of ZFS for each branch: with some dots
// it does little else there.
const stayMounted = false

// glance is the time between two looks at what should happen by itself. Each is a request,
// and takes the server's time there.
const glance = 50 * time.Millisecond

// patience is how long anything is waited for that should happen by itself. There a server
// may take two minutes to start while the host does something else.
const patience = 15 * time.Minute

// here reports whether a fault is tested on this kind of store: those in which the server is
// killed, since what becomes of it then is the store's doing, too. What etcd's faults and
// refusals come to does not hang on the store, and takes long on an emulated processor.
func here(f fault) bool {
	return strings.HasPrefix(f.name, "killed ")
}

// killedAt returns the steps of an operation at which the server is killed: those of the
// store, and the first one that finds their work done. At the others the store is as it was
// at one of these, and the same tests on btrfs kill the server there: one kill, with what is
// checked after it, takes a minute on an emulated processor.
func killedAt(all []step) (some []step) {
	for i, at := range all {
		if at.inStore() || i > 0 && all[i-1].inStore() {
			some = append(some, at)
		}
	}
	return some
}

// armStart has a server killed where it comes by one of the store's failpoints at which no
// start before it was killed. At later turns of a point, and at the server's own points, the
// same tests on btrfs kill it.
func (n *node) armStart(killed []step) {
	n.Helper()
	var points []string
	for point := range n.source {
		was := func(s step) bool { return s.point == point }
		if strings.HasPrefix(point, storePoints) && !slices.ContainsFunc(killed, was) {
			points = append(points, point+"=kill@1")
		}
	}
	n.arm(strings.Join(points, ";"))
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
