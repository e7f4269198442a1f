//go:build linux

package btrfs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// Diff finds what changed in either state since they were last the same, and looks at
// nothing else; where they never were, at everything. A head is compared as a snapshot
// of this moment. A directory counts where it came, went, or changed its mode, owner or
// attributes; not where only its entries did.
func (s *Store) Diff(ctx context.Context, from, to dotmesh.Ref) iter.Seq2[dotmesh.FileChange, error] {
	return func(yield func(dotmesh.FileChange, error) bool) {
		changes, err := s.diff(ctx, from, to)
		for _, c := range changes {
			if !yield(c, nil) {
				return
			}
		}
		if err != nil {
			yield(dotmesh.FileChange{}, err)
		}
	}
}

// diff reads a head where it lies, which is quick, unless it is written to meanwhile.
func (s *Store) diff(ctx context.Context, from, to dotmesh.Ref) ([]dotmesh.FileChange, error) {
	return reading(ctx, s, "btrfs.Diff", func() ([]dotmesh.FileChange, error) {
		changes, err := s.diffBy(ctx, from, to, s.openStill)
		if err == nil || ctx.Err() != nil {
			return changes, err
		}
		return s.diffBy(ctx, from, to, s.openCopy)
	})
}

// opener opens a head. What it returns must be called when the head has been read.
type opener func(ctx context.Context, line dotmesh.LineID) (dir *os.File, done func() error, err error)

func (s *Store) diffBy(ctx context.Context, from, to dotmesh.Ref, open opener) ([]dotmesh.FileChange, error) {
	old, closeOld, err := s.openState(ctx, from, open)
	if err != nil {
		return nil, err
	}
	state, closeNew, err := s.openState(ctx, to, open)
	if err != nil {
		return nil, join(err, closeOld())
	}
	changes, err := s.compare(ctx, old, state)
	return changes, join(err, closeOld(), closeNew())
}

// openState opens a commit or a head.
func (s *Store) openState(ctx context.Context, r dotmesh.Ref, open opener) (dir *os.File, done func() error, err error) {
	if _, err := s.line(r.Line); err != nil {
		return nil, nil, err
	}
	if !r.Commit.IsZero() {
		unpin, err := s.pins.pin(r)
		if err != nil {
			return nil, nil, err
		}
		if _, err := s.subvol(r); err != nil {
			unpin()
			return nil, nil, err
		}
		dir, err := openDir(s.at(r))
		if err != nil {
			unpin()
			return nil, nil, err
		}
		return dir, func() error { defer unpin(); return dir.Close() }, nil
	}
	return open(ctx, r.Line)
}

// errMoved says that a head was written to while it was read.
var errMoved = errors.New("the head was written to meanwhile")

// openStill opens a head as it lies there, with all that was written to it in its tree. A
// tree never changes a block in place: as long as it has none that is newer than the last
// transaction, what is read is of that one moment; done fails where that was not so.
func (s *Store) openStill(ctx context.Context, line dotmesh.LineID) (dir *os.File, done func() error, err error) {
	if err := s.pool.sync(); err != nil {
		return nil, nil, err
	}
	if dir, err = openDir(s.at(head(line))); err != nil {
		return nil, nil, err
	}
	v, err := subvolOf(dir)
	if err != nil {
		return nil, nil, join(err, dir.Close())
	}
	return dir, func() error {
		err := newFinder(dir, smallSearch).search(ctx, all(ownTree, v.generation), func(item) error { return errMoved })
		return join(err, dir.Close())
	}, nil
}

