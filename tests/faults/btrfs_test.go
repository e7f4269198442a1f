//go:build failpoints && !zfs

package faults_test

import (
	"strings"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
)

// storePoints begins the failpoints of the store that is tested.
const storePoints = "btrfs."

// servers is how many of them run at once.
const servers = 2

// stayMounted says whether dots stay mounted that a test is done with.
const stayMounted = true

// glance is the time between two looks at what should happen by itself.
const glance = 2 * time.Millisecond

// patience is how long anything is waited for that should happen by itself.
const patience = 2 * time.Minute

// here reports whether a fault is tested on this kind of store: all are.
func here(fault) bool { return true }

// killedAt returns the steps of an operation at which the server is killed: all.
func killedAt(all []step) []step { return all }

// armStart has a server killed at the next step of its start, which it came to no further
// than it did before.
func (n *node) armStart(killed []step) {
	n.Helper()
	n.armAt(step{"*", len(killed) + 1}, "kill")
}

// elsewhere reports whether these servers cannot come by a failpoint: their pools are on
// btrfs, and nothing that they are asked for receives commits. The stores' own tests do.
func elsewhere(point string) bool {
	return strings.HasPrefix(point, "zfs.") || strings.HasPrefix(point, storePoints+"receive.")
}

func (n *node) storage() string { return "btrfs-file:" + n.path("pool") }

// makePool does nothing: the server makes its pool itself.
func (n *node) makePool() {}

// removePool does nothing: without a mount there is no pool.
func (n *node) removePool() {}

// openPool opens the pool of a stopped server.
func (n *node) openPool() dotmesh.Store {
	n.Helper()
	store, err := btrfs.Open(n.Context(), btrfs.Config{File: n.path("pool")})
	n.must(err)
	return store
}

// poolLeft names nothing: where a btrfs pool is in use, there is a mount and a loop device.
func (n *node) poolLeft() ([]string, error) { return nil, nil }
