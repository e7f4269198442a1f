package verbs

import (
	"maps"
	"slices"
	"time"

	"dotmesh.io/dotmesh"
)

// burial is the value of a tombstone: what Unbury needs is kept with it.
type burial struct {
	dotmesh.Tombstone
	Before map[dotmesh.BranchID]dotmesh.Pointer `json:"before,omitempty"` // commit: the pointers that changed
	After  map[dotmesh.BranchID]dotmesh.Pointer `json:"after,omitempty"`
}

// Bury writes a tombstone and frees the name. However many branches a dot has, that is
// three writes: its branches' records and names stay until the last acknowledgement, and
// every verb on a branch has the absence of both tombstones as a condition.
func Bury(b dotmesh.Burial) Verb {
	return func(tx *Tx) error {
		if err := checkBurial(&b); err != nil {
			return err
		}
		t := &b.Tombstone
		tx.want(tombstoneKey(t.ID), dotKey(t.Dot.Name))
		if there := read[burial](tx, tombstoneKey(t.ID)); there != nil {
			return buriedBefore(&there.Tombstone, t)
		}
		dot := read[dotmesh.Dot](tx, dotKey(t.Dot.Name))
		if dot == nil || dot.ID != t.Dot.ID {
			return absent("there is no dot %q", t.Dot.Name)
		}
		for _, id := range sortedKeys(b.Expect) {
			branch, err := expect(tx, id, b.Expect[id])
			if err != nil {
				return err
			}
			if branch.Dot != dot.ID {
				return invalid("branch %q is of another dot", branch.Name)
			}
		}
		if err := buryKind(tx, &b, dot); err != nil {
			return err
		}
		return tx.log(dot.ID, b.Op)
	}
}

func buriedBefore(there, want *dotmesh.Tombstone) error {
	if there.Kind == want.Kind && there.By == want.By && there.At.Equal(want.At) {
		return nil
	}
	return conflict("it was deleted by %s meanwhile", there.By)
}

func buryKind(tx *Tx, b *dotmesh.Burial, dot *dotmesh.Dot) error {
	t := &b.Tombstone
	old := map[string][]byte{"dot": tx.value(dotKey(dot.Name))}
	switch t.Kind {
	case dotmesh.BuriedDot:
		if err := allBranches(tx, b); err != nil {
			return err
		}
		tx.drop(dotKey(dot.Name))
	case dotmesh.BuriedBranch:
		branch := read[dotmesh.Branch](tx, branchKey(t.Branch.ID))
		if branch == nil || branch.Name != t.Branch.Name {
			return conflict("branch %q has changed meanwhile; look at it and try again", t.Branch.Name)
		}
		if dot.Current == branch.ID {
			return conflict("%q is the current branch of dot %q; check out another one first", branch.Name, dot.Name)
		}
		tx.drop(nameKey(dot.ID, branch.Name))
	default:
		old["commit"] = tx.value(commitKey(t.Commit.Line, t.Commit.Seq))
		if err := buryCommit(tx, b); err != nil {
			return err
		}
	}
	value := burial{Tombstone: *t}
	if t.Kind == dotmesh.BuriedCommit {
		value.Before, value.After = b.Expect, b.Next
	}
	tx.putOver(object(old), tombstoneKey(t.ID), value)
	return nil
}

// allBranches checks that the pointers of all the dot's branches are expected.
func allBranches(tx *Tx, b *dotmesh.Burial) error {
	prefix := branchesPrefix(b.Tombstone.Dot.ID)
	names := tx.list(prefix)
	for key, item := range names {
		if name := parse[nameValue](tx, key, item.Value); name != nil {
			if _, ok := b.Expect[name.ID]; !ok {
				return conflict("dot %q has a new branch %q; look at it and try again", b.Tombstone.Dot.Name, key[len(prefix):])
			}
		}
	}
	return nil
}

