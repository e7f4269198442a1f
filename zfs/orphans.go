//go:build linux

package zfs

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// A program goes on when the process that started it was killed, and the kernel may do what
// it asks for after the next process has looked at the pool: a dataset would come to be, or
// a head be rolled back, that nobody expects any more. So each program that changes
// something inherits a lock, and Open waits until nobody has it.

// orphanTimeout is how long Open waits for them. A program ends soon when its input does.
const orphanTimeout = 30 * time.Second

// lockPrograms takes the lock, which is on the directory of the KV: the process that has the
// KV has it, and all that it starts.
func lockPrograms(ctx context.Context, dir *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, orphanTimeout)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return os.NewSyscallError("flock", err)
		}
		select {
		case <-ctx.Done():
			return dotmesh.E("", dotmesh.Busy, "a zfs program that an earlier dotmesh-server has started still runs; end it")
		case <-again.C:
		}
	}
}

// changes reports whether a command may change the pool.
func (c command) changes() bool {
	switch c.args[0] {
	case "list", "get", "send":
		return false
	}
	return true
}
