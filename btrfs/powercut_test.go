//go:build linux && failpoints

package btrfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
)

// TestThePowerIsCutAtEachStepOfReceive holds a process at each step, and looks at what its
// pool would be after a power cut there: each commit absent, or what was sent.
func TestThePowerIsCutAtEachStepOfReceive(t *testing.T) {
	a := newStore(t)
	ids, stream := history(t, a)
	file := filepath.Join(t.TempDir(), "stream")
	if err := os.WriteFile(file, stream, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, point := range failpoints {
		if !strings.HasPrefix(point, "btrfs.receive.") {
			continue
		}
		for nth := 1; nth <= len(ids); nth++ {
			t.Run(fmt.Sprintf("%s %d", point, nth), func(t *testing.T) {
				image := cutPower(t, point, nth, file)
				if image == "" {
					if nth == 1 { // others are done once
						t.Errorf("%s was never reached", point)
					}
					return
				}
				s := open(t, btrfs.Config{File: image, Size: poolSize})
				n := wantPrefix(t, a, s, ids)
				t.Logf("%d commits", n)
				if _, err := s.Receive(t.Context(), dotmesh.RecvSpec{Line: childLine}, bytes.NewReader(stream)); err != nil {
					t.Fatal(err)
				}
				if n := wantPrefix(t, a, s, ids); n != len(ids) {
					t.Errorf("%d commits after the stream was sent again, want %d", n, len(ids))
				}
			})
		}
	}
}

// history makes a line with some commits, and returns them as a stream.
func history(t *testing.T, s *crasher) (ids []dotmesh.CommitID, stream []byte) {
	t.Helper()
	if err := s.Fork(t.Context(), childLine, dotmesh.Origin{}); err != nil {
		t.Fatal(err)
	}
	dir, unmount := mountLive(t, s, childLine)
	defer unmount()
	for i := range 3 {
		for n, size := range []int{100, 10_000, 1_000_000} {
			content := make([]byte, size)
			for k := range content {
				content[k] = byte(rand.Uint32())
			}
			write(t, filepath.Join(dir, fmt.Sprint(n)), string(content))
			write(t, filepath.Join(dir, fmt.Sprint(i, n)), string(content))
		}
		id := dotmesh.CommitID{UUID: dotmesh.NewUUID()}
		if err := s.Snapshot(t.Context(), []dotmesh.SnapRequest{{Line: childLine, Commit: id, Meta: []byte(id.String())}})[0].Err; err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	stream, err := sendAll(t.Context(), s, childLine, ids...)
	if err != nil {
		t.Fatal(err)
	}
	return ids, stream
}

// cutPower has another process receive a stream until a point is reached the nth time, and
// returns an image of its pool as of then; "" if it is not reached.
func cutPower(t *testing.T, point string, nth int, stream string) (image string) {
	t.Helper()
	pool := filepath.Join(t.TempDir(), "pool")
	if !stopAt(t, point, nth, "receive", pool, func() {
		image = pool + " image"
		command(t, "cp", "--sparse=always", pool, image)
	}, "DOTMESH_TEST_STREAM="+stream) {
		return ""
	}
	return image
}

// stopAt has another process do a task, and calls do while it stands at a point that it has
// reached the nth time. It reports whether that was ever so.
func stopAt(t *testing.T, point string, nth int, task, pool string, do func(), env ...string) bool {
	t.Helper()
	dir := t.TempDir()
	log, goOn := filepath.Join(dir, "log"), filepath.Join(dir, "go")
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, kill := startChild(t, task, pool, append(env,
			fmt.Sprintf("DOTMESH_FAILPOINTS=%s=wait:%s@%d", point, goOn, nth), "DOTMESH_FAILPOINTS_LOG="+log)...)
		kill()
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for reached := 0; reached < nth; {
		select {
		case <-done:
			return false
		case <-tick.C:
		}
		content, err := os.ReadFile(log)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		reached = strings.Count(string(content), point+"\n")
	}
	do()
	write(t, goOn, "")
	<-done
	return true
}

// TestAnEmptyHeadHasNoChanges makes one in more than one transaction.
func TestAnEmptyHeadHasNoChanges(t *testing.T) {
	pool := filepath.Join(t.TempDir(), "pool")
	if !stopAt(t, "btrfs.head.before-sync", 1, "fork", pool, func() {
		top := t.TempDir()
		command(t, "mount", "-o", "subvolid=5", loopDevice(t, pool), top)
		command(t, "btrfs", "filesystem", "sync", top)
		command(t, "umount", top)
	}) {
		t.Fatal("it was never reached")
	}
	waitDetached(t, pool)
	s := open(t, btrfs.Config{File: pool, Size: poolSize})
	if u, err := s.Usage(t.Context(), childLine, dotmesh.Ref{}, true); err != nil || u.Dirty.Bytes != 0 {
		t.Errorf("usage = %+v, %v, want no changes", u, err)
	}
}

// wantPrefix checks that a pool has some of the commits, from the first one on and each as
// it was sent, and nothing else; and returns how many.
func wantPrefix(t *testing.T, sent, got dotmesh.Store, ids []dotmesh.CommitID) int {
	t.Helper()
	infos := []dotmesh.CommitInfo{}
	for info, err := range got.Inventory(t.Context()) {
		if err != nil || info.ID != childLine || len(info.Commits) == 0 {
			t.Fatalf("line = %+v, %v", info, err)
		}
		infos = info.Commits
	}
	for i, c := range infos {
		if c.ID != ids[i] || string(c.Meta) != c.ID.String() {
			t.Errorf("commit %d = %+v", i, c)
		}
		want, unmountWant := mountView(t, sent, c.ID)
		have, unmountHave := mountView(t, got, c.ID)
		changes, err := dotmeshtest.DiffTrees(want, have)
		if err != nil || len(changes) != 0 {
			t.Errorf("commit %d differs: %+v, %v", i, changes, err)
		}
		unmountWant()
		unmountHave()
	}
	if !slices.IsSortedFunc(infos, func(a, b dotmesh.CommitInfo) int { return slices.Index(ids, a.ID) - slices.Index(ids, b.ID) }) {
		t.Errorf("commits = %+v", infos)
	}
	return len(infos)
}
