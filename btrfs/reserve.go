//go:build linux

package btrfs

import (
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// The reserve is made of parts, each one file, so that one can be given up by an unlink:
// of all changes the one that the kernel still does when it has no space for others.
const (
	reserveParts = 4
	maxReserve   = 1 << 30
	maxTreePart  = 4 << 20
)

// reserve is the space that is kept free. btrfs has two kinds, for data and for trees, and
// gives what one has to the other in chunks of many megabytes only. So each part of the
// reserve holds both: preallocated data, and extended attributes, which lie in the tree.
type reserve struct {
	path string // of the parts, but for their number
	part int64  // the bytes of one
	tree int64  // the bytes of its attributes
	pool *os.File

	mu   sync.Mutex // guards held
	held int        // the parts that are there: those with the lowest numbers
}

// openReserve makes a reserve in a pool of size bytes, or as much of it as there is room
// for.
func openReserve(pool *os.File, path string, size int64) *reserve {
	r := &reserve{
		path: path, pool: pool,
		part: min(size/20, maxReserve) / reserveParts, tree: min(size/256, maxTreePart),
	}
	for r.held < reserveParts && r.whole(r.held) {
		r.held++
	}
	r.take()
	return r
}

// whole reports whether a part is there, and was not cut short by a crash.
func (r *reserve) whole(part int) bool {
	var st unix.Stat_t
	return unix.Lstat(r.name(part), &st) == nil && st.Blocks*512 >= r.part
}

func (r *reserve) name(part int) string { return r.path + "." + strconv.Itoa(part) }

// lend gives up one part. It reports whether there was any left to give.
func (r *reserve) lend() (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == 0 {
		return false, nil
	}
	if err := os.Remove(r.name(r.held - 1)); err != nil {
		return false, err
	}
	r.held--
	return true, syncAll(r.pool)
}

// take fills the reserve up again, as far as there is room for it and as much again. What
// it cannot take back is tried again after the next change; what was changed before is
// done all the same, and amount tells how much is held.
func (r *reserve) take() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.held < reserveParts {
		_, free, err := space(r.pool)
		if err != nil || free < 2*r.part*int64(reserveParts-r.held) || r.make(r.held) != nil {
			return
		}
		r.held++
	}
}

// make makes one part, or nothing. Its data come last and tell that it is whole.
func (r *reserve) make(part int) (err error) {
	f, err := os.OpenFile(r.name(part), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = join(err, f.Close()); err != nil {
			err = join(err, os.Remove(r.name(part)))
		}
	}()
	value := make([]byte, metaPiece)
	for i := range r.tree / metaPiece {
		if err := unix.Fsetxattr(int(f.Fd()), "trusted.reserve."+strconv.FormatInt(i, 10), value, 0); err != nil {
			return os.NewSyscallError("fsetxattr", err)
		}
	}
	return os.NewSyscallError("fallocate", unix.Fallocate(int(f.Fd()), 0, 0, r.part))
}

// amount returns how many bytes are held for data.
func (r *reserve) amount() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(r.held) * r.part
}

// space returns the size of f's file system and what is free in it, in bytes.
func space(f *os.File) (size, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, 0, os.NewSyscallError("statfs", err)
	}
	return int64(st.Blocks) * st.Bsize, int64(st.Bavail) * st.Bsize, nil
}
