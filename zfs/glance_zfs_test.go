//go:build linux && zfs

package zfs_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"dotmesh.io/dotmesh/zfs"
)

// counted puts programs into PATH that note each time they are started, and returns what
// tells how often they were.
func counted(t *testing.T) (starts func() int) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	for _, name := range []string{"zfs", "zpool"} {
		program, err := exec.LookPath(name)
		must(t, err)
		script := fmt.Sprintf("#!/bin/sh\necho >>%s\nexec %s \"$@\"\n", log, program)
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700))
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() int {
		text, err := os.ReadFile(log)
		must(t, err)
		return strings.Count(string(text), "\n")
	}
}

// TestALineThatNobodyWritesToCostsNoProcess asks for the usage of a mounted line again and
// again, as a server does.
func TestALineThatNobodyWritesToCostsNoProcess(t *testing.T) {
	starts := counted(t)
	pool := poolName()
	s := open(t, zfs.Config{Pool: pool, File: onDisk(t, pool), Size: poolSize})
	line := fork(t, s, dotmesh.Origin{})
	write(t, s, line, "f", []byte("1"))
	first := snap(t, s, line)
	d, err := s.Live(t.Context(), line)
	must(t, err)
	dir := t.TempDir()
	must(t, mounts.Mount(t.Context(), d, dir))
	defer func() { must(t, mounts.Unmount(t.Context(), dir)) }()

	until := func(what string, done func(u dotmesh.Usage, started int) bool) {
		t.Helper()
		tick, deadline := time.NewTicker(200*time.Millisecond), time.After(2*time.Minute)
		defer tick.Stop()
		for {
			before := starts()
			u, err := s.Usage(t.Context(), line, first, false)
			must(t, err)
			if done(u, starts()-before) {
				return
			}
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("in vain until %s; usage = %+v", what, u)
			}
		}
	}
	var clean int64 // to mount a line writes a little
	until("no process is started", func(u dotmesh.Usage, started int) bool {
		clean = u.Dirty.Bytes
		return started == 0
	})
	for range 100 {
		before := starts()
		if _, err := s.Usage(t.Context(), line, first, false); err != nil || starts() != before {
			t.Fatalf("%d processes were started, %v", starts()-before, err)
		}
	}
	f, err := os.Create(filepath.Join(dir, "g"))
	must(t, err)
	_, err = f.WriteString(strings.Repeat("x", 4096))
	must(t, errors.Join(err, f.Close()))
	before := starts()
	_, err = s.Usage(t.Context(), line, first, false)
	must(t, err)
	if starts() == before {
		t.Error("after a write nobody asked ZFS")
	}
	until("the write is counted", func(u dotmesh.Usage, _ int) bool { return u.Dirty.Bytes > clean })
	must(t, os.Truncate(filepath.Join(dir, "g"), 0)) // which the kernel does not count
	second := snap(t, s, line)
	if _, err := s.Usage(t.Context(), line, second, false); err != nil {
		t.Error(err)
	}
	must(t, s.Drop(t.Context(), line, []dotmesh.CommitID{first.Commit}))
	if _, err := s.Usage(t.Context(), line, first, false); !errors.Is(err, dotmesh.NotFound) {
		t.Errorf("the usage since a commit that was dropped: %v", err)
	}
}
