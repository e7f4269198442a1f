//go:build linux

package zfs

import (
	"context"
	"strings"

	"dotmesh.io/dotmesh"
)

// sweep finishes what an earlier process has begun, removes what it took for itself, and
// learns who was forked from whom.
func (s *Store) sweep(ctx context.Context) error {
	all, err := s.list(ctx, listAll(s.lines()))
	if err != nil {
		return err
	}
	records, err := s.records()
	if err != nil {
		return err
	}
	for line := range records {
		all.line(line)
	}
	for line, f := range all {
		l := newState(line, f, records[line])
		if err := s.sweepLine(ctx, l); err != nil {
			return err
		}
		if l.there() {
			s.children.add(l.Origin, line)
		} else if !l.dataset {
			delete(all, line)
		}
	}
	return join(s.sweepMetas(all), s.sweepHolds(ctx))
}

func (s *Store) sweepLine(ctx context.Context, l *state) error {
	if err := s.removeScratch(ctx, l); err != nil {
		return err
	}
	switch {
	case l.Doomed:
		return s.destroyLine(ctx, l)
	case !l.Unchecked.IsZero():
		return s.reject(ctx, l)
	case l.Rolling:
		return s.settle(ctx, l)
	case !l.dataset && !l.there() && l.record != (record{}): // nothing came of it, or it was destroyed by hand
		l.record = record{}
		return s.update(l.id, func(r *record) { *r = record{} })
	}
	return nil
}

// sweepMetas forgets the metadata of commits that are not there.
func (s *Store) sweepMetas(all census) error {
	var lost []dotmesh.Ref
	err := s.kv.View(func(tx dotmesh.KVReader) error {
		for key := range tx.Scan(metaBucket) {
			r, ok := parseMetaKey(key)
			l := newState(r.Line, all[r.Line], record{})
			if ok && l.commit(r.Commit) == nil {
				lost = append(lost, r)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.dropMetas(lost...)
}

func parseMetaKey(key string) (dotmesh.Ref, bool) {
	line, commit, _ := strings.Cut(key, "/")
	l, err1 := dotmesh.ParseUUID(line)
	c, err2 := dotmesh.ParseCommitID(commit)
	return dotmesh.Ref{Line: dotmesh.LineID{UUID: l}, Commit: c}, err1 == nil && err2 == nil
}
