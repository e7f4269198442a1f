//go:build linux

package zfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// mountPrivately mounts a dataset or snapshot where no mount namespace shows it. The mount
// lasts until the directory that is returned, and all that was opened through it, is
// closed. A dataset that is mounted elsewhere, too, is the same file system there.
func mountPrivately(ctx context.Context, name string, writable bool) (dir *os.File, err error) {
	err = whileBusy(ctx, func() (err error) {
		dir, err = mountDetached(name, writable)
		if errors.Is(err, unix.EBUSY) { // it is mounted elsewhere, the other way
			dir, err = mountDetached(name, !writable)
		}
		return err
	})
	if errors.Is(err, unix.ENODEV) {
		return nil, &dotmesh.Error{Kind: dotmesh.Unsupported, Text: verdicts[noModule].text, Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", name, err)
	}
	return dir, nil
}

// An unmount that is ending keeps its dataset for a moment after no mount is shown any more.
const (
	busyFor   = 5 * time.Second
	busyAgain = 20 * time.Millisecond
)

// whileBusy calls f until what it needs is in use no more, but not for ever.
func whileBusy(ctx context.Context, f func() error) error {
	err := f()
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, busyFor)
	defer cancel()
	again := time.NewTicker(busyAgain)
	defer again.Stop()
	for errors.Is(err, unix.EBUSY) {
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
		err = f()
	}
	return err
}

func mountDetached(name string, writable bool) (*os.File, error) {
	fd, err := unix.Fsopen("zfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen", err)
	}
	what := os.NewFile(uintptr(fd), "fsopen")
	defer what.Close() //nolint:errcheck // a description of what to mount
	if err := unix.FsconfigSetString(fd, "source", name); err != nil {
		return nil, os.NewSyscallError("fsconfig source", err)
	}
	if !writable {
		if err := unix.FsconfigSetFlag(fd, "ro"); err != nil {
			return nil, os.NewSyscallError("fsconfig ro", err)
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return nil, os.NewSyscallError("fsconfig create", err)
	}
	attributes := unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOATIME
	if !writable {
		attributes |= unix.MOUNT_ATTR_RDONLY
	}
	mount, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	tree := os.NewFile(uintptr(mount), name)
	defer tree.Close() //nolint:errcheck // the directory keeps the mount
	return os.Open("/proc/self/fd/" + strconv.Itoa(mount))
}

// replay brings what was fsynced before a crash from the intent log of a line into the
// line. A line that was never handed out, or is mounted, has nothing there that a snapshot
// would miss. The caller has the line's turn.
func (s *Store) replay(ctx context.Context, line dotmesh.LineID) error {
	r, err := s.record(line)
	if err != nil || !r.Mounted {
		return err
	}
	if here, err := mountedHere(s.line(line)); err != nil || here {
		return err
	}
	dir, err := mountPrivately(ctx, s.line(line), false)
	if err != nil {
		return fmt.Errorf("replay the log of line %s: %w", line, err)
	}
	if err := dir.Close(); err != nil {
		return err
	}
	// If it is mounted in another namespace it has a log again at any time.
	if h, err := findMount(ctx, s.line(line)); err != nil || h != nil {
		return err
	}
	s.handed.Delete(line)
	return s.update(line, func(r *record) { r.Mounted = false })
}
