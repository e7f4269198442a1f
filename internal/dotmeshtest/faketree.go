package dotmeshtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// fakeFile is a file in one of the fake's bodies: a line of JSON, and then the bytes of its
// parts.
type fakeFile struct {
	Path   []byte
	Mode   uint32
	UID    uint32
	GID    uint32
	Rdev   uint64
	Size   int64
	Sec    int64
	Nsec   int64
	Target []byte            `json:",omitempty"` // of a symbolic link
	Link   []byte            `json:",omitempty"` // the path that it is another name of
	Xattrs map[string][]byte `json:",omitempty"`
	Parts  []fakePart        `json:",omitempty"` // that are no hole
}

// fakePart is a part of a file.
type fakePart struct{ At, Size int64 }

// encodeTree writes a tree, the root first and then by path, alike each time.
func encodeTree(root string) ([]byte, error) {
	tree, err := readTree(root)
	if err != nil {
		return nil, err
	}
	top, err := readEntry(root)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := encodeEntry(&b, root, "", top, nil); err != nil {
		return nil, err
	}
	links := map[uint64]string{} // inode -> its first path
	for _, path := range slices.Sorted(maps.Keys(tree)) {
		if err := encodeEntry(&b, root, path, tree[path], links); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

func encodeEntry(b *bytes.Buffer, root, path string, e *treeEntry, links map[uint64]string) error {
	st := &e.stat
	f := fakeFile{
		Path: []byte(path), Mode: st.Mode, UID: st.Uid, GID: st.Gid, Rdev: st.Rdev, Size: e.size(),
		Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec, Target: []byte(e.target), Xattrs: map[string][]byte{},
	}
	for name, value := range e.xattrs {
		f.Xattrs[name] = []byte(value)
	}
	if !e.is(unix.S_IFDIR) && st.Nlink > 1 {
		f.Link = []byte(links[st.Ino])
		links[st.Ino] = path
	}
	var content bytes.Buffer
	if e.is(unix.S_IFREG) && len(f.Link) == 0 {
		var err error
		if f.Parts, err = encodeContent(&content, filepath.Join(root, path)); err != nil {
			return err
		}
	}
	line, err := json.Marshal(f)
	b.Write(line)
	b.WriteByte('\n')
	b.Write(content.Bytes())
	return err
}

func encodeContent(b *bytes.Buffer, path string) (parts []fakePart, err error) {
	src, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // only read
	for at := int64(0); ; {
		data, err := nextData(src, at)
		if err != nil || data == math.MaxInt64 {
			return parts, err
		}
		hole, err := unix.Seek(int(src.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(b, io.NewSectionReader(src, data, hole-data)); err != nil {
			return nil, err
		}
		parts = append(parts, fakePart{data, hole - data})
		at = hole
	}
}

// decodeTree makes a directory what encodeTree was given, if trust allows it.
func decodeTree(body []byte, to string, trust dotmesh.Trust) error {
	r := bufio.NewReader(bytes.NewReader(body))
	type made struct {
		path  string
		entry *treeEntry
	}
	var all []made
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		var f fakeFile
		if err := errors.Join(err, json.Unmarshal(line, &f)); err != nil {
			return &dotmesh.Error{Kind: dotmesh.Corrupt, Text: "the stream is damaged", Err: err}
		}
		e := f.entry()
		if err := e.trusted(trust); err != nil {
			return err
		}
		path := filepath.Join(to, string(f.Path))
		if err := f.create(r, to, path); err != nil {
			return err
		}
		all = append(all, made{path, e})
	}
	for _, m := range slices.Backward(all) { // a directory's times come after its entries
		if err := m.entry.dress(m.path); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeFile) entry() *treeEntry {
	e := &treeEntry{target: string(f.Target), xattrs: map[string]string{}}
	for name, value := range f.Xattrs {
		e.xattrs[name] = string(value)
	}
	e.stat.Mode, e.stat.Uid, e.stat.Gid, e.stat.Rdev, e.stat.Size = f.Mode, f.UID, f.GID, f.Rdev, f.Size
	e.stat.Mtim = unix.Timespec{Sec: f.Sec, Nsec: f.Nsec}
	e.stat.Atim = e.stat.Mtim
	return e
}

func (f *fakeFile) create(r io.Reader, root, path string) error {
	if len(f.Link) > 0 {
		return os.Link(filepath.Join(root, string(f.Link)), path)
	}
	switch f.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return os.Mkdir(path, 0o700)
	case unix.S_IFLNK:
		return os.Symlink(string(f.Target), path)
	case unix.S_IFREG:
		return f.createContent(r, path)
	}
	return unix.Mknod(path, f.Mode, int(f.Rdev))
}

func (f *fakeFile) createContent(r io.Reader, path string) error {
	dst, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	for _, p := range f.Parts {
		if err == nil {
			_, err = io.CopyN(io.NewOffsetWriter(dst, p.At), r, p.Size)
		}
	}
	return errors.Join(err, dst.Truncate(f.Size), dst.Close())
}

// trusted refuses what strangers may not send.
func (e *treeEntry) trusted(trust dotmesh.Trust) error {
	if trust == dotmesh.Member {
		return nil
	}
	forbidden := func(what string) error {
		return dotmesh.E("", dotmesh.Invalid, "the stream has %s, which is not taken from strangers; send it without", what)
	}
	if e.is(unix.S_IFCHR) || e.is(unix.S_IFBLK) {
		return forbidden("a device file")
	}
	if !e.is(unix.S_IFDIR) && e.stat.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
		return forbidden("a set-user-id program")
	}
	for name := range e.xattrs {
		acl := strings.HasPrefix(name, "system.posix_acl_")
		if !strings.HasPrefix(name, "user.") && !acl {
			return forbidden("the attribute " + name)
		}
	}
	return nil
}
