package verbs

import "dotmesh.io/dotmesh"

// Swing points a branch at another line. A takeover, which its log entry's verb marks, may
// change the master and begins in any phase; nothing else may.
func Swing(s dotmesh.Swinging) Verb {
	return func(tx *Tx) error {
		if err := checkSwinging(&s); err != nil {
			return err
		}
		tx.want(branchKey(s.Branch), lineKey(s.Line.ID), lineKey(s.Line.Origin.Line), lineKey(s.Expect.Line))
		if there := read[dotmesh.Line](tx, lineKey(s.Line.ID)); there != nil {
			if there.Owner == s.Branch && there.Origin == s.Line.Origin || swungBefore(tx, &s, there) {
				return nil
			}
			return exists("the id of the new line is in use")
		}
		branch, err := expect(tx, s.Branch, s.Expect)
		if err != nil {
			return err
		}
		if branch.Stash != nil {
			return invalid("a stash keeps its line; make a branch of it")
		}
		if s.Line.Dot != branch.Dot {
			return invalid("the new line is of another dot")
		}
		branch.Pointer = s.Next
		tx.put(branchKey(branch.ID), branch)
		if err := fork(tx, &s.Line, branch.Dot); err != nil {
			return err
		}
		tx.put(lineKey(s.Line.ID), &s.Line)
		if err := giveToStash(tx, &s, branch); err != nil {
			return err
		}
		return tx.log(branch.Dot, s.Op)
	}
}

// swungBefore finds an earlier success whose new line has gone to another stash since.
func swungBefore(tx *Tx, s *dotmesh.Swinging, line *dotmesh.Line) bool {
	owner := read[dotmesh.Branch](tx, branchKey(line.Owner))
	return owner != nil && owner.Stash != nil && owner.Stash.Of == s.Branch && line.Origin == s.Line.Origin
}

// giveToStash makes the old line the stash's own.
func giveToStash(tx *Tx, s *dotmesh.Swinging, branch *dotmesh.Branch) error {
	if s.Stash == nil {
		return nil
	}
	if s.Stash.Dot != branch.Dot {
		return invalid("the stash is of another dot")
	}
	name := nameKey(branch.Dot, s.Stash.Name)
	if !tx.free(name) {
		return exists("there is already a branch %q", s.Stash.Name)
	}
	if !tx.free(branchKey(s.Stash.ID)) {
		return exists("the id of stash %q is in use", s.Stash.Name)
	}
	old := read[dotmesh.Line](tx, lineKey(s.Expect.Line))
	if old == nil || old.Owner != s.Branch {
		return conflict("the line that branch %q leaves is not its own", branch.Name)
	}
	old.Owner = s.Stash.ID
	tx.put(lineKey(old.ID), old)
	tx.create(name, nameValue{ID: s.Stash.ID})
	tx.create(branchKey(s.Stash.ID), s.Stash)
	return nil
}

func checkSwinging(s *dotmesh.Swinging) error {
	takeover := s.Op.Verb == dotmesh.VerbTakeover
	switch {
	case s.Next.Epoch != s.Expect.Epoch+1 || s.Next.Epoch == 0:
		return invalid("a swing raises the epoch by one")
	case s.Next.State != dotmesh.State{Phase: dotmesh.Held} || s.Next.Master == "":
		return invalid("a swing ends with the branch held by a master")
	case s.Line.ID.IsZero() || s.Next.Line != s.Line.ID || s.Line.Owner != s.Branch || len(s.Line.Children) > 0:
		return invalid("a swing needs a new line that belongs to the branch")
	case s.Line.Origin.Line.IsZero() || s.Next.Tip != s.Line.Origin.Commit || s.Next.Seq != 0:
		return invalid("a swing ends at the commit that the new line was forked from")
	case !takeover && s.Expect.State.Phase != dotmesh.Held:
		return conflict("the branch is on its way to another node; try again when it has arrived")
	case !takeover && s.Next.Master != s.Expect.Master:
		return invalid("only a takeover changes the master")
	}
	return checkStash(s)
}

func checkStash(s *dotmesh.Swinging) error {
	if s.Stash == nil {
		return nil
	}
	p, at := s.Stash.Pointer, s.Expect
	switch {
	case s.Stash.ID.IsZero() || s.Stash.ID == s.Branch || s.Stash.Name == "":
		return invalid("a stash is a branch with an id and a name of its own")
	case s.Stash.Stash == nil || s.Stash.Stash.Of != s.Branch:
		return invalid("a stash says which branch it is of")
	case p.Line != at.Line || p.Tip != at.Tip || p.Seq != at.Seq || p.Chain != at.Chain:
		return invalid("a stash keeps what the branch pointed at")
	case p.State != dotmesh.State{Phase: dotmesh.Held} || p.Master == "" || p.Epoch == 0:
		return invalid("a stash is held by a master, with an epoch above 0")
	}
	return nil
}
