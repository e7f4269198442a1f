//go:build linux

package btrfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// destroyAnyway destroys a subvolume that its users may have locked: whoever may write to
// a head may make subvolumes in it, and make them read-only with others inside; whoever
// has enough rights may make a directory immutable. None of that keeps data from a line
// that is to go.
func (s *Store) destroyAnyway(ctx context.Context, id uint64) error {
	err := destroySubvolID(s.lines, id)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESTALE) { // by somebody else meanwhile
		return nil
	}
	if !errors.Is(err, unix.EROFS) && !errors.Is(err, unix.EPERM) {
		return err
	}
	if err := s.unlock(ctx, id); err != nil {
		return fmt.Errorf("unlock subvolume %d: %w", id, err)
	}
	err = destroySubvolID(s.lines, id)
	if errors.Is(err, unix.EPERM) { // the kernel says so of these alone
		return &dotmesh.Error{Kind: dotmesh.Busy, Text: "it is being sent, or holds a swap file that is in use; stop that first", Err: err}
	}
	return err
}

// unlock takes away what keeps a subvolume from being destroyed: in the subvolume and the
// directory that it lies in, and in itself. A subvolume that was read-only stays so.
func (s *Store) unlock(ctx context.Context, id uint64) error {
	var parent uint64
	var at ref
	err := newFinder(s.lines, smallSearch).search(ctx, of(rootTree, id, rootBackref, rootBackref), func(i item) (err error) {
		parent = i.offset
		at, err = parseRootRef(i.data)
		return err
	})
	if err != nil {
		return err
	}
	top, err := openInode(s.lines, parent, rootInode)
	if err != nil {
		return err
	}
	defer top.Close() //nolint:errcheck // only read
	if _, err := setReadOnly(top, false); err != nil {
		return err
	}
	dir, err := openInode(s.lines, parent, at.dir)
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // only read
	self, err := openInode(s.lines, id, rootInode)
	if err != nil {
		return err
	}
	defer self.Close() //nolint:errcheck // only read
	return join(makeMutable(dir), makeSubvolMutable(self))
}

func makeSubvolMutable(self *os.File) error {
	was, err := setReadOnly(self, false)
	if err != nil {
		return err
	}
	err = makeMutable(self)
	if was {
		_, again := setReadOnly(self, true)
		err = join(err, again)
	}
	return err
}

// setReadOnly makes a subvolume read-only or writable, and returns what it was.
func setReadOnly(subvol *os.File, on bool) (was bool, err error) {
	var flags uint64
	if err := ioctl(subvol, request(read, 25, 8), unsafe.Pointer(&flags)); err != nil {
		return false, os.NewSyscallError("get subvolume flags", err)
	}
	was = flags&subvolReadOnly != 0
	if was == on {
		return was, nil
	}
	flags ^= subvolReadOnly
	return was, os.NewSyscallError("set subvolume flags", ioctl(subvol, request(write, 26, 8), unsafe.Pointer(&flags)))
}

// makeMutable takes the attributes from a directory that keep its entries as they are.
func makeMutable(dir *os.File) error {
	const locks = fsImmutable | fsAppend
	flags, err := unix.IoctlGetInt(int(dir.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil || flags&locks == 0 {
		return os.NewSyscallError("get flags", err)
	}
	return os.NewSyscallError("set flags", unix.IoctlSetPointerInt(int(dir.Fd()), unix.FS_IOC_SETFLAGS, flags&^locks))
}

// openInode opens a directory by its numbers, wherever it lies.
func openInode(pool *os.File, subvol, inode uint64) (*os.File, error) {
	fd, err := openHandle(pool, subvol, inode, 0, unix.O_DIRECTORY) // of any generation
	if err != nil {
		return nil, os.NewSyscallError("open_by_handle_at", err)
	}
	return os.NewFile(uintptr(fd), fmt.Sprintf("inode %d of subvolume %d", inode, subvol)), nil
}

// openNumbered opens a regular file by its numbers. It leaves the time of the last look alone.
func openNumbered(pool *os.File, subvol, inode, generation uint64) (fd int, err error) {
	return openHandle(pool, subvol, inode, generation, unix.O_NOATIME)
}

func openHandle(pool *os.File, subvol, inode, generation uint64, flags int) (fd int, err error) {
	const withoutParent = 0x4d // FILEID_BTRFS_WITHOUT_PARENT of linux/exportfs.h
	handle := binary.NativeEndian.AppendUint64(nil, inode)
	handle = binary.NativeEndian.AppendUint64(handle, subvol)
	handle = binary.NativeEndian.AppendUint32(handle, uint32(generation))
	return unix.OpenByHandleAt(int(pool.Fd()), unix.NewFileHandle(withoutParent, handle), unix.O_RDONLY|unix.O_CLOEXEC|flags)
}
