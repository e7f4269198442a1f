package plan_test

import (
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/plan"
)

// family is branches and lines by short names. A line is written "name: owner, origin";
// its origin's commit is called after both lines.
type family struct {
	branches map[string]*dotmesh.Branch
	lines    map[string]*dotmesh.Line
}

func lineID(name string) dotmesh.LineID {
	return dotmesh.LineID{UUID: dotmesh.UUID{}.Derive("line " + name)}
}

func branchID(name string) dotmesh.BranchID {
	return dotmesh.BranchID{UUID: dotmesh.UUID{}.Derive("branch " + name)}
}

func forkOf(line, origin string) dotmesh.CommitID {
	return dotmesh.CommitID{UUID: dotmesh.UUID{}.Derive(line + " from " + origin)}
}

// branch adds a branch that points at a line; of is the branch that a stash is of.
func (f family) branch(name, line, of string) family {
	b := &dotmesh.Branch{ID: branchID(name), Pointer: dotmesh.Pointer{Line: lineID(line)}}
	if of != "" {
		b.Stash = &dotmesh.Stash{Of: branchID(of)}
	}
	f.branches[name] = b
	return f
}

func (f family) line(name, owner, origin string) family {
	l := &dotmesh.Line{ID: lineID(name), Owner: branchID(owner)}
	if origin != "" {
		l.Origin = dotmesh.Origin{Line: lineID(origin), Commit: forkOf(name, origin)}
	}
	f.lines[name] = l
	return f
}

func newFamily() family {
	return family{map[string]*dotmesh.Branch{}, map[string]*dotmesh.Line{}}
}

func TestForkPoint(t *testing.T) {
	// prod was forked from master and reset twice; both lines that it left are stashes'.
	reset := newFamily().
		branch("master", "A", "").line("A", "master", "").
		branch("prod", "D", "").line("D", "prod", "C").
		branch("S1", "B", "prod").line("B", "S1", "A").
		branch("S2", "C", "prod").line("C", "S2", "B").
		branch("saved", "E", "").line("E", "saved", "C")
	// master itself was reset, and what it left has descendants.
	root := newFamily().
		branch("master", "B", "").line("B", "master", "A").
		branch("S", "A", "master").line("A", "S", "").
		branch("back", "C", "").line("C", "back", "A").
		branch("SS", "D", "S").line("D", "SS", "A").
		branch("late", "E", "").line("E", "late", "D").
		branch("orphan", "F", "").line("F", "orphan", "gone").
		branch("stray", "G", "").line("G", "stray", "H").line("H", "unknown", "A").
		branch("lost", "I", "").
		branch("SX", "J", "deleted").line("J", "SX", "").
		branch("heir", "K", "").line("K", "heir", "J")
	for name, test := range map[string]struct {
		family       family
		of           string
		want         string // "": the dot began with it
		line, origin string // of the commit
	}{
		"a dot's first branch":                             {reset, "master", "", "", ""},
		"a branch that was reset":                          {reset, "prod", "master", "B", "A"},
		"a stash of it":                                    {reset, "S1", "master", "B", "A"},
		"a later stash of it":                              {reset, "S2", "master", "B", "A"},
		"a branch from a stash":                            {reset, "saved", "prod", "E", "C"},
		"the first branch, reset":                          {root, "master", "", "", ""},
		"its stash":                                        {root, "S", "", "", ""},
		"a branch from history that a reset dropped":       {root, "back", "master", "C", "A"},
		"a stash of a stash":                               {root, "SS", "", "", ""},
		"a branch from a stash of a stash":                 {root, "late", "master", "E", "D"},
		"a line whose origin is not known":                 {root, "orphan", "", "", ""},
		"a line whose origin is nobody's that is known":    {root, "stray", "master", "H", "A"},
		"a branch whose line is not known":                 {root, "lost", "", "", ""},
		"a branch from the stash of a branch that is gone": {root, "heir", "deleted", "K", "J"},
	} {
		t.Run(name, func(t *testing.T) {
			byLine, byBranch := map[dotmesh.LineID]*dotmesh.Line{}, map[dotmesh.BranchID]*dotmesh.Branch{}
			for _, l := range test.family.lines {
				byLine[l.ID] = l
			}
			for _, b := range test.family.branches {
				byBranch[b.ID] = b
			}
			got := plan.ForkPoint(test.family.branches[test.of],
				func(id dotmesh.LineID) *dotmesh.Line { return byLine[id] },
				func(id dotmesh.BranchID) *dotmesh.Branch { return byBranch[id] })
			switch {
			case test.want == "" && got != nil:
				t.Errorf("got %+v, want none", got)
			case test.want == "":
			case got == nil:
				t.Errorf("got none, want %s", test.want)
			case got.Branch != branchID(test.want) || got.Commit != forkOf(test.line, test.origin):
				t.Errorf("got %+v, want %s at %s", got, branchID(test.want), forkOf(test.line, test.origin))
			}
		})
	}
}
