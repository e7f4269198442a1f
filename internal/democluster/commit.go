package democluster

import (
	"cmp"
	"context"
	"encoding/hex"
	"iter"
	"maps"
	"slices"

	"dotmesh.io/dotmesh"
)

const (
	defaultLog = 200
	maxLog     = 1000
)

// commit is a commit and the files that it holds.
type commit struct {
	dotmesh.Commit
	line   *line
	parent *commit // nil: the dot begins here
	data   *tree
	buried bool // deleted: histories pass it over
}

// history yields the commits from m down to the dot's beginning, newest first, across the
// lines that they are on.
func (m *commit) history() iter.Seq[*commit] {
	return func(yield func(*commit) bool) {
		for at := m; at != nil; at = at.parent {
			if !at.buried && !yield(at) {
				return
			}
		}
	}
}

// on reports whether a node holds the commit.
func (m *commit) on(n *node) bool { return m.line.held[n.number] >= m.Seq }

// bytes returns what the commit adds to its parent: what travels to a replica.
func (m *commit) bytes() int64 {
	const record = 4096
	if m.parent == nil {
		return record + m.data.bytes()
	}
	return record + m.data.since(m.parent.data)
}

func tipOf(b *branch) dotmesh.Tip {
	return dotmesh.Tip{Line: b.Pointer.Line, Commit: b.Pointer.Tip}
}

// guid returns what a store might call a new snapshot.
func (c *Cluster) guid() string {
	id := c.newID()
	return hex.EncodeToString(id[:8])
}

// commit makes what the branch's data are now its newest commit.
func (c *Cluster) commit(b *branch, record dotmesh.Commit, op dotmesh.Op) *commit {
	record.Line, record.Seq, record.Parent = b.line.ID, b.Pointer.Seq+1, b.Pointer.Tip
	record.Time, record.GUID = c.time(), c.guid()
	m := &commit{Commit: record, line: b.line, parent: b.tip, data: b.data}
	m.Chain = b.Pointer.Chain.After(&m.Commit)
	if op.Verb != "" {
		op.New = dotmesh.Tip{Line: m.Line, Commit: m.ID}
		c.note(b.dot, nil, op)
	}
	c.append(b, m)
	c.measure(b)
	c.emitStats(b)
	return m
}

// append puts a commit on the branch's line. The master has it, and replicas are to fetch it.
func (c *Cluster) append(b *branch, m *commit) {
	c.commits[m.ID] = m
	b.line.commits = append(b.line.commits, m)
	b.tip, b.Pointer.Tip, b.Pointer.Seq, b.Pointer.Chain = m, m.ID, m.Seq, m.Chain
	if m.Visible() {
		b.Pointer.Head, b.Pointer.Count = m.ID, b.Pointer.Count+1
	}
	b.line.held[c.node(b.Pointer.Master).number] = m.Seq
	c.emitCommit(m, false)
	c.emitBranch(b, false)
	c.spread(b)
}

// Commit implements dotmesh.Service.
func (s *service) Commit(ctx context.Context, r dotmesh.CommitRequest) (dotmesh.Commit, error) {
	return change(ctx, s, func() (dotmesh.Commit, error) {
		record := dotmesh.Commit{
			ID: r.ID, Kind: dotmesh.UserCommit, Author: s.author(), Message: r.Message, Metadata: maps.Clone(r.Metadata),
		}
		if err := record.Validate(); err != nil {
			return dotmesh.Commit{}, err
		}
		b, err := s.writable(r.Dot, r.Branch, mayWrite)
		if err != nil {
			return dotmesh.Commit{}, err
		}
		if record.ID.IsZero() {
			record.ID.UUID = s.c.newID()
		}
		m, err := s.c.madeBefore(b, &record)
		if m == nil && err == nil {
			m = s.c.commit(b, record, s.entry(b, dotmesh.VerbCommit, record.ID.UUID))
		}
		if err != nil {
			return dotmesh.Commit{}, err
		}
		return copyCommit(m.Commit), nil
	})
}

// madeBefore finds what an earlier try of the same request made. An id means one commit for
// ever, so one that is in use for anything else is refused.
func (c *Cluster) madeBefore(b *branch, want *dotmesh.Commit) (*commit, error) {
	have := c.commits[want.ID]
	if have == nil {
		return nil, nil
	}
	if have.line == b.line && !have.buried &&
		have.Message == want.Message && have.Author == want.Author && maps.Equal(have.Metadata, want.Metadata) {
		return have, nil
	}
	return nil, dotmesh.E("democluster.Commit", dotmesh.Exists, "commit %s exists already, with another message, metadata or branch", want.ID)
}

// Log implements dotmesh.Service.
func (s *service) Log(ctx context.Context, r dotmesh.LogRequest) (dotmesh.LogPage, error) {
	return ask(ctx, s, func() (dotmesh.LogPage, error) {
		b, err := s.branch(r.Dot, r.Branch, maySee)
		if err != nil {
			return dotmesh.LogPage{}, err
		}
		return b.log(r)
	})
}

