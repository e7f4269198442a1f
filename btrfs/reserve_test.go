//go:build linux

package btrfs_test

import (
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

// crowd fills a pool with small files, whose content lies in the tree itself.
func crowd(t *testing.T, dir string) {
	t.Helper()
	content := []byte(strings.Repeat("x", 2000))
	for i := range 1_000_000 {
		err := os.WriteFile(filepath.Join(dir, fmt.Sprint("crowd", i)), content, 0o600)
		if errors.Is(err, unix.ENOSPC) {
			t.Logf("%d files", i)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the pool is never full")
}

func TestAPoolFullOfSmallFilesIsUsable(t *testing.T) {
	s := open(t, btrfs.Config{File: filepath.Join(t.TempDir(), "pool"), Size: 192 << 20})
	ctx := t.Context()
	if err := work(ctx, s); err != nil {
		t.Fatal(err)
	}
	dir, _ := mountLive(t, s, childLine)
	crowd(t, dir)
	origin := dotmesh.Origin{Line: childLine, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
	fork := dotmesh.LineID{UUID: dotmesh.NewUUID()}
	for _, step := range []struct {
		name string
		err  error
	}{
		{"commit", s.Snapshot(ctx, []dotmesh.SnapRequest{{Line: childLine, Commit: origin.Commit, Meta: []byte("m")}})[0].Err},
		{"fork", s.Fork(ctx, fork, origin)},
		{"remember", s.KV().Update(func(w dotmesh.KVWriter) error { return w.Put("b", "k", make([]byte, 100_000)) })},
		{"destroy", s.Destroy(ctx, fork)},
		{"drop", s.Drop(ctx, childLine, []dotmesh.CommitID{origin.Commit})},
	} {
		if step.err != nil {
			t.Errorf("%s: %v", step.name, step.err)
		}
	}
}
