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
		return callEach(u, "bring back", "brought back", gone, func(ctx context.Context, s dotmesh.Service, name dotmesh.DotName) error {
			if _, err := s.Dot(ctx, name); err == nil {
				return dotmesh.E("tui.undo", dotmesh.Conflict, "another dot is called %s by now; nothing was done", name)
			}
			_, err := s.Undo(ctx, dotmesh.UndoRequest{Dot: name, Request: dotmesh.NewUUID()})
			return err
		})
	}
	d := u.browse.dot()
	if d == nil {
		return u.nothing("a dot")
	}
	return u.undoNewest(d)
}

// undoNewest finds out what an undo would reverse, and does it at once, unless something was
// made: to undo that deletes it.
func (u *ui) undoNewest(d *dotmesh.DotStatus) tea.Cmd {
	return fetch(u, func(ctx context.Context, s dotmesh.Service) ([]dotmesh.Op, error) {
		return s.Ops(ctx, dotmesh.OpsRequest{Dot: d.Name, Limit: mostAtOnce})
	}, func(u *ui, all []dotmesh.Op, err error) tea.Cmd {
		op := newest(all)
		switch {
		case err != nil:
			u.fault("undo on "+d.Name.String(), err)
			return nil
		case op == nil:
			return u.undoOp(d.Name, 0) // the server says why not
		case made(op):
			return u.undoMaking(d, op)
		}
		return u.undoOp(d.Name, op.N)
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
		command: func([]string) []string {
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

// undoOp undoes at once: an undo can be undone.
func (u *ui) undoOp(dot dotmesh.DotName, n uint64) tea.Cmd {
	return u.call("undo on "+dot.String(), func(ctx context.Context, s dotmesh.Service) (string, error) {
		undone, err := s.Undo(ctx, dotmesh.UndoRequest{Dot: dot, N: n, Request: dotmesh.NewUUID()})
		return "undid " + string(undone.Op.Verb) + " " + string(undone.Op.Name) + " of " + dot.String() + "; among the operations (6) that can be undone", err
	})
}
