package plan

import "dotmesh.io/dotmesh"

// ForkPoint returns where a branch was forked from another one; nil if the dot began with
// it. It goes up the lines' origins, over those that belong to the branch itself: it left
// them when it was reset, and stashes own them now. A stash stands for the branch it is of,
// both where it is the one that is asked about and where something was forked from it.
//
// The line and the branch of an id are nil where nothing is known of them. A line whose
// owner is not known is passed over, since nobody can say whose it was.
func ForkPoint(b *dotmesh.Branch, line func(dotmesh.LineID) *dotmesh.Line, branch func(dotmesh.BranchID) *dotmesh.Branch) *dotmesh.ForkPoint {
	self := standsFor(b, branch)
	for at := line(b.Pointer.Line); at != nil && !at.Origin.IsZero(); {
		origin := at.Origin
		if at = line(origin.Line); at == nil {
			return nil
		}
		owner := branch(at.Owner)
		if owner == nil {
			continue
		}
		if id := standsFor(owner, branch); id != self {
			return &dotmesh.ForkPoint{Branch: id, Commit: origin.Commit}
		}
	}
	return nil
}

// standsFor returns the ordinary branch that a branch or stash stands for, which may be
// gone.
func standsFor(b *dotmesh.Branch, branch func(dotmesh.BranchID) *dotmesh.Branch) dotmesh.BranchID {
	for b.Stash != nil {
		of := branch(b.Stash.Of)
		if of == nil {
			return b.Stash.Of
		}
		b = of
	}
	return b.ID
}
