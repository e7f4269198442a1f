//go:build linux && zfs

package zfs_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"dotmesh.io/dotmesh/zfs"
)

// inFile opens a pool of its own in a file.
func inFile(t *testing.T) *zfs.Store {
	t.Helper()
	return open(t, zfs.Config{Pool: poolName(), File: filepath.Join(t.TempDir(), "pool"), Size: poolSize})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// edit mounts a line's head while f changes it.
func edit(t *testing.T, s dotmesh.Store, line dotmesh.LineID, f func(dir string) error) {
	t.Helper()
	d, err := s.Live(t.Context(), line)
	must(t, err)
	dir := t.TempDir()
	must(t, mounts.Mount(t.Context(), d, dir))
	must(t, f(dir))
	must(t, mounts.Unmount(t.Context(), dir))
}

func write(t *testing.T, s dotmesh.Store, line dotmesh.LineID, name string, content []byte) {
	t.Helper()
	edit(t, s, line, func(dir string) error { return os.WriteFile(filepath.Join(dir, name), content, 0o600) })
}

func snap(t *testing.T, s dotmesh.Store, line dotmesh.LineID) dotmesh.Ref {
	t.Helper()
	r := dotmesh.Ref{Line: line, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
	must(t, s.Snapshot(t.Context(), []dotmesh.SnapRequest{{Line: line, Commit: r.Commit, Meta: []byte(r.Commit.String())}})[0].Err)
	return r
}

func fork(t *testing.T, s dotmesh.Store, origin dotmesh.Origin) dotmesh.LineID {
	t.Helper()
	line := dotmesh.LineID{UUID: dotmesh.NewUUID()}
	must(t, s.Fork(t.Context(), line, origin))
	return line
}

func sent(t *testing.T, s *zfs.Store, spec dotmesh.SendSpec) []byte {
	t.Helper()
	r, err := s.Send(t.Context(), spec)
	must(t, err)
	all, err := io.ReadAll(r)
	must(t, errors.Join(err, r.Close()))
	return all
}

func read(t *testing.T, s dotmesh.Store, r dotmesh.Ref, name string) string {
	t.Helper()
	d, err := s.View(t.Context(), r)
	must(t, err)
	dir := t.TempDir()
	must(t, mounts.Mount(t.Context(), d, dir))
	defer func() { must(t, mounts.Unmount(t.Context(), dir)) }()
	text, err := os.ReadFile(filepath.Join(dir, name))
	must(t, err)
	return string(text)
}

func TestCommitsTravel(t *testing.T) {
	a, b := inFile(t), inFile(t)
	line := fork(t, a, dotmesh.Origin{})
	write(t, a, line, "f", []byte("1"))
	first := snap(t, a, line)
	write(t, a, line, "f", bytes.Repeat([]byte("0123456789"), 40000))
	second := snap(t, a, line)
	child := fork(t, a, dotmesh.Origin(first))
	write(t, a, child, "f", []byte("child"))
	third := snap(t, a, child)

	both := sent(t, a, dotmesh.SendSpec{Line: line, Commits: []dotmesh.CommitID{first.Commit, second.Commit}})
	got, err := b.Receive(t.Context(), dotmesh.RecvSpec{Line: line, Trust: dotmesh.Member}, bytes.NewReader(both))
	if err != nil || len(got.Commits) != 2 || got.Resume != nil {
		t.Fatalf("got %+v, %v", got, err)
	}
	stream := sent(t, a, dotmesh.SendSpec{Line: child, From: first, Commits: []dotmesh.CommitID{third.Commit}})
	got, err = b.Receive(t.Context(), dotmesh.RecvSpec{Line: child, Origin: dotmesh.Origin(first), Trust: dotmesh.Member}, bytes.NewReader(stream))
	if err != nil || len(got.Commits) != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	for r, want := range map[dotmesh.Ref]string{first: "1", second: strings.Repeat("0123456789", 40000), third: "child"} {
		if got := read(t, b, r, "f"); got != want {
			t.Errorf("commit %s holds %.20q", r.Commit, got)
		}
	}
	for _, id := range []dotmesh.LineID{line, child} {
		here, err1 := a.Line(t.Context(), id)
		there, err2 := b.Line(t.Context(), id)
		must(t, errors.Join(err1, err2))
		if there.Head || there.Origin != here.Origin || len(there.Commits) != len(here.Commits) || there.Commits[0].GUID != here.Commits[0].GUID {
			t.Errorf("here %+v, there %+v", here, there)
		}
	}
	got, err = b.Receive(t.Context(), dotmesh.RecvSpec{Line: line, Trust: dotmesh.Member}, bytes.NewReader(both))
	if err != nil || len(got.Commits) != 0 {
		t.Errorf("again: %+v, %v", got, err)
	}
	write(t, b, line, "f", []byte("stray"))
	write(t, a, line, "f", []byte("3"))
	fourth := snap(t, a, line)
	next := sent(t, a, dotmesh.SendSpec{Line: line, From: second, Commits: []dotmesh.CommitID{fourth.Commit}})
	_, err = b.Receive(t.Context(), dotmesh.RecvSpec{Line: line, Trust: dotmesh.Member}, bytes.NewReader(next))
	if !errors.Is(err, dotmesh.Diverged) {
		t.Errorf("into a line that was written to: %v", err)
	}
	must(t, b.DropHead(t.Context(), line))
	_, err = b.Receive(t.Context(), dotmesh.RecvSpec{Line: line, Trust: dotmesh.Member}, bytes.NewReader(next))
	must(t, err)
}

func TestAStreamGoesOnByItsToken(t *testing.T) {
	a, b := inFile(t), inFile(t)
	line := fork(t, a, dotmesh.Origin{})
	noise := make([]byte, 4<<20)
	for i := range noise {
		noise[i] = byte(i*i>>8 ^ i>>3)
	}
	write(t, a, line, "f", noise)
	first := snap(t, a, line)
	spec := dotmesh.SendSpec{Line: line, Commits: []dotmesh.CommitID{first.Commit}}
	whole := sent(t, a, spec)
	into := dotmesh.RecvSpec{Line: line, Trust: dotmesh.Member}
	got, err := b.Receive(t.Context(), into, bytes.NewReader(whole[:len(whole)/2]))
	if !errors.Is(err, dotmesh.Unreachable) || got.Resume == nil || len(got.Commits) != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := b.Line(t.Context(), line); !errors.Is(err, dotmesh.NotFound) {
		t.Errorf("half a commit: %v", err)
	}
	spec.Resume = got.Resume
	rest := sent(t, a, spec)
	if len(rest) > len(whole)*3/4 {
		t.Errorf("%d bytes were sent, and then %d", len(whole), len(rest))
	}
	got, err = b.Receive(t.Context(), into, bytes.NewReader(rest))
	if err != nil || len(got.Commits) != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if read(t, b, first, "f") != string(noise) {
		t.Error("it is not what was sent")
	}
	// The token of one commit does not send another.
	second := snap(t, a, line)
	_, err = a.Send(t.Context(), dotmesh.SendSpec{Line: line, From: first, Commits: []dotmesh.CommitID{second.Commit}, Resume: spec.Resume})
	if !errors.Is(err, dotmesh.Conflict) {
		t.Errorf("a token of another step: %v", err)
	}
}

// TestADamagedCommitIsNotSent changes one bit of a commit on the disk, below ZFS. What has come
// of it before that is not kept: it would go on to the same place each time.
func TestADamagedCommitIsNotSent(t *testing.T) {
	a, b := newStore(t), inFile(t)
	line := fork(t, a, dotmesh.Origin{})
	content := make([]byte, 4<<20)
	_, _ = rand.Read(content) // never fails
	write(t, a, line, "f", content)
	first := snap(t, a, line)
	twin := a.twin(t)
	flip(t, twin, content[3<<20:][:4096])
	damaged := open(t, zfs.Config{Pool: poolName(), File: twin})
	stream, err := damaged.Send(t.Context(), dotmesh.SendSpec{Line: line, Commits: []dotmesh.CommitID{first.Commit}})
	must(t, err)
	got, err := b.Receive(t.Context(), dotmesh.RecvSpec{Line: line, Trust: dotmesh.Member}, stream)
	if !errors.Is(err, dotmesh.Corrupt) || len(got.Commits) != 0 || got.Resume != nil {
		t.Errorf("received %+v, %v", got, err)
	}
	must(t, stream.Close())
	if _, err := b.Line(t.Context(), line); !errors.Is(err, dotmesh.NotFound) {
		t.Errorf("the line: %v", err)
	}
}

// flip changes a bit of what a file holds once.
func flip(t *testing.T, path string, what []byte) {
	t.Helper()
	image, err := os.ReadFile(path)
	must(t, err)
	at := bytes.Index(image, what)
	if at < 0 {
		t.Fatal("the pool does not hold what was written to it")
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte{image[at] ^ 1}, int64(at))
	must(t, errors.Join(err, f.Sync(), f.Close()))
}

func TestACutNeverShowsACommit(t *testing.T) {
	a, b := inFile(t), inFile(t)
	line := fork(t, a, dotmesh.Origin{})
	write(t, a, line, "f", []byte("1"))
	first := snap(t, a, line)
	whole := sent(t, a, dotmesh.SendSpec{Line: line, Commits: []dotmesh.CommitID{first.Commit}})
	into := dotmesh.RecvSpec{Line: line, Trust: dotmesh.Member}
	for _, n := range []int{0, 10, 500, len(whole) / 2, len(whole) - 400, len(whole) - 60, len(whole) - 20} {
		got, err := b.Receive(t.Context(), into, bytes.NewReader(whole[:n]))
		if !errors.Is(err, dotmesh.Unreachable) || len(got.Commits) != 0 {
			t.Errorf("cut at %d of %d: %+v, %v", n, len(whole), got, err)
		}
		if _, err := b.Line(t.Context(), line); !errors.Is(err, dotmesh.NotFound) {
			t.Errorf("cut at %d of %d: %v", n, len(whole), err)
		}
	}
	changed := bytes.Clone(whole)
	changed[len(changed)-30] ^= 1
	if _, err := b.Receive(t.Context(), into, bytes.NewReader(changed)); !errors.Is(err, dotmesh.Corrupt) {
		t.Errorf("a wrong digest: %v", err)
	}
	must(t, b.AbortReceive(t.Context(), line))
	if _, err := b.Receive(t.Context(), into, bytes.NewReader(whole)); err != nil {
		t.Error(err)
	}
}

// TestACommitOnItsWayTakesFourProcesses: each is dear, and this is what every commit costs
// on every node. One lists the line where it is sent, one where it is received.
func TestACommitOnItsWayTakesFourProcesses(t *testing.T) {
	starts := counted(t)
	a, b := inFile(t), inFile(t)
	line := fork(t, a, dotmesh.Origin{})
	spec := dotmesh.SendSpec{Line: line}
	for round := range 3 {
		write(t, a, line, "f", fmt.Appendf(nil, "%d", round))
		r := snap(t, a, line)
		spec.Commits = []dotmesh.CommitID{r.Commit}
		before := starts()
		stream := sent(t, a, spec)
		must(t, receive(t, b, dotmesh.RecvSpec{Line: line, Trust: dotmesh.Member}, stream))
		if took := starts() - before; round > 0 && took > 4 {
			t.Errorf("commit %d took %d processes", round, took)
		}
		spec.From = r
	}
	if got := read(t, b, spec.From, "f"); got != "2" {
		t.Errorf("the last commit holds %q", got)
	}
}
