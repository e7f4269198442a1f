//go:build linux

package btrfs

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

// holder is a mount of something in the pool, in the mount namespace of some thread.
type holder struct {
	pid    string
	target string
}

// findMount returns a mount that shows any of the paths, or what lies beneath one, in
// whatever mount namespace has a thread; nil if there is none. Paths are from the top
// of the layout. The kernel would destroy a mounted subvolume without asking.
func (p *pool) findMount(ctx context.Context, paths ...string) (*holder, error) {
	devices, err := devicePaths(p.dir)
	if err != nil {
		return nil, err
	}
	tables, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/mountinfo")
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for _, table := range tables {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		thread := filepath.Dir(table)
		space, err := os.Readlink(filepath.Join(thread, "ns/mnt"))
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
			return nil, err
		}
		seen[space] = true
		if target := p.shown(entries, devices, paths); target != "" {
			return &holder{pid: strings.Split(table, "/")[2], target: target}, nil
		}
	}
	return nil, nil
}

// shown returns where one of the paths is mounted, or "".
func (p *pool) shown(entries []mounts.Entry, devices, paths []string) string {
	for i := range entries {
		e := &entries[i]
		if e.FSType != "btrfs" {
			continue
		}
		for _, path := range paths {
			path = filepath.Join(p.root, path)
			if (e.Root == path || strings.HasPrefix(e.Root, path+"/")) && mayBeFrom(e.Source, devices) {
				return e.Target
			}
		}
	}
	return ""
}

// mayBeFrom reports whether a mount's source can be one of the pool's devices. Only
// another block device certainly is not: the path may be of another namespace.
func mayBeFrom(source string, devices []string) bool {
	var other unix.Stat_t
	if unix.Stat(source, &other) != nil || other.Mode&unix.S_IFMT != unix.S_IFBLK {
		return true
	}
	return slices.ContainsFunc(devices, func(device string) bool {
		var ours unix.Stat_t
		return source == device || unix.Stat(device, &ours) != nil || ours.Rdev == other.Rdev
	})
}

// unmounted refuses with Busy if one of the paths is mounted anywhere.
func (p *pool) unmounted(ctx context.Context, paths ...string) error {
	h, err := p.findMount(ctx, paths...)
	if err != nil {
		return fmt.Errorf("look for mounts: %w", err)
	}
	if h != nil {
		return dotmesh.E("", dotmesh.Busy, "it is mounted at %s by pid %s (%s); stop that first", h.target, h.pid, h.command())
	}
	return nil
}

func (h *holder) command() string {
	name, err := os.ReadFile(filepath.Join("/proc", h.pid, "comm"))
	if err != nil {
		return "gone"
	}
	return strings.TrimSpace(string(name))
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
