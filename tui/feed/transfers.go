package feed

import (
	"cmp"
	"slices"

	"dotmesh.io/dotmesh"
)

// transfers are what is under way and what ended not long ago.
type transfers struct {
	byID    map[dotmesh.UUID]dotmesh.Transfer
	out     []dotmesh.Transfer // the last picture's; never changed
	changed bool
}

func newTransfers() transfers { return transfers{byID: map[dotmesh.UUID]dotmesh.Transfer{}} }

func (t *transfers) put(each dotmesh.Transfer) {
	t.byID[each.ID], t.changed = each, true
}

func (t *transfers) remove(id dotmesh.UUID) {
	delete(t.byID, id)
	t.changed = true
}

// replace puts a listing in the place of what was known, and reports whether it differs.
func (t *transfers) replace(all []dotmesh.Transfer) (differs bool) {
	differs = len(all) != len(t.byID)
	for _, each := range all {
		differs = differs || t.byID[each.ID] != each
	}
	if !differs {
		return false
	}
	clear(t.byID)
	for _, each := range all {
		t.put(each)
	}
	t.changed = true
	return true
}

// publish returns the transfers for a picture, newest first.
func (t *transfers) publish() []dotmesh.Transfer {
	if !t.changed {
		return t.out
	}
	t.out = make([]dotmesh.Transfer, 0, len(t.byID))
	for _, each := range t.byID {
		t.out = append(t.out, each)
	}
	slices.SortFunc(t.out, func(a, b dotmesh.Transfer) int {
		return cmp.Or(b.Started.Compare(a.Started), slices.Compare(a.ID[:], b.ID[:]))
	})
	t.changed = false
	return t.out
}
