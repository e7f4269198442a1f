package dotmesh

// Origin is where a line was forked from: a commit of another line of the same dot. The
// zero Origin means that the line began empty.
type Origin struct {
	Line   LineID   `json:"line,omitzero"`
	Commit CommitID `json:"commit,omitzero"`
}

// IsZero reports whether the line began empty.
func (o Origin) IsZero() bool { return o == Origin{} }

// Line is one file system and its commits, as the registry has it. A line is never
// renamed or received over. It belongs to one branch, and changes its owner at most once:
// from that branch to a stash.
type Line struct {
	ID       LineID   `json:"id"`
	Dot      DotID    `json:"dot"`
	Origin   Origin   `json:"origin,omitzero"`
	Owner    BranchID `json:"owner"`
	Children []Origin `json:"children,omitempty"` // {line, commit}: that line was forked from this commit of ours
}

// Forked reports whether some line was forked from commit c of this line, so that c must
// stay.
func (l *Line) Forked(c CommitID) bool {
	for _, child := range l.Children {
		if child.Commit == c {
			return true
		}
	}
	return false
}
