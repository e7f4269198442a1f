//go:build linux

package btrfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
)

// twins are two nodes that keep their pools in two directories of one file system, one of
// them a subvolume, mounted by itself.
func twins(t *testing.T) (a, b *btrfs.Store) {
	t.Helper()
	disk := mountPool(t)
	command(t, "btrfs", "subvolume", "create", filepath.Join(disk, "a"))
	if err := os.Mkdir(filepath.Join(disk, "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	command(t, "mount", "-o", "subvol=a", command(t, "findmnt", "-no", "SOURCE", "-v", disk), dir)
	t.Cleanup(func() { command(t, "umount", dir) })
	return open(t, btrfs.Config{Dir: dir}), open(t, btrfs.Config{Dir: filepath.Join(disk, "b")})
}

func TestTwoPoolsOfOneFileSystemDoNotMix(t *testing.T) {
	a, b := twins(t)
	for _, s := range []*btrfs.Store{a, b} { // the same line, as a replica has it
		if err := work(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	dir, unmount := mountLive(t, a, childLine)
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("a's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Destroy(t.Context(), childLine); err != nil {
		t.Errorf("what another pool has mounted is in the way: %v", err)
	}
	if err := a.Destroy(t.Context(), childLine); !errors.Is(err, dotmesh.Busy) {
		t.Errorf("destroy = %v, want Busy", err)
	}
	unmount()
	for info, err := range b.Inventory(t.Context()) {
		t.Errorf("b has %+v, %v", info, err)
	}
	u, err := a.Usage(t.Context(), childLine, dotmesh.Ref{}, true)
	if err != nil || u.Dirty.Bytes == 0 {
		t.Errorf("usage = %+v, %v, want what was written", u, err)
	}
	request := []dotmesh.SnapRequest{{Line: childLine, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}}
	if err := a.Snapshot(t.Context(), request)[0].Err; err != nil {
		t.Error(err)
	}
	if err := a.Destroy(t.Context(), childLine); err != nil {
		t.Error(err)
	}
}

// directory is a store in a directory of a file system, which is copied whole for a crash.
type directory struct {
	*btrfs.Store
	disk, path string
}

func (d *directory) Crash(t *testing.T) dotmesh.Store {
	t.Helper()
	twin, dir := filepath.Join(t.TempDir(), "twin"), t.TempDir()
	command(t, "cp", "--sparse=always", d.disk, twin)
	command(t, "mount", "-o", "loop", twin, dir)
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return open(t, btrfs.Config{Dir: filepath.Join(dir, d.path)})
}

func TestStoreInADirectory(t *testing.T) {
	dotmeshtest.RunStoreTests(t, func(t *testing.T) dotmesh.Store {
		dir := mountPool(t)
		path := filepath.Join("data", "dot mesh")
		if err := os.MkdirAll(filepath.Join(dir, path), 0o700); err != nil {
			t.Fatal(err)
		}
		d := &directory{disk: backingFile(t, dir), path: path}
		d.Store = open(t, btrfs.Config{Dir: filepath.Join(dir, path)})
		return d
	})
}

// backingFile returns the file below the loop device that is mounted at dir.
func backingFile(t *testing.T, dir string) string {
	t.Helper()
	device := command(t, "findmnt", "-no", "SOURCE", "-v", dir)
	return command(t, "losetup", "--list", "--noheadings", "--output", "BACK-FILE", device)
}
