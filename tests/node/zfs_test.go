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
	t.Cleanup(func() { // after the node's own, which unmounts
		if out, err := exec.Command("zpool", "export", name).CombinedOutput(); err != nil {
			t.Errorf("export the pool: %v: %s", err, out)
		}
	})
	store, err := zfs.Open(t.Context(), zfs.Config{Pool: name, File: file, Size: poolSize})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestServiceOnZFSAndEtcd(t *testing.T) { testService(t, onZFS) }
