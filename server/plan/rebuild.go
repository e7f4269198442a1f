package plan

import (
	"cmp"
	"slices"

	"dotmesh.io/dotmesh"
)

// Remains is what one node still has of a lost registry: the records as it last saw them,
// and the commits in its pool.
type Remains struct {
	Dots       []*dotmesh.Dot
	Branches   []*dotmesh.Branch
	Lines      []*dotmesh.Line
	Tombstones []*dotmesh.Tombstone
	Users      []*dotmesh.User
	Pool       map[dotmesh.LineID][]dotmesh.Commit // by line; every line that the pool holds
}

// Rebuilt is a registry put together again.
type Rebuilt struct {
	Records []dotmesh.Record
	Missing []*dotmesh.Branch // their tip is not in the pool: they went back to the newest commit that is
	Unknown []dotmesh.LineID  // lines in the pool that belong to no dot: left alone
}

// Rebuild puts a registry together from what a pool remembers. A branch keeps its pointer
// if the pool holds its tip, with the epoch raised by one, so that nothing of the old
// registry can pass for the new one. Commits up to the tip come from the pool. Those after
// it were never seen registered; [Judge] decides about them when the registry is there.
func Rebuild(r Remains) Rebuilt {
	var out Rebuilt
	lines := map[dotmesh.LineID]*dotmesh.Line{}
	for _, l := range r.Lines {
		c := *l
		lines[l.ID] = &c
	}
	buried := map[dotmesh.UUID]bool{}
	for _, t := range r.Tombstones {
		out.Records = append(out.Records, t)
		if t.Kind == dotmesh.BuriedCommit {
			buried[t.ID] = true
		}
	}
	for _, u := range r.Users {
		out.Records = append(out.Records, u)
	}
	for _, d := range r.Dots {
		out.Records = append(out.Records, d)
	}
	for _, b := range r.Branches {
		out.branch(b, r.origin(lines[b.Pointer.Line]), r.Pool[b.Pointer.Line], buried)
	}
	for _, l := range lines {
		out.Records = append(out.Records, l)
	}
	for id := range r.Pool {
		if lines[id] == nil {
			out.Unknown = append(out.Unknown, id)
		}
	}
	return out
}

// origin returns the commit that a line was forked from, as far as the pool has it.
func (r *Remains) origin(line *dotmesh.Line) dotmesh.Commit {
	if line != nil {
		for _, c := range r.Pool[line.Origin.Line] {
			if c.ID == line.Origin.Commit {
				return c
			}
		}
	}
	return dotmesh.Commit{}
}

// branch adds a branch and the commits of its line.
func (out *Rebuilt) branch(b *dotmesh.Branch, origin dotmesh.Commit, pool []dotmesh.Commit, buried map[dotmesh.UUID]bool) {
	c := *b
	c.Pointer.Epoch++
	c.Pointer.State = dotmesh.State{Phase: dotmesh.Held}
	pool = slices.SortedFunc(slices.Values(pool), func(a, b dotmesh.Commit) int { return cmp.Compare(a.Seq, b.Seq) })
	var newest *dotmesh.Commit
	for i := range pool {
		p := &pool[i]
		switch {
		case buried[p.ID.UUID], p.Seq > b.Pointer.Seq:
		case p.Seq == b.Pointer.Seq && p.ID != b.Pointer.Tip:
		default:
			newest = p
			out.Records = append(out.Records, p)
		}
	}
	if b.Pointer.Seq > 0 && (newest == nil || newest.ID != b.Pointer.Tip) {
		out.Missing = append(out.Missing, b)
		c.Pointer = wind(c.Pointer, origin, pool[:kept(pool, newest)])
	}
	out.Records = append(out.Records, &c)
}

// kept returns how many of a line's commits, by Seq, end with newest.
func kept(pool []dotmesh.Commit, newest *dotmesh.Commit) int {
	for i := range pool {
		if newest != nil && pool[i].ID == newest.ID {
			return i + 1
		}
	}
	return 0
}

// wind sets a pointer back to the newest of its line's commits that are there, or to the
// line's origin. Those that are lost are counted as users' commits: nothing is left that
// says what they were.
func wind(p dotmesh.Pointer, origin dotmesh.Commit, there []dotmesh.Commit) dotmesh.Pointer {
	newest := origin
	newest.Seq = 0 // on this line
	p.Head = origin.ID
	for i := range there {
		newest = there[i]
		if newest.Visible() {
			p.Head = newest.ID
		}
	}
	p.Count -= min(p.Count, p.Seq-newest.Seq)
	p.Tip, p.Seq, p.Chain = newest.ID, newest.Seq, newest.Chain
	return p
}
