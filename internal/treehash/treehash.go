//go:build linux

// Package treehash computes one hash of all that a directory holds, alike on every file
// system: names, types, modes, owners, times, attributes, links and contents. Two commits
// that users cannot tell apart have the same one; where a bit differs, it differs.
//
// Not in it is what a file system decides by itself: inode numbers, how much space a file
// takes and where its holes are, access and change times, the sizes of directories.
package treehash

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// Sum is what a tree amounts to.
type Sum struct {
	Hash  [sha256.Size]byte
	Files int   // of all types, the directory itself included
	Bytes int64 // of contents
}

// String returns the hash in hexadecimal.
func (s Sum) String() string { return hex.EncodeToString(s.Hash[:]) }

// Of reads everything below dir, which must not change meanwhile. It follows no link, unless
// dir itself is one. What cannot be read because the disk returns something else than was written there is
// [dotmesh.Corrupt], with the file's name. It reads several files at once.
func Of(ctx context.Context, dir string) (Sum, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return Sum{}, dotmesh.Wrap("treehash", err)
	}
	entries, err := list(ctx, dir)
	if err != nil {
		return Sum{}, unreadable(dir, err)
	}
	readers, ctx := errgroup.WithContext(ctx)
	readers.SetLimit(runtime.GOMAXPROCS(0))
	for _, e := range entries {
		if e.is(unix.S_IFREG) && e.first == "" {
			readers.Go(func() error { return e.read(ctx, dir) })
		}
	}
	if err := readers.Wait(); err != nil {
		return Sum{}, unreadable(dir, err)
	}
	s := Sum{Files: len(entries)}
	h := sha256.New()
	for _, e := range entries {
		e.write(h)
		if e.is(unix.S_IFREG) && e.first == "" {
			s.Bytes += e.stat.Size
		}
	}
	h.Sum(s.Hash[:0])
	return s, nil
}

// entry is a file of any type.
type entry struct {
	path    string // from the tree's root; "." for that itself
	stat    unix.Stat_t
	first   string // another name of the same file, which came before; "": none did
	target  string // of a symbolic link
	xattrs  []string
	content [sha256.Size]byte
}

func (e *entry) is(format uint32) bool { return e.stat.Mode&unix.S_IFMT == format }

// list returns a tree's entries in an order that does not depend on the file system.
func list(ctx context.Context, root string) ([]*entry, error) {
	var entries []*entry
	names := map[uint64]string{} // inode -> its first name
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		e := &entry{}
		if e.path, err = filepath.Rel(root, path); err != nil {
			return err
		}
		if err := e.look(path); err != nil {
			return err
		}
		if !e.is(unix.S_IFDIR) && e.stat.Nlink > 1 {
			if e.first = names[e.stat.Ino]; e.first == "" {
				names[e.stat.Ino] = e.path
			}
		}
		entries = append(entries, e)
		return nil
	})
	return entries, err
}

// look reads all of an entry but its content.
func (e *entry) look(path string) (err error) {
	if err := unix.Lstat(path, &e.stat); err != nil {
		return &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	if e.is(unix.S_IFLNK) {
		if e.target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	e.xattrs, err = xattrs(path)
	return err
}

// xattrs returns names and values in turn, by name.
func xattrs(path string) ([]string, error) {
	list, err := whole(func(b []byte) (int, error) { return unix.Llistxattr(path, b) })
	if err != nil {
		return nil, &fs.PathError{Op: "llistxattr", Path: path, Err: err}
	}
	var all []string
	for _, name := range slices.Sorted(strings.SplitSeq(string(list), "\x00")) {
		if name == "" {
			continue
		}
		value, err := whole(func(b []byte) (int, error) { return unix.Lgetxattr(path, name, b) })
		if err != nil {
			return nil, &fs.PathError{Op: "lgetxattr", Path: path, Err: err}
		}
		all = append(all, name, string(value))
	}
	return all, nil
}

// whole calls get with as much room as it wants.
func whole(get func([]byte) (int, error)) ([]byte, error) {
	n, err := get(nil)
	if err != nil || n == 0 {
		if errors.Is(err, unix.ENOTSUP) {
			err = nil
		}
		return nil, err
	}
	b := make([]byte, n)
	n, err = get(b)
	return b[:max(n, 0)], err
}

func (e *entry) read(ctx context.Context, root string) error {
	f, err := os.OpenFile(filepath.Join(root, e.path), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, patient{ctx, f}, make([]byte, 1<<20))
	if err == nil && n != e.stat.Size {
		err = &fs.PathError{Op: "read", Path: f.Name(), Err: fmt.Errorf("it has %d bytes and not %d", n, e.stat.Size)}
	}
	h.Sum(e.content[:0])
	return errors.Join(err, f.Close())
}

// patient reads until its context ends.
type patient struct {
	ctx context.Context
	r   io.Reader
}

func (p patient) Read(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	return p.r.Read(b)
}

// write adds an entry to the tree's hash. Each text goes in with its length before it, so
// that no two trees are written alike.
func (e *entry) write(h hash.Hash) {
	number := func(n uint64) { h.Write(binary.BigEndian.AppendUint64(nil, n)) }
	text := func(s string) {
		number(uint64(len(s)))
		io.WriteString(h, s) //nolint:errcheck // a hash takes everything
	}
	text(e.path)
	text(e.first)
	if e.first != "" {
		return // the same file in all else
	}
	for _, n := range []uint64{
		uint64(e.stat.Mode), uint64(e.stat.Uid), uint64(e.stat.Gid),
		uint64(e.stat.Mtim.Sec), uint64(e.stat.Mtim.Nsec), uint64(len(e.xattrs)),
	} {
		number(n)
	}
	for _, s := range e.xattrs {
		text(s)
	}
	switch {
	case e.is(unix.S_IFREG):
		number(uint64(e.stat.Size))
		h.Write(e.content[:])
	case e.is(unix.S_IFLNK):
		text(e.target)
	case e.is(unix.S_IFBLK), e.is(unix.S_IFCHR):
		number(e.stat.Rdev)
	}
}

// unreadable says which file cannot be read, as seen from the tree's root.
func unreadable(root string, err error) error {
	kind := dotmesh.KindOf(err)
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.EUCLEAN) {
		kind = dotmesh.Corrupt
	}
	at := ""
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		at = strings.TrimPrefix(strings.TrimPrefix(e.Path, root), "/")
	}
	if kind != dotmesh.Corrupt || at == "" {
		return &dotmesh.Error{Op: "treehash", Kind: kind, Err: err}
	}
	return &dotmesh.Error{
		Op: "treehash", Kind: kind, Err: err,
		Text: fmt.Sprintf("%s cannot be read: the disk returns something else than was written", at),
	}
}