// buryCommit removes the commit's record and changes the pointers that count it.
func buryCommit(tx *Tx, b *dotmesh.Burial) error {
	c := b.Tombstone.Commit
	key := commitKey(c.Line, c.Seq)
	tx.want(lineKey(c.Line), key)
	line := read[dotmesh.Line](tx, lineKey(c.Line))
	if line == nil || line.Dot != b.Tombstone.Dot.ID {
		return absent("the line of commit %s is gone", c.ID)
	}
	if _, ok := b.Expect[line.Owner]; !ok && tx.item(tombstoneKey(line.Owner.UUID)).Mod == 0 {
		return invalid("the branch of commit %s must be among those expected", c.ID)
	}
	if line.Forked(c.ID) {
		return conflict("a branch was made from commit %s, which keeps it; delete that branch first", c.ID)
	}
	if there := read[dotmesh.Commit](tx, key); there != nil {
		if there.ID != c.ID {
			return conflict("commit %s is registered in the place of %s", there.ID, c.ID)
		}
		tx.drop(key)
	}
	for _, id := range sortedKeys(b.Next) {
		branch := read[dotmesh.Branch](tx, branchKey(id))
		if branch == nil {
			return absent("a branch is gone")
		}
		branch.Pointer = b.Next[id]
		tx.put(branchKey(id), branch)
	}
	return nil
}

func checkBurial(b *dotmesh.Burial) error {
	t := &b.Tombstone
	switch {
	case t.ID.IsZero() || t.Dot.ID.IsZero() || t.By == "":
		return invalid("a tombstone needs an id, a dot and who made it")
	case t.Sealed || slices.ContainsFunc(t.Covers, func(c dotmesh.Cover) bool { return len(c.Acked) > 0 }):
		return invalid("nobody can have sealed or acknowledged a new tombstone")
	}
	switch t.Kind {
	case dotmesh.BuriedDot:
		if t.ID != t.Dot.ID.UUID {
			return invalid("a dot's tombstone has the dot's id")
		}
	case dotmesh.BuriedBranch:
		return checkBranchBurial(b)
	case dotmesh.BuriedCommit:
		return checkCommitBurial(b)
	default:
		return invalid("%q cannot be buried", t.Kind)
	}
	if len(b.Next) > 0 {
		return invalid("only the deletion of a commit changes pointers")
	}
	return checkCovers(b)
}

// checkCovers checks that a tombstone covers what the expected pointers hold: no less, or
// something would never go, and no more.
func checkCovers(b *dotmesh.Burial) error {
	covers := map[dotmesh.LineID]dotmesh.Cover{}
	for _, c := range b.Tombstone.Covers {
		covers[c.Line] = c
	}
	for _, p := range b.Expect {
		if c, ok := covers[p.Line]; !ok || c.Commit != p.Tip || c.Chain != p.Chain {
			return invalid("the tombstone must cover the line %s up to %s", p.Line, p.Tip)
		}
	}
	if len(b.Tombstone.Covers) != len(b.Expect) {
		return invalid("the tombstone covers lines of no branch that is deleted")
	}
	return nil
}

func checkBranchBurial(b *dotmesh.Burial) error {
	t := &b.Tombstone
	switch {
	case t.Branch == nil || t.ID != t.Branch.ID.UUID:
		return invalid("a branch's tombstone has the branch and its id")
	case t.ID == t.Dot.ID.UUID:
		return conflict("the branch %q goes only with its dot", dotmesh.MasterBranch)
	case len(b.Expect) != 1 || b.Expect[t.Branch.ID] == dotmesh.Pointer{}:
		return invalid("the deletion of a branch expects that branch's pointer")
	case len(b.Next) > 0:
		return invalid("only the deletion of a commit changes pointers")
	}
	return checkCovers(b)
}

func checkCommitBurial(b *dotmesh.Burial) error {
	t := &b.Tombstone
	if t.Commit == nil || t.ID != t.Commit.ID.UUID || len(b.Expect) == 0 {
		return invalid("a commit's tombstone has the commit and its id, and expects the branches that hold it")
	}
	if len(t.Covers) != 1 || t.Covers[0].Line != t.Commit.Line || t.Covers[0].Commit != t.Commit.ID {
		return invalid("a commit's tombstone covers that commit")
	}
	for id, p := range b.Expect {
		if p.Tip == t.Commit.ID {
			return conflict("commit %s is the newest of a branch; go back with \"dm reset\" instead", t.Commit.ID)
		}
		next, changes := b.Next[id]
		if p.Count, p.Head = next.Count, next.Head; changes && next != p {
			return invalid("the deletion of a commit changes only the count and the head")
		}
	}
	for id := range b.Next {
		if _, ok := b.Expect[id]; !ok {
			return invalid("only an expected pointer can change")
		}
	}
	return nil
}

