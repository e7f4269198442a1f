//go:build linux

package btrfs

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// The kernel makes a snapshot also where the disk did not take what was written before it:
// the snapshot then has what was there earlier, or holes, and no error says so. It only
// notes with each file, and with the file system, that something was lost. So a commit is
// looked after as soon as it is made, and destroyed again where that was so: to lose it, the
// disk must refuse data and the machine crash in the same instant.

// filesTaken checks that the disk has taken what a commit has of the subvolume that it is a
// snapshot of: since is the transaction before which nothing can have been waiting to be
// written. It looks at the files that were changed, since a look at the whole file system
// would first write out what all other lines have.
func (s *Store) filesTaken(ctx context.Context, r dotmesh.Ref, of *subvol, since uint64) error {
	dir, err := openDir(s.at(r))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // only read
	err = newFinder(dir, smallSearch).search(ctx, all(ownTree, since-1), func(i item) error {
		if i.kind != inodeItem {
			return nil
		}
		n, err := parseInode(i.data)
		if err != nil || n.transid < since || n.mode&unix.S_IFMT != unix.S_IFREG {
			return err
		}
		return fileTaken(s.lines, of.id, i.object, n.generation)
	})
	if errors.Is(err, unix.EPERM) { // a process may be root and yet not be let open files by number
		return allTaken(dir)
	}
	return err
}

// fileTaken checks one file, as long as it is there.
func fileTaken(pool *os.File, subvol, object, generation uint64) error {
	fd, err := openNumbered(pool, subvol, object, generation)
	if errors.Is(err, unix.ESTALE) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("open_by_handle_at", err)
	}
	return join(notTaken(unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE)), unix.Close(fd))
}

// largeBody is how much may be received before the kernel, short of memory, may have given up
// files together with what it noted with them.
const largeBody = 16 << 20

// allTaken writes everything out, and checks that the disk has taken all that was written
// anywhere in dir's file system since dir was opened, or since the last check by it.
func allTaken(dir *os.File) error { return notTaken(unix.Syncfs(int(dir.Fd()))) }

// notTaken says of an error that data were lost. It does not wrap it: where the reserve is
// lent after an ENOSPC, another try would succeed, and not bring them back.
func notTaken(err error) error {
	if err == nil {
		return nil
	}
	kind := dotmesh.Corrupt
	if errors.Is(err, unix.ENOSPC) {
		kind = dotmesh.NoSpace
	}
	return dotmesh.E("", kind, "the disk below the pool did not take all data (%v); see the kernel's log, and make room if it is full; what is missing must be written again", err)
}

// lastSnapshot returns the transaction of the newest snapshot of a subvolume, or the one
// that made it. Each snapshot has all data written out that were there before it.
func (s *Store) lastSnapshot(ctx context.Context, v *subvol) (transid uint64, err error) {
	transid = v.otransid
	err = newFinder(s.lines, smallSearch).search(ctx, of(rootTree, v.id, rootItem, rootItem), func(i item) error {
		r, err := parseRoot(i.data)
		transid = r.snapshot
		return err
	})
	return max(transid, 1), err
}
