//go:build linux

package zfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
)

// holder is a mount of a dataset or snapshot in the mount namespace of some thread.
type holder struct{ name, target, pid string }

// command is what the process is called.
func (h *holder) command() string {
	name, err := os.ReadFile(filepath.Join("/proc", h.pid, "comm"))
	if err != nil {
		return "gone"
	}
	return strings.TrimSpace(string(name))
}

// findMount returns a mount of any of the datasets and snapshots, or of a directory in one,
// in whatever mount namespace has a thread; nil if there is none. Our own is looked at
// first.
func findMount(ctx context.Context, names ...string) (*holder, error) {
	tables, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/mountinfo")
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, table := range slices.Insert(tables, 0, fmt.Sprintf("/proc/%d/task/%d/mountinfo", os.Getpid(), os.Getpid())) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		space, err := os.Readlink(filepath.Join(filepath.Dir(table), "ns/mnt"))
		if gone(err) || err == nil && seen[space] {
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrPermission) { // init may hide its name, not its mounts
			return nil, err
		}
		entries, err := readMounts(table)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for mounts: %w", err)
		}
		seen[space] = true
		if e := shows(entries, names); e != nil {
			return &holder{name: e.Source, target: e.Target, pid: strings.Split(table, "/")[2]}, nil
		}
	}
	return nil, nil
}

// shows returns a mount of one of the names.
func shows(entries []mounts.Entry, names []string) *mounts.Entry {
	for i := range entries {
		if e := &entries[i]; e.FSType == "zfs" && slices.Contains(names, e.Source) {
			return e
		}
	}
	return nil
}

// mountedHere reports whether our own mount namespace has a mount of a dataset.
func mountedHere(name string) (bool, error) {
	entries, err := readMounts("/proc/self/mountinfo")
	return shows(entries, []string{name}) != nil, err
}

// unmounted refuses with Busy if one of the names is mounted anywhere.
func unmounted(ctx context.Context, names ...string) error {
	h, err := findMount(ctx, names...)
	if err != nil || h == nil {
		return err
	}
	return dotmesh.E("", dotmesh.Busy, "it is mounted at %s by pid %s (%s); stop that first", h.target, h.pid, h.command())
}

func readMounts(path string) ([]mounts.Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	entries, err := mounts.Parse(f)
	return entries, join(err, f.Close())
}

// gone reports whether err says that a process has ended, or never had mounts.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL)
}
