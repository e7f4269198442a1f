//go:build linux

package zfs

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
)

// found is what ZFS has of one line.
type found struct {
	dataset bool // else only snapshots were listed, or nothing
	origin  dotmesh.Origin
	commits []foundCommit // oldest first
	scratch []string      // names of snapshots that the store has taken for itself
}

type foundCommit struct {
	id   dotmesh.CommitID
	guid string
	txg  uint64
}

// census is what one listing finds.
type census map[dotmesh.LineID]*found

// list runs a listing of datasets and snapshots with their fast properties.
func (s *Store) list(ctx context.Context, c command) (census, error) {
	all := census{}
	err := s.run.lines(ctx, c, func(line string) error { return all.add(s.names, line) })
	for _, f := range all {
		slices.SortFunc(f.commits, func(a, b foundCommit) int { return cmp.Compare(a.txg, b.txg) })
	}
	return all, err
}

// add reads one row of a listing. What is not ours is passed over.
func (c census) add(n names, row string) error {
	fields := strings.Split(row, "\t")
	if len(fields) != 4 {
		return odd(row)
	}
	name, guid, origin := fields[0], fields[1], fields[3]
	if line, ours := n.scratch(name); ours {
		f := c.line(line)
		f.scratch = append(f.scratch, name)
		return nil
	}
	r, ours := n.parse(name)
	if !ours {
		return nil
	}
	txg, err := strconv.ParseUint(fields[2], 10, 64)
	if err != nil || guid == "" || strings.Trim(guid, "0123456789") != "" {
		return odd(row)
	}
	f := c.line(r.Line)
	if !r.Commit.IsZero() {
		f.commits = append(f.commits, foundCommit{r.Commit, guid, txg})
		return nil
	}
	f.dataset = true
	if o, ours := n.parse(origin); ours && !o.Commit.IsZero() {
		f.origin = dotmesh.Origin(o)
	}
	return nil
}

func (c census) line(line dotmesh.LineID) *found {
	if c[line] == nil {
		c[line] = &found{}
	}
	return c[line]
}

// state is what is known of one line.
type state struct {
	found
	record
	id     dotmesh.LineID
	hidden []dotmesh.Ref // the commit that is unchecked, if it is there
}

// newState puts together what ZFS and the KV say.
func newState(id dotmesh.LineID, f *found, r record) *state {
	l := &state{id: id, record: r}
	if f != nil {
		l.found = *f
	}
	if l.dataset {
		l.Origin = l.found.origin
	}
	if i := l.index(r.Unchecked); i >= 0 {
		l.hidden = []dotmesh.Ref{{Line: id, Commit: r.Unchecked}}
		l.commits = slices.Delete(slices.Clone(l.commits), i, i+1)
	}
	return l
}

// there reports whether the line is there for others to see.
func (l *state) there() bool {
	switch {
	case l.Doomed:
		return false
	case !l.dataset:
		return l.Headless && !l.Incoming
	}
	return !l.Incoming || len(l.commits) > 0
}

func (l *state) head() bool { return l.dataset && !l.Headless }

// newest returns what a head of the line would be made from: its newest commit, else its
// origin, else nothing.
func (l *state) newest() dotmesh.Ref {
	if n := len(l.commits); n > 0 {
		return dotmesh.Ref{Line: l.id, Commit: l.commits[n-1].id}
	}
	return dotmesh.Ref(l.Origin)
}

// index returns where among the line's commits one is, -1 if it is none of them.
func (l *state) index(id dotmesh.CommitID) int {
	return slices.IndexFunc(l.commits, func(c foundCommit) bool { return c.id == id })
}

// commit returns a commit of the line, or nil.
func (l *state) commit(id dotmesh.CommitID) *foundCommit {
	if i := l.index(id); i >= 0 {
		return &l.commits[i]
	}
	return nil
}

func (l *state) refs() []dotmesh.Ref {
	refs := make([]dotmesh.Ref, len(l.commits))
	for i, c := range l.commits {
		refs[i] = dotmesh.Ref{Line: l.id, Commit: c.id}
	}
	return refs
}

// look looks at a line, whether it is there or not.
func (s *Store) look(ctx context.Context, line dotmesh.LineID) (*state, error) {
	if line.IsZero() {
		return nil, dotmesh.E("", dotmesh.NotFound, "no line is named")
	}
	before, err := s.record(line)
	if err != nil {
		return nil, err
	}
	all, err := s.list(ctx, listOne(s.line(line)))
	if err != nil && !errors.Is(err, notExist) {
		return nil, err
	}
	r, err := s.record(line)
	return newState(line, all[line], r.since(before)), err
}

// find looks at a line that must be there.
func (s *Store) find(ctx context.Context, line dotmesh.LineID) (*state, error) {
	l, err := s.look(ctx, line)
	if err == nil && !l.there() {
		err = missing(head(line))
	}
	return l, err
}

// findCommit looks at a commit that must be there.
func (s *Store) findCommit(ctx context.Context, r dotmesh.Ref) (*foundCommit, error) {
	l, err := s.find(ctx, r.Line)
	if err != nil {
		return nil, err
	}
	if c := l.commit(r.Commit); c != nil {
		return c, nil
	}
	return nil, missing(r)
}

// missing is the error of what is not there.
func missing(r dotmesh.Ref) error {
	return dotmesh.E("", dotmesh.NotFound, "there is no %s in this pool", describe(r))
}

func describe(r dotmesh.Ref) string {
	if r.Commit.IsZero() {
		return "line " + r.Line.String()
	}
	return "commit " + r.Commit.String() + " of line " + r.Line.String()
}

// noHead is the error of a line that has none.
func noHead(line dotmesh.LineID) error {
	return dotmesh.E("", dotmesh.NotFound, "line %s has no head in this pool", line)
}
