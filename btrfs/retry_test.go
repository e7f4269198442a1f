//go:build linux

package btrfs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
)

// retried is a call that fails before its work is durable, and is made again.
type retried struct {
	point string
	call  func(context.Context, dotmesh.Store) error
	done  func(context.Context, dotmesh.Store) error // checks what a crash leaves then
}

// retries are to be done in this order.
func retries() []retried {
	line := dotmesh.LineID{UUID: storyID("line")}
	child := dotmesh.LineID{UUID: storyID("child")}
	first := dotmesh.CommitID{UUID: storyID("first")}
	origin := dotmesh.Origin{Line: line, Commit: first}
	info := func(ctx context.Context, s dotmesh.Store, head bool, commits int) error {
		i, err := s.Line(ctx, line)
		if err == nil && (i.Head != head || len(i.Commits) != commits) {
			err = fmt.Errorf("line = %+v, want head %v and %d commits", i, head, commits)
		}
		return err
	}
	fork := func(ctx context.Context, s dotmesh.Store) error { return s.Fork(ctx, line, dotmesh.Origin{}) }
	snap := func(ctx context.Context, s dotmesh.Store) error {
		return s.Snapshot(ctx, []dotmesh.SnapRequest{{Line: line, Commit: first, Meta: []byte("meta")}})[0].Err
	}
	drop := func(ctx context.Context, s dotmesh.Store) error {
		return s.Drop(ctx, line, []dotmesh.CommitID{first})
	}
	return []retried{
		{"btrfs.head.before-sync", fork, func(ctx context.Context, s dotmesh.Store) error { return info(ctx, s, true, 0) }},
		{"btrfs.snapshot.after-ioctl", snap, func(ctx context.Context, s dotmesh.Store) error {
			meta, err := s.Meta(ctx, dotmesh.Ref(origin))
			if err == nil && string(meta) != "meta" {
				err = fmt.Errorf("meta = %q", meta)
			}
			return err
		}},
		{"btrfs.head.after-ioctl", func(ctx context.Context, s dotmesh.Store) error {
			if err := s.Fork(ctx, child, origin); err != nil {
				return err
			}
			if err := drop(ctx, s); !errors.Is(err, dotmesh.Busy) {
				return fmt.Errorf("drop of an origin = %w, want Busy", err)
			}
			return nil
		}, func(ctx context.Context, s dotmesh.Store) error { return info(ctx, s, true, 1) }},
		{"btrfs.destroy.before-sync", func(ctx context.Context, s dotmesh.Store) error {
			return s.Destroy(ctx, child)
		}, drop},
		{"btrfs.drop-head.before-sync", func(ctx context.Context, s dotmesh.Store) error {
			return s.DropHead(ctx, line)
		}, func(ctx context.Context, s dotmesh.Store) error { return info(ctx, s, false, 1) }},
		{"btrfs.drop.before-sync", drop, func(ctx context.Context, s dotmesh.Store) error { return info(ctx, s, false, 0) }},
	}
}

// retryAll makes all calls fail once, and copies the pool when each has been done.
func retryAll(ctx context.Context, s dotmesh.Store) error {
	points := strings.TrimPrefix(os.Getenv("DOTMESH_FAILPOINTS"), "@")
	pool := os.Getenv("DOTMESH_TEST_POOL")
	for i, r := range retries() {
		if err := os.WriteFile(points, []byte(r.point+"=error@1"), 0o600); err != nil {
			return err
		}
		if err := r.call(ctx, s); err == nil {
			return fmt.Errorf("%s did not fail", r.point)
		}
		if err := r.call(ctx, s); err != nil {
			return fmt.Errorf("%s again: %w", r.point, err)
		}
		if err := exec.Command("cp", "--sparse=always", pool, fmt.Sprint(pool, i)).Run(); err != nil {
			return err
		}
	}
	return nil
}

// TestACommitThatTheDiskRefusedIsNotThere fills the disk that a pool's file lies on.
func TestACommitThatTheDiskRefusedIsNotThere(t *testing.T) {
	disk := mountPool(t)
	s := open(t, btrfs.Config{File: filepath.Join(disk, "pool"), Size: poolSize})
	if err := work(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	dir, unmount := mountLive(t, s, childLine)
	rest := fillDisk(t, disk)
	p, err := s.Pool(t.Context())
	if err != nil || p.Free-p.Reserve > 128<<20 {
		t.Errorf("pool = %+v, %v, though its disk is full", p, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), make([]byte, 64<<20), 0o600); err != nil {
		t.Log(err)
	}
	id := dotmesh.CommitID{UUID: dotmesh.UUID{3}}
	for range 3 {
		got := s.Snapshot(t.Context(), []dotmesh.SnapRequest{{Line: childLine, Commit: id}})[0]
		if got.Err == nil {
			t.Errorf("got %+v from a disk that takes nothing", got)
		} else {
			t.Log(got.Err)
		}
	}
	unmount()
	if err := s.Close(); err != nil {
		t.Log(err)
	}
	if err := os.Remove(rest); err != nil {
		t.Fatal(err)
	}
	waitDetached(t, filepath.Join(disk, "pool"))
	s = open(t, btrfs.Config{File: filepath.Join(disk, "pool"), Size: poolSize})
	info, err := s.Line(t.Context(), childLine)
	if err != nil || len(info.Commits) != 1 {
		t.Errorf("line = %+v, %v, want the first commit alone", info, err)
	}
}

// fillDisk takes all the space of a file system with one file.
func fillDisk(t *testing.T, dir string) (file string) {
	t.Helper()
	file = filepath.Join(dir, "rest")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // nothing is written
	var size int64
	for step := int64(256 << 20); step >= 4096; {
		switch err := unix.Fallocate(int(f.Fd()), 0, size, step); {
		case err == nil:
			size += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		default:
			t.Fatal(err)
		}
	}
	return file
}
