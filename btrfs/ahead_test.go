//go:build linux

package btrfs_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// TestFilesAreReadBeforeTheyAreSent opens a stream and reads nothing of it. The kernel gets
// no further than the pipe takes, which is a few files; but all that follow are read.
func TestFilesAreReadBeforeTheyAreSent(t *testing.T) {
	const files, size = 40, 100 << 10
	s := newStore(t)
	if err := s.Fork(t.Context(), childLine, dotmesh.Origin{}); err != nil {
		t.Fatal(err)
	}
	dir, unmount := mountLive(t, s, childLine)
	content := make([]byte, size)
	for n := range files {
		rand.Read(content)
		write(t, filepath.Join(dir, fmt.Sprint(n)), string(content))
	}
	unmount()
	id := dotmesh.CommitID{UUID: dotmesh.NewUUID()}
	if err := s.Snapshot(t.Context(), []dotmesh.SnapRequest{{Line: childLine, Commit: id}})[0].Err; err != nil {
		t.Fatal(err)
	}
	view, unmount := mountView(t, s, id)
	defer unmount()
	last := filepath.Join(view, fmt.Sprint(files-1))
	if cached(t, last) {
		t.Fatal("what nobody has read yet is in the cache")
	}
	stream, err := s.Send(t.Context(), dotmesh.SendSpec{Line: childLine, Commits: []dotmesh.CommitID{id}})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for end := time.Now().Add(30 * time.Second); !cached(t, last); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the last file is not read")
		}
	}
}

// cached reports whether all of a file is in the kernel's cache.
func cached(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mapped) //nolint:errcheck // nothing was written
	resident := make([]byte, (len(mapped)+os.Getpagesize()-1)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&mapped[0])), uintptr(len(mapped)), uintptr(unsafe.Pointer(&resident[0])))
	if errno != 0 {
		t.Fatal(errno)
	}
	return !bytes.Contains(resident, []byte{0})
}
