//go:build linux

package btrfs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
)

// stuckStore returns a store with a line that has data to be written out, on a disk that
// takes none until the function that comes with it is called.
func stuckStore(t *testing.T) (s *crasher, release func()) {
	t.Helper()
	disk := mountPool(t)
	s = &crasher{file: filepath.Join(disk, "pool")}
	s.Store = open(t, btrfs.Config{File: s.file, Size: poolSize})
	if err := work(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	dir, _ := mountLive(t, s, childLine)
	if err := os.WriteFile(filepath.Join(dir, "large"), make([]byte, 16<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "fsfreeze", "--freeze", disk)
	release = sync.OnceFunc(func() { command(t, "fsfreeze", "--unfreeze", disk) })
	t.Cleanup(release)
	return s, release
}

func TestReadingGivesUpWithItsCaller(t *testing.T) {
	for name, call := range map[string]func(context.Context, dotmesh.Store) error{
		"Usage": func(ctx context.Context, s dotmesh.Store) error {
			_, err := s.Usage(ctx, childLine, dotmesh.Ref{}, true)
			return err
		},
		"Diff": func(ctx context.Context, s dotmesh.Store) error {
			for _, err := range s.Diff(ctx, dotmesh.Ref{Line: childLine, Commit: dotmesh.CommitID{UUID: dotmesh.UUID{2}}}, dotmesh.Ref{Line: childLine}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, release := stuckStore(t)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- call(ctx, s) }()
			select {
			case err := <-done:
				if !errors.Is(err, dotmesh.Unknown) && !errors.Is(err, dotmesh.Timeout) {
					t.Errorf("err = %v", err)
				}
				release()
			case <-time.After(5 * time.Second): // a second is promised
				t.Error("it waits for the disk")
				release()
				<-done
			}
			top := t.TempDir()
			command(t, "mount", "-o", "subvolid=5", loopDevice(t, s.file), top)
			t.Cleanup(func() { command(t, "umount", top) })
			if err := s.Close(); err != nil { // waits for what still runs
				t.Fatal(err)
			}
			entries, err := os.ReadDir(filepath.Join(top, "lines", childLine.String()))
			if err != nil || len(entries) != 2 {
				t.Errorf("there is more than the head and the commits: %v, %v", entries, err)
			}
		})
	}
}
