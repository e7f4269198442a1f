//go:build linux

package mounts

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"dotmesh.io/dotmesh"
	"golang.org/x/sys/unix"
)

// maxStacked bounds how many mounts [Unmount] takes off one mount point.
const maxStacked = 64

// Mount mounts a device at target, which it makes if need be, with nosuid, nodev and
// noatime. If that very device is mounted there already, with the same right to write, it
// does nothing; anything else that is mounted there is [dotmesh.Busy].
//
// Calls for one target must not run at once. A cancelled context is noticed before the
// kernel is asked; the mounting itself cannot be cut short.
func Mount(ctx context.Context, device dotmesh.Device, target string) error {
	const op = "mounts.Mount"
	target, err := mountPoint(ctx, target)
	if err != nil {
		return dotmesh.Wrap(op, err)
	}
	there, err := at(target)
	if err != nil {
		return dotmesh.Wrap(op, err)
	}
	if there != nil {
		if holds(there, device) {
			return nil
		}
		return occupied(op, there)
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOATIME)
	if device.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount(device.Source, target, device.FSType, flags, device.Data); err != nil {
		return refused(op, device, target, err)
	}
	return nil
}

// Bind mounts the directory dir at target, which it makes if need be. It goes by the open
// directory and not by its name, so nobody can put another one in its place. The mount
// has the options of the one that dir was opened through. If the same directory is
// mounted there already, Bind does nothing; anything else there is [dotmesh.Busy].
func Bind(ctx context.Context, dir *os.File, target string) error {
	const op = "mounts.Bind"
	target, err := mountPoint(ctx, target)
	if err != nil {
		return dotmesh.Wrap(op, err)
	}
	there, err := at(target)
	if err != nil {
		return dotmesh.Wrap(op, err)
	}
	if there != nil {
		if same, err := sameDir(dir, target); err != nil || same {
			return dotmesh.Wrap(op, err)
		}
		return occupied(op, there)
	}
	tree, err := unix.OpenTree(int(dir.Fd()), "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return dotmesh.Wrap(op, os.NewSyscallError("open_tree", err))
	}
	defer unix.Close(tree)
	err = unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
	return dotmesh.Wrap(op, os.NewSyscallError("move_mount", err))
}

// Unmount takes off everything that is mounted at target itself. If nothing is, or there
// is no such path, it does nothing. What is in use stays mounted: the [dotmesh.Busy] error
// names the processes that hold it, or the mounts beneath it. The unmounting itself
// cannot be cut short: the kernel may have to write the file system's last data.
func Unmount(ctx context.Context, target string) error {
	const op = "mounts.Unmount"
	target, err := resolve(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for range maxStacked {
		if err != nil {
			break
		}
		var there *Entry
		if there, err = at(target); err != nil || there == nil {
			break
		}
		if err = cmp.Or(ctx.Err(), unix.Unmount(target, unix.UMOUNT_NOFOLLOW)); err == unix.EBUSY {
			return inUse(ctx, op, there)
		}
	}
	return dotmesh.Wrap(op, err)
}

// mountPoint makes sure that target is a directory and returns its path without symbolic
// links, as the mount table will have it.
func mountPoint(ctx context.Context, target string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return "", err
	}
	return resolve(target)
}

// resolve follows symbolic links in all of a path but its last part.
func resolve(target string) (string, error) {
	target, err := filepath.Abs(target)
	if err != nil {
		return "", err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(target))
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(target)), nil
}

// At returns what is mounted at target, the uppermost if there are several, or nil.
func At(target string) (*Entry, error) {
	target, err := resolve(target)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, dotmesh.Wrap("mounts.At", err)
	}
	return at(target)
}

// at is At for a path that was resolved.
func at(target string) (*Entry, error) {
	entries, err := List(target)
	if err != nil {
		return nil, err
	}
	var top *Entry
	for i, e := range entries {
		if e.Target == target {
			top = &entries[i]
		}
	}
	return top, nil
}

// holds reports whether mounting device would make what e is already.
func holds(e *Entry, device dotmesh.Device) bool {
	if e.FSType != device.FSType || e.ReadOnly() != device.ReadOnly || !sameSource(e.Source, device.Source) {
		return false
	}
	for o := range strings.SplitSeq(device.Data, ",") {
		if !holdsOption(e, o) {
			return false
		}
	}
	return true
}

// holdsOption compares the options that say what is mounted; others only say how.
func holdsOption(e *Entry, o string) bool {
	key, value, _ := strings.Cut(o, "=")
	switch key {
	case "subvol":
		return e.Root == path.Join("/", value)
	case "subvolid":
		return option(e.Super, key) == o
	}
	return true
}

// sameSource compares two sources; a block device may go by several names.
func sameSource(a, b string) bool {
	if a == b {
		return true
	}
	var x, y unix.Stat_t
	return unix.Stat(a, &x) == nil && unix.Stat(b, &y) == nil &&
		x.Mode&unix.S_IFMT == unix.S_IFBLK && y.Mode&unix.S_IFMT == unix.S_IFBLK && x.Rdev == y.Rdev
}

func sameDir(dir *os.File, target string) (bool, error) {
	want, err := dir.Stat()
	if err != nil {
		return false, err
	}
	got, err := os.Lstat(target)
	if err != nil {
		return false, err
	}
	return os.SameFile(want, got), nil
}

func occupied(op string, e *Entry) error {
	return dotmesh.E(op, dotmesh.Busy, "%s is in the way: %s %s is mounted there; unmount it first", e.Target, e.FSType, e.Source)
}

// refused turns what mount(2) said into what a user can act on.
func refused(op string, d dotmesh.Device, target string, err error) error {
	fault := func(kind dotmesh.Kind, format string, args ...any) error {
		e := dotmesh.E(op, kind, format, args...)
		e.Err = os.NewSyscallError("mount", err)
		return e
	}
	switch err {
	case unix.EPERM, unix.EACCES:
		return fault(dotmesh.Denied, "mounting %s needs root (CAP_SYS_ADMIN)", target)
	case unix.ENODEV:
		return fault(dotmesh.Unsupported, "this kernel has no %s; load its module with: modprobe %s", d.FSType, d.FSType)
	case unix.ENOENT, unix.ENXIO, unix.ENOTBLK:
		return fault(dotmesh.NotFound, "%s %s cannot be mounted: it is not there", d.FSType, d.Source)
	case unix.EBUSY:
		return fault(dotmesh.Busy, "%s %s cannot be mounted at %s: it is in use", d.FSType, d.Source, target)
	case unix.ENOSPC:
		return fault(dotmesh.NoSpace, "%s cannot be mounted: this machine has too many mounts; see fs.mount-max", target)
	case unix.EUCLEAN, unix.EIO:
		return fault(dotmesh.Corrupt, "%s %s is damaged; see the kernel's log", d.FSType, d.Source)
	}
	return fault(dotmesh.Internal, "%s %s cannot be mounted at %s: %s", d.FSType, d.Source, target, err.Error())
}
