//go:build linux

package zfs

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

const depth = 2000

// deepTree makes directories with long names, one in the other, of which few bytes of a stream
// make very many. The innermost has a device file.
func deepTree(t *testing.T) (top string) {
	t.Helper()
	top = t.TempDir()
	t.Cleanup(func() {
		if err := exec.Command("rm", "-rf", top).Run(); err != nil {
			t.Error(err)
		}
	})
	at, err := unix.Open(top, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("n", unix.NAME_MAX)
	for range depth {
		next, err := -1, unix.Mkdirat(at, name, 0o700)
		if err == nil {
			next, err = unix.Openat(at, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
		if err := errors.Join(err, unix.Close(at)); err != nil {
			t.Fatal(err)
		}
		at = next
	}
	if err := errors.Join(unix.Mknodat(at, "null", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))), unix.Close(at)); err != nil {
		t.Fatal(err)
	}
	return top
}

func cursorAt(t *testing.T, top string) *cursor {
	t.Helper()
	root, err := os.Open(top)
	if err != nil {
		t.Fatal(err)
	}
	return newCursor(root)
}

// wantLittleMemory checks that f does not make a path for each directory.
func wantLittleMemory(t *testing.T, f func()) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > depth*unix.NAME_MAX*depth/8 {
		t.Errorf("it took %d MiB", taken>>20)
	}
}

func TestADeepTreeIsJudgedInLittleMemory(t *testing.T) {
	j := &judgement{ctx: t.Context(), at: cursorAt(t, deepTree(t)), seen: map[uint64]bool{}}
	wantLittleMemory(t, func() {
		if err := j.directory(); !errors.Is(err, dotmesh.Invalid) || !strings.Contains(dotmesh.Text(err), "device") {
			t.Errorf("err = %v", err)
		}
	})
	if err := j.at.close(); err != nil {
		t.Error(err)
	}
}

func TestADeepTreeIsComparedInLittleMemory(t *testing.T) {
	top := deepTree(t)
	d := &differ{ctx: t.Context(), old: cursorAt(t, top), new: cursorAt(t, top)}
	wantLittleMemory(t, func() {
		if err := d.dirs(); err != nil || len(d.changes) > 0 {
			t.Errorf("%d changes, %v", len(d.changes), err)
		}
	})
	if err := errors.Join(d.old.close(), d.new.close()); err != nil {
		t.Error(err)
	}
}

func TestADifferenceHasItsWholePath(t *testing.T) {
	old, state := t.TempDir(), t.TempDir()
	err := errors.Join(os.MkdirAll(old+"/a/b", 0o700), os.MkdirAll(state+"/a/b/c", 0o700), os.WriteFile(state+"/a/b/c/new", nil, 0o600), os.WriteFile(old+"/a/gone", nil, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	d := &differ{ctx: t.Context(), old: cursorAt(t, old), new: cursorAt(t, state)}
	if err := errors.Join(d.dirs(), d.old.close(), d.new.close()); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, c := range d.changes {
		paths = append(paths, c.Path)
	}
	slices.Sort(paths)
	if got := strings.Join(paths, " "); got != "a/b/c a/b/c/new a/gone" {
		t.Errorf("paths = %q", got)
	}
}
