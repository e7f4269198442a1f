package plan

import "dotmesh.io/dotmesh"

// Fate is what becomes of a snapshot that is found in the pool.
type Fate int

const (
	// Leave: it is registered, or not this node's to judge.
	Leave Fate = iota
	// Remove: the line's history has gone on without it, so it was never registered and
	// never will be; the line's head contains its data.
	Remove
	// Complete: it follows the tip. Its caller was never answered, or was told that the
	// outcome is unknown, and the registry's answer may still be on its way: registering
	// it is the one thing that is right either way.
	Complete
)

// Judge decides what becomes of snapshot c of a line that branch b of this node owns. It
// goes by line and parent, not by epoch. Others holds the line's commits that the registry
// keeps or a tombstone remembers. A commit that failed for certain is not for Judge: its
// snapshot was destroyed, or condemned, before its caller was told.
func Judge(c *dotmesh.Commit, b *dotmesh.Branch, others []dotmesh.Commit) Fate {
	if c.Line != b.Pointer.Line {
		return Leave
	}
	passed := false
	for i := range others {
		if others[i].ID == c.ID {
			return Leave
		}
		passed = passed || others[i].Seq == c.Seq
	}
	switch {
	case c.Parent == b.Pointer.Tip && c.Seq == b.Pointer.Seq+1:
		return Complete
	case passed:
		return Remove
	}
	return Leave
}

// Next returns which of several snapshots of a line, oldest first, comes first to its fate:
// the newest that is to be completed, since that changes the fate of the others, else any.
func Next(fates []Fate) int {
	for i := len(fates) - 1; i >= 0; i-- {
		if fates[i] == Complete {
			return i
		}
	}
	return 0
}
