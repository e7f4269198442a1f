package server_test

import (
	"os"
	"path/filepath"
	"testing"

	"dotmesh.io/dotmesh"
)

// checked returns what a check says of a commit.
func (w *world) checked(id dotmesh.CommitID) dotmesh.Checked {
	w.Helper()
	for c, err := range w.Check(w.Context(), dotmesh.CheckRequest{Dot: shop}) {
		if err != nil {
			w.Fatal(err)
		}
		if c.Commit == id {
			return c
		}
	}
	w.Fatalf("commit %s was not checked", id)
	return dotmesh.Checked{}
}

// TestACommitThatHasChangedIsFound changes a file of a commit where the store keeps it, as
// a disk does that returns other bytes without an error.
func TestACommitThatHasChangedIsFound(t *testing.T) {
	w := newWorld(t)
	c := w.made(w.init(), "as it was")
	if got := w.checked(c.ID); got.State != dotmesh.CheckNew {
		t.Fatalf("the first check says %+v", got)
	}
	device, err := w.cfg.Store.View(t.Context(), dotmesh.Ref{Line: c.Line, Commit: c.ID})
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(device.Source, "*", "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the commit's file is %v, %v", found, err)
	}
	w.must(os.WriteFile(found[0], []byte("as it is!"), 0o644))
	for range 2 { // what was noted first stays
		if got := w.checked(c.ID); got.State != dotmesh.CheckDiffers || got.Text == "" {
			t.Errorf("a commit that has changed is %+v", got)
		}
	}
}
