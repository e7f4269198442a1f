//go:build linux

package zfs

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// Diff walks both states, which it mounts privately, and reads files only where their
// inodes do not tell whether they differ. A head is compared as a snapshot of this moment.
// A directory counts where it came, went, or changed its mode, owner or attributes; not
// where only its entries did.
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

func (s *Store) diff(ctx context.Context, from, to dotmesh.Ref) ([]dotmesh.FileChange, error) {
	const op = "zfs.Diff"
	for _, r := range []dotmesh.Ref{from, to} {
		if err := s.replayed(ctx, op, r.Line, false); err != nil {
			return nil, err
		}
	}
	return reading(ctx, s, op, func(ctx context.Context) ([]dotmesh.FileChange, error) {
		old, closeOld, err := s.openState(ctx, from)
		if err != nil {
			return nil, err
		}
		state, closeNew, err := s.openState(ctx, to)
		if err != nil {
			return nil, join(err, old.Close(), closeOld())
		}
		d := &differ{ctx: ctx, old: newCursor(old), new: newCursor(state)}
		if d.parted, err = s.parted(ctx, from, to); err == nil && from != to {
			err = d.dirs()
		}
		slices.SortFunc(d.changes, func(a, b dotmesh.FileChange) int { return cmp.Compare(a.Path, b.Path) })
		return d.changes, join(err, d.old.close(), d.new.close(), closeOld(), closeNew())
	})
}

// openState opens the root of a commit, or of a head as it is now. What it returns must be
// called when it has been read; the directory is closed before.
func (s *Store) openState(ctx context.Context, r dotmesh.Ref) (dir *os.File, done func() error, err error) {
	name := s.at(r)
	if r.Commit.IsZero() {
		if name, err = s.takeScratch(ctx, r.Line); err != nil {
			return nil, nil, err
		}
		done = func() error { return s.destroyScratch(context.WithoutCancel(ctx), name) }
	} else {
		unpin, err := s.pins.pin(r)
		if err != nil {
			return nil, nil, err
		}
		if _, err := s.findCommit(ctx, r); err != nil {
			unpin()
			return nil, nil, err
		}
		done = func() error { unpin(); return nil }
	}
	if dir, err = mountPrivately(ctx, name, false); err != nil {
		return nil, nil, join(err, done())
	}
	return dir, done, nil
}

// takeScratch takes a snapshot of a head that is no commit, and returns its name.
func (s *Store) takeScratch(ctx context.Context, line dotmesh.LineID) (name string, err error) {
	give, err := s.turns.take(ctx, line)
	if err != nil {
		return "", err
	}
	defer give()
	l, err := s.find(ctx, line)
	if err != nil {
		return "", err
	}
	if !l.head() {
		return "", noHead(line)
	}
	name = s.line(line) + "@" + scratchPrefix + dotmesh.NewUUID().String()
	ctx = context.WithoutCancel(ctx)
	return name, s.lending(ctx, func() error { return s.run.run(ctx, takeSnapshots(name)) })
}

// destroyScratch destroys what takeScratch took.
func (s *Store) destroyScratch(ctx context.Context, name string) error {
	dataset, snapshot, _ := strings.Cut(name, "@")
	err := s.run.run(ctx, destroySnapshots(dataset, snapshot))
	if errors.Is(err, notExist) {
		return nil
	}
	return err
}

// never is when states have parted that were never one.
var never = time.Time{}

// parted returns when the newest state was made that both states descend from; an inode
// that was last touched before then is the same in both. Without one it is never.
func (s *Store) parted(ctx context.Context, a, b dotmesh.Ref) (time.Time, error) {
	wayA, err := s.ascend(ctx, a)
	if err != nil {
		return never, err
	}
	wayB, err := s.ascend(ctx, b)
	if err != nil {
		return never, err
	}
	for _, x := range wayA {
		for _, y := range wayB {
			if x.ref.Line != y.ref.Line {
				continue
			}
			if y.txg < x.txg {
				x = y
			}
			if x.ref.Commit.IsZero() { // a head with itself
				return time.Now(), nil
			}
			return s.created(ctx, x.ref)
		}
	}
	return never, nil
}

// station is where a way from a state to its origins passes through a line.
type station struct {
	ref dotmesh.Ref
	txg uint64
}

