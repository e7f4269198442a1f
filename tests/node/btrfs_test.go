//go:build !zfs

package node_test

import (
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
)

func onBtrfs(t *testing.T, file string) dotmesh.Store {
	t.Helper()
	store, err := btrfs.Open(t.Context(), btrfs.Config{File: file, Size: poolSize})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestServiceOnBtrfsAndEtcd(t *testing.T) { testService(t, onBtrfs) }
