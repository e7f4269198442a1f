package verbs

import (
	"encoding/json"
	"slices"

	"dotmesh.io/dotmesh"
)

// Seal ends the time in which a tombstone can be undone.
func Seal(tombstone dotmesh.UUID) Verb {
	return func(tx *Tx) error {
		key := tombstoneKey(tombstone)
		t := read[burial](tx, key)
		switch {
		case t == nil:
			return absent("it has been brought back, or nothing is left of it")
		case !t.Sealed:
			t.Sealed = true
			tx.put(key, t)
		}
		return nil
	}
}

// Acknowledge adds a node to those that hold nothing any more of lines that a tombstone
// covers. It puts into steps what removes whatever all members have acknowledged.
func Acknowledge(tombstone dotmesh.UUID, node dotmesh.NodeID, lines []dotmesh.LineID, members []dotmesh.NodeID, steps *[]Verb) Verb {
	return func(tx *Tx) error {
		*steps = nil
		if node == "" {
			return invalid("somebody must acknowledge")
		}
		key := tombstoneKey(tombstone)
		t := read[burial](tx, key)
		if t == nil {
			return nil // acknowledged by all and gone
		}
		if !t.Sealed {
			return conflict("it can still be brought back, so nothing can have been destroyed for it")
		}
		changed, err := acknowledge(&t.Tombstone, node, lines)
		if err != nil {
			return err
		}
		there := coveredLines(tx, &t.Tombstone)
		if t.Kind != dotmesh.BuriedCommit {
			if err := noChildren(&t.Tombstone, there, node, lines); err != nil {
				return err
			}
		}
		if changed {
			tx.put(key, t)
		}
		*steps = removal(&t.Tombstone, buriedBranches(tx, &t.Tombstone), there, members)
		return nil
	}
}

// acknowledge notes in a tombstone that node holds nothing of the lines, and reports
// whether that is new.
func acknowledge(t *dotmesh.Tombstone, node dotmesh.NodeID, lines []dotmesh.LineID) (changed bool, err error) {
	for _, id := range lines {
		i := slices.IndexFunc(t.Covers, func(c dotmesh.Cover) bool { return c.Line == id })
		if i < 0 {
			return false, invalid("the tombstone does not cover line %s", id)
		}
		if c := &t.Covers[i]; !slices.Contains(c.Acked, node) {
			c.Acked, changed = sorted(append(c.Acked, node)), true
		}
	}
	return changed, nil
}

// buriedBranches returns the branches that a tombstone takes with it.
func buriedBranches(tx *Tx, t *dotmesh.Tombstone) []dotmesh.Branch {
	var branches []dotmesh.Branch
	switch t.Kind {
	case dotmesh.BuriedBranch:
		if b := read[dotmesh.Branch](tx, branchKey(t.Branch.ID)); b != nil {
			branches = append(branches, *b)
		}
	case dotmesh.BuriedDot:
		for key, item := range tx.list(branchesPrefix(t.Dot.ID)) {
			name := parse[nameValue](tx, key, item.Value)
			if name == nil {
				continue
			}
			if b := read[dotmesh.Branch](tx, branchKey(name.ID)); b != nil {
				branches = append(branches, *b)
			}
		}
	}
	return branches
}

// coveredLines returns the lines that a tombstone covers and that have a record.
func coveredLines(tx *Tx, t *dotmesh.Tombstone) []dotmesh.Line {
	var lines []dotmesh.Line
	for _, c := range t.Covers {
		if l := read[dotmesh.Line](tx, lineKey(c.Line)); l != nil {
			lines = append(lines, *l)
		}
	}
	return lines
}

// noChildren refuses an acknowledgement of a line that others were forked from which the
// node has not acknowledged.
func noChildren(t *dotmesh.Tombstone, there []dotmesh.Line, node dotmesh.NodeID, lines []dotmesh.LineID) error {
	gone := removable(t, there, []dotmesh.NodeID{node})
	for _, l := range there {
		if slices.Contains(lines, l.ID) && !slices.Contains(gone, l.ID) {
			return conflict("line %s is still the origin of another one", l.ID)
		}
	}
	return nil
}