// ascend returns the way from a state up through the lines that it was forked from.
func (s *Store) ascend(ctx context.Context, r dotmesh.Ref) (way []station, err error) {
	for !r.IsZero() {
		l, err := s.look(ctx, r.Line)
		if err != nil {
			return nil, err
		}
		at := station{r, math.MaxUint64}
		if c := l.commit(r.Commit); c != nil {
			at.txg = c.txg
		}
		way = append(way, at)
		r = dotmesh.Ref(l.Origin)
	}
	return way, nil
}

// created returns when a commit was made here, to the second.
func (s *Store) created(ctx context.Context, r dotmesh.Ref) (time.Time, error) {
	all, err := s.run.values(ctx, s.at(r), "creation")
	if errors.Is(err, notExist) { // an origin that this pool lacks
		return never, nil
	}
	if err != nil {
		return never, err
	}
	seconds, err := all[0].number()
	return time.Unix(seconds, 0), err
}

// differ walks two trees at once.
type differ struct {
	ctx      context.Context //nolint:containedctx // lives as long as one call
	old, new *cursor
	parted   time.Time
	way      []string // the names that lead to where the cursors are
	changes  []dotmesh.FileChange
}

// inode is one entry of a directory; nil: there is none of that name.
type inode struct {
	unix.Stat_t
	name string
}

func (n *inode) is(format uint32) bool { return n != nil && n.Mode&unix.S_IFMT == format }

func (n *inode) isDir() bool { return n.is(unix.S_IFDIR) }

// size is a file's size as FileChange has it: 0 for what is not a regular file or link.
func (n *inode) size() int64 {
	if n.is(unix.S_IFREG) || n.is(unix.S_IFLNK) {
		return n.Size
	}
	return 0
}

// dirs compares the directories that both cursors are at.
func (d *differ) dirs() error {
	x, err1 := d.old.list()
	y, err2 := d.new.list()
	if err := join(err1, err2, d.ctx.Err()); err != nil {
		return err
	}
	for _, name := range union(x, y) {
		a, b := x[name], y[name]
		if err := d.pair(name, a, b); err != nil {
			return err
		}
		if !a.isDir() && !b.isDir() {
			continue
		}
		if err := join(d.old.down(a), d.new.down(b)); err != nil {
			return err
		}
		d.way = append(d.way, name)
		if err := d.dirs(); err != nil {
			return err
		}
		d.way = d.way[:len(d.way)-1]
		if err := join(d.old.up(), d.new.up()); err != nil {
			return err
		}
	}
	return nil
}

func union(x, y map[string]*inode) []string {
	names := make([]string, 0, len(y))
	for name := range x {
		names = append(names, name)
	}
	for name := range y {
		if x[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

// pair compares what two states have under one name.
func (d *differ) pair(name string, a, b *inode) error {
	change := dotmesh.FileChange{Kind: dotmesh.Modified, Size: b.size()}
	switch {
	case a == nil:
		change.Kind = dotmesh.Added
	case b == nil:
		change.Kind, change.Size = dotmesh.Removed, a.size()
	default:
		same, err := d.same(a, b)
		if err != nil || same {
			return err
		}
	}
	change.Path = strings.Join(append(slices.Clone(d.way), name), "/")
	d.changes = append(d.changes, change)
	return nil
}

// doubt is how far the clock that inodes are stamped with may be off from the one that
// snapshots are.
const doubt = 2 * time.Second

// same compares two inodes.
func (d *differ) same(a, b *inode) (bool, error) {
	if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || a.Rdev != b.Rdev {
		return false, nil
	}
	if !a.isDir() && (a.Size != b.Size || a.Mtim != b.Mtim) {
		return false, nil
	}
	// The kernel stamps an inode with each change, and nobody else can. The stamps are
	// some milliseconds coarse: one from when the states parted says nothing.
	touched := time.Unix(a.Ctim.Unix())
	if a.Ino == b.Ino && a.Ctim == b.Ctim && d.parted != never && touched.Sub(d.parted).Abs() > doubt {
		return true, nil
	}
	return d.sameInside(a, b)
}

// sameInside compares attributes and content.
func (d *differ) sameInside(a, b *inode) (bool, error) {
	x, err := d.old.open(a)
	if err != nil {
		return false, err
	}
	defer x.Close() //nolint:errcheck // only read
	y, err := d.new.open(b)
	if err != nil {
		return false, err
	}
	defer y.Close() //nolint:errcheck // only read
	if same, err := sameAttributes(x, y); err != nil || !same || a.isDir() {
		return same, err
	}
	switch {
	case a.is(unix.S_IFLNK):
		return sameTarget(x, y)
	case a.is(unix.S_IFREG):
		return sameContent(d.ctx, x, y)
	}
	return true, nil
}
