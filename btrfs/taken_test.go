//go:build linux

package btrfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
)

// fussyStore returns a store on a disk that takes what belongs to the trees and no data, once
// fill is called and until empty is: what a full disk below a pool's file comes to.
func fussyStore(t *testing.T) (s *btrfs.Store, fill, empty func()) {
	t.Helper()
	disk := t.TempDir()
	command(t, "mount", "-t", "tmpfs", "-o", "size=300m", "none", disk)
	t.Cleanup(func() { command(t, "umount", disk) })
	file := filepath.Join(disk, "pool")
	s = open(t, btrfs.Config{File: file, Size: poolSize})
	return s, func() {
			t.Helper()
			pool, err := os.OpenFile(file, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close() //nolint:errcheck // nothing is written
			for _, part := range treeParts(t, file) {
				if err := unix.Fallocate(int(pool.Fd()), unix.FALLOC_FL_KEEP_SIZE, part.at, part.size); err != nil {
					t.Fatal(err)
				}
			}
			fillDisk(t, disk)
		}, func() {
			t.Helper()
			if err := os.Remove(filepath.Join(disk, "rest")); err != nil {
				t.Fatal(err)
			}
		}
}

// part is a part of a disk.
type part struct{ at, size int64 }

// treeParts returns where a file system has its trees.
func treeParts(t *testing.T, file string) (parts []part) {
	t.Helper()
	var size int64
	var kind string
	for line := range strings.SplitSeq(command(t, "btrfs", "inspect-internal", "dump-tree", "-t", "chunk", file), "\n") {
		var stripe, at int64
		line = strings.TrimSpace(line)
		_, _ = fmt.Sscanf(line, "length %d owner 2 stripe_len 65536 type %s", &size, &kind) // or it is another line
		if n, _ := fmt.Sscanf(line, "stripe %d devid 1 offset %d", &stripe, &at); n == 2 && !strings.HasPrefix(kind, "DATA") {
			parts = append(parts, part{at, size})
		}
	}
	return parts
}

// wantRefused checks that a commit failed for want of space, and that there is one only.
func wantRefused(t *testing.T, s dotmesh.Store, err error) {
	t.Helper()
	if !errors.Is(err, dotmesh.NoSpace) || dotmesh.Text(err) == "" {
		t.Errorf("err = %v, want that there is no space", err)
	}
	if info, err := s.Line(t.Context(), childLine); err != nil || len(info.Commits) != 1 {
		t.Errorf("line = %+v, %v, want the first commit alone", info, err)
	}
}

// TestACommitOfWhatTheDiskDidNotTakeIsRefused writes what the kernel accepts and the disk does
// not: the kernel would make a snapshot without it.
func TestACommitOfWhatTheDiskDidNotTakeIsRefused(t *testing.T) {
	s, fill, empty := fussyStore(t)
	if err := work(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	dir, unmount := mountLive(t, s, childLine)
	defer unmount()
	id := dotmesh.CommitID{UUID: dotmesh.NewUUID()}
	request := []dotmesh.SnapRequest{{Line: childLine, Commit: id}}
	content := strings.Repeat("0123456789abcdef", 1<<20)
	fill()
	write(t, filepath.Join(dir, "data"), content)
	wantRefused(t, s, s.Snapshot(t.Context(), request)[0].Err)
	empty()
	write(t, filepath.Join(dir, "data"), content)
	if err := s.Snapshot(t.Context(), request)[0].Err; err != nil {
		t.Fatal(err)
	}
	wantContent(t, s, id, content)
}

// TestAStreamThatTheDiskDidNotTakeIsRefused receives such data, little and much.
func TestAStreamThatTheDiskDidNotTakeIsRefused(t *testing.T) {
	for _, size := range []int{1 << 20, 32 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			a := newStore(t)
			b, fill, empty := fussyStore(t)
			if err := work(t.Context(), a.Store); err != nil {
				t.Fatal(err)
			}
			dir, unmount := mountLive(t, a, childLine)
			content := strings.Repeat("0123456789abcdef", size/16)
			write(t, filepath.Join(dir, "data"), content)
			unmount()
			first, second := dotmesh.CommitID{UUID: dotmesh.UUID{2}}, a.snap(t)
			stream, err := sendAll(t.Context(), a, childLine, first, second)
			if err != nil {
				t.Fatal(err)
			}
			receive := func() error {
				_, err := b.Receive(t.Context(), dotmesh.RecvSpec{Line: childLine}, bytes.NewReader(stream))
				return err
			}
			fill()
			wantRefused(t, b, receive())
			empty()
			if err := receive(); err != nil {
				t.Fatal(err)
			}
			wantContent(t, b, second, content)
		})
	}
}

// wantContent checks what the file data of a commit holds.
func wantContent(t *testing.T, s dotmesh.Store, id dotmesh.CommitID, want string) {
	t.Helper()
	dir, unmount := mountView(t, s, id)
	defer unmount()
	if got, err := os.ReadFile(filepath.Join(dir, "data")); err != nil || string(got) != want {
		t.Errorf("the commit has %d bytes, want %d: %v", len(got), len(want), err)
	}
}
