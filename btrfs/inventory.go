//go:build linux

package btrfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"dotmesh.io/dotmesh"
)

// census is what one look at two trees and the KV finds in a pool.
type census struct {
	lines   map[dotmesh.LineID]*counted
	records map[dotmesh.LineID]record
	hidden  map[dotmesh.LineID]bool // made for a stream of which nothing was published yet
}

// counted is what lies in one line's directory.
type counted struct {
	head    bool
	commits []countedCommit           // oldest first
	metas   map[dotmesh.CommitID]bool // of which there are metadata
	dir     uint64                    // the inode of the directory with the commits and metadata
	scratch []string                  // paths from the top of the layout
}

type countedCommit struct {
	id     dotmesh.CommitID
	subvol uint64
	guid   string
}

// Inventory scans the tree of the subvolume lines, which holds the directories, and the
// tree of all roots, each once and in large pieces: its cost is that of reading them. The
// first one after Open, which has scanned them just before, does not scan them again.
func (s *Store) Inventory(ctx context.Context) iter.Seq2[dotmesh.LineInfo, error] {
	return func(yield func(dotmesh.LineInfo, error) bool) {
		const op = "btrfs.Inventory"
		c, err := reading(ctx, s, op, func() (*census, error) {
			if err := s.takeTurn(ctx); err != nil {
				return nil, err
			}
			defer s.giveTurn()
			if c := s.seen; c != nil {
				s.seen = nil
				return c, nil
			}
			return s.count(ctx)
		})
		if err != nil {
			yield(dotmesh.LineInfo{}, err)
			return
		}
		f := newFinder(s.lines, largeSearch)
		for lines := range slices.Chunk(c.shown(), infosAtOnce) {
			infos, err := reading(ctx, s, op, func() ([]dotmesh.LineInfo, error) { return s.infos(ctx, f, c, lines) })
			if err != nil {
				yield(dotmesh.LineInfo{}, err)
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

// Line returns one line as Inventory would, without the scan.
func (s *Store) Line(ctx context.Context, line dotmesh.LineID) (dotmesh.LineInfo, error) {
	return reading(ctx, s, "btrfs.Line", func() (dotmesh.LineInfo, error) {
		r, err := s.line(line)
		if err != nil {
			return dotmesh.LineInfo{}, err
		}
		info := dotmesh.LineInfo{ID: line, Origin: r.Origin}
		if info.Head, err = s.has(head(line)); err != nil {
			return dotmesh.LineInfo{}, err
		}
		info.Commits, err = s.commitInfos(ctx, line)
		return info, err
	})
}

// commitInfos leaves out what is being dropped while it looks.
func (s *Store) commitInfos(ctx context.Context, line dotmesh.LineID) ([]dotmesh.CommitInfo, error) {
	ids, err := s.commits(ctx, line)
	if err != nil {
		return nil, err
	}
	var infos []dotmesh.CommitInfo
	for _, id := range ids {
		v, err := s.subvol(dotmesh.Ref{Line: line, Commit: id})
		if errors.Is(err, dotmesh.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		meta, err := s.meta(dotmesh.Ref{Line: line, Commit: id})
		if err != nil {
			return nil, err
		}
		infos = append(infos, dotmesh.CommitInfo{ID: id, GUID: v.guid(), Meta: meta})
	}
	return infos, nil
}

// shown returns the lines that are there for others to see, in the order of their
// directories: not those being destroyed, nor directories that somebody else made and that
// hold nothing.
func (c *census) shown() []dotmesh.LineID {
	var lines []dotmesh.LineID
	for line, l := range c.lines {
		if r, known := c.records[line]; !r.Doomed && !c.hidden[line] && (known || l.whole(r)) {
			lines = append(lines, line)
		}
	}
	slices.SortFunc(lines, func(a, b dotmesh.LineID) int { return cmp.Compare(c.lines[a].dir, c.lines[b].dir) })
	return lines
}

// infosAtOnce is for how many lines metadata are read at once. Those of all lines would be
// too much to have in memory.
const infosAtOnce = 100

// infos returns what was counted of lines, in the order of shown, with their metadata.
// Commits that were dropped meanwhile are left out.
func (s *Store) infos(ctx context.Context, f *finder, c *census, lines []dotmesh.LineID) ([]dotmesh.LineInfo, error) {
	metas, err := s.metas(ctx, f, c.lines[lines[0]].dir, c.lines[lines[len(lines)-1]].dir)
	if err != nil {
		return nil, err
	}
	var infos []dotmesh.LineInfo
	for _, line := range lines {
		l := c.lines[line]
		info := dotmesh.LineInfo{ID: line, Origin: c.records[line].Origin, Head: l.head}
		for _, k := range l.commits {
			meta, found := metas[metaKey{l.dir, k.id}]
			if found || !l.metas[k.id] {
				info.Commits = append(info.Commits, dotmesh.CommitInfo{ID: k.id, GUID: k.guid, Meta: meta})
			}
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// whole reports whether a line is more than what a crash left of a Fork.
func (l *counted) whole(r record) bool { return l.head || len(l.commits) > 0 || r.Headless }

// count takes the census. The caller has the turn, so that nothing changes meanwhile.
func (s *Store) count(ctx context.Context) (*census, error) {
	found, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	return s.sort(found)
}

// layout is what the two trees say of which names and subvolumes lie where.
type layout struct {
	entries []dirEntry
	subvols []placed
}

func (s *Store) look(ctx context.Context) (found layout, err error) {
	v, err := subvolOf(s.lines)
	if err != nil {
		return found, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		found.entries, err = gather(ctx, s.lines, ownTree, func() func(item) ([]dirEntry, error) { return pickEntries })
		return err
	})
	g.Go(func() (err error) {
		found.subvols, err = gather(ctx, s.lines, rootTree, func() func(item) ([]placed, error) { return pickSubvols(v.id) })
		return err
	})
	return found, g.Wait()
}

// sort makes a census of what was found, and of what the KV says of it.
func (s *Store) sort(found layout) (*census, error) {
	c := &census{
		lines:   map[dotmesh.LineID]*counted{},
		records: map[dotmesh.LineID]record{},
		hidden:  s.incoming.allUnborn(),
	}
	if err := s.kv.View(c.readKV); err != nil {
		return nil, err
	}
	c.place(found.subvols, c.arrange(found.entries))
	return c, nil
}

func (c *census) readKV(tx dotmesh.KVReader) error {
	for key, value := range tx.Scan(lineBucket) {
		id, err := dotmesh.ParseUUID(key)
		if err != nil {
			return &dotmesh.Error{Kind: dotmesh.Corrupt, Text: fmt.Sprintf("the record of line %q cannot be read", key), Err: err}
		}
		var r record
		if err := decodeRecord(key, value, &r); err != nil {
			return err
		}
		c.records[dotmesh.LineID{UUID: id}] = r
	}
	return nil
}

// lineDir is a directory of the layout: a line's, or that of its commits.
type lineDir struct {
	line    dotmesh.LineID
	commits string // commitsName for that of the commits
}

// dirEntry is a name of a directory of the subvolume lines, or a commit whose metadata lie
// in that directory.
type dirEntry struct {
	inode uint64
	above uint64
	name  string
	meta  dotmesh.CommitID
}

func pickEntries(i item) (entries []dirEntry, err error) {
	switch i.kind {
	case inodeRef:
		refs, err := parseRefs(i)
		for _, r := range refs {
			entries = append(entries, dirEntry{inode: i.object, above: r.dir, name: r.name})
		}
		return entries, err
	case xattrItem:
		all, err := parseAttributes(i.data)
		for _, a := range all {
			if id, _ := parseMetaName(a.name); !id.IsZero() {
				entries = append(entries, dirEntry{inode: i.object, meta: id})
			}
		}
		return entries, err
	}
	return nil, nil
}

// arrange returns the layout's directories by inode, and notes of which commits there are
// metadata. Inodes are numbered upwards, so a line's directory comes before what lies in
// it; the items of one inode begin with its names.
func (c *census) arrange(entries []dirEntry) map[uint64]lineDir {
	dirs := map[uint64]lineDir{}
	for _, e := range entries {
		if d := dirs[e.inode]; !e.meta.IsZero() {
			if d.commits != "" {
				c.lines[d.line].metas[e.meta] = true
			}
			continue
		}
		if id, bad := dotmesh.ParseUUID(e.name); bad == nil && e.above == rootInode {
			line := dotmesh.LineID{UUID: id}
			dirs[e.inode] = lineDir{line: line}
			c.lines[line] = &counted{metas: map[dotmesh.CommitID]bool{}}
		}
		if above, ok := dirs[e.above]; ok && above.commits == "" && e.name == commitsName {
			dirs[e.inode] = lineDir{line: above.line, commits: commitsName}
			c.lines[above.line].dir = e.inode
		}
	}
	return dirs
}

// placed is a subvolume in a directory of the subvolume lines.
type placed struct {
	dir    uint64
	name   string
	id     uint64
	guid   string
	parent [16]byte // the subvolume that it is a snapshot of
}

// pickSubvols picks the subvolumes that lie in the one with the id lines. The item that
// holds a subvolume's uuids comes before the one that says where it lies.
func pickSubvols(lines uint64) func(item) ([]placed, error) {
	var id uint64
	var guid string
	var parent [16]byte
	return func(i item) ([]placed, error) {
		switch {
		case i.kind == rootItem:
			r, err := parseRoot(i.data)
			id, guid, parent = i.object, guidOf(r.lineage.uuid, r.received), r.lineage.parent
			return nil, err
		case i.kind != rootBackref || i.offset != lines || i.object != id:
			return nil, nil
		}
		at, err := parseRootRef(i.data)
		return []placed{{dir: at.dir, name: at.name, id: id, guid: guid, parent: parent}}, err
	}
}

// place sorts the subvolumes that lie in dirs into their lines.
func (c *census) place(subvols []placed, dirs map[uint64]lineDir) {
	for _, v := range subvols {
		if d, ok := dirs[v.dir]; ok {
			c.lines[d.line].sort(d, v.name, v.id, v.guid)
		}
	}
	for _, l := range c.lines {
		slices.SortFunc(l.commits, func(a, b countedCommit) int { return cmp.Compare(a.subvol, b.subvol) })
	}
}

// sort puts a subvolume called name into what was counted of its line.
func (l *counted) sort(d lineDir, name string, id uint64, guid string) {
	commit, err := dotmesh.ParseCommitID(name)
	switch {
	case isScratch(name):
		l.scratch = append(l.scratch, filepath.Join(linesName, d.line.String(), d.commits, name))
	case d.commits == "" && name == headName:
		l.head = true
	case d.commits != "" && err == nil:
		l.commits = append(l.commits, countedCommit{id: commit, subvol: id, guid: guid})
	}
}
