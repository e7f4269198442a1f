//go:build linux

package btrfs

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// A commit's metadata lie beside it, as extended attributes of the directory that the
// commits of its line are in. An attribute is part of the file system's running
// transaction at once, and that is the one which the snapshot ends: so metadata are
// durable no later than their commit, and cost no write of their own.
//
// They are cut into pieces, since an attribute must fit into one node of the tree, and
// those may be as small as 4 KiB.
const (
	metaPrefix = "trusted.dotmesh."
	metaPiece  = 3 << 10
)

func metaName(id dotmesh.CommitID, piece int) string {
	return metaPrefix + id.String() + "." + strconv.Itoa(piece)
}

// parseMetaName reads the name of an attribute. One that is not ours has no id.
func parseMetaName(name string) (id dotmesh.CommitID, piece int) {
	text, ours := strings.CutPrefix(name, metaPrefix)
	text, number, _ := strings.Cut(text, ".")
	id, err := dotmesh.ParseCommitID(text)
	piece, bad := strconv.Atoi(number)
	if !ours || err != nil || bad != nil {
		return dotmesh.CommitID{}, 0
	}
	return id, piece
}

func (s *Store) commitsDir(line dotmesh.LineID) string {
	return filepath.Join(s.lineDir(line), commitsName)
}

// putMeta stores the metadata of a commit that is about to be made. What an earlier try
// has left is overwritten.
func (s *Store) putMeta(r dotmesh.Ref, meta []byte) error {
	dir, piece := s.commitsDir(r.Line), 0
	for ; len(meta) > 0; piece++ {
		n := min(len(meta), metaPiece)
		if err := setMeta(dir, metaName(r.Commit, piece), meta[:n]); err != nil {
			return err
		}
		meta = meta[n:]
	}
	return removeMeta(dir, r.Commit, piece)
}

func setMeta(dir, name string, value []byte) error {
	if err := unix.Lsetxattr(dir, name, value, 0); err != nil {
		return &fs.PathError{Op: "setxattr", Path: dir, Err: err}
	}
	return nil
}

// dropMeta removes the metadata of a commit; it is durable with the next transaction.
// Where there are none, or the whole line is gone, it does nothing.
func (s *Store) dropMeta(r dotmesh.Ref) error {
	return removeMeta(s.commitsDir(r.Line), r.Commit, 0)
}

// removeMeta removes the pieces from one on, the last first: while the first is there, a
// later call finds the others.
func removeMeta(dir string, id dotmesh.CommitID, from int) error {
	last := from
	for ; ; last++ {
		_, err := unix.Lgetxattr(dir, metaName(id, last), nil)
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOENT) {
			break
		}
		if err != nil {
			return &fs.PathError{Op: "getxattr", Path: dir, Err: err}
		}
	}
	for last--; last >= from; last-- {
		if err := unix.Lremovexattr(dir, metaName(id, last)); err != nil {
			return &fs.PathError{Op: "removexattr", Path: dir, Err: err}
		}
	}
	return nil
}

// meta returns the metadata of a commit.
func (s *Store) meta(r dotmesh.Ref) ([]byte, error) {
	var meta []byte
	dir, buf := s.commitsDir(r.Line), make([]byte, metaPiece)
	for piece := 0; ; piece++ {
		n, err := unix.Lgetxattr(dir, metaName(r.Commit, piece), buf)
		if errors.Is(err, unix.ENODATA) {
			return meta, nil
		}
		if err != nil {
			return nil, &fs.PathError{Op: "getxattr", Path: dir, Err: err}
		}
		meta = append(meta, buf[:n]...)
	}
}

// Meta returns what Snapshot stored with a commit.
func (s *Store) Meta(ctx context.Context, r dotmesh.Ref) ([]byte, error) {
	return reading(ctx, s, "btrfs.Meta", func() ([]byte, error) {
		if r.Commit.IsZero() {
			return nil, dotmesh.E("", dotmesh.Invalid, "a head has no metadata; name a commit")
		}
		if err := s.committed(r); err != nil {
			return nil, err
		}
		return s.meta(r)
	})
}

// metaKey is whose metadata they are: the commit's, in the directory with that inode.
type metaKey struct {
	dir uint64
	id  dotmesh.CommitID
}

// metas returns the metadata that lie in the directories with inodes from first to last.
func (s *Store) metas(ctx context.Context, f *finder, first, last uint64) (map[metaKey][]byte, error) {
	pieces := map[metaKey]map[int][]byte{}
	k := of(ownTree, first, xattrItem, xattrItem)
	k.maxObject = last
	err := f.search(ctx, k, func(i item) error {
		if i.kind != xattrItem {
			return nil
		}
		all, err := parseAttributes(i.data)
		for _, a := range all {
			id, piece := parseMetaName(a.name)
			if id.IsZero() {
				continue
			}
			key := metaKey{i.object, id}
			if pieces[key] == nil {
				pieces[key] = map[int][]byte{}
			}
			pieces[key][piece] = slices.Clone(a.value)
		}
		return err
	})
	metas := make(map[metaKey][]byte, len(pieces))
	for key, of := range pieces {
		for _, piece := range slices.Sorted(maps.Keys(of)) {
			metas[key] = append(metas[key], of[piece]...)
		}
	}
	return metas, err
}

// attribute is an extended attribute, as it stands in the tree.
type attribute struct {
	name  string
	value []byte
}

// parseAttributes reads an XATTR_ITEM, which holds those whose names have the same hash.
func parseAttributes(b []byte) (all []attribute, err error) {
	const header = 30
	for len(b) > 0 {
		if len(b) < header {
			return nil, errShort
		}
		size, name := int(binary.LittleEndian.Uint16(b[25:])), int(binary.LittleEndian.Uint16(b[27:]))
		if b = b[header:]; len(b) < name+size {
			return nil, errShort
		}
		all = append(all, attribute{string(b[:name]), b[name : name+size]})
		b = b[name+size:]
	}
	return all, nil
}
