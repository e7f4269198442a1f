package plan

import "dotmesh.io/dotmesh"

// Undoable returns the entry of an operation log, newest first, that an undo reverses: the
// newest that neither is an undo nor was undone, or for n > 0 the one numbered n. An undo
// that is itself named by number is reversed like any other change of history.
func Undoable(ops []dotmesh.Op, n uint64) (dotmesh.Op, error) {
	const op = "plan.Undoable"
	undone := map[uint64]bool{}
	for _, o := range ops { // an undo that was undone itself has undone nothing
		if o.Undoes > 0 && !undone[o.N] {
			undone[o.Undoes] = true
		}
	}
	for _, o := range ops {
		switch {
		case n == 0 && (o.Undoes > 0 || undone[o.N]):
		case n == 0:
			return o, nil
		case o.N == n && undone[n]:
			return o, dotmesh.E(op, dotmesh.Conflict, "operation %d has been undone already; \"dm op log\" shows by which", n)
		case o.N == n && o.Verb == dotmesh.VerbUndo && o.Old.IsZero():
			return o, dotmesh.E(op, dotmesh.Unsupported, "operation %d is an undo that changed no history; repeat what it had undone instead", n)
		case o.N == n:
			return o, nil
		}
	}
	if n > 0 {
		return dotmesh.Op{}, dotmesh.E(op, dotmesh.NotFound, "no operation %d in the log; \"dm op log\" shows it", n)
	}
	return dotmesh.Op{}, dotmesh.E(op, dotmesh.NotFound, "nothing is left to undo; \"dm op log\" shows what was done")
}

// Deletion returns the entry by which a dot that is gone was deleted: what an undo reverses
// then, whatever else is in the log.
func Deletion(ops []dotmesh.Op) (dotmesh.Op, error) {
	for _, o := range ops {
		if o.Verb == dotmesh.VerbDeleteDot {
			return o, nil
		}
	}
	return dotmesh.Op{}, dotmesh.E("plan.Deletion", dotmesh.NotFound, "the log does not say how the dot was deleted; \"dm op log\" shows it")
}

// UndoneBy finds the entry that an earlier try of the same undo left in an operation log,
// and the one that it reversed. The first is nil if there was no such try.
func UndoneBy(ops []dotmesh.Op, request dotmesh.UUID) (*dotmesh.Op, dotmesh.Op) {
	for i, o := range ops {
		if request.IsZero() || o.Request != request || o.Undoes == 0 {
			continue
		}
		for _, target := range ops[i:] {
			if target.N == o.Undoes {
				return &ops[i], target
			}
		}
		return &ops[i], dotmesh.Op{N: o.Undoes} // it is older than the log goes back
	}
	return nil, dotmesh.Op{}
}
