//go:build linux

package zfs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// keepOpen is how many directories above it a cursor keeps open. It finds its way back to
// others by "..", so that a tree may be deeper than a process may have files open.
const keepOpen = 64

// cursor is a place in a tree that does not change. Below what is not there, or is no
// directory, it sees nothing.
type cursor struct {
	dir   *os.File
	above []*os.File // nil: closed
	void  int        // how many steps below the last directory
}

func newCursor(root *os.File) *cursor { return &cursor{dir: root} }

// close closes all that the cursor has open.
func (c *cursor) close() error {
	err := c.dir.Close()
	for _, dir := range c.above {
		if dir != nil {
			err = join(err, dir.Close())
		}
	}
	return err
}

// list returns what is in the directory, by name.
func (c *cursor) list() (map[string]*inode, error) {
	if c.void > 0 {
		return nil, nil
	}
	names, err := c.dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	all := make(map[string]*inode, len(names))
	for _, name := range names {
		n := &inode{name: name}
		if err := unix.Fstatat(int(c.dir.Fd()), name, &n.Stat_t, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return nil, &os.PathError{Op: "lstat", Path: name, Err: err}
		}
		all[name] = n
	}
	return all, nil
}

// down goes to an entry.
func (c *cursor) down(n *inode) error {
	if c.void > 0 || !n.isDir() {
		c.void++
		return nil
	}
	next, err := c.openAt(n.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	if err != nil {
		return err
	}
	parent := c.dir
	if len(c.above) >= keepOpen {
		if err := parent.Close(); err != nil {
			return join(err, next.Close())
		}
		parent = nil
	}
	c.above, c.dir = append(c.above, parent), next
	return nil
}

// up goes back.
func (c *cursor) up() (err error) {
	if c.void > 0 {
		c.void--
		return nil
	}
	parent := c.above[len(c.above)-1]
	if parent == nil {
		if parent, err = c.openAt("..", unix.O_RDONLY|unix.O_DIRECTORY); err != nil {
			return err
		}
	}
	err = c.dir.Close()
	c.above, c.dir = c.above[:len(c.above)-1], parent
	return err
}

// open opens an entry without following it or waiting for it: a file to be read, all
// others only to be looked at.
func (c *cursor) open(n *inode) (*os.File, error) {
	flags := unix.O_PATH | unix.O_NOFOLLOW
	if n.is(unix.S_IFREG) {
		flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK
	}
	return c.openAt(n.name, flags)
}

func (c *cursor) openAt(name string, flags int) (*os.File, error) {
	fd, err := unix.Openat(int(c.dir.Fd()), name, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// self is a path to an open file, also to one that was only opened to be looked at.
func self(f *os.File) string { return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())) }

func sameAttributes(a, b *os.File) (bool, error) {
	x, err1 := attributes(a)
	y, err2 := attributes(b)
	return slices.Equal(x, y), join(err1, err2)
}

// attributes returns the extended attributes of a file, each as name, NUL, value, in order.
func attributes(f *os.File) (all []string, err error) {
	names, err := listAttributes(f.Name(), self(f))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		value, err := growing(func(b []byte) (int, error) { return unix.Getxattr(self(f), name, b) })
		if err != nil {
			return nil, &os.PathError{Op: "getxattr", Path: f.Name(), Err: err}
		}
		all = append(all, name+"\x00"+string(value))
	}
	slices.Sort(all)
	return all, nil
}

// listAttributes returns the names of the extended attributes of what is open at a path.
func listAttributes(name, at string) (all []string, err error) {
	names, err := growing(func(b []byte) (int, error) { return unix.Listxattr(at, b) })
	if err != nil {
		return nil, &os.PathError{Op: "listxattr", Path: name, Err: err}
	}
	for name := range strings.SplitSeq(string(names), "\x00") {
		if name != "" {
			all = append(all, name)
		}
	}
	return all, nil
}

// growing calls read with the room that it asks for.
func growing(read func([]byte) (int, error)) ([]byte, error) {
	n, err := read(nil)
	if errors.Is(err, unix.ENOTSUP) || err == nil && n == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	n, err = read(b)
	if err != nil {
		return nil, err
	}
	return b[:n], nil
}

func sameTarget(a, b *os.File) (bool, error) {
	x, err1 := readTarget(a)
	y, err2 := readTarget(b)
	return x == y, join(err1, err2)
}

// readTarget returns where an open symbolic link leads.
func readTarget(f *os.File) (string, error) {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(f.Fd()), "", b)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: f.Name(), Err: err}
	}
	return string(b[:n]), nil
}

// sameContent compares two files of one size, and skips what is a hole in both.
func sameContent(ctx context.Context, a, b *os.File) (bool, error) {
	const piece = 256 << 10
	x, y := make([]byte, piece), make([]byte, piece)
	for at := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		next, err := nextData(at, a, b)
		if errors.Is(err, unix.ENXIO) { // holes up to the end
			return true, nil
		}
		if err != nil {
			return false, err
		}
		n, err1 := a.ReadAt(x, next)
		m, err2 := b.ReadAt(y, next)
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		at = next + int64(n)
		ended := errors.Is(err1, io.EOF)
		if ended && errors.Is(err2, io.EOF) {
			return true, nil
		}
		if err := join(err1, err2); err != nil {
			return false, err
		}
	}
}

// nextData returns the first place from at on where one of the files has data.
func nextData(at int64, files ...*os.File) (int64, error) {
	first, found := int64(0), false
	for _, f := range files {
		next, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			continue
		}
		if err != nil {
			return 0, &os.PathError{Op: "seek", Path: f.Name(), Err: err}
		}
		if !found || next < first {
			first, found = next, true
		}
	}
	if !found {
		return 0, unix.ENXIO
	}
	return first, nil
}