// Unbury undoes a Bury, as long as no node can have destroyed anything for it.
func Unbury(tombstone dotmesh.UUID, op dotmesh.Op) Verb {
	return func(tx *Tx) error {
		key := tombstoneKey(tombstone)
		tx.want(key)
		t := read[burial](tx, key)
		if t == nil {
			return unburiedBefore(tx, tombstone, op)
		}
		if t.Sealed {
			return conflict("it was kept until %s and cannot be brought back any more", t.Keep.Format(time.DateTime))
		}
		var err error
		switch raw := tx.value(key); t.Kind {
		case dotmesh.BuriedDot:
			err = unburyDot(tx, t, raw)
		case dotmesh.BuriedBranch:
			err = unburyBranch(tx, t)
		default:
			err = unburyCommit(tx, t, raw)
		}
		if err != nil {
			return err
		}
		tx.drop(key)
		return tx.log(t.Dot.ID, op)
	}
}

// unburiedBefore finds an earlier success: the thing is there, or the log says so.
func unburiedBefore(tx *Tx, tombstone dotmesh.UUID, op dotmesh.Op) error {
	branch := read[dotmesh.Branch](tx, branchKey(dotmesh.BranchID{UUID: tombstone}))
	if branch != nil && alive(tx, branch) {
		return nil
	}
	if !op.Dot.IsZero() && !op.Request.IsZero() {
		last, err := tx.lastOp(op.Dot)
		if err != nil {
			return err
		}
		if last > 0 {
			if there := read[dotmesh.Op](tx, opKey(op.Dot, last)); there != nil && there.Request == op.Request {
				return nil
			}
		}
	}
	return absent("it was not deleted, or the time to undo that has passed")
}

func unburyDot(tx *Tx, t *burial, raw []byte) error {
	key := dotKey(t.Dot.Name)
	if read[dotmesh.Dot](tx, key) != nil {
		return exists("there is a new dot %q; rename or delete that first", t.Dot.Name)
	}
	tx.putOver(field(raw, "dot"), key, &t.Dot)
	return nil
}

func unburyBranch(tx *Tx, t *burial) error {
	if !tx.free(tombstoneKey(t.Dot.ID.UUID)) {
		return conflict("dot %q is deleted; undo that first", t.Dot.Name)
	}
	key := nameKey(t.Dot.ID, t.Branch.Name)
	if read[nameValue](tx, key) != nil {
		return exists("there is a new branch %q; delete that first", t.Branch.Name)
	}
	tx.put(key, nameValue{ID: t.Branch.ID})
	// Written again, so that watchers hear of it.
	if branch := read[dotmesh.Branch](tx, branchKey(t.Branch.ID)); branch != nil {
		tx.put(branchKey(branch.ID), branch)
	}
	return nil
}

// unburyCommit puts the record back, unless the registry would not keep it any more, and
// counts the commit again on every branch that counted it and is still on the same line.
func unburyCommit(tx *Tx, t *burial, raw []byte) error {
	if !tx.free(tombstoneKey(t.Dot.ID.UUID)) {
		return conflict("dot %q is deleted; undo that first", t.Dot.Name)
	}
	c := t.Commit
	line := read[dotmesh.Line](tx, lineKey(c.Line))
	if line == nil {
		return absent("commit %s went with its branch", c.ID)
	}
	if owner := read[burial](tx, tombstoneKey(line.Owner.UUID)); owner != nil && owner.Sealed && !line.Kept(c.ID, c.Seq) {
		return conflict("commit %s cannot be brought back: its branch was deleted, and the time to undo that has passed", c.ID)
	}
	key := commitKey(c.Line, c.Seq)
	if read[dotmesh.Commit](tx, key) != nil {
		return exists("another commit is in the place of %s", c.ID)
	}
	if !trimmed(tx, c.Line, c.Seq) {
		tx.putOver(field(raw, "commit"), key, c)
	}
	for _, id := range sortedKeys(t.After) {
		branch := read[dotmesh.Branch](tx, branchKey(id))
		before, after := t.Before[id], t.After[id]
		if branch == nil || branch.Pointer.Line != after.Line {
			continue
		}
		branch.Pointer.Count += before.Count - after.Count
		if branch.Pointer.Head == after.Head {
			branch.Pointer.Head = before.Head
		}
		tx.put(branchKey(id), branch)
	}
	return nil
}

func sortedKeys[V any](m map[dotmesh.BranchID]V) []dotmesh.BranchID {
	return slices.SortedFunc(maps.Keys(m), func(a, b dotmesh.BranchID) int {
		return slices.Compare(a.UUID[:], b.UUID[:])
	})
}
