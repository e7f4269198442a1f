//go:build linux

package btrfs_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
)

// TestADamagedCommitIsNotSent changes one bit of a commit on the disk, below the file system.
// What has come of it before that is shown to nobody, and the commit before it is sent.
func TestADamagedCommitIsNotSent(t *testing.T) {
	a, b := newStore(t), newStore(t)
	if err := work(t.Context(), a.Store); err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 8<<20)
	_, _ = rand.Read(content) // never fails
	dir, unmount := mountLive(t, a, childLine)
	write(t, filepath.Join(dir, "x"), string(content))
	unmount()
	first, second := dotmesh.CommitID{UUID: dotmesh.UUID{2}}, dotmesh.CommitID{UUID: dotmesh.NewUUID()}
	if err := a.Snapshot(t.Context(), []dotmesh.SnapRequest{{Line: childLine, Commit: second}})[0].Err; err != nil {
		t.Fatal(err)
	}

	twin := filepath.Join(t.TempDir(), "twin")
	if out, err := exec.Command("cp", "--sparse=always", a.file, twin).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	flip(t, twin, content[6<<20:][:4096])
	damaged := open(t, btrfs.Config{File: twin, Size: poolSize})
	stream, err := damaged.Send(t.Context(), dotmesh.SendSpec{Line: childLine, Commits: []dotmesh.CommitID{first, second}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Receive(t.Context(), dotmesh.RecvSpec{Line: childLine}, stream)
	if !errors.Is(err, dotmesh.Corrupt) || dotmesh.Text(err) == "" || len(got.Commits) != 1 || got.Resume != nil {
		t.Errorf("received %+v, %v", got, err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
	if info, err := b.Line(t.Context(), childLine); err != nil || len(info.Commits) != 1 || info.Commits[0].ID != first {
		t.Errorf("line = %+v, %v", info, err)
	}
}

// flip changes a bit of what a file holds once.
func flip(t *testing.T, path string, what []byte) {
	t.Helper()
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(image, what)
	if at < 0 {
		t.Fatal("the pool does not hold what was written to it")
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte{image[at] ^ 1}, int64(at))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
