//go:build linux

package btrfs

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Numbers of the kernel's btrfs.h.
const (
	magic = 0x94

	subvolReadOnly = 1 << 1 // BTRFS_SUBVOL_RDONLY
	subvolByID     = 1 << 4 // BTRFS_SUBVOL_SPEC_BY_ID

	rootInode = 256 // the inode of every subvolume's root directory
)

// args is struct btrfs_ioctl_vol_args_v2.
type args struct {
	fd      int64
	transid uint64
	flags   uint64
	unused  [4]uint64
	name    [4040]byte
}

// subvol is struct btrfs_ioctl_get_subvol_info_args: what the kernel knows of a subvolume.
type subvol struct {
	id         uint64
	name       [256]byte
	parent     uint64 // the subvolume that it lies in
	dir        uint64 // the directory there
	generation uint64 // the newest transaction that changed it
	flags      uint64
	uuid       [16]byte
	parentUUID [16]byte // what it is a snapshot of; zero: nothing
	received   [16]byte // its uuid where it was sent from; zero: it was made here
	ctransid   uint64
	otransid   uint64 // the transaction that made it
	stransid   uint64
	rtransid   uint64
	times      [4]struct {
		sec  uint64
		nsec uint32
		_    uint32
	}
	_ [8]uint64
}

// _IOC of the kernel: direction, size, type and number in one word.
func request(dir, number, size uintptr) uintptr {
	return dir<<30 | size<<16 | magic<<8 | number
}

const (
	write = 1
	read  = 2
)

func ioctl(f *os.File, number uintptr, arg unsafe.Pointer) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), number, uintptr(arg))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return errno
		}
	}
}

func named(name string, call string, number uintptr, f *os.File, a *args) error {
	if len(name) >= len(a.name) || strings.ContainsAny(name, "/\x00") {
		return &fs.PathError{Op: call, Path: name, Err: unix.EINVAL}
	}
	copy(a.name[:], name)
	if err := ioctl(f, request(write, number, unsafe.Sizeof(*a)), unsafe.Pointer(a)); err != nil {
		return &fs.PathError{Op: call, Path: filepath.Join(f.Name(), name), Err: err}
	}
	return nil
}

// openDir opens a directory and follows no link to it.
func openDir(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// inDir calls f with the directory that path lies in.
func inDir(path string, f func(dir *os.File, name string) error) error {
	dir, err := os.OpenFile(filepath.Dir(path), os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // only read
	return f(dir, filepath.Base(path))
}

// createSubvol makes an empty subvolume. It is not durable before a sync.
func createSubvol(path string) error {
	return inDir(path, func(dir *os.File, name string) error {
		return named(name, "create subvolume", 24, dir, &args{})
	})
}

// snapshot makes a snapshot of the subvolume at from. It is durable, with all that was
// written to from, when snapshot returns.
func snapshot(from, to string, readOnly bool) error {
	src, err := openDir(from)
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // only read
	return snapshotOf(src, to, readOnly)
}

func snapshotOf(src *os.File, to string, readOnly bool) error {
	a := &args{fd: int64(src.Fd())}
	if readOnly {
		a.flags = subvolReadOnly
	}
	return inDir(to, func(dir *os.File, name string) error {
		return named(name, "snapshot", 23, dir, a)
	})
}

// destroySubvolID removes a subvolume that holds no others, by its id. It is not durable
// before a sync.
func destroySubvolID(f *os.File, id uint64) error {
	a := &args{flags: subvolByID}
	*(*uint64)(unsafe.Pointer(&a.name)) = id
	if err := ioctl(f, request(write, 63, unsafe.Sizeof(*a)), unsafe.Pointer(a)); err != nil {
		return fmt.Errorf("destroy subvolume %d: %w", id, err)
	}
	return nil
}

// subvolAt returns what is known of the subvolume at path. A path that is no subvolume,
// or does not exist, is fs.ErrNotExist.
func subvolAt(path string) (*subvol, error) {
	f, err := openDir(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return subvolOf(f)
}

func subvolOf(f *os.File) (*subvol, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, &fs.PathError{Op: "fstat", Path: f.Name(), Err: err}
	}
	if st.Ino != rootInode {
		return nil, &fs.PathError{Op: "open subvolume", Path: f.Name(), Err: fs.ErrNotExist}
	}
	var s subvol
	if err := ioctl(f, request(read, 60, unsafe.Sizeof(s)), unsafe.Pointer(&s)); err != nil {
		return nil, &fs.PathError{Op: "read subvolume", Path: f.Name(), Err: err}
	}
	return &s, nil
}

// devicePaths returns the paths of the file system's devices, as the kernel knows them.
func devicePaths(f *os.File) (paths []string, err error) {
	var info struct {
		maxID uint64
		_     [1016]byte
	}
	if err := ioctl(f, request(read, 31, unsafe.Sizeof(info)), unsafe.Pointer(&info)); err != nil {
		return nil, fmt.Errorf("read file system: %w", err)
	}
	for id := uint64(1); id <= info.maxID; id++ {
		var dev struct {
			id   uint64
			_    [3064]byte
			path [1024]byte
		}
		dev.id = id
		err := ioctl(f, request(read|write, 30, unsafe.Sizeof(dev)), unsafe.Pointer(&dev))
		path, _, _ := bytes.Cut(dev.path[:], []byte{0})
		switch {
		case err == unix.ENODEV, err == nil && len(path) == 0: //nolint:errorlint // removed, or missing
		case err != nil:
			return nil, fmt.Errorf("read device %d: %w", id, err)
		default:
			paths = append(paths, string(path))
		}
	}
	if len(paths) == 0 {
		err = fmt.Errorf("read devices: %w", fs.ErrNotExist)
	}
	return paths, err
}

// syncAll makes everything in f's file system durable, as syncfs does, and also makes the
// kernel begin to give back the space of destroyed subvolumes, which else takes it 30 s.
func syncAll(f *os.File) error {
	return os.NewSyscallError("btrfs sync", ioctl(f, request(0, 8, 0), nil))
}

// isBtrfs reports whether f lies on a btrfs file system.
func isBtrfs(f *os.File) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return false, &fs.PathError{Op: "statfs", Path: f.Name(), Err: err}
	}
	return st.Type == unix.BTRFS_SUPER_MAGIC, nil
}

// setNoCow makes files that are created in dir from now on be written in place.
func setNoCow(dir *os.File) error {
	flags, err := unix.IoctlGetInt(int(dir.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return &fs.PathError{Op: "get flags", Path: dir.Name(), Err: err}
	}
	if err := unix.IoctlSetPointerInt(int(dir.Fd()), unix.FS_IOC_SETFLAGS, flags|fsNoCow); err != nil {
		return &fs.PathError{Op: "set nocow", Path: dir.Name(), Err: err}
	}
	return nil
}

// Attributes of inodes, as FS_IOC_GETFLAGS has them.
const (
	fsImmutable = 0x00000010
	fsAppend    = 0x00000020
	fsNoCow     = 0x00800000
)
