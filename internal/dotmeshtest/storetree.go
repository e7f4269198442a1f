package dotmeshtest

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// DiffTrees compares two directories by walking both and reading every file whose inode
// looks the same: slow, and the reference for every store's Diff. An empty path is an
// empty tree. A directory counts where it came, went, or changed its mode, owner or
// attributes; not where only its entries did.
func DiffTrees(from, to string) ([]dotmesh.FileChange, error) {
	a, err1 := readTree(from)
	b, err2 := readTree(to)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	var changes []dotmesh.FileChange
	for path, e := range b {
		old, ok := a[path]
		if !ok {
			changes = append(changes, dotmesh.FileChange{Path: path, Kind: dotmesh.Added, Size: e.size()})
			continue
		}
		same, err := sameFile(old, e, filepath.Join(from, path), filepath.Join(to, path))
		if err != nil {
			return nil, err
		}
		if !same {
			changes = append(changes, dotmesh.FileChange{Path: path, Kind: dotmesh.Modified, Size: e.size()})
		}
	}
	for path, e := range a {
		if _, ok := b[path]; !ok {
			changes = append(changes, dotmesh.FileChange{Path: path, Kind: dotmesh.Removed, Size: e.size()})
		}
	}
	slices.SortFunc(changes, func(a, b dotmesh.FileChange) int { return cmp.Compare(a.Path, b.Path) })
	return changes, nil
}

// treeEntry is one file of a tree, of any type.
type treeEntry struct {
	stat   unix.Stat_t
	target string // of a symbolic link
	xattrs map[string]string
}

func (e *treeEntry) is(format uint32) bool { return e.stat.Mode&unix.S_IFMT == format }

// size is a file's size as FileChange has it: 0 for what is not a regular file or link.
func (e *treeEntry) size() int64 {
	if e.is(unix.S_IFREG) || e.is(unix.S_IFLNK) {
		return e.stat.Size
	}
	return 0
}

// readTree lists what is below root, by path from it.
func readTree(root string) (map[string]*treeEntry, error) {
	tree := map[string]*treeEntry{}
	if root == "" {
		return tree, nil
	}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		e, err := readEntry(path)
		tree[path[len(root)+1:]] = e
		return err
	})
	return tree, err
}

func readEntry(path string) (*treeEntry, error) {
	e := &treeEntry{}
	if err := unix.Lstat(path, &e.stat); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	var err1, err2 error
	if e.is(unix.S_IFLNK) {
		e.target, err1 = os.Readlink(path)
	}
	e.xattrs, err2 = readXattrs(path)
	return e, errors.Join(err1, err2)
}

func readXattrs(path string) (map[string]string, error) {
	names, err := growing(func(b []byte) (int, error) { return unix.Llistxattr(path, b) })
	if err != nil {
		return nil, &fs.PathError{Op: "llistxattr", Path: path, Err: err}
	}
	xattrs := map[string]string{}
	for name := range strings.SplitSeq(string(names), "\x00") {
		if name == "" {
			continue
		}
		value, err := growing(func(b []byte) (int, error) { return unix.Lgetxattr(path, name, b) })
		if err != nil {
			return nil, &fs.PathError{Op: "lgetxattr", Path: path, Err: err}
		}
		xattrs[name] = string(value)
	}
	return xattrs, nil
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

func sameFile(a, b *treeEntry, pathA, pathB string) (bool, error) {
	x, y := &a.stat, &b.stat
	if x.Mode != y.Mode || x.Uid != y.Uid || x.Gid != y.Gid || x.Rdev != y.Rdev ||
		a.target != b.target || !maps.Equal(a.xattrs, b.xattrs) {
		return false, nil
	}
	if a.is(unix.S_IFDIR) {
		return true, nil
	}
	if x.Size != y.Size || x.Mtim != y.Mtim {
		return false, nil
	}
	if !a.is(unix.S_IFREG) {
		return true, nil
	}
	return sameContent(pathA, pathB)
}

// sameData reports whether two paths hold the same bytes, whatever else differs.
func sameData(pathA, pathB string) (bool, error) {
	a, err1 := readEntry(pathA)
	b, err2 := readEntry(pathB)
	if err := errors.Join(err1, err2); err != nil {
		return false, err
	}
	if !a.is(unix.S_IFREG) || !b.is(unix.S_IFREG) || a.stat.Size != b.stat.Size {
		return a.target == b.target && a.stat.Mode&unix.S_IFMT == b.stat.Mode&unix.S_IFMT && !b.is(unix.S_IFREG), nil
	}
	return sameContent(pathA, pathB)
}

// sameContent compares two files of one size, and skips what is a hole in both.
func sameContent(pathA, pathB string) (same bool, err error) {
	a, err := os.Open(pathA)
	if err != nil {
		return false, err
	}
	defer a.Close() //nolint:errcheck // only read
	b, err := os.Open(pathB)
	if err != nil {
		return false, err
	}
	defer b.Close() //nolint:errcheck // only read
	info, err := a.Stat()
	if err != nil {
		return false, err
	}
	room := min(info.Size(), 1<<20)
	bufA, bufB := make([]byte, room), make([]byte, room)
	for at := int64(0); ; {
		x, errA := nextData(a, at)
		y, errB := nextData(b, at)
		if err := errors.Join(errA, errB); err != nil || min(x, y) == math.MaxInt64 {
			return err == nil, err
		}
		at = min(x, y)
		n, errA := a.ReadAt(bufA, at)
		m, errB := b.ReadAt(bufB, at)
		if err := errors.Join(atEnd(errA), atEnd(errB)); err != nil || !bytes.Equal(bufA[:n], bufB[:m]) {
			return false, err
		}
		at += int64(n)
	}
}

// nextData returns where the next bytes after at lie that are no hole, MaxInt64 for none.
func nextData(f *os.File, at int64) (int64, error) {
	next, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return math.MaxInt64, nil
	}
	return next, err
}

func atEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// treeSize adds up the regular files below root; "" is an empty tree.
func treeSize(root string) (size int64, err error) {
	tree, err := readTree(root)
	for _, e := range tree {
		if e.is(unix.S_IFREG) {
			size += e.stat.Size
		}
	}
	return size, err
}

// copyTree makes to, which must not exist, a copy of the directory from, with everything
// that a snapshot keeps but the inode numbers. On failure nothing is left.
func copyTree(from, to string) (err error) {
	tree, err := readTree(from)
	if err != nil {
		return err
	}
	root, err := readEntry(from)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(to))
		}
	}()
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	paths := slices.Sorted(maps.Keys(tree))
	links := map[uint64]string{} // inode -> its first copy
	for _, p := range paths {
		if err := copyEntry(tree[p], filepath.Join(from, p), filepath.Join(to, p), links); err != nil {
			return err
		}
	}
	for _, p := range slices.Backward(paths) { // a directory's times come after its entries
		if err := tree[p].dress(filepath.Join(to, p)); err != nil {
			return err
		}
	}
	return root.dress(to)
}

func copyEntry(e *treeEntry, from, to string, links map[uint64]string) error {
	if first, ok := links[e.stat.Ino]; ok {
		return os.Link(first, to)
	}
	if !e.is(unix.S_IFDIR) && e.stat.Nlink > 1 {
		links[e.stat.Ino] = to
	}
	switch e.stat.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return os.Mkdir(to, 0o700)
	case unix.S_IFLNK:
		return os.Symlink(e.target, to)
	case unix.S_IFREG:
		return copyContent(from, to, e.stat.Size)
	}
	return unix.Mknod(to, e.stat.Mode, int(e.stat.Rdev))
}

// copyContent copies what is written and keeps the holes between.
func copyContent(from, to string, size int64) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close() //nolint:errcheck // only read
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	for at := int64(0); at < size && err == nil; {
		var data, hole int64
		if data, err = unix.Seek(int(src.Fd()), at, unix.SEEK_DATA); err != nil {
			break
		}
		if hole, err = unix.Seek(int(src.Fd()), data, unix.SEEK_HOLE); err != nil {
			break
		}
		_, err = io.Copy(io.NewOffsetWriter(dst, data), io.NewSectionReader(src, data, hole-data))
		at = hole
	}
	if errors.Is(err, unix.ENXIO) { // the rest is a hole
		err = nil
	}
	return errors.Join(err, dst.Truncate(size), dst.Close())
}

// dress gives a copy its owner, attributes, mode and times, in the order in which one
// does not undo another.
func (e *treeEntry) dress(path string) error {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	if err == nil && (st.Uid != e.stat.Uid || st.Gid != e.stat.Gid) {
		err = unix.Lchown(path, int(e.stat.Uid), int(e.stat.Gid))
	}
	if err == nil && !e.is(unix.S_IFLNK) {
		err = unix.Chmod(path, e.stat.Mode&0o7777)
	}
	for name, value := range e.xattrs {
		if err == nil {
			err = unix.Lsetxattr(path, name, []byte(value), 0)
		}
	}
	if err == nil {
		times := []unix.Timespec{e.stat.Atim, e.stat.Mtim}
		err = unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return &fs.PathError{Op: "copy", Path: path, Err: err}
	}
	return nil
}
