//go:build linux

package btrfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLoopTries bounds how often a free loop device is asked for while others take them.
const maxLoopTries = 16

// attach returns a loop device whose backing file is image: the one that an earlier
// process left, since one file must never back two devices, or a new one that detaches
// itself when nothing uses it any more. The caller holds the image's lock, and keeps the
// device open until it is mounted.
func attach(ctx context.Context, image *os.File) (*os.File, error) {
	dev, err := attached(image)
	if dev != nil || err != nil {
		return dev, err
	}
	backing, err := reopen(image)
	if err != nil {
		return nil, err
	}
	defer backing.Close() //nolint:errcheck // nothing is written through it
	for range maxLoopTries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		dev, err := freeLoop()
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(dev.Fd()), &unix.LoopConfig{
			Fd:   uint32(backing.Fd()),
			Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO},
		})
		if err == nil {
			return dev, nil
		}
		if err := join(&fs.PathError{Op: "configure", Path: dev.Name(), Err: err}, dev.Close()); !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("attach %s: every free loop device was taken by others", image.Name())
}

// reopen opens the image once more. A loop device keeps the open file that it was given,
// with its lock: given the locked one, mounts that outlive a killed process would keep
// the next process out.
func reopen(image *os.File) (*os.File, error) {
	return os.OpenFile("/proc/self/fd/"+strconv.Itoa(int(image.Fd())), os.O_RDWR, 0)
}

// attached returns the loop device that image backs already, or nil.
func attached(image *os.File) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(image.Fd()), &st); err != nil {
		return nil, err
	}
	used, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	for _, path := range used {
		name, _, _ := strings.Cut(strings.TrimPrefix(path, "/sys/block/"), "/")
		dev, err := openLoop(strings.TrimPrefix(name, "loop"))
		if err != nil {
			return nil, err
		}
		info, err := unix.IoctlLoopGetStatus64(int(dev.Fd()))
		if err == nil && info.Device == st.Dev && info.Inode == st.Ino {
			return dev, nil
		}
		if errors.Is(err, unix.ENXIO) { // detached meanwhile
			err = nil
		}
		if err := join(err, dev.Close()); err != nil {
			return nil, fmt.Errorf("read %s: %w", dev.Name(), err)
		}
	}
	return nil, nil
}

func freeLoop() (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer control.Close() //nolint:errcheck // nothing is written
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, os.NewSyscallError("get free loop device", err)
	}
	return openLoop(strconv.Itoa(n))
}

// openLoop opens a loop device, and makes its node where nobody does: in a container.
func openLoop(number string) (*os.File, error) {
	path := "/dev/loop" + number
	dev, err := os.OpenFile(path, os.O_RDWR, 0)
	if !errors.Is(err, fs.ErrNotExist) {
		return dev, err
	}
	n, err := strconv.ParseUint(number, 10, 20)
	if err != nil {
		return nil, err
	}
	const loopMajor = 7
	err = unix.Mknod(path, unix.S_IFBLK|0o600, int(unix.Mkdev(loopMajor, uint32(n))))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, &fs.PathError{Op: "mknod", Path: path, Err: err}
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}
