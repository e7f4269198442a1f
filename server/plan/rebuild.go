package plan

import (
	"cmp"
	"slices"

	"dotmesh.io/dotmesh"
)

// Remains is what one node still has of a lost registry: the records and the newest entries
// of the operation logs as it last saw them, and the commits in its pool.
type Remains struct {
	Dots       []*dotmesh.Dot
	Branches   []*dotmesh.Branch
	Lines      []*dotmesh.Line
	Tombstones []*dotmesh.Tombstone
	Users      []*dotmesh.User
	Ops        []dotmesh.Op
	Pool       map[dotmesh.LineID][]dotmesh.Commit // by line; every line that the pool holds
}

// Rebuilt is a registry put together again.
type Rebuilt struct {
	Records []dotmesh.Record
	Ops     []dotmesh.Op
	Missing []*dotmesh.Branch // their tip is not in the pool: they went back to the newest commit that is
	Unknown []dotmesh.LineID  // lines in the pool that belong to no dot: left alone
}

// Rebuild puts a registry together from what a pool remembers. A branch keeps its pointer
// if the pool holds its tip, with the epoch raised by one, so that nothing of the old
// registry can pass for the new one. Commits up to the tip come from the pool. Those after
// it were never seen registered; [Judge] decides about them when the registry is there.
// Operation logs come back for the dots that do, deleted ones included.
func Rebuild(r Remains) Rebuilt {
	var out Rebuilt
	lines := map[dotmesh.LineID]*dotmesh.Line{}
	for _, l := range r.Lines {
		c := *l
		lines[l.ID] = &c
	}
	buried, dots := map[dotmesh.UUID]bool{}, map[dotmesh.DotID]bool{}
	for _, t := range r.Tombstones {
		out.Records = append(out.Records, t)
		switch t.Kind {
		case dotmesh.BuriedCommit:
			buried[t.ID] = true
		case dotmesh.BuriedDot:
			dots[t.Dot.ID] = true
		}
	}
	for _, u := range r.Users {
		out.Records = append(out.Records, u)
	}
	for _, d := range r.Dots {
		out.Records = append(out.Records, d)
		dots[d.ID] = true
	}
	for _, o := range r.Ops {
		if dots[o.Dot] {
			out.Ops = append(out.Ops, o)
		}
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

// branch adds a branch and the commits of its line that are its history.
func (out *Rebuilt) branch(b *dotmesh.Branch, origin dotmesh.Commit, pool []dotmesh.Commit, buried map[dotmesh.UUID]bool) {
	c := *b
	c.Pointer.Epoch++
	c.Pointer.State = dotmesh.State{Phase: dotmesh.Held}
	there := slices.DeleteFunc(slices.Clone(pool), func(p dotmesh.Commit) bool { return buried[p.ID.UUID] || p.Seq > b.Pointer.Seq })
	history := Chain(there, b.Pointer.Tip)
	if b.Pointer.Seq > 0 && len(history) == 0 {
		out.Missing = append(out.Missing, b)
		history = Chain(there, newest(there))
		c.Pointer = wind(c.Pointer, origin, history)
	}
	for i := range history {
		out.Records = append(out.Records, &history[i])
	}
	out.Records = append(out.Records, &c)
}

// newest returns the id of the commit with the highest seq.
func newest(commits []dotmesh.Commit) dotmesh.CommitID {
	if len(commits) == 0 {
		return dotmesh.CommitID{}
	}
	return slices.MaxFunc(commits, func(a, b dotmesh.Commit) int { return cmp.Compare(a.Seq, b.Seq) }).ID
}

// wind sets a pointer back to the newest commit of a history, given newest first, or to
// the line's origin. Those that are lost are counted as users' commits: nothing is left
// that says what they were.
func wind(p dotmesh.Pointer, origin dotmesh.Commit, history []dotmesh.Commit) dotmesh.Pointer {
	tip := origin
	tip.Seq = 0 // on this line
	p.Head = origin.ID
	if len(history) > 0 {
		tip = history[0]
	}
	for i := range history {
		if history[i].Visible() {
			p.Head = history[i].ID
			break
		}
	}
	p.Count -= min(p.Count, p.Seq-tip.Seq)
	p.Tip, p.Seq, p.Chain = tip.ID, tip.Seq, tip.Chain
	return p
}
