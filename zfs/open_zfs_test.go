//go:build linux && zfs

package zfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"dotmesh.io/dotmesh/zfs"
)

func TestAPoolHasOneProcess(t *testing.T) {
	c := zfs.Config{Pool: poolName(), File: filepath.Join(t.TempDir(), "pool"), Size: poolSize}
	open(t, c)
	for _, again := range []zfs.Config{c, {Pool: c.Pool}} { // the file's lock, and that of the KV
		if _, err := zfs.Open(t.Context(), again); !errors.Is(err, dotmesh.Busy) || dotmesh.Text(err) == "" {
			t.Errorf("%+v is opened twice: %v", again, err)
		}
	}
}

func TestAPoolIsFoundAgain(t *testing.T) {
	c := zfs.Config{Pool: poolName(), File: filepath.Join(t.TempDir(), "pool"), Size: poolSize}
	s, err := zfs.Open(t.Context(), c)
	must(t, err)
	line := fork(t, s, dotmesh.Origin{})
	write(t, s, line, "f", []byte("1"))
	first := snap(t, s, line)
	must(t, s.Close())
	s, err = zfs.Open(t.Context(), zfs.Config{Pool: c.Pool}) // it stays imported
	must(t, err)
	must(t, s.Close())
	export(t, c.Pool)
	if _, err := zfs.Open(t.Context(), zfs.Config{Pool: c.Pool}); !errors.Is(err, dotmesh.NotFound) || dotmesh.Text(err) == "" {
		t.Errorf("a pool that is not imported: %v", err)
	}
	other := filepath.Join(filepath.Dir(c.File), "other")
	must(t, os.WriteFile(other, []byte(strings.Repeat("precious", 1<<16)), 0o600))
	if _, err := zfs.Open(t.Context(), zfs.Config{Pool: c.Pool, File: other}); !errors.Is(err, dotmesh.Exists) {
		t.Errorf("a file of somebody else's: %v", err)
	}
	s = open(t, zfs.Config{Pool: c.Pool, File: c.File}) // as after a boot
	if got := read(t, s, first, "f"); got != "1" {
		t.Errorf("got %q", got)
	}
	if _, err := zfs.Open(t.Context(), zfs.Config{Pool: c.Pool, File: filepath.Join(t.TempDir(), "new"), Size: poolSize}); !errors.Is(err, dotmesh.Exists) {
		t.Errorf("another file for a pool that is there: %v", err)
	}
}

// TestWhatOthersKeepInAPoolStays opens a pool of an original Dotmesh, and of somebody who
// makes things by hand where ours are.
func TestWhatOthersKeepInAPoolStays(t *testing.T) {
	pool, file := poolName(), filepath.Join(t.TempDir(), "pool")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Truncate(file, poolSize))
	command(t, "zpool", "create", "-O", "mountpoint=none", "-O", "normalization=formD", pool, file)
	s := open(t, zfs.Config{Pool: pool})
	line := fork(t, s, dotmesh.Origin{})
	edit(t, s, line, func(dir string) error { return os.WriteFile(filepath.Join(dir, "not\xffutf8"), nil, 0o600) })
	snap(t, s, line)
	theirs := []string{pool + "/dmfs", pool + "/dmfs/" + line.String(), pool + "/dotmesh/lines/mine"}
	for _, name := range theirs {
		command(t, "zfs", "create", "-o", "canmount=off", name)
	}
	command(t, "zfs", "snapshot", pool+"/dmfs/"+line.String()+"@x")
	byHand := pool + "/dotmesh/lines/" + line.String() + "@by-hand"
	command(t, "zfs", "snapshot", byHand)

	for info, err := range s.Inventory(t.Context()) {
		if err != nil || info.ID != line || len(info.Commits) != 1 {
			t.Errorf("inventory: %+v, %v", info, err)
		}
	}
	for verb, err := range map[string]error{"DropHead": s.DropHead(t.Context(), line), "Destroy": s.Destroy(t.Context(), line)} {
		if err == nil || dotmesh.Text(err) == "" {
			t.Errorf("%s with a snapshot made by hand: %v", verb, err)
		}
	}
	command(t, "zfs", "destroy", byHand)
	must(t, s.Destroy(t.Context(), line))
	left := command(t, "zfs", "list", "-H", "-r", "-t", "all", "-o", "name", pool)
	for _, name := range append(theirs, pool+"/dmfs/"+line.String()+"@x") {
		if !strings.Contains(left+"\n", name+"\n") {
			t.Errorf("%s is gone", name)
		}
	}
}

