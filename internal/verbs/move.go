package verbs

import "dotmesh.io/dotmesh"

// BeginMove announces that a held branch will go to another node.
func BeginMove(m dotmesh.Move) Verb {
	return func(tx *Tx) error {
		if err := checkMove(&m, dotmesh.Held); err != nil {
			return err
		}
		tx.want(branchKey(m.Branch), nodeKey(m.To))
		branch, err := expect(tx, m.Branch, m.Expect)
		if err != nil {
			if branch != nil && branch.Pointer.Epoch == m.Expect.Epoch && branch.Pointer.State.Move == m.ID {
				return nil
			}
			return err
		}
		if branch.Stash != nil {
			return invalid("a stash is not moved; make a branch of it")
		}
		if read[dotmesh.Node](tx, nodeKey(m.To)) == nil {
			return absent("there is no node %s", m.To)
		}
		branch.Pointer.State = dotmesh.State{Phase: dotmesh.Moving, To: m.To, Move: m.ID, Deadline: m.Deadline}
		tx.put(branchKey(branch.ID), branch)
		return nil
	}
}

// Release lets a moving branch go, with the commit of what was still dirty, if any.
func Release(m dotmesh.Move, closing *dotmesh.Commit) Verb {
	return func(tx *Tx) error {
		if err := checkMove(&m, dotmesh.Moving); err != nil {
			return err
		}
		p := m.Expect
		if closing != nil {
			if err := checkNext(p, closing); err != nil {
				return err
			}
			p = advance(p, closing)
		}
		last := commitKey(p.Line, p.Seq)
		tx.want(branchKey(m.Branch), last)
		branch, err := expect(tx, m.Branch, m.Expect)
		if err != nil {
			if branch != nil && releasedBefore(branch.Pointer, p, m.ID) {
				return nil
			}
			return err
		}
		p.State = dotmesh.State{Phase: dotmesh.Released, To: m.To, Move: m.ID, Commit: p.Tip}
		there := read[dotmesh.Commit](tx, last)
		switch {
		case closing != nil && there != nil:
			return conflict("commit %s is registered in the place of %s", there.ID, closing.ID)
		case closing != nil:
			p.State.GUID = closing.GUID
			tx.put(last, closing)
		case there != nil && there.ID == p.Tip:
			p.State.GUID = there.GUID
		}
		branch.Pointer = p
		tx.put(branchKey(branch.ID), branch)
		return nil
	}
}

func releasedBefore(there, want dotmesh.Pointer, move dotmesh.UUID) bool {
	return there.State.Phase == dotmesh.Released && there.State.Move == move && there.Tip == want.Tip && there.Epoch == want.Epoch
}

// Take makes the target of a released branch its master.
func Take(m dotmesh.Move, position dotmesh.Position) Verb {
	return func(tx *Tx) error {
		if err := checkMove(&m, dotmesh.Released); err != nil {
			return err
		}
		if position.Node != m.To || position.Line != m.Expect.Line || position.Commit != m.Expect.State.Commit {
			return invalid("who takes a branch must hold the commit at which it was released")
		}
		held := positionKey(m.To, position.Line)
		tx.want(branchKey(m.Branch), held)
		done, err := endMove(tx, &m, m.To)
		if done || err != nil {
			return err
		}
		return place(tx, held, &position)
	}
}

// Abort gives a moving or released branch back to its master.
func Abort(m dotmesh.Move) Verb {
	return func(tx *Tx) error {
		if err := checkMove(&m, dotmesh.Moving, dotmesh.Released); err != nil {
			return err
		}
		_, err := endMove(tx, &m, m.Expect.Master)
		return err
	}
}

// endMove ends a move with the branch held by master. It returns true if it had ended so:
// with the epoch one higher on the same line, only this move can have ended.
func endMove(tx *Tx, m *dotmesh.Move, master dotmesh.NodeID) (bool, error) {
	branch, err := expect(tx, m.Branch, m.Expect)
	if err != nil {
		if branch == nil {
			return false, err
		}
		p := branch.Pointer
		if p.Epoch == m.Expect.Epoch+1 && p.Line == m.Expect.Line && p.Master == master {
			return true, nil
		}
		return false, err
	}
	branch.Pointer.Master = master
	branch.Pointer.Epoch++
	branch.Pointer.State = dotmesh.State{Phase: dotmesh.Held}
	tx.put(branchKey(branch.ID), branch)
	return false, nil
}

// checkMove checks that a move is whole and in one of the phases.
func checkMove(m *dotmesh.Move, phases ...dotmesh.Phase) error {
	state := m.Expect.State
	switch {
	case m.Branch.IsZero() || m.ID.IsZero() || m.To == "":
		return invalid("a move needs a branch, an id and a target")
	case m.To == m.Expect.Master:
		return invalid("the branch is on that node already")
	case !oneOf(state.Phase, phases...):
		return conflict("the branch is %s, which this step of a move does not begin with", phaseText(state.Phase))
	case state.Phase != dotmesh.Held && (state.Move != m.ID || state.To != m.To):
		return conflict("the branch is on another move")
	case m.Expect.Epoch+1 == 0:
		return invalid("the epoch cannot be raised further")
	}
	return nil
}

func phaseText(p dotmesh.Phase) string {
	if p == "" {
		return "in no phase"
	}
	return string(p)
}
