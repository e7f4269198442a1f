//go:build linux

package safepath

import (
	"os"
	"path"
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
	"golang.org/x/sys/unix"
)

// OpenFile opens a regular file of the volume whose file system is mounted at root, for
// reading. The name is the file's path from there, with any bytes but NUL in it.
//
// No symbolic link is followed, so that what lies behind one is [dotmesh.NotFound], and no
// other mount is entered. What is something else than a regular file is
// [dotmesh.Invalid]; it was not opened, since that alone can do something to a device or
// wait for ever. The root path itself must be ours.
func OpenFile(root, name string) (*os.File, error) {
	const op = "safepath.OpenFile"
	if name == "" || path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name+"/", "../") || strings.ContainsRune(name, 0) {
		return nil, dotmesh.E(op, dotmesh.Invalid, "invalid path %q: give it from the top of the branch, as a diff shows it", name)
	}
	volume, err := os.OpenFile(root, unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, dotmesh.Wrap(op, err)
	}
	defer volume.Close()
	fd, err := walk(int(volume.Fd()), name)
	if err != nil {
		return nil, notOpened(op, name, err)
	}
	defer unix.Close(fd)
	if err := isRegular(fd, name); err != nil {
		return nil, err
	}
	file, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	return file, dotmesh.Wrap(op, err)
}

// walk goes to a file of any type, one name after the other, since all of them together
// may be longer than the kernel takes. The file is not opened, only named.
func walk(volume int, name string) (int, error) {
	at := volume
	for part := range strings.SplitSeq(name, "/") {
		next, err := named(at, part)
		if at != volume {
			unix.Close(at)
		}
		if err != nil {
			return -1, err
		}
		at = next
	}
	return at, nil
}

// named returns a descriptor that names a file, and be it a link, and allows nothing else.
func named(dir int, name string) (int, error) {
	for range maxTries {
		fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: stay})
		if err != unix.EINTR && err != unix.EAGAIN {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}

func isRegular(fd int, name string) error {
	const op = "safepath.OpenFile"
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return dotmesh.Wrap(op, os.NewSyscallError("fstat", err))
	}
	what := ""
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return nil
	case unix.S_IFDIR:
		what = "a directory"
	case unix.S_IFLNK:
		what = "a symbolic link"
	default:
		what = "a device, pipe or socket"
	}
	return dotmesh.E(op, dotmesh.Invalid, "%q is %s, and no regular file", name, what)
}

func notOpened(op, name string, err error) error {
	fault := func(kind dotmesh.Kind, text string) error {
		e := dotmesh.E(op, kind, text, name)
		e.Err = err
		return e
	}
	switch err {
	case unix.ENOENT, unix.ENOTDIR, unix.ENAMETOOLONG:
		return fault(dotmesh.NotFound, "there is no file %q")
	case unix.EXDEV:
		return fault(dotmesh.Invalid, "%q is below a mount of something else")
	case unix.ENOSYS:
		return fault(dotmesh.Unsupported, "%q needs openat2, which Linux has since 5.6; use a newer kernel")
	}
	return dotmesh.Wrap(op, os.NewSyscallError("openat2", err))
}
