//go:build linux

package zfs

import (
	"path/filepath"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/kv"
)

// killedOnce is a zfs that takes snapshots, and is killed when the kernel has taken the first.
const killedOnce = `
cd "$(dirname "$0")"
touch there
case "$1" in
snapshot)
	shift
	for n; do
		if grep -qx "$n" there; then
			echo "cannot create snapshot '$n': dataset already exists" >&2
			exit 1
		fi
	done
	for n; do echo "$n" >>there; done
	if mkdir killed 2>/dev/null; then kill -9 $$; fi ;;
list)
	for n; do
		case "$n" in pool/*@*|pool/*) ;; *) continue ;; esac
		case "$n" in *@*) ;; *) printf '%s\t1\t1\t-\n' "$n" ;; esac
		grep "^$n" there | sed 's/$/\t2\t2\t-/'
	done ;;
esac
`

// TestSnapshotsOfACommandThatWasKilledKeepTheirMetadata takes those of two lines by a command
// that is killed after it has taken them.
func TestSnapshotsOfACommandThatWasKilledKeepTheirMetadata(t *testing.T) {
	memory, err := kv.Open(filepath.Join(t.TempDir(), "kv"), 4<<20, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{names: names{"pool"}, run: standIn(t, killedOnce), kv: memory, reserve: &reserve{held: reserveParts}}
	requests := make([]dotmesh.SnapRequest, 2)
	for i := range requests {
		requests[i] = dotmesh.SnapRequest{
			Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}, Meta: []byte("meta"),
		}
	}
	for i, got := range s.Snapshot(t.Context(), requests) {
		if got.Err != nil || got.GUID != "2" {
			t.Errorf("snapshot %d: %+v", i, got)
		}
		meta, found, err := s.meta(dotmesh.Ref{Line: got.Line, Commit: got.Commit})
		if err != nil || !found || string(meta) != "meta" {
			t.Errorf("metadata of %d = %q, %v, %v", i, meta, found, err)
		}
	}
	if err := memory.Close(); err != nil {
		t.Fatal(err)
	}
}
