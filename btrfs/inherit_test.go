//go:build linux

package btrfs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
)

const (
	defaultACL  = "system.posix_acl_default"
	compression = "btrfs.compression"
)

// namedUser is a list of access rights: "user::rwx, user:1:r--, group::r-x, mask::r-x, other::--x".
func namedUser() []byte {
	b := []byte{2, 0, 0, 0}
	for _, e := range [][3]uint32{{1, 7, ^uint32(0)}, {2, 4, 1}, {4, 5, ^uint32(0)}, {16, 5, ^uint32(0)}, {32, 1, ^uint32(0)}} {
		b = append(b, byte(e[0]), 0, byte(e[1]), 0, byte(e[2]), byte(e[2]>>8), byte(e[2]>>16), byte(e[2]>>24))
	}
	return b
}

// TestNothingIsInheritedOnTheWay has directories pass attributes on that not all that is in
// them has: it was made before, or has lost them.
func TestNothingIsInheritedOnTheWay(t *testing.T) {
	a := newStore(t)
	if err := a.Fork(t.Context(), childLine, dotmesh.Origin{}); err != nil {
		t.Fatal(err)
	}
	dir, unmount := mountLive(t, a, childLine)
	path := func(name string) string { return filepath.Join(dir, name) }
	populate := func(name string) {
		t.Helper()
		if err := os.MkdirAll(path(name+"/dir"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, path(name+"/file"), "content")
	}
	populate(".")
	populate("deep")
	for name, value := range map[string][]byte{defaultACL: namedUser(), compression: []byte("zstd")} {
		if err := errors.Join(unix.Setxattr(dir, name, value, 0), unix.Setxattr(path("deep"), name, value, 0)); err != nil {
			t.Fatal(err)
		}
	}
	populate("inherits")
	first := a.snap(t)
	if err := errors.Join(
		unix.Removexattr(path("inherits/file"), compression), unix.Removexattr(path("inherits/dir"), defaultACL),
		os.Rename(path("dir"), path("deep/moved")), os.Rename(path("inherits"), path("deep/dir/inherits")),
	); err != nil {
		t.Fatal(err)
	}
	populate("late")
	if err := unix.Removexattr(path("late/file"), compression); err != nil {
		t.Fatal(err)
	}
	second := a.snap(t)
	unmount()

	passing := mountPool(t) // what the pool gets, it does not pass on either
	if err := errors.Join(unix.Setxattr(passing, defaultACL, namedUser(), 0), unix.Setxattr(passing, compression, []byte("lzo"), 0)); err != nil {
		t.Fatal(err)
	}
	for _, ids := range [][]dotmesh.CommitID{{first, second}, {second}} {
		stream, err := sendAll(t.Context(), a, childLine, ids...)
		if err != nil {
			t.Fatal(err)
		}
		b := open(t, btrfs.Config{Dir: passing})
		if _, err := b.Receive(t.Context(), dotmesh.RecvSpec{Line: childLine, Trust: dotmesh.Member}, bytes.NewReader(stream)); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			wantSameCommit(t, a, b, id)
		}
		if err := errors.Join(b.Destroy(t.Context(), childLine), b.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// snap makes a commit of the line that children make.
func (c *crasher) snap(t *testing.T) dotmesh.CommitID {
	t.Helper()
	id := dotmesh.CommitID{UUID: dotmesh.NewUUID()}
	if err := c.Snapshot(t.Context(), []dotmesh.SnapRequest{{Line: childLine, Commit: id}})[0].Err; err != nil {
		t.Fatal(err)
	}
	return id
}

// wantSameCommit checks that a commit is the same in two stores, its root too.
func wantSameCommit(t *testing.T, a, b dotmesh.Store, id dotmesh.CommitID) {
	t.Helper()
	x, unmountX := mountView(t, a, id)
	defer unmountX()
	y, unmountY := mountView(t, b, id)
	defer unmountY()
	changes, err := dotmeshtest.DiffTrees(x, y)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		t.Errorf("commit %s differs: %+v", id, c)
	}
	for _, name := range []string{defaultACL, "system.posix_acl_access", compression} {
		var bufX, bufY [100]byte
		n, errX := unix.Getxattr(x, name, bufX[:])
		m, errY := unix.Getxattr(y, name, bufY[:])
		if n != m || bufX != bufY || !errors.Is(errX, errY) {
			t.Errorf("the root of commit %s has a %s of %q, %v, and want %q, %v", id, name, bufY[:max(m, 0)], errY, bufX[:max(n, 0)], errX)
		}
	}
}
