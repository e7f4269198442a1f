package plan

import (
	"time"

	"dotmesh.io/dotmesh"
)

// Collectable says what a node may destroy for a sealed tombstone.
type Collectable struct {
	Commits []dotmesh.Cover // one by one
	Lines   []dotmesh.Cover // whole, those first that were forked from others of them
	Shrink  []dotmesh.Cover // they stay as origins: only what is newer than their last child may go
}

// Empty reports whether the registry has nothing left of what the tombstone buried.
func (c Collectable) Empty() bool { return len(c.Commits)+len(c.Lines)+len(c.Shrink) == 0 }

// Due reports whether a tombstone may be carried out: somebody has sealed it, or its
// retention has ended by this node's clock and it may be sealed.
func Due(t *dotmesh.Tombstone, now time.Time) bool { return t.Sealed || !now.Before(t.Keep) }

// Collect decides what sealed tombstone t allows, given the lines that the registry still
// has. A line that another one was forked from, which does not go as well, stays as that
// one's origin until that one is gone.
func Collect(t *dotmesh.Tombstone, line func(dotmesh.LineID) *dotmesh.Line) Collectable {
	var there []dotmesh.Cover
	going := map[dotmesh.LineID]bool{}
	for _, cover := range t.Covers {
		if line(cover.Line) != nil {
			there = append(there, cover)
			going[cover.Line] = true
		}
	}
	if t.Kind == dotmesh.BuriedCommit {
		return Collectable{Commits: there}
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
	for _, cover := range there {
		if going[cover.Line] {
			c.Lines = append(c.Lines, cover)
		} else {
			c.Shrink = append(c.Shrink, cover)
		}
	}
	c.Lines = childrenFirst(c.Lines, line)
	return c
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
func childrenFirst(covers []dotmesh.Cover, line func(dotmesh.LineID) *dotmesh.Line) []dotmesh.Cover {
	byDepth := map[int][]dotmesh.Cover{}
	deepest := 0
	for _, c := range covers {
		depth := 0
		for l := line(c.Line); l != nil && !l.Origin.IsZero(); l = line(l.Origin.Line) {
			depth++
		}
		byDepth[depth] = append(byDepth[depth], c)
		deepest = max(deepest, depth)
	}
	var ordered []dotmesh.Cover
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
