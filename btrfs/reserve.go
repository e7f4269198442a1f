//go:build linux

package btrfs

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxReserve is enough for the metadata of any number of snapshots and removals.
const maxReserve = 1 << 30

// reserve is the space that is kept free: a preallocated file.
type reserve struct {
	file *os.File
	size int64 // how much it should be

	mu   sync.Mutex // guards held
	held int64      // how much it is
}

// openReserve takes as much of size as the pool has room for.
func openReserve(path string, size int64) (*reserve, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, join(err, f.Close())
	}
	r := &reserve{file: f, size: size, held: min(st.Blocks*512, size)}
	if err := r.take(); err != nil {
		return nil, join(err, f.Close())
	}
	return r, nil
}

// lend gives up a quarter. It reports whether there was anything left to give.
func (r *reserve) lend() (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	part := min(r.held, max(r.size/4, 1<<20))
	if part == 0 {
		return false, nil
	}
	if err := unix.Ftruncate(int(r.file.Fd()), r.held-part); err != nil {
		return false, os.NewSyscallError("ftruncate", err)
	}
	r.held -= part
	return true, syncAll(r.file)
}

// take fills the reserve up again, if there is room for it and as much again.
func (r *reserve) take() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	missing := r.size - r.held
	if missing == 0 {
		return nil
	}
	_, free, err := space(r.file)
	if err != nil || free < 2*missing {
		return err
	}
	err = unix.Fallocate(int(r.file.Fd()), 0, r.held, missing)
	if errors.Is(err, unix.ENOSPC) {
		return nil
	}
	if err == nil {
		r.held = r.size
	}
	return os.NewSyscallError("fallocate", err)
}

func (r *reserve) amount() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// space returns the size of f's file system and what is free in it, in bytes.
func space(f *os.File) (size, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return 0, 0, os.NewSyscallError("statfs", err)
	}
	return int64(st.Blocks) * st.Bsize, int64(st.Bavail) * st.Bsize, nil
}
