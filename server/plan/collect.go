package plan

import (
	"time"

	"dotmesh.io/dotmesh"
)

// Collectable says what a node may destroy for a tombstone whose time has come.
type Collectable struct {
	Commits []dotmesh.Cover  // one by one
	Lines   []dotmesh.LineID // whole, those first that others were forked from
	Shrink  []dotmesh.LineID // they stay as origins: only what is newer than their last child may go
}

// Done reports whether nothing will be left of what the tombstone buried.
func (c Collectable) Done() bool { return len(c.Shrink) == 0 }

// Collect decides what tombstone t allows at time now, given the lines that the registry
// still has. It is nothing until the tombstone's retention has ended. A line that another
// one was forked from, which is not buried with it, stays as that one's origin.
func Collect(t *dotmesh.Tombstone, line func(dotmesh.LineID) *dotmesh.Line, now time.Time) (Collectable, bool) {
	if now.Before(t.Keep) {
		return Collectable{}, false
	}
	if t.Kind == dotmesh.BuriedCommit {
		return Collectable{Commits: t.Covers}, true
	}
	going := map[dotmesh.LineID]bool{}
	for _, cover := range t.Covers {
		going[cover.Line] = line(cover.Line) != nil
	}
	for changed := true; changed; {
		changed = false
		for id, goes := range going {
			if goes && hasOutsideChild(line(id), going, line) {
				going[id], changed = false, true
			}
		}
	}
	var c Collectable
	for _, cover := range t.Covers {
		switch {
		case line(cover.Line) == nil:
		case going[cover.Line]:
			c.Lines = append(c.Lines, cover.Line)
		default:
			c.Shrink = append(c.Shrink, cover.Line)
		}
	}
	c.Lines = childrenFirst(c.Lines, line)
	return c, true
}

func hasOutsideChild(l *dotmesh.Line, going map[dotmesh.LineID]bool, line func(dotmesh.LineID) *dotmesh.Line) bool {
	for _, child := range l.Children {
		if !going[child.Line] && line(child.Line) != nil {
			return true
		}
	}
	return false
}

// childrenFirst orders lines so that each comes before the one that it was forked from.
func childrenFirst(ids []dotmesh.LineID, line func(dotmesh.LineID) *dotmesh.Line) []dotmesh.LineID {
	byDepth := map[int][]dotmesh.LineID{}
	deepest := 0
	for _, id := range ids {
		depth := 0
		for l := line(id); l != nil && !l.Origin.IsZero(); l = line(l.Origin.Line) {
			depth++
		}
		byDepth[depth] = append(byDepth[depth], id)
		deepest = max(deepest, depth)
	}
	var ordered []dotmesh.LineID
	for d := deepest; d >= 0; d-- {
		ordered = append(ordered, byDepth[d]...)
	}
	return ordered
}

// Droppable returns the commits of a line, oldest first, that are newer than its last one
// that another line was forked from.
func Droppable(l *dotmesh.Line, commits []dotmesh.CommitID) []dotmesh.CommitID {
	for i := len(commits) - 1; i >= 0; i-- {
		if l.Forked(commits[i]) {
			return commits[i+1:]
		}
	}
	return nil
}

// Held is what a pool holds of a line.
type Held struct {
	Newest *dotmesh.Commit // nil: no commit of its own
	Head   bool            // it has a writable head
	Dirty  int64           // bytes of the head that are not in Newest
}

// Exact reports whether a line in the pool holds part of the registered history that a
// cover names and nothing else: only then may a tombstone destroy it. Registered holds
// the line's commits that the registry keeps. A line without a head may have lost its
// newest commits already, when it was shrunk.
func Exact(h Held, registered []dotmesh.Commit, cover dotmesh.Cover) bool {
	switch {
	case h.Dirty != 0:
		return false
	case h.Newest == nil:
		return true // all that it holds is its origin's
	case h.Newest.ID == cover.Commit:
		return h.Newest.Chain == cover.Chain
	case h.Head:
		return false
	}
	for i := range registered {
		if registered[i].ID == h.Newest.ID {
			return registered[i].Chain == h.Newest.Chain
		}
	}
	return len(registered) > 0 && h.Newest.Seq < registered[0].Seq
}
