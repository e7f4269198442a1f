//go:build linux

package btrfs

import (
	"context"
	"errors"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
)

// Usage adds up what was newly written since a commit: the space of new data, and
// [inodeSize] for every inode that was touched, so that a change without data is not
// taken for none. Only what changed is read, however large the data. Where nothing tells
// what the head and the commit have in common, all of the head counts.
//
// Referenced needs a look at every file, and is looked up again only when that took less
// than a twentieth of the time since it was; with fresh, whenever the head has changed.
func (s *Store) Usage(ctx context.Context, line dotmesh.LineID, since dotmesh.Ref, fresh bool) (dotmesh.Usage, error) {
	return reading(ctx, s, "btrfs.Usage", func() (dotmesh.Usage, error) {
		r, err := s.line(line)
		if err != nil {
			return dotmesh.Usage{}, err
		}
		newest, err := s.newest(ctx, line, r)
		if err != nil {
			return dotmesh.Usage{}, err
		}
		from := since
		if from.IsZero() {
			from = newest
		} else if err := s.committed(from); err != nil {
			return dotmesh.Usage{}, err
		}
		state := head(line)
		there, err := s.has(state)
		if err != nil {
			return dotmesh.Usage{}, err
		}
		if !there {
			state = newest // nothing can have been written since
		}
		u := dotmesh.Usage{Dirty: dotmesh.Bytes{AsOf: time.Now(), Exact: fresh || !there}}
		if fresh {
			err = s.pool.sync()
		}
		if err == nil && !state.IsZero() {
			err = s.measure(ctx, state, from, fresh, &u)
		}
		return u, err
	})
}

func (s *Store) measure(ctx context.Context, state, from dotmesh.Ref, fresh bool, u *dotmesh.Usage) error {
	dir, err := openDir(s.at(state))
	if err != nil {
		return err
	}
	defer dir.Close() //nolint:errcheck // only read
	v, err := subvolOf(dir)
	if err != nil {
		return err
	}
	transid, err := s.baseTransid(ctx, v, from)
	if err != nil {
		return err
	}
	f := newFinder(dir, smallSearch)
	if u.Dirty.Bytes, err = written(ctx, f, transid); err != nil {
		return err
	}
	u.Referenced, err = s.sizes.of(state.Line, v.generation, fresh, func() (int64, error) { return referenced(ctx, f) })
	return err
}

// baseTransid returns the transaction since which a subvolume can differ from a commit.
func (s *Store) baseTransid(ctx context.Context, v *subvol, from dotmesh.Ref) (uint64, error) {
	if from.IsZero() {
		return v.otransid, nil
	}
	base, err := s.subvol(from)
	if errors.Is(err, dotmesh.NotFound) { // an origin that this pool lacks
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return s.since(ctx, v, base)
}

// written adds up what a subvolume holds of transactions after since.
func written(ctx context.Context, f *finder, since uint64) (int64, error) {
	var total int64
	seen := map[uint64]bool{} // extents, which several files may share
	err := f.search(ctx, all(ownTree, since), func(i item) error {
		switch i.kind {
		case inodeItem:
			n, err := parseInode(i.data)
			if n.transid > since {
				total += inodeSize
			}
			return err
		case extentData:
			e, err := parseExtent(i.data)
			if e.generation > since && !seen[e.at] {
				total += e.bytes
				if e.at != 0 {
					seen[e.at] = true
				}
			}
			return err
		}
		return nil
	})
	return total, err
}

// referenced adds up what all files of a subvolume take.
func referenced(ctx context.Context, f *finder) (int64, error) {
	var total int64
	err := f.search(ctx, all(ownTree, 0), func(i item) error {
		if i.kind != inodeItem {
			return nil
		}
		n, err := parseInode(i.data)
		if !n.isDir() {
			total += n.nbytes
		}
		return err
	})
	return total, err
}

// sizes remembers what Referenced was, for each line.
type sizes struct {
	mu    sync.Mutex // guards lines
	lines map[dotmesh.LineID]size
}

type size struct {
	bytes      int64
	generation uint64 // of the head, when it was measured
	at         time.Time
	took       time.Duration
}

// of returns the remembered size while it is true or fresh enough, or measures it.
func (s *sizes) of(line dotmesh.LineID, generation uint64, fresh bool, measure func() (int64, error)) (int64, error) {
	s.mu.Lock()
	last, known := s.lines[line]
	s.mu.Unlock()
	const share = 20
	now := time.Now()
	if known && (last.generation == generation || !fresh && now.Sub(last.at) < share*last.took) {
		return last.bytes, nil
	}
	bytes, err := measure()
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines == nil {
		s.lines = map[dotmesh.LineID]size{}
	}
	s.lines[line] = size{bytes: bytes, generation: generation, at: now, took: time.Since(now)}
	return bytes, nil
}

func (s *sizes) forget(line dotmesh.LineID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.lines, line)
}
