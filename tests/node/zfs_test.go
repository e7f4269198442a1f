//go:build zfs

package node_test

import (
	"os/exec"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/zfs"
)

// onZFS opens a new zpool, which goes with the test.
func onZFS(t *testing.T, file string) dotmesh.Store {
	t.Helper()
	name := "test-" + dotmesh.NewUUID().String()[:8]
	t.Cleanup(func() { export(t, name) }) // after the node's own, which unmounts
	store, err := zfs.Open(t.Context(), zfs.Config{Pool: name, File: file, Size: poolSize})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// export takes a pool away. ZFS first waits for the thread that trims it, which looks up
// once in a transaction group only: so it is told to end, and given one.
func export(t *testing.T, pool string) {
	t.Helper()
	for _, argv := range [][]string{{"set", "autotrim=off", pool}, {"sync", pool}, {"export", pool}} {
		if out, err := exec.Command("zpool", argv...).CombinedOutput(); err != nil {
			t.Errorf("zpool %v: %v: %s", argv, err, out)
		}
	}
}

func TestServiceOnZFSAndEtcd(t *testing.T) { testService(t, onZFS) }
