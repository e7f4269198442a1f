package verbs

import "dotmesh.io/dotmesh"

// PutTransfer writes a transfer in the place of before.
func PutTransfer(before *dotmesh.Transfer, next dotmesh.Transfer) Verb {
	return func(tx *Tx) error {
		switch {
		case next.ID.IsZero() || next.BranchID.IsZero() || !knownTransfer(&next):
			return invalid("a transfer needs an id, a branch, a kind and a state")
		case before != nil && (before.ID != next.ID || before.Kind != next.Kind || before.BranchID != next.BranchID):
			return invalid("a transfer keeps its id, its kind and its branch")
		}
		key := transferKey(next.ID)
		there := read[dotmesh.Transfer](tx, key)
		switch {
		case there != nil && same(there, &next):
			return nil
		case there == nil && before != nil:
			return absent("the transfer is gone")
		case there != nil && before == nil:
			return exists("the id of the transfer is in use")
		case there != nil && !same(there, before):
			return conflict("the transfer is %s by now; look at it and try again", there.State)
		}
		tx.put(key, &next)
		return nil
	}
}

func knownTransfer(t *dotmesh.Transfer) bool {
	return oneOf(t.Kind, dotmesh.TransferReplica, dotmesh.TransferMove, dotmesh.TransferPush, dotmesh.TransferPull, dotmesh.TransferClone) &&
		(t.State.Ended() || oneOf(t.State, dotmesh.TransferWaiting, dotmesh.TransferRunning))
}

// DropTransfer removes a transfer that has ended, if it is there.
func DropTransfer(id dotmesh.UUID) Verb {
	return func(tx *Tx) error {
		key := transferKey(id)
		there := read[dotmesh.Transfer](tx, key)
		switch {
		case there == nil:
			return nil
		case !there.State.Ended():
			return conflict("the transfer is %s; cancel it first", there.State)
		}
		tx.drop(key)
		return nil
	}
}
