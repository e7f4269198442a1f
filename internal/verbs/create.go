package verbs

import (
	"slices"

	"dotmesh.io/dotmesh"
)

// MaxCommits is how many commits one Create takes; more follow by Register.
const MaxCommits = 100

// Create makes a dot with its master branch, or a branch.
func Create(c dotmesh.Creation) Verb {
	return func(tx *Tx) error {
		if err := checkCreation(&c); err != nil {
			return err
		}
		b := &c.Branch
		tx.want(branchKey(b.ID), lineKey(c.Line.ID), nameKey(b.Dot, b.Name))
		if c.Dot != nil {
			tx.want(dotKey(c.Dot.Name))
		}
		if done, err := createdBefore(tx, &c); done || err != nil {
			return err
		}
		if err := createDot(tx, &c); err != nil {
			return err
		}
		if named := read[nameValue](tx, nameKey(b.Dot, b.Name)); named != nil {
			return exists("there is already a branch %q", b.Name)
		}
		if err := fork(tx, &c.Line, b.Dot); err != nil {
			return err
		}
		tx.put(nameKey(b.Dot, b.Name), nameValue{ID: b.ID})
		tx.put(branchKey(b.ID), b)
		tx.put(lineKey(c.Line.ID), &c.Line)
		for i := range c.Commits {
			if key := commitKey(c.Line.ID, c.Commits[i].Seq); tx.free(key) {
				tx.create(key, &c.Commits[i])
			}
		}
		if c.Holder != nil {
			tx.put(positionKey(c.Holder.Node, c.Holder.Line), c.Holder)
		}
		return tx.log(b.Dot, c.Op)
	}
}

// createdBefore finds an earlier success of the same creation.
func createdBefore(tx *Tx, c *dotmesh.Creation) (bool, error) {
	branch := read[dotmesh.Branch](tx, branchKey(c.Branch.ID))
	line := read[dotmesh.Line](tx, lineKey(c.Line.ID))
	if branch == nil && line == nil {
		return false, nil
	}
	if branch == nil || line == nil ||
		branch.Dot != c.Branch.Dot || branch.Name != c.Branch.Name || branch.Created.UnixNano() != c.Branch.Created.UnixNano() ||
		line.Dot != c.Line.Dot || line.Origin != c.Line.Origin {
		return false, exists("the id of branch %q or of its line is in use", c.Branch.Name)
	}
	if c.Dot != nil {
		if dot := read[dotmesh.Dot](tx, dotKey(c.Dot.Name)); dot == nil || dot.ID != c.Dot.ID {
			return false, exists("the id of dot %q is in use", c.Dot.Name)
		}
	}
	return true, nil
}

// createDot writes the dot's record, or checks that the dot is there.
func createDot(tx *Tx, c *dotmesh.Creation) error {
	if c.Dot == nil {
		if dot := (dotmesh.BranchID{UUID: c.Branch.Dot.UUID}); read[dotmesh.Branch](tx, branchKey(dot)) == nil || !tx.free(tombstoneKey(c.Branch.Dot.UUID)) {
			return absent("the dot of branch %q is gone", c.Branch.Name)
		}
		return nil
	}
	if read[dotmesh.Dot](tx, dotKey(c.Dot.Name)) != nil {
		return exists("there is already a dot %q; choose another name", c.Dot.Name)
	}
	tx.put(dotKey(c.Dot.Name), c.Dot)
	return nil
}

// fork makes line a child of its origin, which must still be there.
func fork(tx *Tx, line *dotmesh.Line, dot dotmesh.DotID) error {
	if line.Origin.IsZero() {
		return nil
	}
	origin := read[dotmesh.Line](tx, lineKey(line.Origin.Line))
	switch {
	case origin == nil:
		return absent("the line to fork from is gone")
	case origin.Dot != dot:
		return invalid("a line can only be forked within its dot")
	case !tx.free(tombstoneKey(line.Origin.Commit.UUID)):
		return absent("commit %s was deleted; \"dm undo\" may bring it back", line.Origin.Commit)
	case !tx.free(tombstoneKey(origin.Owner.UUID)) && !origin.Kept(line.Origin.Commit, line.OriginSeq):
		return absent("the branch of commit %s was deleted; \"dm undo\" may bring it back", line.Origin.Commit)
	case collected(tx, line):
		return absent("commit %s was deleted, and the time to undo that has passed", line.Origin.Commit)
	}
	child := dotmesh.Child{Line: line.ID, Commit: line.Origin.Commit, Seq: line.OriginSeq}
	if !slices.Contains(origin.Children, child) {
		origin.Children = append(origin.Children, child)
	}
	tx.put(lineKey(origin.ID), origin)
	return nil
}

