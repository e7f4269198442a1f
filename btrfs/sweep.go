//go:build linux

package btrfs

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"dotmesh.io/dotmesh"
)

// sweep removes what an earlier process left where it was found: scratch, lines that it was destroying,
// forks without a head, metadata of snapshots that were never taken. What it does not
// know, and holds anything, it leaves alone.
func (s *Store) sweep(ctx context.Context, found layout) error {
	c, err := s.sort(found)
	if err != nil {
		return err
	}
	s.children = children{}
	for line, r := range c.records {
		if !r.Doomed {
			s.children.add(r.Origin, line)
		}
	}
	if err := s.rememberStagings(c); err != nil {
		return err
	}
	for line, l := range c.lines {
		for _, path := range l.scratch {
			if err := s.destroyTree(ctx, s.pool.path(path)); err != nil {
				return err
			}
		}
		if _, known := c.records[line]; !known && !l.whole(record{}) {
			// Somebody else's directory stays if it is not empty.
			if err := removeDirs(s.commitsDir(line), s.lineDir(line)); err != nil && !errors.Is(err, errNotEmpty) {
				return err
			}
		}
	}
	for line, r := range c.records {
		l := c.lines[line]
		if r.Doomed || (l == nil || !l.whole(r)) && !r.Headless {
			if err := s.destroyLine(ctx, line); err != nil {
				return err
			}
			delete(c.lines, line)
		}
	}
	s.seen = c
	if err := s.sweepMetas(c); err != nil {
		return err
	}
	return s.forgetLineages(found.subvols)
}

// rememberStagings keeps the lineage of stagings, which that of commits goes through.
func (s *Store) rememberStagings(c *census) error {
	var lost []lineage
	for _, l := range c.lines {
		for _, path := range l.scratch {
			if !strings.HasPrefix(filepath.Base(path), stagingPrefix) {
				continue
			}
			v, err := subvolAt(s.pool.path(path))
			if err != nil {
				return err
			}
			lost = append(lost, v.lineage())
		}
	}
	return s.rememberLineages(lost)
}

// sweepMetas removes metadata that no commit has.
func (s *Store) sweepMetas(c *census) error {
	for line, l := range c.lines {
		if c.records[line].Doomed {
			continue
		}
		for _, k := range l.commits {
			delete(l.metas, k.id)
		}
		for id := range l.metas {
			if err := s.dropMeta(dotmesh.Ref{Line: line, Commit: id}); err != nil {
				return err
			}
		}
	}
	return nil
}
