//go:build linux

package zfs

import (
	"context"
	"errors"
	"time"

	"dotmesh.io/dotmesh"
)

// Usage says what ZFS counts as written since a commit, after compression and with the
// metadata. Writes are counted when their transaction group is synced, after five seconds
// at most, or at once with fresh. Where nothing tells what the head and the commit have in
// common, all of the head counts. What was measured before is the answer as long as the
// kernel counts no more writes, and for half a minute: its AsOf says from when it is.
func (s *Store) Usage(ctx context.Context, line dotmesh.LineID, since dotmesh.Ref, fresh bool) (dotmesh.Usage, error) {
	const op = "zfs.Usage"
	if err := s.replayed(ctx, op, line, fresh); err != nil {
		return dotmesh.Usage{}, err
	}
	return reading(ctx, s, op, func(ctx context.Context) (dotmesh.Usage, error) {
		seen, counted := s.glance(line)
		if counted && !fresh && seen.holds(since, time.Now()) {
			return seen.measured, nil
		}
		u, err := s.measureNow(ctx, line, since, fresh)
		if counted && err == nil {
			seen.measure(u, since)
			s.glances.put(line, seen)
		}
		return u, err
	})
}

// measureNow asks ZFS.
func (s *Store) measureNow(ctx context.Context, line dotmesh.LineID, since dotmesh.Ref, fresh bool) (dotmesh.Usage, error) {
	l, err := s.find(ctx, line)
	if err != nil {
		return dotmesh.Usage{}, err
	}
	switch {
	case since.IsZero():
		since = l.newest()
	case since.Line == line && l.commit(since.Commit) == nil:
		return dotmesh.Usage{}, missing(since)
	case since.Line != line:
		if _, err := s.findCommit(ctx, since); err != nil {
			return dotmesh.Usage{}, err
		}
	}
	if !l.head() { // nothing can have been written
		u := dotmesh.Usage{Dirty: dotmesh.Bytes{AsOf: time.Now(), Exact: true}}
		u.Referenced, err = s.referenced(ctx, l.newest())
		return u, err
	}
	if fresh {
		if err := s.run.run(ctx, syncPool(s.pool)); err != nil {
			return dotmesh.Usage{}, err
		}
	}
	return s.measure(ctx, line, since, fresh)
}

func (s *Store) measure(ctx context.Context, line dotmesh.LineID, since dotmesh.Ref, fresh bool) (dotmesh.Usage, error) {
	u := dotmesh.Usage{Dirty: dotmesh.Bytes{AsOf: time.Now(), Exact: fresh}}
	if since.IsZero() {
		referenced, err := s.referenced(ctx, head(line))
		u.Dirty.Bytes, u.Referenced = referenced, referenced
		return u, err
	}
	written := "written@" + since.Commit.String()
	if since.Line != line {
		written = "written@" + s.at(since)
	}
	all, err := s.run.values(ctx, s.line(line), written, "referenced")
	if err != nil {
		return u, err
	}
	var err1, err2 error
	u.Dirty.Bytes, err1 = all[0].number()
	u.Referenced, err2 = all[1].number()
	if all[0].text == "-" { // they have nothing in common
		u.Dirty.Bytes = u.Referenced
	}
	u.Referenced = max(u.Referenced-s.empty, 0)
	return u, join(err1, err2)
}

// referenced returns what a head or commit holds, without what an empty one does.
func (s *Store) referenced(ctx context.Context, r dotmesh.Ref) (int64, error) {
	if r.IsZero() {
		return 0, nil
	}
	all, err := s.run.values(ctx, s.at(r), "referenced")
	if errors.Is(err, notExist) { // an origin that this pool lacks
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	bytes, err := all[0].number()
	return max(bytes-s.empty, 0), err
}

// replayed is replay for callers who change nothing else. A line that this process has handed
// out may be about to be mounted: that would be refused meanwhile, and what is fsynced after
// it would be without its mark. So it is left alone, unless the caller says that it rests.
func (s *Store) replayed(ctx context.Context, op string, line dotmesh.LineID, rests bool) error {
	if err := ctx.Err(); err != nil {
		return dotmesh.Wrap(op, err)
	}
	r, err := s.record(line)
	if err != nil {
		return fault(op, err)
	}
	if !r.Mounted {
		return nil
	}
	if here, err := mountedHere(s.line(line)); err != nil || here {
		return fault(op, err)
	}
	return s.changing(ctx, op, line, func(ctx context.Context) error {
		if _, handed := s.handed.Load(line); handed && !rests {
			return nil
		}
		return s.replay(ctx, line)
	})
}
