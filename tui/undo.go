package tui

import (
	"context"

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
			_, err := s.Undo(ctx, dotmesh.UndoRequest{Dot: name, Request: dotmesh.NewUUID()})
			return err
		})
	}
	d := u.browse.dot()
	if d == nil {
		return u.nothing("a dot")
	}
	return u.undoOp(d.Name, 0)
}

// undoOp undoes at once: an undo can be undone.
func (u *ui) undoOp(dot dotmesh.DotName, n uint64) tea.Cmd {
	return u.call("undo on "+dot.String(), func(ctx context.Context, s dotmesh.Service) (string, error) {
		undone, err := s.Undo(ctx, dotmesh.UndoRequest{Dot: dot, N: n, Request: dotmesh.NewUUID()})
		return "undid " + string(undone.Op.Verb) + " " + string(undone.Op.Name) + " of " + dot.String() + "; z undoes that", err
	})
}
