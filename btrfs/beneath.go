//go:build linux

package btrfs

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// beneath resolves paths below a subvolume's root and nowhere else, whatever links lie on
// the way. It remembers the directories that it was led through, since a stream names the
// same ones again and again: a descriptor stays within the subvolume, and its path is
// forgotten when a name on it changes.
type beneath struct {
	root *os.File
	dirs map[string]directory
}

// directory is an open directory.
type directory struct {
	fd       int
	inherits bool // what is made in it gets attributes from it
}

// maxDirs bounds the descriptors that are kept.
const maxDirs = 32

func newBeneath(root *os.File) *beneath {
	return &beneath{root: root, dirs: map[string]directory{}}
}

// close gives back the descriptors, but for the root.
func (b *beneath) close() {
	for path := range b.dirs {
		b.drop(path)
	}
}

func (b *beneath) drop(path string) {
	if path != "" {
		_ = unix.Close(b.dirs[path].fd) // nothing was written to it
	}
	delete(b.dirs, path)
}

// moved forgets what a path leads to, and all below it.
func (b *beneath) moved(path string) {
	for known := range b.dirs {
		if isBelow(known, path) {
			b.drop(known)
		}
	}
}

// isBelow reports whether a path is another one or leads through it.
func isBelow(path, above string) bool {
	return strings.HasPrefix(path, above) && (len(path) == len(above) || path[len(above)] == '/')
}

// parent returns the directory that a path lies in, and its name there.
func (b *beneath) parent(path string) (directory, string, error) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		dir, err := b.dir("")
		return dir, path, err
	}
	dir, err := b.dir(path[:i])
	return dir, path[i+1:], err
}

// dir opens the directory at a path; "" is the root.
func (b *beneath) dir(path string) (directory, error) {
	if d, ok := b.dirs[path]; ok {
		return d, nil
	}
	d := directory{fd: int(b.root.Fd())}
	if path != "" {
		var err error
		if d.fd, err = b.open(path, unix.O_RDONLY|unix.O_DIRECTORY); err != nil {
			return d, err
		}
	}
	d.inherits = passesOn(d.fd)
	if len(b.dirs) >= maxDirs {
		b.close()
	}
	b.dirs[path] = d
	return d, nil
}

// open opens what is at a path, by a walk on which the kernel follows no link of any kind
// and leaves neither the subvolume's root nor the mount.
func (b *beneath) open(path string, flags uint64) (int, error) {
	for {
		fd, err := unix.Openat2(int(b.root.Fd()), path, &unix.OpenHow{
			Flags:   flags | unix.O_NOFOLLOW | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
		})
		if !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			return fd, err
		}
	}
}

// regular opens a regular file. Anything else is not even opened: a device would act on it.
func (b *beneath) regular(path string, flags int) (fd int, st unix.Stat_t, err error) {
	dir, name, err := b.parent(path)
	if err != nil {
		return -1, st, err
	}
	if err := unix.Fstatat(dir.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return -1, st, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, st, errNoFile
	}
	fd, err = unix.Openat(dir.fd, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	return fd, st, err
}

var errNoFile = errors.New("it is no regular file")

// The access control lists, and whether and how a file is compressed, as extended attributes.
const (
	accessACL   = "system.posix_acl_access"
	defaultACL  = "system.posix_acl_default"
	compression = "btrfs.compression"
)

// passesOn reports whether what is made in a directory gets attributes from it.
func passesOn(dir int) bool {
	for _, name := range []string{defaultACL, compression} {
		if n, err := unix.Fgetxattr(dir, name, nil); err == nil && n > 0 {
			return true
		}
	}
	return false
}

// disinherit takes the attributes away that a new inode has from its directory. Its own
// come with the stream.
func disinherit(path string) error {
	for _, name := range []string{accessACL, defaultACL, compression} {
		err := unix.Lremovexattr(path, name)
		if err != nil && !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP) {
			return err
		}
	}
	return nil
}
