//go:build linux

package btrfs

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// ahead has the kernel read what it will send, before it does. By itself it reads one small
// file after the other and waits for each, and a commit that was just made has nothing in
// the cache that its head has.
//
// It is a hint: a file that cannot be read is left to the kernel, which says why.
type ahead struct {
	commit *os.File      // the subvolume that is sent
	of     *subvol       // the same
	since  uint64        // what was written in this transaction or before is not sent
	sent   *atomic.Int64 // bytes that have come of it
}

const (
	aheadBytes = 32 << 20 // of what is asked for before it is sent
	aheadFile  = 1 << 20  // of larger files the kernel itself reads ahead
	aheadRest  = 5 * time.Millisecond
)

// start begins to read, and returns what ends that and waits for it.
func (a *ahead) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var g sync.WaitGroup
	g.Go(func() { a.run(ctx) })
	return func() {
		cancel()
		g.Wait()
	}
}

// run asks for one file after the other in the order in which they are sent, by inode, until
// ctx ends.
func (a *ahead) run(ctx context.Context) {
	var asked int64
	var file inode
	var at uint64
	_ = newFinder(a.commit, smallSearch).search(ctx, all(ownTree, a.since), func(i item) (err error) {
		switch i.kind {
		case inodeItem:
			at = i.object
			file, err = parseInode(i.data)
			return err
		case extentData:
			e, err := parseExtent(i.data)
			if err != nil || i.object != at || e.at == 0 || e.generation <= a.since || file.size > aheadFile {
				return err
			}
			at = 0 // once for each file
			asked += file.size
			a.ask(i.object, file)
			return a.rest(ctx, asked)
		}
		return nil
	})
}

// rest waits until not much more was asked for than was sent.
func (a *ahead) rest(ctx context.Context, asked int64) error {
	for asked-a.sent.Load() > aheadBytes {
		timer := time.NewTimer(aheadRest)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// ask opens a file by its inode, which needs no path, and has its content read.
func (a *ahead) ask(object uint64, file inode) {
	fd, err := openNumbered(a.commit, a.of.id, object, file.generation)
	if err != nil {
		return
	}
	_ = unix.Fadvise(fd, 0, file.size, unix.FADV_WILLNEED)
	_ = unix.Close(fd)
}