// collected reports whether the commit that a line was forked from has gone for good. Where
// the caller did not say its place, and below what the registry keeps of the origin, it
// cannot be seen here: there the fork itself would have failed.
func collected(tx *Tx, line *dotmesh.Line) bool {
	if line.OriginSeq == 0 {
		return false
	}
	there := read[dotmesh.Commit](tx, commitKey(line.Origin.Line, line.OriginSeq))
	if there == nil {
		return !trimmed(tx, line.Origin.Line, line.OriginSeq)
	}
	return there.ID != line.Origin.Commit
}

// trimmed reports whether a place on a line is below the records that the registry keeps:
// what is there is read from the pools.
func trimmed(tx *Tx, line dotmesh.LineID, seq uint64) bool {
	for key := range tx.list(commitsPrefix(line)) {
		if key < commitKey(line, seq) {
			return false
		}
	}
	return true
}

func checkCreation(c *dotmesh.Creation) error {
	b, l := &c.Branch, &c.Line
	switch {
	case b.ID.IsZero() || b.Dot.IsZero() || l.ID.IsZero():
		return invalid("a creation needs the ids of its branch, dot and line")
	case b.Name == "":
		return invalid("a branch needs a name")
	case b.Pointer.Line != l.ID || l.Owner != b.ID || l.Dot != b.Dot || len(l.Children) > 0:
		return invalid("a new branch and its new line must belong to each other")
	case b.Pointer.State != dotmesh.State{Phase: dotmesh.Held} || b.Pointer.Master == "" || b.Pointer.Epoch == 0:
		return invalid("a new branch must be held by a master, with an epoch above 0")
	case l.Origin.Line.IsZero() != l.Origin.Commit.IsZero():
		return invalid("an origin is a line and a commit")
	case c.Holder != nil && (c.Holder.Line != l.ID || c.Holder.Node == ""):
		return invalid("the position must be of the new line")
	case len(c.Commits) > MaxCommits:
		return dotmesh.E("", dotmesh.TooMany, "a line begins with at most %d commits; register the others one by one", MaxCommits)
	}
	if c.Dot != nil {
		if err := checkNewDot(c.Dot, b, l); err != nil {
			return err
		}
	} else if b.ID.UUID == b.Dot.UUID {
		return invalid("a master branch is made with its dot")
	}
	return checkFirstCommits(c)
}

func checkNewDot(d *dotmesh.Dot, b *dotmesh.Branch, l *dotmesh.Line) error {
	switch {
	case d.ID != b.Dot || b.ID.UUID != d.ID.UUID || b.Name != dotmesh.MasterBranch || b.Stash != nil:
		return invalid("a dot is born with the branch %q, which has the dot's id", dotmesh.MasterBranch)
	case d.Name.Namespace == "" || d.Name.Name == "":
		return invalid("a dot needs a namespace and a name")
	case d.Current != b.ID:
		return invalid("a new dot's current branch is %q", dotmesh.MasterBranch)
	case !l.Origin.IsZero():
		return invalid("a new dot's line has no origin")
	}
	return nil
}

// checkFirstCommits checks that the commits follow each other and end at the pointer.
func checkFirstCommits(c *dotmesh.Creation) error {
	p, parent, seq := c.Branch.Pointer, c.Line.Origin.Commit, uint64(0)
	for i := range c.Commits {
		commit := &c.Commits[i]
		if commit.Line != c.Line.ID || commit.Parent != parent || commit.Seq <= seq || commit.ID.IsZero() {
			return invalid("the commits of a new line must follow each other")
		}
		if err := checkCommit(commit); err != nil {
			return err
		}
		parent, seq = commit.ID, commit.Seq
	}
	if p.Tip != parent || p.Seq != seq {
		return invalid("the pointer of a new branch must be at its last commit")
	}
	if n := len(c.Commits); n > 0 && c.Commits[n-1].Chain != p.Chain {
		return invalid("the pointer of a new branch must have the chain of its last commit")
	}
	return nil
}

func checkCommit(c *dotmesh.Commit) error {
	switch {
	case c.Size() > dotmesh.MaxMessage:
		return invalid("message, author and metadata of a commit are %d bytes and may be %d", c.Size(), dotmesh.MaxMessage)
	case !oneOf(c.Kind, dotmesh.InitialCommit, dotmesh.UserCommit, dotmesh.SystemCommit):
		return invalid("%q is no kind of commit", c.Kind)
	}
	return nil
}
