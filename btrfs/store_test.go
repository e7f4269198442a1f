//go:build linux

package btrfs_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
)

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

// poolSize is small, so that copies of it are made quickly and it is soon full.
const poolSize = 512 << 20

// crasher is a store in a file that can be copied as a power cut would leave it: with all
// that the kernel has written so far, and nothing that it still would.
type crasher struct {
	*btrfs.Store
	file string
}

func newStore(t testing.TB) *crasher {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pool")
	return &crasher{Store: open(t, btrfs.Config{File: file, Size: poolSize}), file: file}
}

// Crash opens a copy. The kernel mounts the twin beside the original (since 6.7).
func (c *crasher) Crash(t *testing.T) dotmesh.Store {
	t.Helper()
	twin := filepath.Join(t.TempDir(), "twin")
	if out, err := exec.Command("cp", "--sparse=always", c.file, twin).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	return open(t, btrfs.Config{File: twin, Size: poolSize})
}

func TestStreams(t *testing.T) {
	dotmeshtest.RunStreamTests(t, func(t *testing.T) dotmesh.Store { return newStore(t) })
}

func TestStore(t *testing.T) {
	dotmeshtest.RunStoreTests(t, func(t *testing.T) dotmesh.Store { return newStore(t) })
}
