package server

import (
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/plan"
)

const (
	defaultLog = 200
	maxLog     = 1000
)

// history yields the commits from tip down to the dot's beginning, newest first, across
// the lines that they are on. It ends after the first error.
func (n *Node) history(ctx context.Context, tip dotmesh.Tip) iter.Seq2[dotmesh.Commit, error] {
	return func(yield func(dotmesh.Commit, error) bool) {
		from := tip
		for !from.IsZero() {
			for c, err := range n.lineHistory(ctx, from) {
				if !yield(c, err) || err != nil {
					return
				}
			}
			line := n.view.line(from.Line)
			if line == nil {
				return
			}
			from = dotmesh.Tip(line.Origin)
		}
	}
}

// lineHistory yields the commits of one line from the given one down. It yields nothing if
// that one is not on this line but on its origin. What the registry no longer keeps is
// read from the pool, when the walk comes to it.
func (n *Node) lineHistory(ctx context.Context, from dotmesh.Tip) iter.Seq2[dotmesh.Commit, error] {
	return func(yield func(dotmesh.Commit, error) bool) {
		known := n.view.commits(from.Line)
		part := run(known, from.Commit)
		for _, c := range part {
			if !yield(c, nil) {
				return
			}
		}
		if len(part) > 0 {
			from.Commit = part[len(part)-1].ID
		}
		if n.endsThere(from.Line, part) {
			return
		}
		pooled, err := n.pooledCommits(ctx, from.Line)
		if err != nil {
			yield(dotmesh.Commit{}, err)
			return
		}
		for _, c := range plan.Chain(merge(known, pooled), from.Commit) {
			if len(part) > 0 && c.ID == from.Commit {
				continue // yielded already
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

// run returns the commits from tip down to the first one whose parent is not among them.
func run(commits []dotmesh.Commit, tip dotmesh.CommitID) []dotmesh.Commit {
	var part []dotmesh.Commit
	for _, c := range slices.Backward(commits) { // by Seq, so each parent comes later
		if c.ID == tip {
			part = append(part, c)
			tip = c.Parent
		}
	}
	return part
}

// endsThere reports whether nothing of a line can be below the part of its history that the
// registry's records tell.
func (n *Node) endsThere(id dotmesh.LineID, part []dotmesh.Commit) bool {
	if len(part) > 0 {
		return part[len(part)-1].Seq == 1
	}
	line := n.view.line(id)
	if line == nil {
		return true
	}
	owner := n.view.branch(line.Owner)
	return owner == nil || owner.Pointer.Line != id || owner.Pointer.Seq == 0
}

// merge returns known and those of more that are not in it.
func merge(known, more []dotmesh.Commit) []dotmesh.Commit {
	has := map[dotmesh.CommitID]bool{}
	for i := range known {
		has[known[i].ID] = true
	}
	for _, c := range more {
		if !has[c.ID] {
			known = append(known, c)
		}
	}
	return known
}

// pooledCommits reads a line's commits from this node's pool. Deleted ones that are still
// there are left out.
func (n *Node) pooledCommits(ctx context.Context, line dotmesh.LineID) ([]dotmesh.Commit, error) {
	info, err := n.store.Line(ctx, line)
	if err != nil {
		return nil, err
	}
	var all []dotmesh.Commit
	for _, have := range info.Commits {
		c, err := decodeCommit(have)
		if err != nil {
			return nil, err
		}
		if n.view.tombstone(c.ID.UUID) == nil {
			all = append(all, c)
		}
	}
	return all, nil
}

func decodeCommit(info dotmesh.CommitInfo) (dotmesh.Commit, error) {
	var c dotmesh.Commit
	if err := json.Unmarshal(info.Meta, &c); err != nil || c.ID != info.ID {
		return c, dotmesh.E("server.decodeCommit", dotmesh.Corrupt, "the pool's record of commit %s is damaged", info.ID)
	}
	c.GUID = info.GUID
	return c, nil
}

// commitAt returns the record of the commit that a tip names.
func (n *Node) commitAt(ctx context.Context, tip dotmesh.Tip) (dotmesh.Commit, error) {
	for c, err := range n.history(ctx, tip) {
		if err != nil || c.ID == tip.Commit {
			return c, err
		}
		break
	}
	return dotmesh.Commit{}, dotmesh.E("server.commitAt", dotmesh.NotFound, "commit %s is not there any more", tip.Commit)
}

// Log implements dotmesh.Service.
func (s *service) Log(ctx context.Context, r dotmesh.LogRequest) (dotmesh.LogPage, error) {
	d, err := s.dot(r.Dot, maySee)
	if err != nil {
		return dotmesh.LogPage{}, err
	}
	b, err := s.branchOf(d, r.Branch)
	if err != nil {
		return dotmesh.LogPage{}, err
	}
	limit := min(cmp.Or(max(r.Limit, 0), defaultLog), maxLog)
	page := dotmesh.LogPage{Commits: []dotmesh.Commit{}}
	skipping := !r.Before.IsZero()
	for c, err := range s.node.history(ctx, tipOf(b)) {
		switch {
		case err != nil:
			return dotmesh.LogPage{}, dotmesh.Wrap("server.Log", err)
		case skipping:
			skipping = c.ID != r.Before
		case !c.Visible() && !r.System:
		case len(page.Commits) == limit:
			page.More = true
			return page, nil
		default:
			page.Commits = append(page.Commits, copyOfCommit(c))
		}
	}
	if skipping {
		return dotmesh.LogPage{}, dotmesh.E("server.Log", dotmesh.NotFound, "commit %s is not in the history of %s; list again from the newest", r.Before, b.Name)
	}
	return page, nil
}

// resolve returns the branch that a reference is counted from, and the commit it names.
func (s *service) resolve(ctx context.Context, r dotmesh.CommitRef, need right) (*dotmesh.Branch, dotmesh.Commit, error) {
	d, err := s.dot(r.Dot, need)
	if err != nil {
		return nil, dotmesh.Commit{}, err
	}
	b, err := s.branchOf(d, r.Branch)
	if err != nil {
		return nil, dotmesh.Commit{}, err
	}
	c, err := s.commitOf(ctx, d, b, r.Ref)
	return b, c, err
}

// commitOf returns the commit of dot d that ref names, HEAD being that of branch b.
func (s *service) commitOf(ctx context.Context, d *dotmesh.Dot, b *dotmesh.Branch, ref string) (dotmesh.Commit, error) {
	r, err := plan.ParseRef(ref)
	if err != nil {
		return dotmesh.Commit{}, err
	}
	start, itself, err := s.start(ctx, d, b, r)
	if err != nil {
		return dotmesh.Commit{}, err
	}
	back := -1
	for c, err := range s.node.history(ctx, start) {
		if err != nil {
			return dotmesh.Commit{}, err
		}
		if c.Visible() || itself && back < 0 {
			back++
		}
		if back == r.Back {
			return c, nil
		}
	}
	return dotmesh.Commit{}, dotmesh.E("server.commitOf", dotmesh.NotFound, "%s goes back beyond the first commit; \"dm log\" shows them all", ref)
}

// start returns the place that a reference counts back from, and whether that commit
// itself is meant, even if it is a system commit: so it is for an id and for a stash.
func (s *service) start(ctx context.Context, d *dotmesh.Dot, b *dotmesh.Branch, r plan.Ref) (at dotmesh.Tip, itself bool, err error) {
	if r.Start == "HEAD" {
		return tipOf(b), false, nil
	}
	if other := s.node.view.branchNamed(d.ID, dotmesh.Name(r.Start)); other != nil {
		return tipOf(other), other.Stash != nil, nil
	}
	if !r.IsPrefix() {
		return at, false, noCommit(r.Start)
	}
	at, err = s.byPrefix(ctx, d, b, strings.ToLower(r.Start))
	return at, true, err
}

func noCommit(ref string) error {
	return dotmesh.E("server.commitOf", dotmesh.NotFound, "no commit or branch called %q; \"dm log\" shows the commits", ref)
}

// byPrefix finds the commit whose id begins so: in the branch's own history, and if it is
// not there in that of the dot's other branches and stashes.
func (s *service) byPrefix(ctx context.Context, d *dotmesh.Dot, b *dotmesh.Branch, prefix string) (dotmesh.Tip, error) {
	others := slices.DeleteFunc(s.node.view.branchesOf(d.ID), func(o *dotmesh.Branch) bool { return o.ID == b.ID })
	for _, group := range [][]*dotmesh.Branch{{b}, others} {
		found := map[dotmesh.CommitID]dotmesh.Tip{}
		for _, o := range group {
			for c, err := range s.node.history(ctx, tipOf(o)) {
				if err != nil {
					return dotmesh.Tip{}, err
				}
				if strings.HasPrefix(c.ID.String(), prefix) {
					found[c.ID] = dotmesh.Tip{Line: c.Line, Commit: c.ID}
				}
			}
		}
		switch len(found) {
		case 0:
			continue
		case 1:
			for _, tip := range found {
				return tip, nil
			}
		}
		return dotmesh.Tip{}, dotmesh.E("server.commitOf", dotmesh.Conflict, "%q is the beginning of %d commits; give more characters", prefix, len(found))
	}
	return dotmesh.Tip{}, noCommit(prefix)
}
