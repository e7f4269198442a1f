//go:build !zfs

package node_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

// TestAFlippedBitInThePoolIsFound changes one bit of a commit on the disk, below the file
// system. A check names the file, and finds the commits that do not hold it sound.
func TestAFlippedBitInThePoolIsFound(t *testing.T) {
	endpoint, dir, prefix := etcd(t), t.TempDir(), "/damage/"
	shop := dotmesh.DotName{Namespace: "admin", Name: "shop"}
	needle := bytes.Repeat([]byte("a byte that nobody else has. "), 4<<10)

	n, stop := run(t, endpoint, dir, prefix, onBtrfs)
	t.Cleanup(func() { stop() })
	s := n.As(admin)
	_, err := s.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop})
	must(t, err)
	at, err := s.Mount(t.Context(), dotmesh.MountRequest{Volume: dotmesh.Volume{Dot: shop}})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(at.Path, "orders.db"), needle, 0o644))
	made, err := s.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "orders"})
	must(t, err)
	stop()

	flip(t, filepath.Join(dir, "pool"), needle[:1024])
	n, stop = run(t, endpoint, dir, prefix, onBtrfs)
	checked := 0
	for c, err := range n.As(admin).Check(t.Context(), dotmesh.CheckRequest{Dot: shop}) {
		must(t, err)
		checked++
		want := dotmesh.CheckNew
		if c.Commit == made.ID {
			want = dotmesh.CheckUnreadable
		}
		if c.State != want || want == dotmesh.CheckUnreadable && !strings.Contains(c.Text, "orders.db") {
			t.Errorf("%+v, want %s", c, want)
		}
	}
	if checked != 2 {
		t.Errorf("%d commits were checked, want 2", checked)
	}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// flip changes a bit of every copy of what a file holds.
func flip(t *testing.T, path string, what []byte) {
	t.Helper()
	pool, err := os.ReadFile(path)
	must(t, err)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	found := 0
	for from := 0; ; found++ {
		i := bytes.Index(pool[from:], what)
		if i < 0 {
			break
		}
		from += i
		_, err = f.WriteAt([]byte{pool[from] ^ 1}, int64(from))
		must(t, err)
		from += len(what)
	}
	must(t, f.Sync(), f.Close())
	if found == 0 {
		t.Fatal("the pool does not hold what was written to it")
	}
}
