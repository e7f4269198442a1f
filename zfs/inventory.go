//go:build linux

package zfs

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"dotmesh.io/dotmesh"
)

// Inventory asks ZFS once for all lines and commits, with what it has at hand of each.
func (s *Store) Inventory(ctx context.Context) iter.Seq2[dotmesh.LineInfo, error] {
	return func(yield func(dotmesh.LineInfo, error) bool) {
		const op = "zfs.Inventory"
		states, err := reading(ctx, s, op, s.all)
		if err != nil {
			yield(dotmesh.LineInfo{}, err)
			return
		}
		for lines := range slices.Chunk(states, infosAtOnce) {
			infos, err := s.infos(lines)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(dotmesh.LineInfo{}, fault(op, err))
				return
			}
			for _, info := range infos {
				if !yield(info, nil) {
					return
				}
			}
		}
	}
}

// infosAtOnce is for how many lines metadata are read at once. Those of all lines would be
// too much to have in memory.
const infosAtOnce = 100

// Line returns one line as Inventory would.
func (s *Store) Line(ctx context.Context, line dotmesh.LineID) (dotmesh.LineInfo, error) {
	return reading(ctx, s, "zfs.Line", func(ctx context.Context) (dotmesh.LineInfo, error) {
		l, err := s.find(ctx, line)
		if err != nil {
			return dotmesh.LineInfo{}, err
		}
		infos, err := s.infos([]*state{l})
		if err != nil {
			return dotmesh.LineInfo{}, err
		}
		return infos[0], nil
	})
}

// all returns the lines that are there.
func (s *Store) all(ctx context.Context) ([]*state, error) {
	before, err := s.records()
	if err != nil {
		return nil, err
	}
	end := s.leaving.begin()
	all, err := s.list(ctx, listAll(s.lines()))
	gone := end()
	if err != nil {
		return nil, err
	}
	records, err := s.records()
	if err != nil {
		return nil, err
	}
	for line := range records {
		all.line(line)
	}
	var states []*state
	for line, f := range all {
		if l := newState(line, f, records[line].since(before[line])); l.there() && !gone[line] {
			states = append(states, l)
		}
	}
	return states, nil
}

// records returns all that the KV knows of lines.
func (s *Store) records() (map[dotmesh.LineID]record, error) {
	all := map[dotmesh.LineID]record{}
	err := s.kv.View(func(tx dotmesh.KVReader) error {
		for key, value := range tx.Scan(lineBucket) {
			id, err := dotmesh.ParseUUID(key)
			if err != nil {
				return &dotmesh.Error{Kind: dotmesh.Corrupt, Text: fmt.Sprintf("the record of line %q cannot be read", key), Err: err}
			}
			var r record
			if err := decodeRecord(key, value, &r); err != nil {
				return err
			}
			all[dotmesh.LineID{UUID: id}] = r
		}
		return nil
	})
	return all, err
}

// infos returns lines with the metadata of their commits.
func (s *Store) infos(lines []*state) (infos []dotmesh.LineInfo, err error) {
	err = s.kv.View(func(tx dotmesh.KVReader) error {
		for _, l := range lines {
			info := dotmesh.LineInfo{ID: l.id, Origin: l.Origin, Head: l.head()}
			for _, c := range l.commits {
				meta, _ := getMeta(tx, dotmesh.Ref{Line: l.id, Commit: c.id})
				info.Commits = append(info.Commits, dotmesh.CommitInfo{ID: c.id, GUID: c.guid, Meta: meta})
			}
			infos = append(infos, info)
		}
		return nil
	})
	return infos, err
}

// Meta returns what Snapshot stored with a commit.
func (s *Store) Meta(ctx context.Context, r dotmesh.Ref) ([]byte, error) {
	return reading(ctx, s, "zfs.Meta", func(ctx context.Context) ([]byte, error) {
		if r.Commit.IsZero() {
			return nil, dotmesh.E("", dotmesh.Invalid, "a head has no metadata; name a commit")
		}
		if _, err := s.findCommit(ctx, r); err != nil {
			return nil, err
		}
		meta, _, err := s.meta(r)
		return meta, err
	})
}
