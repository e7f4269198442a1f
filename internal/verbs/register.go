package verbs

import "dotmesh.io/dotmesh"

// Register appends a commit to a branch.
func Register(r dotmesh.Registration) Verb {
	return func(tx *Tx) error {
		if err := checkRegistration(&r); err != nil {
			return err
		}
		key := commitKey(r.Commit.Line, r.Commit.Seq)
		tx.want(branchKey(r.Branch))
		if !r.Op.Dot.IsZero() {
			tx.tail(opsPrefix(r.Op.Dot))
		}
		branch, err := expect(tx, r.Branch, r.Expect)
		if err != nil || !tx.free(key) {
			if done, other := committedBefore(tx, &r.Commit); done || other != nil {
				return other
			}
			if branch != nil && branch.Pointer.Tip == r.Commit.ID {
				return nil // registered, and its record thinned out since
			}
			return err
		}
		branch.Pointer = advance(branch.Pointer, &r.Commit)
		tx.put(branchKey(branch.ID), branch)
		tx.put(key, &r.Commit)
		return tx.log(branch.Dot, r.Op)
	}
}

func checkRegistration(r *dotmesh.Registration) error {
	if r.Branch.IsZero() {
		return invalid("a registration needs a branch")
	}
	if r.Expect.State.Phase != dotmesh.Held {
		return conflict("the branch is on its way to another node; try again when it has arrived")
	}
	return checkNext(r.Expect, &r.Commit)
}

// checkNext checks that a commit is the one after a pointer's tip.
func checkNext(p dotmesh.Pointer, c *dotmesh.Commit) error {
	switch {
	case c.ID.IsZero():
		return invalid("a commit needs an id")
	case c.Line != p.Line || c.Seq != p.Seq+1 || c.Parent != p.Tip:
		return invalid("commit %s does not follow the branch's tip %s", c.ID, p.Tip)
	case c.Chain != p.Chain.After(c):
		return invalid("the chain of commit %s does not follow from the branch's", c.ID)
	}
	return checkCommit(c)
}

// advance returns the pointer with the commit appended.
func advance(p dotmesh.Pointer, c *dotmesh.Commit) dotmesh.Pointer {
	p.Tip, p.Seq, p.Chain = c.ID, c.Seq, c.Chain
	if c.Visible() {
		p.Head = c.ID
		p.Count++
	}
	return p
}

// committedBefore finds an earlier success, or another commit in the same place.
func committedBefore(tx *Tx, c *dotmesh.Commit) (bool, error) {
	there := read[dotmesh.Commit](tx, commitKey(c.Line, c.Seq))
	if there == nil {
		return false, nil
	}
	if !same(there, c) {
		return false, conflict("commit %s is registered in the place of %s", there.ID, c.ID)
	}
	return true, nil
}

// expect returns the branch if its pointer is the expected one. With [dotmesh.Conflict]
// it returns the branch as well, so that a verb can look for its own success.
func expect(tx *Tx, id dotmesh.BranchID, p dotmesh.Pointer) (*dotmesh.Branch, error) {
	branch := read[dotmesh.Branch](tx, branchKey(id))
	if branch == nil {
		return nil, absent("the branch is gone")
	}
	if !alive(tx, branch) {
		return nil, absent("branch %q was deleted; \"dm undo\" may bring it back", branch.Name)
	}
	if branch.Pointer != p {
		return branch, conflict("branch %q has changed meanwhile; look at it and try again", branch.Name)
	}
	return branch, nil
}

// alive reports whether neither the branch nor its dot is buried.
func alive(tx *Tx, b *dotmesh.Branch) bool {
	branch := tx.free(tombstoneKey(b.ID.UUID))
	return tx.free(tombstoneKey(b.Dot.UUID)) && branch
}
