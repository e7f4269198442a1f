//go:build linux

package btrfs_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// TestFilesAreReadBeforeTheyAreSent opens a stream and reads nothing of it. The kernel gets
// no further than the pipe takes, which is a few files; but all that follow are asked for.
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
	asked := closings(t, filepath.Join(view, fmt.Sprint(files-1)))
	stream, err := s.Send(t.Context(), dotmesh.SendSpec{Line: childLine, Commits: []dotmesh.CommitID{id}})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	if _, err := asked.Read(make([]byte, unix.SizeofInotifyEvent)); err != nil {
		t.Fatalf("the last file is not asked for: %v", err)
	}
}

// closings tells when somebody who has only read a file closes it. The kernel opens none of
// those that it sends.
func closings(t *testing.T, path string) *os.File {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "inotify")
	t.Cleanup(func() { f.Close() })
	_, err = unix.InotifyAddWatch(fd, path, unix.IN_CLOSE_NOWRITE)
	if err := errors.Join(err, f.SetReadDeadline(time.Now().Add(30*time.Second))); err != nil {
		t.Fatal(err)
	}
	return f
}
