//go:build linux

package btrfs_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sync/errgroup"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
	"dotmesh.io/dotmesh/internal/mounts"
)

// TestADiffOfAHeadIsOfOneMoment: a writer makes files in pairs, the second one after the
// first. A diff that sees a second one without its first has mixed two moments.
func TestADiffOfAHeadIsOfOneMoment(t *testing.T) {
	s, err := btrfs.Open(t.Context(), btrfs.Config{File: filepath.Join(t.TempDir(), "pool"), Size: 512 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	line := dotmesh.LineID{UUID: dotmesh.NewUUID()}
	commit := dotmesh.Ref{Line: line, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
	if err := s.Fork(t.Context(), line, dotmesh.Origin{}); err != nil {
		t.Fatal(err)
	}
	if made := s.Snapshot(t.Context(), []dotmesh.SnapRequest{{Line: line, Commit: commit.Commit}}); made[0].Err != nil {
		t.Fatal(made[0].Err)
	}
	device, err := s.Live(t.Context(), line)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := mounts.Mount(t.Context(), device, dir); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := mounts.Unmount(t.Context(), dir); err != nil {
			t.Error(err)
		}
	}()
	var g errgroup.Group
	stop := make(chan struct{})
	g.Go(func() error {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return nil
			default:
			}
			for _, name := range []string{"first-", "second-"} {
				if err := os.WriteFile(filepath.Join(dir, name+strconv.Itoa(n%500)), nil, 0o600); err != nil {
					return err
				}
			}
			if n%500 == 499 {
				if err := removePairs(dir); err != nil {
					return err
				}
			}
		}
	})
	for range 40 {
		there := map[string]bool{}
		for c, err := range s.Diff(t.Context(), commit, dotmesh.Ref{Line: line}) {
			if err != nil {
				t.Error(err)
			}
			there[c.Path] = true
		}
		for n := range 500 {
			if there["second-"+strconv.Itoa(n)] && !there["first-"+strconv.Itoa(n)] {
				t.Errorf("pair %d is there by half", n)
			}
		}
	}
	close(stop)
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// removePairs removes the second file of each pair before its first.
func removePairs(dir string) error {
	for n := range 500 {
		for _, name := range []string{"second-", "first-"} {
			if err := os.Remove(filepath.Join(dir, name+strconv.Itoa(n))); err != nil {
				return err
			}
		}
	}
	return nil
}
