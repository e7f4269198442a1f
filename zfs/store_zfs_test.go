//go:build linux && zfs

package zfs_test

import (
	"errors"
	"fmt"
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
		export(t, c.Pool)
	})
	return s
}

// export takes a pool away. ZFS first waits for the thread that trims it, which looks up
// once in a transaction group only: so it is told to end, and given one.
func export(t *testing.T, pool string) {
	t.Helper()
	command(t, "zpool", "set", "autotrim=off", pool)
	command(t, "zpool", "sync", pool)
	command(t, "zpool", "export", pool)
}

// disk is a file system of its own for the files of pools, which can be frozen.
var disk string

// TestMain also is the process that a test kills.
func TestMain(m *testing.M) {
	if config := os.Getenv(childEnv); config != "" {
		if err := runChild(config); err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	status, err := withDisk(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(status)
}

// withDisk runs f while there is a disk.
func withDisk(f func() int) (status int, err error) {
	dir, err := os.MkdirTemp("", "zfs-test-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	image := filepath.Join(dir, "image")
	disk = filepath.Join(dir, "disk")
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 8<<30), os.Mkdir(disk, 0o700)); err != nil {
		return 0, err
	}
	for _, argv := range [][]string{
		{"mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-E", "lazy_itable_init=1", image},
		{"mount", "-o", "loop", image, disk},
	} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return 0, fmt.Errorf("%v: %w: %s", argv, err, out)
		}
	}
	defer func() { err = errors.Join(err, exec.Command("umount", disk).Run()) }()
	return f(), nil
}

// frozen runs f while nothing is written to the disk.
func frozen(t *testing.T, f func()) {
	t.Helper()
	d, err := os.Open(disk)
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

// onDisk returns a path for a pool's file on the disk, which goes with the test.
func onDisk(t *testing.T, pool string) string {
	t.Helper()
	path := filepath.Join(disk, pool)
	t.Cleanup(func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	})
	return path
}

// crasher is a store in a file that can be copied as a power cut would leave it: with all
// that the kernel has written so far, and nothing that it still would.
type crasher struct {
	*zfs.Store
	pool, file string
}

func newStore(t *testing.T) *crasher {
	t.Helper()
	c := &crasher{pool: poolName()}
	c.file = onDisk(t, c.pool)
	c.Store = open(t, zfs.Config{Pool: c.pool, File: c.file, Size: poolSize})
	return c
}

// Crash opens a copy, under another name.
func (c *crasher) Crash(t *testing.T) dotmesh.Store { return c.crashed(t) }

// crashed is Crash.
func (c *crasher) crashed(t *testing.T) *zfs.Store {
	t.Helper()
	return open(t, zfs.Config{Pool: poolName(), File: c.twin(t)})
}

// twin makes the copy. Two pools of one guid cannot be imported, so the original gets a new one.
func (c *crasher) twin(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "twin")
	frozen(t, func() { command(t, "cp", "--sparse=always", c.file, file) })
	command(t, "zpool", "reguid", c.pool)
	return file
}

func TestStore(t *testing.T) {
	dotmeshtest.RunStoreTests(t, func(t *testing.T) dotmesh.Store { return newStore(t) })
}