// TestWhatACrashLeavesInTheLogIsNeverLost cuts the power after an fsync. A stream that would
// be received over what was fsynced is refused, and the next commit has it.
func TestWhatACrashLeavesInTheLogIsNeverLost(t *testing.T) {
	a := newStore(t)
	line := fork(t, a, dotmesh.Origin{})
	write(t, a, line, "f", []byte("1"))
	first := snap(t, a, line)
	b := inFile(t)
	into := dotmesh.RecvSpec{Line: line, Trust: dotmesh.Member}
	must(t, receive(t, b, into, sent(t, a.Store, dotmesh.SendSpec{Line: line, Commits: []dotmesh.CommitID{first.Commit}})))
	write(t, b, line, "f", []byte("2"))
	second := snap(t, b, line)
	next := sent(t, b, dotmesh.SendSpec{Line: line, From: first, Commits: []dotmesh.CommitID{second.Commit}})

	d, err := a.Live(t.Context(), line)
	must(t, err)
	_, err = a.Usage(t.Context(), line, first, false) // somebody looks before it is mounted
	must(t, err)
	dir := t.TempDir()
	must(t, mounts.Mount(t.Context(), d, dir))
	for name, test := range map[string]func(t *testing.T, s dotmesh.Store){
		"a receive": func(t *testing.T, s dotmesh.Store) {
			if err := receive(t, s, into, next); !errors.Is(err, dotmesh.Diverged) {
				t.Errorf("err = %v, want diverged", err)
			}
		},
		"a look at its usage": func(t *testing.T, s dotmesh.Store) {
			u, err := s.Usage(t.Context(), line, first, true)
			if err != nil || u.Dirty.Bytes == 0 {
				t.Errorf("usage = %+v, %v", u, err)
			}
		},
		"a diff": func(t *testing.T, s dotmesh.Store) {
			var paths []string
			for c, err := range s.Diff(t.Context(), first, dotmesh.Ref{Line: line}) {
				must(t, err)
				paths = append(paths, c.Path)
			}
			if strings.Join(paths, " ") != "fsynced" {
				t.Errorf("changes = %q", paths)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			// Written just before: what is older than five seconds is no longer in the log only.
			f, err := os.Create(filepath.Join(dir, "fsynced"))
			must(t, err)
			_, err = f.WriteString(name)
			must(t, errors.Join(err, f.Sync()))
			s := a.Crash(t)
			must(t, f.Close())
			test(t, s)
			if got := read(t, s, snap(t, s, line), "fsynced"); got != name {
				t.Errorf("the next commit has %q", got)
			}
		})
	}
	must(t, mounts.Unmount(t.Context(), dir))
}

func receive(t *testing.T, s dotmesh.Store, spec dotmesh.RecvSpec, stream []byte) error {
	t.Helper()
	_, err := s.Receive(t.Context(), spec, strings.NewReader(string(stream)))
	return err
}

// TestADiffThatFailsLeavesNoSnapshot compares a head, of which a snapshot is taken and mounted
// for that, with a commit that is not there.
func TestADiffThatFailsLeavesNoSnapshot(t *testing.T) {
	s := newStore(t)
	line := fork(t, s, dotmesh.Origin{})
	for _, err := range s.Diff(t.Context(), dotmesh.Ref{Line: line}, dotmesh.Ref{Line: line, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}) {
		if !errors.Is(err, dotmesh.NotFound) || errors.Is(err, dotmesh.Busy) {
			t.Errorf("err = %v", err)
		}
	}
	if left := command(t, "zfs", "list", "-H", "-r", "-t", "snapshot", "-o", "name", s.pool+"/dotmesh/lines"); left != "" {
		t.Errorf("left: %s", left)
	}
}

func TestHoldsOfASendGoWithItOrWithTheNextOpen(t *testing.T) {
	s := newStore(t)
	line := fork(t, s, dotmesh.Origin{})
	first, second := snap(t, s, line), snap(t, s, line)
	at := s.pool + "/dotmesh/lines/" + line.String() + "@" + first.Commit.String()
	stream, err := s.Send(t.Context(), dotmesh.SendSpec{Line: line, Commits: []dotmesh.CommitID{first.Commit, second.Commit}})
	must(t, err)
	if held := command(t, "zfs", "holds", "-H", at); !strings.Contains(held, "dotmesh-") {
		t.Errorf("held = %q", held)
	}
	crashed := s.Crash(t)
	must(t, crashed.Destroy(t.Context(), line))
	must(t, stream.Close())
	if held := command(t, "zfs", "holds", "-H", at); held != "" {
		t.Errorf("held = %q after the stream was closed", held)
	}
	must(t, s.Destroy(t.Context(), line))
}