// removable returns those of a tombstone's lines that every member has acknowledged and
// that are the origin of no line that stays, each before the one that it was forked from.
func removable(t *dotmesh.Tombstone, there []dotmesh.Line, members []dotmesh.NodeID) []dotmesh.LineID {
	acked := map[dotmesh.LineID]bool{}
	for _, c := range t.Covers {
		acked[c.Line] = ackedBy(c, members)
	}
	going := map[dotmesh.LineID]bool{}
	stays := func(child dotmesh.Child) bool { return !going[child.Line] }
	var order []dotmesh.LineID
	for before := -1; before != len(order); {
		before = len(order)
		for _, l := range there {
			if !going[l.ID] && acked[l.ID] && !slices.ContainsFunc(l.Children, stays) {
				going[l.ID] = true
				order = append(order, l.ID)
			}
		}
	}
	return order
}

func ackedBy(c dotmesh.Cover, members []dotmesh.NodeID) bool {
	return !slices.ContainsFunc(members, func(m dotmesh.NodeID) bool { return !slices.Contains(c.Acked, m) })
}

// removal returns the steps that remove what all members have acknowledged, and if that is
// everything end with the tombstone. Each is small, and until the last one the tombstone is
// there, so a removal that was cut off is taken up again.
func removal(t *dotmesh.Tombstone, branches []dotmesh.Branch, there []dotmesh.Line, members []dotmesh.NodeID) []Verb {
	if t.Kind == dotmesh.BuriedCommit {
		if len(there) > 0 && !ackedBy(t.Covers[0], members) {
			return nil
		}
		return []Verb{removeTombstone(t)}
	}
	var steps []Verb
	going := removable(t, there, members)
	for _, id := range going {
		steps = append(steps, removeLine(t.ID, id))
	}
	if len(going) < len(there) {
		return steps
	}
	for _, b := range branches {
		steps = append(steps, removeBranch(t, b))
	}
	return append(steps, removeTombstone(t))
}

func removeTombstone(t *dotmesh.Tombstone) Verb {
	return func(tx *Tx) error {
		if tx.item(tombstoneKey(t.ID)).Mod == 0 {
			return nil
		}
		if t.Kind == dotmesh.BuriedDot {
			tx.dropRange(opsPrefix(t.Dot.ID), PrefixEnd(opsPrefix(t.Dot.ID)))
		}
		tx.drop(tombstoneKey(t.ID))
		return nil
	}
}

func removeLine(tombstone dotmesh.UUID, id dotmesh.LineID) Verb {
	return func(tx *Tx) error {
		tx.want(tombstoneKey(tombstone), lineKey(id))
		line := read[dotmesh.Line](tx, lineKey(id))
		if tx.item(tombstoneKey(tombstone)).Mod == 0 || line == nil {
			return nil
		}
		if len(line.Children) > 0 {
			return conflict("line %s is the origin of another one again", id)
		}
		for key, item := range tx.list(keyNodes) {
			node := parse[dotmesh.Node](tx, key, item.Value)
			if node == nil {
				continue
			}
			if held := positionKey(node.ID, id); tx.item(held).Mod != 0 {
				tx.drop(held)
			}
		}
		orphan(tx, line)
		tx.dropRange(commitsPrefix(id), PrefixEnd(commitsPrefix(id)))
		tx.drop(lineKey(id))
		return nil
	}
}

// orphan takes a line from the children of its origin.
func orphan(tx *Tx, line *dotmesh.Line) {
	if line.Origin.IsZero() {
		return
	}
	if origin := read[dotmesh.Line](tx, lineKey(line.Origin.Line)); origin != nil {
		origin.Children = slices.DeleteFunc(origin.Children, func(c dotmesh.Child) bool { return c.Line == line.ID })
		tx.put(lineKey(origin.ID), origin)
	}
}

func removeBranch(t *dotmesh.Tombstone, b dotmesh.Branch) Verb {
	return func(tx *Tx) error {
		tx.want(tombstoneKey(t.ID), branchKey(b.ID), nameKey(b.Dot, b.Name))
		if tx.item(tombstoneKey(t.ID)).Mod == 0 || tx.item(branchKey(b.ID)).Mod == 0 {
			return nil
		}
		tx.drop(branchKey(b.ID))
		if name := read[nameValue](tx, nameKey(b.Dot, b.Name)); name != nil && name.ID == b.ID {
			tx.drop(nameKey(b.Dot, b.Name))
		}
		return nil
	}
}

// object makes a JSON object of those fields that have a value.
func object(fields map[string][]byte) []byte {
	raw := map[string]json.RawMessage{}
	for name, value := range fields {
		if value != nil {
			raw[name] = value
		}
	}
	text, err := json.Marshal(raw)
	if err != nil {
		return nil
	}
	return text
}
