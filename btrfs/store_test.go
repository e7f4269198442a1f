//go:build linux

package btrfs_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a pool, and closes it with the test.
func open(t testing.TB, c btrfs.Config) *btrfs.Store {
	t.Helper()
	s, err := btrfs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func newStore(t testing.TB) *btrfs.Store {
	t.Helper()
	return open(t, btrfs.Config{File: filepath.Join(t.TempDir(), "pool"), Size: 1 << 30})
}

func TestStore(t *testing.T) {
	dotmeshtest.RunStoreTests(t, func(t *testing.T) dotmesh.Store { return newStore(t) })
}
