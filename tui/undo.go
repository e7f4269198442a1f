package tui

import (
	"context"
	"strconv"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
)

// undo reverses the newest operation of the dot under the cursor; among the operations, the
// one under the cursor; right after a deletion, that.
func (u *ui) undo() tea.Cmd {
	if u.at == atOps {
		return u.screens[atOps].(*ops).undo()
	}
	if gone := u.deleted; len(gone) > 0 {
		u.deleted = nil
		return u.bringBack(gone)
	}
	d := u.browse.dot()
	if d == nil {
		return u.nothing("a dot")
	}
	return u.undoNewest(d)
}

// bringBack asks before dots that were deleted are there again.
func (u *ui) bringBack(gone []wholeDot) tea.Cmd {
	return u.openForm(&form{
		heading: "Undo: bring back " + plural(len(gone), "dot", "dots"), do: "Undo", alike: len(gone) - 1,
		about:   append(listed(gone, 0), "They come back as they were when they were deleted, and can be deleted again."),
		command: func(_ []string, i int) []string { return []string{"undo", "--dot", gone[i].String()} },
		submit: func([]string) tea.Cmd {
			return callEach(u, "bring back", "brought back", gone, func(ctx context.Context, s dotmesh.Service, d wholeDot) error {
				ops, err := s.Ops(ctx, dotmesh.OpsRequest{Dot: d.dot, Limit: 1})
				if err != nil {
					return err
				}
				if len(ops) == 0 || ops[0].Dot != d.dotID {
					return dotmesh.E("tui.undo", dotmesh.Conflict, "another dot is called %s by now, or was; nothing was done", d)
				}
				_, err = s.Undo(ctx, dotmesh.UndoRequest{Dot: d.dot, Request: dotmesh.NewUUID()})
				return err
			})
		},
	})
}

// undoNewest finds out what an undo would reverse, and asks.
func (u *ui) undoNewest(d *dotmesh.DotStatus) tea.Cmd {
	return fetch(u, func(ctx context.Context, s dotmesh.Service) ([]dotmesh.Op, error) {
		return s.Ops(ctx, dotmesh.OpsRequest{Dot: d.Name, Limit: mostAtOnce})
	}, func(u *ui, all []dotmesh.Op, err error) tea.Cmd {
		if err != nil {
			u.fault("undo on "+d.Name.String(), err)
			return nil
		}
		if now := u.browse.dot(); u.dialog() != nil || now == nil || now.ID != d.ID {
			return nil // a dialog out of nowhere would take keys that are for something else
		}
		cleanOps(all)
		op := newest(all)
		if op == nil {
			return u.say("nothing is left to undo on " + d.Name.String() + "; 6 shows what was done")
		}
		return u.askUndo(d, op)
	})
}

// askUndo asks before an operation is undone: that one, whatever is done meanwhile.
func (u *ui) askUndo(d *dotmesh.DotStatus, op *dotmesh.Op) tea.Cmd {
	if made(op) {
		return u.undoMaking(d, op)
	}
	n := op.N
	about := string(op.Verb) + " " + string(op.Name) + ", by " + op.By + ", " + when(op.Time, u.o.Now()) + "."
	if op.Why != "" {
		about += " " + op.Why
	}
	return u.openForm(&form{
		heading: "Undo operation " + strconv.FormatUint(n, 10) + " of " + d.Name.String(), do: "Undo",
		about: []string{about, "An undo can be undone."},
		gone:  stillThere(d.ID, d.Name),
		command: func([]string, int) []string {
			return []string{"undo", strconv.FormatUint(n, 10), "--dot", d.Name.String()}
		},
		submit: func([]string) tea.Cmd { return u.undoOp(d.Name, n) },
	})
}

// newest is the operation, of some that begin with the newest, that an undo reverses; nil if
// it is not among them.
func newest(all []dotmesh.Op) *dotmesh.Op {
	undone := map[uint64]bool{}
	for i := range all {
		switch op := &all[i]; {
		case op.Undoes > 0 && !undone[op.N]: // one that was undone itself has undone nothing
			undone[op.Undoes] = true
		case op.Undoes == 0 && !undone[op.N]:
			return op
		}
	}
	return nil
}

// made reports whether an operation made something, which an undo deletes.
func made(op *dotmesh.Op) bool { return op.Verb == dotmesh.VerbInit || op.Verb == dotmesh.VerbBranch }

// undoMaking asks, as a delete does: the dot's name has to be typed where all of it goes.
func (u *ui) undoMaking(d *dotmesh.DotStatus, op *dotmesh.Op) tea.Cmd {
	f := &form{
		heading: "Undo " + string(op.Verb) + " on " + d.Name.String(), do: "Delete", gone: stillThere(d.ID, d.Name),
		about: []string{"The operation made branch " + string(op.Name) + "; to undo it is to delete that."},
		command: func([]string, int) []string {
			return []string{"undo", strconv.FormatUint(op.N, 10), "--dot", d.Name.String()}
		},
		submit: func([]string) tea.Cmd { return u.undoOp(d.Name, op.N) },
	}
	if op.Verb == dotmesh.VerbInit {
		f.about = []string{"The operation made the dot; to undo it is to delete that, with all of its branches."}
		f.typed = d.Name.String()
	}
	f.about = append(f.about, "The data are kept until retention ends; until then it can be brought back.")
	return u.openForm(f)
}

// undoOp undoes the operation with a number.
func (u *ui) undoOp(dot dotmesh.DotName, n uint64) tea.Cmd {
	return u.call("undo on "+dot.String(), func(ctx context.Context, s dotmesh.Service) (string, error) {
		undone, err := s.Undo(ctx, dotmesh.UndoRequest{Dot: dot, N: n, Request: dotmesh.NewUUID()})
		return "undid " + string(undone.Op.Verb) + " " + string(undone.Op.Name) + " of " + dot.String() + "; among the operations (6) this can be undone", err
	})
}
