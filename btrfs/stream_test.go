//go:build linux

package btrfs_test

import (
	"os"
	"path/filepath"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
)

func TestCommitsGoFromOnePoolToAnother(t *testing.T) {
	a, b := newStore(t), newStore(t)
	if err := work(t.Context(), a.Store); err != nil {
		t.Fatal(err)
	}
	dir, _ := mountLive(t, a, childLine)
	if err := os.WriteFile(filepath.Join(dir, "x"), []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := dotmesh.CommitID{UUID: dotmesh.NewUUID()}
	if err := a.Snapshot(t.Context(), []dotmesh.SnapRequest{{Line: childLine, Commit: second}})[0].Err; err != nil {
		t.Fatal(err)
	}
	stream, err := a.Send(t.Context(), dotmesh.SendSpec{Line: childLine, Commits: []dotmesh.CommitID{{UUID: dotmesh.UUID{2}}, second}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Receive(t.Context(), dotmesh.RecvSpec{Line: childLine}, stream)
	if err != nil || len(got.Commits) != 2 {
		t.Fatalf("received %+v, %v", got, err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
	copied, _ := mountLive(t, b, childLine)
	if changes, err := dotmeshtest.DiffTrees(dir, copied); err != nil || len(changes) != 0 {
		t.Errorf("differences: %v, %v", changes, err)
	}
}
