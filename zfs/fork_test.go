//go:build linux

package zfs

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/kv"
)

// received makes a store in which the kernel has just made a commit of a line, of which the
// record says what Receive has noted so far.
func received(t *testing.T, r dotmesh.Ref, known record) *Store {
	t.Helper()
	memory, err := kv.Open(filepath.Join(t.TempDir(), "kv"), 4<<20, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := memory.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &Store{names: names{"pool"}, kv: memory, reserve: &reserve{held: reserveParts}}
	s.run = standIn(t, fmt.Sprintf(`
case "$1" in
list) printf '%%s\t1\t1\t-\n' %s %s ;;
get) printf 'off\tlocal\n' ;;
esac
`, s.line(r.Line), s.at(r)))
	if err := s.update(r.Line, func(noted *record) { *noted = known }); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestALineWhoseFirstCommitIsStillReceivedGetsNoHead(t *testing.T) {
	r := dotmesh.Ref{Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
	known := record{Headless: true, Incoming: true}
	s := received(t, r, known)
	leave, err := s.incoming.enter(t.Context(), r.Line)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Live(t.Context(), r.Line); !errors.Is(err, dotmesh.NotFound) {
		t.Errorf("Live: %v", err)
	}
	if noted, err := s.record(r.Line); err != nil || noted != known {
		t.Errorf("record = %+v, %v", noted, err)
	}
	leave()
	if _, err := s.Live(t.Context(), r.Line); err != nil {
		t.Errorf("Live after that: %v", err)
	}
}

func TestNothingIsForkedFromWhatAStrangerSentBeforeItWasLookedAt(t *testing.T) {
	r := dotmesh.Ref{Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
	s := received(t, r, record{Headless: true, Unchecked: r.Commit})
	child := dotmesh.LineID{UUID: dotmesh.NewUUID()}
	if err := s.Fork(t.Context(), child, dotmesh.Origin(r)); !errors.Is(err, dotmesh.NotFound) {
		t.Errorf("Fork: %v", err)
	}
}
