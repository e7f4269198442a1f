//go:build linux && zfs

package zfs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
	"dotmesh.io/dotmesh/zfs"
)

// poolSize is small, since the tests run on an emulated processor. ZFS keeps 128 MiB.
const poolSize = 384 << 20

// command runs a program and returns what it says.
func command(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// poolName returns a name that no other pool has.
func poolName() string { return "test-" + dotmesh.NewUUID().String()[:8] }

// open opens a pool, closes it with the test, and takes the pool away.
func open(t *testing.T, c zfs.Config) *zfs.Store {
	t.Helper()
	s, err := zfs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		command(t, "zpool", "export", c.Pool)
	})
	return s
}

// freezer returns a directory on a file system of its own, which can be frozen, and a
// function that does so, runs another one, and thaws it.
func freezer(t *testing.T) (dir string, frozen func(func())) {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	command(t, "truncate", "-s", "1G", image)
	command(t, "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", image)
	command(t, "mount", "-o", "loop", image, dir)
	t.Cleanup(func() { command(t, "umount", dir) })
	return dir, func(f func()) {
		d, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		const freeze, thaw = 0xc0045877, 0xc0045878 // FIFREEZE, FITHAW
		if err := unix.IoctlSetInt(int(d.Fd()), freeze, 0); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := unix.IoctlSetInt(int(d.Fd()), thaw, 0); err != nil {
				t.Fatal(err)
			}
		}()
		f()
	}
}

// crasher is a store in a file that can be copied as a power cut would leave it: with all
// that the kernel has written so far, and nothing that it still would.
type crasher struct {
	*zfs.Store
	pool, file string
	frozen     func(func())
}

func newStore(t *testing.T) *crasher {
	t.Helper()
	dir, frozen := freezer(t)
	c := &crasher{pool: poolName(), file: filepath.Join(dir, "pool"), frozen: frozen}
	c.Store = open(t, zfs.Config{Pool: c.pool, File: c.file, Size: poolSize})
	return c
}

// Crash opens a copy, under another name. Two pools of one guid cannot be imported, so the
// original gets a new one.
func (c *crasher) Crash(t *testing.T) dotmesh.Store {
	t.Helper()
	twin := filepath.Join(t.TempDir(), "twin")
	c.frozen(func() { command(t, "cp", "--sparse=always", c.file, twin) })
	command(t, "zpool", "reguid", c.pool)
	return open(t, zfs.Config{Pool: poolName(), File: twin})
}

func TestStore(t *testing.T) {
	dotmeshtest.RunStoreTests(t, func(t *testing.T) dotmesh.Store { return newStore(t) })
}

func TestStreams(t *testing.T) {
	dotmeshtest.RunStreamTests(t, func(t *testing.T) dotmesh.Store { return newStore(t) })
}