func (b *branch) log(r dotmesh.LogRequest) (dotmesh.LogPage, error) {
	limit := min(cmp.Or(max(r.Limit, 0), defaultLog), maxLog)
	page := dotmesh.LogPage{Commits: []dotmesh.Commit{}}
	skipping := !r.Before.IsZero()
	for m := range b.tip.history() {
		switch {
		case skipping:
			skipping = m.ID != r.Before
		case !m.Visible() && !r.System:
		case len(page.Commits) == limit:
			page.More = true
			return page, nil
		default:
			page.Commits = append(page.Commits, copyCommit(m.Commit))
		}
	}
	if skipping {
		return dotmesh.LogPage{}, dotmesh.E("democluster.Log", dotmesh.NotFound, "commit %s is not in the history of %s; list again from the newest", r.Before, b.Name)
	}
	return page, nil
}

// DeleteCommit implements dotmesh.Service.
func (s *service) DeleteCommit(ctx context.Context, r dotmesh.CommitRef) error {
	return alter(ctx, s, func() error {
		b, err := s.writable(r.Dot, r.Branch, mayOwn)
		if err != nil {
			return err
		}
		if b.dot.doneBefore(r.Request) != nil {
			return nil
		}
		m, err := commitOf(b, r.Ref)
		if err != nil {
			return err
		}
		if err := m.removable(b.dot); err != nil {
			return err
		}
		op := s.entry(b, dotmesh.VerbDeleteCommit, r.Request)
		op.Old = dotmesh.Tip{Line: m.Line, Commit: m.ID}
		s.c.buryCommit(b.dot, m, op)
		return nil
	})
}

// removable says why a commit must stay, or nil.
func (m *commit) removable(d *dot) error {
	if m.line.Forked(m.ID) {
		return dotmesh.E("democluster.DeleteCommit", dotmesh.Conflict, "a branch or stash was made from commit %s, so it must stay", m.ID)
	}
	for _, b := range d.branches {
		if b.tip == m {
			return dotmesh.E("democluster.DeleteCommit", dotmesh.Conflict, "commit %s is the newest one of %s; reset that branch first", m.ID, b.Name)
		}
	}
	return nil
}

func (c *Cluster) buryCommit(d *dot, m *commit, op dotmesh.Op) {
	t := c.bury(dotmesh.BuriedCommit, m.ID.UUID, d, op.By)
	t.commit, t.Commit = m, &m.Commit
	t.Covers = []dotmesh.Cover{{Line: m.Line, Commit: m.ID, Chain: m.Chain}}
	c.setBuried(d, m, true)
	c.note(d, nil, op)
}

// setBuried takes a commit out of every history, or puts it back.
func (c *Cluster) setBuried(d *dot, m *commit, buried bool) {
	m.buried = buried
	c.emitCommit(m, buried)
	for _, b := range d.branches {
		before := b.Pointer
		b.recount()
		if b.Pointer != before {
			c.measure(b)
			c.emitBranch(b, false)
			c.emitStats(b)
		}
	}
}

// resolve returns the branch that a reference is counted from, and the commit it names.
func (s *service) resolve(r dotmesh.CommitRef, need right) (*branch, *commit, error) {
	b, err := s.branch(r.Dot, r.Branch, need)
	if err != nil {
		return nil, nil, err
	}
	m, err := commitOf(b, r.Ref)
	return b, m, err
}

// commitOf returns the commit of a branch's dot that ref names, HEAD being that of the
// branch.
func commitOf(b *branch, ref string) (*commit, error) {
	r, err := parseRef(ref)
	if err != nil {
		return nil, err
	}
	start, itself, err := r.from(b)
	if err != nil {
		return nil, err
	}
	back := -1
	for m := range start.history() {
		if m.Visible() || itself && back < 0 {
			back++
		}
		if back == r.back {
			return m, nil
		}
	}
	return nil, dotmesh.E("democluster.commitOf", dotmesh.NotFound, "%s goes back beyond the first commit; \"dm log\" shows them all", ref)
}

// from returns the commit that a reference counts back from, and whether that commit itself
// is meant, even if it is a system commit: so it is for an id and for a stash.
func (r ref) from(b *branch) (at *commit, itself bool, err error) {
	if r.start == "HEAD" {
		return b.tip, false, nil
	}
	if other := b.dot.find(dotmesh.Name(r.start)); other != nil {
		return other.tip, other.Stash != nil, nil
	}
	if !r.isPrefix() {
		return nil, false, noCommit(r.start)
	}
	others := slices.DeleteFunc(slices.Clone(b.dot.branches), func(o *branch) bool { return o == b })
	for _, group := range [][]*branch{{b}, others} {
		at, err = r.among(group)
		if at != nil || err != nil {
			return at, true, err
		}
	}
	return nil, false, noCommit(r.start)
}
