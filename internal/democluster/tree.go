package democluster

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"maps"
	"slices"

	"dotmesh.io/dotmesh"
)

// tree is all files of one state, as a stack of changes: each tree is the one below it with
// one file written or removed. Trees never change, so commits and branches share them. The
// nil tree is empty.
type tree struct {
	below *tree
	path  string
	file  *file // nil: removed
	wrote int64 // bytes newly allocated by this change
	size  int64 // of all files
}

// file is one file. Text is kept as it is; anything else is made from a seed when it is
// read, so that a large file costs nothing.
type file struct {
	mode fs.FileMode // its type bits: 0 is a regular file
	text string
	size int64
	seed uint64
}

func textFile(text string) *file { return &file{text: text, size: int64(len(text))} }

func binaryFile(size int64, seed uint64) *file { return &file{size: size, seed: seed} }

// put returns the tree with a file written, or removed where f is nil. wrote says how many
// bytes that took; of a large file mostly a part is written.
func (t *tree) put(path string, f *file, wrote int64) *tree {
	next := &tree{below: t, path: path, file: f, wrote: wrote, size: t.bytes()}
	if old := t.find(path); old != nil {
		next.size -= old.size
	}
	if f != nil {
		next.size += f.size
	}
	return next
}

func (t *tree) bytes() int64 {
	if t == nil {
		return 0
	}
	return t.size
}

// find returns the file at a path, or nil.
func (t *tree) find(path string) *file {
	for ; t != nil; t = t.below {
		if t.path == path {
			return t.file
		}
	}
	return nil
}

// since returns the bytes that were written after an older tree, which t was made from.
func (t *tree) since(old *tree) (wrote int64) {
	for ; t != nil && t != old; t = t.below {
		wrote += t.wrote
	}
	return wrote
}

// rewrite is put for data that no commit holds yet, of which base is the newest committed
// state: a path that was written before is written again, in the same place.
func (t *tree) rewrite(base *tree, path string, f *file, wrote int64) *tree {
	var dirty []*tree
	for ; t != nil && t != base; t = t.below {
		dirty = append(dirty, t)
	}
	next := base
	for _, change := range slices.Backward(dirty) {
		if change.path == path {
			wrote += change.wrote
			continue
		}
		next = next.put(change.path, change.file, change.wrote)
	}
	return next.put(path, f, wrote)
}

// files returns all files by path.
func (t *tree) files() map[string]*file {
	all := map[string]*file{}
	for ; t != nil; t = t.below {
		if _, newer := all[t.path]; !newer {
			all[t.path] = t.file
		}
	}
	maps.DeleteFunc(all, func(_ string, f *file) bool { return f == nil })
	return all
}

// isDir reports whether some file's path goes through path.
func (t *tree) isDir(path string) bool {
	for name := range t.files() {
		if len(name) > len(path) && name[:len(path)] == path && name[len(path)] == '/' {
			return true
		}
	}
	return false
}

// changes returns the files that differ between two trees, by path.
func (t *tree) changes(to *tree) []dotmesh.FileChange {
	before, after := t.files(), to.files()
	var all []dotmesh.FileChange
	for path, f := range after {
		switch old := before[path]; {
		case old == nil:
			all = append(all, dotmesh.FileChange{Path: path, Kind: dotmesh.Added, Size: f.size})
		case *old != *f:
			all = append(all, dotmesh.FileChange{Path: path, Kind: dotmesh.Modified, Size: f.size})
		}
	}
	for path, f := range before {
		if after[path] == nil {
			all = append(all, dotmesh.FileChange{Path: path, Kind: dotmesh.Removed, Size: f.size})
		}
	}
	slices.SortFunc(all, func(a, b dotmesh.FileChange) int { return bytes.Compare([]byte(a.Path), []byte(b.Path)) })
	return all
}

// hash returns one hash over all files.
func (t *tree) hash() string {
	all := t.files()
	h := sha256.New()
	field := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	for _, path := range slices.Sorted(maps.Keys(all)) {
		f := all[path]
		field([]byte(path))
		field([]byte(f.text))
		field(binary.BigEndian.AppendUint64(nil, uint64(f.size)))
		field(binary.BigEndian.AppendUint64(nil, f.seed))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// read returns at most limit bytes of a file from offset on.
func (f *file) read(offset int64, limit int) []byte {
	n := max(min(f.size-offset, int64(limit)), 0)
	if f.text != "" {
		return []byte(f.text)[min(offset, f.size):][:n]
	}
	data := make([]byte, n)
	for i := range data {
		data[i] = f.at(offset + int64(i))
	}
	return data
}

// at returns one byte of a file that is made from its seed. Every 512th byte is 0, so that
// nobody takes such a file for text.
func (f *file) at(offset int64) byte {
	if offset%512 == 0 {
		return 0
	}
	x := f.seed + uint64(offset)*0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return byte(x >> 56)
}
