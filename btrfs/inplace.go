//go:build linux

package btrfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// stopInPlace has the kernel no longer write what is at a path in place. Streams do not carry
// that attribute, what is here may have it, and with it nothing can be compressed. Where it is
// not the reason why something failed, it returns that failure.
func (a *applier) stopInPlace(path string, failed error) error {
	d, err := a.dst.dir(path)
	fd, stop := d.fd, clearNoCow
	if err != nil {
		stop = a.writeAnew
		if fd, err = a.writable(path); err != nil {
			return err
		}
	}
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err != nil || flags&fsNoCow == 0 {
		return failed
	}
	return stop(fd)
}

// writeAnew gives a file its content again, from a copy: the attribute goes with what was
// written under it only.
func (a *applier) writeAnew(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	aside, err := unix.Openat(int(a.dst.root.Fd()), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return os.NewSyscallError("open O_TMPFILE", err)
	}
	defer unix.Close(aside) //nolint:errcheck // it has no name
	err = clearNoCow(aside)
	if err == nil {
		err = copyData(aside, fd)
	}
	if err == nil {
		err = unix.Ftruncate(fd, 0)
	}
	if err == nil {
		err = clearNoCow(fd)
	}
	if err == nil {
		err = unix.IoctlFileClone(fd, aside)
	}
	if err == nil {
		err = unix.Ftruncate(fd, st.Size)
	}
	return err
}

// copyData copies what is no hole.
func copyData(to, from int) error {
	for at := int64(0); ; {
		data, err := unix.Seek(from, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // all the rest is one
			return nil
		}
		if err == nil {
			at, err = unix.Seek(from, data, unix.SEEK_HOLE)
		}
		if err == nil {
			err = copyRange(to, from, data, data, at-data)
		}
		if err != nil {
			return err
		}
	}
}

func clearNoCow(fd int) error {
	flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags&^fsNoCow)
	}
	return os.NewSyscallError("clear nocow", err)
}
