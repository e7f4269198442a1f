//go:build linux

package btrfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// minSize is the smallest pool that mkfs.btrfs makes and that is of any use.
const minSize = 128 << 20

// mkfsTimeout is far above what mkfs.btrfs takes on a sparse file.
const mkfsTimeout = 2 * time.Minute

// pool is an open place to keep things in: a directory, by descriptor, and what holds it.
type pool struct {
	dir  *os.File // the layout begins here
	lock *os.File // flocked while the pool is open; may be dir
	root string   // dir's path in the file system's own tree, as mount tables show it
}

// path returns a path to something in the pool that works in this process only.
func (p *pool) path(parts ...string) string {
	return filepath.Join(append([]string{"/proc/self/fd", strconv.Itoa(int(p.dir.Fd()))}, parts...)...)
}

// sync makes everything in the file system durable.
func (p *pool) sync() error { return syncAll(p.dir) }

// room returns how many bytes the pool can still take, when it has used so many of those
// that the disk has given to its file.
func (p *pool) room(used int64) (int64, error) {
	if p.lock == p.dir {
		return math.MaxInt64, nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(p.lock.Fd()), &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	_, free, err := space(p.lock)
	return free + max(st.Blocks*512-used, 0), err
}

// close lets go of the pool; a file's loop device goes with the last mount of it.
func (p *pool) close() error {
	if p.lock == p.dir {
		return p.dir.Close()
	}
	return join(p.dir.Close(), p.lock.Close())
}

// openPool opens the place that a config names.
func openPool(ctx context.Context, c Config) (*pool, error) {
	if c.File != "" {
		return openFile(ctx, c.File, c.Size)
	}
	return openDirectory(c.Dir)
}

// openDirectory opens a pool on a btrfs file system that is mounted already.
func openDirectory(path string) (p *pool, err error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer closeOnError(&err, dir)
	if err := flock(dir, path); err != nil {
		return nil, err
	}
	ok, err := isBtrfs(dir)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, dotmesh.E("", dotmesh.Unsupported, "%s is not on a btrfs file system; give one that is, or a file to make one in", path)
	}
	p = &pool{dir: dir, lock: dir}
	p.root, err = treePath(dir)
	return p, err
}

// openFile opens a pool in a file of its own, which it makes if need be.
func openFile(ctx context.Context, path string, size int64) (p *pool, err error) {
	if size < minSize {
		return nil, dotmesh.E("", dotmesh.Invalid, "a pool of %d bytes is too small; it needs at least %d MiB", size, minSize>>20)
	}
	image, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer closeOnError(&err, image)
	if err := flock(image, path); err != nil {
		return nil, err
	}
	if err := format(ctx, image, size); err != nil {
		return nil, err
	}
	dev, err := attach(ctx, image)
	if err != nil {
		return nil, fmt.Errorf("attach %s to a loop device: %w", path, err)
	}
	dir, err := mountDetached(dev.Name())
	if err := join(err, dev.Close()); err != nil {
		return nil, fmt.Errorf("mount %s: %w", path, err)
	}
	return &pool{dir: dir, lock: image, root: "/"}, nil
}

// flock marks f as ours until it is closed, whatever becomes of the process.
func flock(f *os.File, path string) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return dotmesh.E("", dotmesh.Busy, "%s is in use by another process; is a dotmesh-server running already?", path)
	}
	return os.NewSyscallError("flock", err)
}

// format makes a file system in an image that has none. mkfs.btrfs writes the magic number
// of the superblock last, so an image that has it is complete.
func format(ctx context.Context, image *os.File, size int64) error {
	state, err := inspect(image)
	if err != nil || state == formatted {
		return err
	}
	if state == foreign {
		return dotmesh.E("", dotmesh.Exists, "%s holds something that is not a btrfs file system; move it away or name another file", image.Name())
	}
	const sector = 4096
	if err := join(image.Truncate(0), image.Truncate(size/sector*sector)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, mkfsTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "mkfs.btrfs", "--quiet", "--force", "--label", "dotmesh", "--", image.Name()).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return dotmesh.E("", dotmesh.Unsupported, "mkfs.btrfs is not installed; install the package btrfs-progs")
	}
	if err != nil {
		return fmt.Errorf("mkfs.btrfs %s: %w: %s", image.Name(), err, bytes.TrimSpace(out))
	}
	return syncFile(image)
}

// What an image can hold.
type contents int

const (
	formatted contents = iota
	empty              // nothing, or what a killed mkfs.btrfs left
	foreign
)

// inspect looks at the place of the superblock, and at what lies before it.
func inspect(image *os.File) (contents, error) {
	const at, magicAt = 64 << 10, 64
	head := make([]byte, at+4096)
	n, err := image.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return foreign, err
	}
	head = head[:n]
	if n < at+magicAt+8 {
		if n == 0 {
			return empty, nil
		}
		return foreign, nil
	}
	switch string(head[at+magicAt:][:8]) {
	case "_BHRfS_M":
		return formatted, nil
	case "!BHRfS_M": // what mkfs.btrfs writes before it is done
		return empty, nil
	}
	if len(bytes.Trim(head, "\x00")) == 0 {
		return empty, nil
	}
	return foreign, nil
}

// syncFile makes a file and its name durable.
func syncFile(f *os.File) error {
	dir, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	return join(f.Sync(), dir.Sync(), dir.Close())
}

// mountDetached mounts a device's whole file system where no mount namespace shows it.
// The mount lasts until the descriptor that is returned, and all that was opened through
// it, is closed.
func mountDetached(device string) (*os.File, error) {
	fd, err := unix.Fsopen("btrfs", unix.FSOPEN_CLOEXEC)
	if errors.Is(err, unix.ENODEV) {
		return nil, dotmesh.E("", dotmesh.Unsupported, "this kernel has no btrfs; load it with: modprobe btrfs")
	}
	if err != nil {
		return nil, os.NewSyscallError("fsopen", err)
	}
	context := os.NewFile(uintptr(fd), "fsopen")
	defer context.Close() //nolint:errcheck // a description of what to mount
	for key, value := range map[string]string{"source": device, "subvolid": "5"} {
		if err := unix.FsconfigSetString(fd, key, value); err != nil {
			return nil, os.NewSyscallError("fsconfig "+key, err)
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return nil, os.NewSyscallError("fsconfig create", err)
	}
	mount, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOATIME)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	tree := os.NewFile(uintptr(mount), device)
	defer tree.Close() //nolint:errcheck // dir keeps the mount
	return os.Open("/proc/self/fd/" + strconv.Itoa(mount))
}

// treePath returns a directory's path from the top of its file system. The mount table
// says where in the file system the mount that it was opened through begins.
func treePath(dir *os.File) (string, error) {
	var st unix.Statx_t
	if err := unix.Statx(int(dir.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return "", os.NewSyscallError("statx", err)
	}
	path, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(dir.Fd())))
	if err != nil {
		return "", err
	}
	entries, err := readMounts("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if rest, ok := strings.CutPrefix(path, e.Target); ok && e.ID == st.Mnt_id {
			return filepath.Join(e.Root, rest), nil
		}
	}
	return "", &fs.PathError{Op: "find the mount of", Path: path, Err: fs.ErrNotExist}
}

func closeOnError(err *error, f *os.File) {
	if *err != nil {
		*err = join(*err, f.Close())
	}
}
