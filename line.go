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
	ID        LineID   `json:"id"`
	Dot       DotID    `json:"dot"`
	Origin    Origin   `json:"origin,omitzero"`
	OriginSeq uint64   `json:"origin_seq,omitempty"` // the origin commit's place on its line
	Owner     BranchID `json:"owner"`
	Children  []Child  `json:"children,omitempty"`
}

// Child is a line that was forked from a commit of ours.
type Child struct {
	Line   LineID   `json:"line"`
	Commit CommitID `json:"commit"`
	Seq    uint64   `json:"seq,omitempty"` // the commit's place
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

// Kept reports whether the commit in that place stays for as long as the lines live that
// were forked from this one: it is one that they were forked from, or older.
func (l *Line) Kept(c CommitID, seq uint64) bool {
	for _, child := range l.Children {
		if child.Commit == c || 0 < seq && seq <= child.Seq {
			return true
		}
	}
	return false
}