// openCopy opens a snapshot of a head, which goes when it is closed.
func (s *Store) openCopy(ctx context.Context, line dotmesh.LineID) (dir *os.File, done func() error, err error) {
	path := filepath.Join(s.lineDir(line), ".diff-"+dotmesh.NewUUID().String())
	remove := func() error { return s.destroyTree(context.WithoutCancel(ctx), path) }
	err = s.changing(ctx, "btrfs.Diff", func() error {
		if _, err := s.subvol(head(line)); err != nil {
			return err
		}
		if err := snapshot(s.at(head(line)), path, true); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil { // nobody may be waiting for it any more
			return join(err, remove())
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	dir, err = openDir(path)
	if err != nil {
		return nil, nil, join(err, remove())
	}
	return dir, func() error { return join(dir.Close(), remove()) }, nil
}

// compare returns the differences between two subvolumes that do not change, by path.
func (s *Store) compare(ctx context.Context, from, to *os.File) ([]dotmesh.FileChange, error) {
	a, err1 := subvolOf(from)
	b, err2 := subvolOf(to)
	if err := join(err1, err2); err != nil {
		return nil, err
	}
	if a.uuid == b.uuid {
		return nil, nil
	}
	since, err := s.since(ctx, a, b)
	if err != nil {
		return nil, err
	}
	d := &differ{old: newTree(from), new: newTree(to), since: since}
	if since > 0 {
		if err := join(d.old.readChanged(ctx, since), d.new.readChanged(ctx, since)); err != nil {
			return nil, err
		}
	}
	if err := d.dirs(ctx, "", rootInode, rootInode); err != nil {
		return nil, err
	}
	slices.SortFunc(d.changes, func(a, b dotmesh.FileChange) int { return cmp.Compare(a.Path, b.Path) })
	return d.changes, nil
}

// tree is one side of a comparison.
type tree struct {
	*finder
	changed map[uint64]inode             // touched since the sides were the same
	above   map[uint64]map[string]uint64 // directory -> those of its entries that lead to a changed inode
}

func newTree(dir *os.File) *tree {
	return &tree{
		finder:  newFinder(dir, 64<<10),
		changed: map[uint64]inode{},
		above:   map[uint64]map[string]uint64{},
	}
}

// readChanged finds the inodes that were touched after a transaction, and the way to them.
func (t *tree) readChanged(ctx context.Context, since uint64) error {
	err := t.search(ctx, all(ownTree, since), func(i item) error {
		if i.kind != inodeItem {
			return nil
		}
		n, err := parseInode(i.data)
		if n.transid > since {
			t.changed[i.object] = n
		}
		return err
	})
	if err != nil {
		return err
	}
	climbed := map[uint64]bool{rootInode: true}
	for ino := range t.changed {
		if err := t.climb(ctx, ino, climbed); err != nil {
			return err
		}
	}
	return nil
}

// climb notes all ways from the root to an inode.
func (t *tree) climb(ctx context.Context, ino uint64, climbed map[uint64]bool) error {
	for todo := []uint64{ino}; len(todo) > 0; {
		ino, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if climbed[ino] {
			continue
		}
		climbed[ino] = true
		err := t.search(ctx, of(ownTree, ino, inodeRef, inodeExtref), func(i item) error {
			refs, err := parseRefs(i)
			for _, r := range refs {
				if t.above[r.dir] == nil {
					t.above[r.dir] = map[string]uint64{}
				}
				t.above[r.dir][r.name] = ino
				todo = append(todo, r.dir)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// touched reports whether an inode, or something below it, may have changed.
func (t *tree) touched(ino uint64) bool {
	_, changed := t.changed[ino]
	return changed || t.above[ino] != nil
}

// list returns a directory's entries. Subvolumes are left out: no snapshot has them.
func (t *tree) list(ctx context.Context, dir uint64) (map[string]uint64, error) {
	names := map[string]uint64{}
	err := t.search(ctx, of(ownTree, dir, dirIndex, dirIndex), func(i item) error {
		e, err := parseEntry(i.data)
		if err == nil && !e.subvol {
			names[e.name] = e.inode
		}
		return err
	})
	return names, err
}

func (t *tree) inode(ctx context.Context, ino uint64) (n inode, err error) {
	if n, ok := t.changed[ino]; ok {
		return n, nil
	}
	found := false
	err = t.search(ctx, of(ownTree, ino, inodeItem, inodeItem), func(i item) (err error) {
		n, err = parseInode(i.data)
		found = true
		return err
	})
	if err == nil && !found {
		err = errors.Join(errShort, fs.ErrNotExist)
	}
	return n, err
}

// differ walks two trees at once.
type differ struct {
	old, new *tree
	since    uint64 // the newest transaction up to which both were the same; 0: never
	changes  []dotmesh.FileChange
}

// same reports whether an inode of both sides is the one that they once had in common.
func (d *differ) same(a, b uint64) bool {
	if a != b || d.since == 0 {
		return false
	}
	// One that was not touched was there before; one that was made since has no twin.
	x, xChanged := d.old.changed[a]
	y, yChanged := d.new.changed[b]
	return (!xChanged || x.generation <= d.since) && (!yChanged || y.generation <= d.since)
}

// dirs compares two directories at one path.
func (d *differ) dirs(ctx context.Context, path string, a, b uint64) error {
	x, y, err := d.candidates(ctx, a, b)
	if err != nil {
		return err
	}
	for name, inoA := range x {
		inoB, both := y[name]
		if both {
			err = d.pair(ctx, filepath.Join(path, name), inoA, inoB)
		} else {
			err = d.whole(ctx, d.old, dotmesh.Removed, filepath.Join(path, name), inoA)
		}
		if err != nil {
			return err
		}
	}
	for name, inoB := range y {
		if _, both := x[name]; !both {
			if err := d.whole(ctx, d.new, dotmesh.Added, filepath.Join(path, name), inoB); err != nil {
				return err
			}
		}
	}
	return nil
}

// candidates returns the entries of two directories that must be looked at. Where both
// are the same directory and it was not touched, both have the same entries, and only
// those that lead to something touched matter.
func (d *differ) candidates(ctx context.Context, a, b uint64) (x, y map[string]uint64, err error) {
	_, changedA := d.old.changed[a]
	_, changedB := d.new.changed[b]
	if d.same(a, b) && !changedA && !changedB {
		both := maps.Clone(d.old.above[a])
		if both == nil {
			both = map[string]uint64{}
		}
		maps.Copy(both, d.new.above[b])
		return both, both, nil
	}
	if x, err = d.old.list(ctx, a); err != nil {
		return nil, nil, err
	}
	y, err = d.new.list(ctx, b)
	return x, y, err
}

// pair compares what two states have at one path.
func (d *differ) pair(ctx context.Context, path string, a, b uint64) error {
	same := d.same(a, b)
	if same && !d.old.touched(a) && !d.new.touched(b) {
		return nil
	}
	x, err1 := d.old.inode(ctx, a)
	y, err2 := d.new.inode(ctx, b)
	if err := join(err1, err2); err != nil {
		return err
	}
	equal, err := d.equal(ctx, a, b, x.isDir() && y.isDir())
	if err != nil {
		return err
	}
	if !equal {
		d.add(path, dotmesh.Modified, y)
	}
	switch {
	case x.isDir() && y.isDir():
		return d.dirs(ctx, path, a, b)
	case x.isDir():
		return d.below(ctx, d.old, dotmesh.Removed, path, a)
	case y.isDir():
		return d.below(ctx, d.new, dotmesh.Added, path, b)
	}
	return nil
}

// whole adds a path that one side lacks, with all that lies below it.
func (d *differ) whole(ctx context.Context, t *tree, kind dotmesh.ChangeKind, path string, ino uint64) error {
	n, err := t.inode(ctx, ino)
	if err != nil {
		return err
	}
	d.add(path, kind, n)
	if !n.isDir() {
		return nil
	}
	return d.below(ctx, t, kind, path, ino)
}

func (d *differ) below(ctx context.Context, t *tree, kind dotmesh.ChangeKind, path string, dir uint64) error {
	names, err := t.list(ctx, dir)
	for name, ino := range names {
		if err == nil {
			err = d.whole(ctx, t, kind, filepath.Join(path, name), ino)
		}
	}
	return err
}

func (d *differ) add(path string, kind dotmesh.ChangeKind, n inode) {
	c := dotmesh.FileChange{Path: path, Kind: kind}
	if f := n.mode & unix.S_IFMT; f == unix.S_IFREG || f == unix.S_IFLNK {
		c.Size = n.size
	}
	d.changes = append(d.changes, c)
}

// equal compares two inodes by what the trees say: attributes, and where the content
// lies. Content in the same place is the same; in another it was written anew.
func (d *differ) equal(ctx context.Context, a, b uint64, asDirs bool) (bool, error) {
	x, err1 := d.old.fingerprint(ctx, a, asDirs)
	y, err2 := d.new.fingerprint(ctx, b, asDirs)
	return bytes.Equal(x, y), join(err1, err2)
}

// fingerprint returns what must be equal for two inodes to be.
func (t *tree) fingerprint(ctx context.Context, ino uint64, asDir bool) (print []byte, err error) {
	err = t.search(ctx, of(ownTree, ino, inodeItem, extentData), func(i item) error {
		switch i.kind {
		case inodeItem:
			if len(i.data) < inodeSize {
				return errShort
			}
			print = append(print, i.data[44:64]...) // uid, gid, mode, rdev
			if !asDir {
				print = append(print, i.data[16:24]...)   // size
				print = append(print, i.data[136:148]...) // mtime
			}
		case xattrItem, extentData:
			print = append(append(print, byte(i.kind)), byteOrder(i.offset)...)
			print = append(append(print, byteOrder(uint64(len(i.data)))...), stable(i)...)
		}
		return nil
	})
	return print, err
}
