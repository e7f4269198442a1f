//go:build linux

// Package safepath opens directories and files inside a volume that somebody else can write to.
//
// A container owns the content of its volume: it may plant a symbolic link where we look
// for a directory, and swap the two while we look. So nothing here is looked at first and
// used later, and no path is put together from parts. The kernel walks from the volume's
// open directory, is told what it must not cross, and hands back an open directory; who
// mounts it goes by that descriptor (mounts.Bind).
package safepath

import (
	"os"
	"path/filepath"
	"runtime"

	"dotmesh.io/dotmesh"
	"golang.org/x/sys/unix"
)

// maxTries bounds how often OpenDir starts again because the volume changed under it.
const maxTries = 100

// stay is what the kernel must not do on its way: leave the volume, follow a link of any
// kind, or enter another mount.
const stay = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// OpenDir opens a subdot of the volume whose file system is mounted at root. If the
// subdot is not there, it is made with mode 0777 whatever the umask is, so that a
// container may write to it as any user. [dotmesh.RootSubdot] is root itself.
//
// The directory that is returned lies directly in root, and nothing outside of root was
// opened or made. What is no directory is [dotmesh.Invalid]; a volume that changes
// faster than it can be opened is [dotmesh.Busy]. The root path itself must be ours.
func OpenDir(root string, name dotmesh.Subdot) (*os.File, error) {
	const op = "safepath.OpenDir"
	name, err := dotmesh.ParseSubdot(string(name))
	if err != nil {
		return nil, dotmesh.Wrap(op, err)
	}
	volume, err := os.OpenFile(root, unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil || name == dotmesh.RootSubdot {
		return volume, dotmesh.Wrap(op, err)
	}
	defer volume.Close()
	for range maxTries {
		fd, err := openat2(volume, name)
		if err == unix.ENOENT {
			err = makeDir(volume, name)
			fd = -1
		}
		switch {
		case err == nil && fd >= 0:
			return os.NewFile(uintptr(fd), filepath.Join(root, string(name))), nil
		case err == nil, err == unix.EEXIST, err == unix.EAGAIN, err == unix.EINTR:
			continue
		}
		return nil, refused(op, name, err)
	}
	return nil, dotmesh.E(op, dotmesh.Busy, "subdot %s is being replaced again and again; stop whoever does it and try again", name)
}

func openat2(volume *os.File, name dotmesh.Subdot) (int, error) {
	return unix.Openat2(int(volume.Fd()), string(name), &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC,
		Resolve: stay,
	})
}

// makeDir makes a directory with mode 0777. The umask belongs to the whole process and
// must not be changed for it, and a chmod afterwards could hit what somebody moved there
// meanwhile; so a thread with an umask of its own does it and ends with its goroutine.
func makeDir(volume *os.File, name dotmesh.Subdot) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread goes too
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			unix.Umask(0)
			err = unix.Mkdirat(int(volume.Fd()), string(name), 0o777)
		}
		done <- err
	}()
	return <-done
}

func refused(op string, name dotmesh.Subdot, err error) error {
	fault := func(kind dotmesh.Kind, text string) error {
		e := dotmesh.E(op, kind, text, name)
		e.Err = err
		return e
	}
	switch err {
	case unix.ELOOP:
		return fault(dotmesh.Invalid, "subdot %s is a symbolic link, which is never followed; use a directory in its place")
	case unix.ENOTDIR:
		return fault(dotmesh.Invalid, "subdot %s is a file; use a directory in its place")
	case unix.EXDEV:
		return fault(dotmesh.Invalid, "subdot %s is a mount of something else; unmount that first")
	case unix.ENOSPC, unix.EDQUOT:
		return fault(dotmesh.NoSpace, "subdot %s cannot be made: the pool is full")
	case unix.EROFS:
		return fault(dotmesh.NotFound, "there is no subdot %s, and it cannot be made in what is mounted read-only")
	case unix.ENOSYS:
		return fault(dotmesh.Unsupported, "subdot %s needs openat2, which Linux has since 5.6; use a newer kernel")
	}
	return dotmesh.Wrap(op, os.NewSyscallError("openat2", err))
}
