//go:build linux

package btrfs_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
	"dotmesh.io/dotmesh/internal/mounts"
)

// command runs a program and returns what it printed.
func command(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
	return strings.TrimSpace(string(out))
}

// newDisk returns a loop device of its own.
func newDisk(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "disk")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, poolSize)); err != nil {
		t.Fatal(err)
	}
	device := command(t, "losetup", "--find", "--show", file)
	t.Cleanup(func() { command(t, "losetup", "--detach", device) })
	return device
}

// mountLive mounts the head of a line, and returns where and what unmounts it.
func mountLive(t testing.TB, s dotmesh.Store, line dotmesh.LineID) (dir string, unmount func()) {
	t.Helper()
	d, err := s.Live(t.Context(), line)
	if err != nil {
		t.Fatal(err)
	}
	return mount(t, d)
}

// mountView mounts a commit of the line that children make.
func mountView(t testing.TB, s dotmesh.Store, id dotmesh.CommitID) (dir string, unmount func()) {
	t.Helper()
	d, err := s.View(t.Context(), dotmesh.Ref{Line: childLine, Commit: id})
	if err != nil {
		t.Fatal(err)
	}
	return mount(t, d)
}

func mount(t testing.TB, d dotmesh.Device) (dir string, unmount func()) {
	t.Helper()
	dir = t.TempDir()
	if err := mounts.Mount(t.Context(), d, dir); err != nil {
		t.Fatal(err)
	}
	unmount = func() {
		if err := mounts.Unmount(context.WithoutCancel(t.Context()), dir); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(unmount) // twice does nothing
	return dir, unmount
}

func TestAPoolMovesFromOneDiskToAnother(t *testing.T) {
	from, to, dir := newDisk(t), newDisk(t), t.TempDir()
	command(t, "mkfs.btrfs", "-q", "-m", "single", from)
	command(t, "mount", from, dir)
	t.Cleanup(func() { command(t, "umount", dir) })
	s := open(t, btrfs.Config{Dir: dir})
	if err := work(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	command(t, "btrfs", "device", "add", "-f", to, dir)
	command(t, "btrfs", "device", "remove", from, dir)
	_, unmount := mountLive(t, s, childLine)
	if err := s.Destroy(t.Context(), childLine); !errors.Is(err, dotmesh.Busy) {
		t.Errorf("destroy = %v, want Busy", err)
	}
	unmount()
	if err := s.Destroy(t.Context(), childLine); err != nil {
		t.Error(err)
	}
}

func TestAMountInAThreadsOwnNamespaceIsSeen(t *testing.T) {
	s := newStore(t)
	if err := work(t.Context(), s.Store); err != nil {
		t.Fatal(err)
	}
	d, err := s.Live(t.Context(), childLine)
	if err != nil {
		t.Fatal(err)
	}
	mounted, done, ended := make(chan error), make(chan struct{}), make(chan struct{})
	dir := t.TempDir()
	go onThread(func() {
		defer close(ended)
		mounted <- errors.Join(
			unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS),
			unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""),
			unix.Mount(d.Source, dir, d.FSType, 0, d.Data),
		)
		<-done
	})
	if err := <-mounted; err != nil {
		t.Fatal(err)
	}
	if err := s.Destroy(t.Context(), childLine); !errors.Is(err, dotmesh.Busy) {
		t.Errorf("destroy = %v, want Busy", err)
	}
	close(done)
	<-ended
}

// onThread runs f on a thread that ends with it. It is never the main thread, whose mount
// namespace is what the whole process sees as its own.
func onThread(f func()) {
	runtime.LockOSThread() // not unlocked, so the thread goes too
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		onThread(f)
	}()
	<-done
	runtime.UnlockOSThread()
}
