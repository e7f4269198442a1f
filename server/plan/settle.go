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
// goes by line and parent, not by epoch. Registered holds the line's commits that the
// registry keeps, by Seq. A commit that failed for certain is not here: its snapshot was
// destroyed before its caller was told.
func Judge(c *dotmesh.Commit, b *dotmesh.Branch, registered []dotmesh.Commit) Fate {
	for i := range registered {
		if registered[i].ID == c.ID {
			return Leave
		}
	}
	switch {
	case c.Line != b.Pointer.Line:
		return Leave
	case c.Parent == b.Pointer.Tip && c.Seq == b.Pointer.Seq+1:
		return Complete
	case len(registered) > 0 && registered[0].Seq <= c.Seq && c.Seq <= b.Pointer.Seq:
		return Remove
	}
	return Leave
}
