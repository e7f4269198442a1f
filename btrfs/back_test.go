//go:build linux

package btrfs_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// TestACommitComesBackToALockedTree has a commit with attributes that streams do not carry
// be changed elsewhere, and come back.
func TestACommitComesBackToALockedTree(t *testing.T) {
	for _, lock := range []string{"+i", "+a"} {
		t.Run(lock, func(t *testing.T) {
			a, b := newStore(t), newStore(t)
			if err := a.Fork(t.Context(), childLine, dotmesh.Origin{}); err != nil {
				t.Fatal(err)
			}
			dir, unmount := mountLive(t, a, childLine)
			if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "d/f"), "before")
			command(t, "chattr", lock, filepath.Join(dir, "d/f"), filepath.Join(dir, "d"), dir)
			unmount()
			first := a.snap(t)
			send(t, a, b, dotmesh.SendSpec{Commits: []dotmesh.CommitID{first}})

			dir, unmount = mountLive(t, b, childLine)
			write(t, filepath.Join(dir, "d/f"), "after") // of the root nothing is changed
			unmount()
			wantBack(t, a, b, first)
		})
	}
}

// TestWhatIsWrittenInPlaceComesBackCompressed has chattr on one side and a property on the
// other, which no inode can have both.
func TestWhatIsWrittenInPlaceComesBackCompressed(t *testing.T) {
	a, b := newStore(t), newStore(t)
	if err := fork(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	dir, unmount := mountLive(t, a, childLine)
	command(t, "chattr", "+C", dir)
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "d/empty"), "")
	write(t, filepath.Join(dir, "d/sparse"), strings.Repeat("before", 10_000))
	if err := errors.Join(
		os.Truncate(filepath.Join(dir, "d/sparse"), 5<<30), os.Chmod(filepath.Join(dir, "d/sparse"), 0o755|os.ModeSetuid),
		os.Link(filepath.Join(dir, "d/sparse"), filepath.Join(dir, "linked")),
	); err != nil {
		t.Fatal(err)
	}
	unmount()
	first := a.snap(t)
	send(t, a, b, dotmesh.SendSpec{Commits: []dotmesh.CommitID{first}})

	dir, unmount = mountLive(t, b, childLine)
	for _, name := range []string{"d", "d/empty", "d/sparse", ""} {
		if err := unix.Setxattr(filepath.Join(dir, name), compression, []byte("zstd"), 0); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "d/new"), strings.Repeat("after", 10_000))
	unmount()
	wantBack(t, a, b, first)
}

// wantBack commits what b's head holds, and has a take it as the difference to first.
func wantBack(t *testing.T, a, b *crasher, first dotmesh.CommitID) {
	t.Helper()
	second := b.snap(t)
	if err := a.DropHead(t.Context(), childLine); err != nil {
		t.Fatal(err)
	}
	from := dotmesh.Ref{Line: childLine, Commit: first}
	send(t, b, a, dotmesh.SendSpec{From: from, Commits: []dotmesh.CommitID{second}})
	wantSameCommit(t, a, b, second)
}

// send has one store take commits of the line that children make from another.
func send(t *testing.T, from, to dotmesh.Store, spec dotmesh.SendSpec) {
	t.Helper()
	spec.Line = childLine
	stream, err := from.Send(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	_, err = all.ReadFrom(stream)
	if err := errors.Join(err, stream.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := to.Receive(t.Context(), dotmesh.RecvSpec{Line: childLine, Trust: dotmesh.Member}, &all)
	if err != nil || len(got.Commits) != len(spec.Commits) {
		t.Fatalf("received %+v, %v", got, err)
	}
}
