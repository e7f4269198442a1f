package verbs

import (
	"encoding/json"
	"slices"

	"dotmesh.io/dotmesh"
)

// Acknowledge adds a node to those that have done what a tombstone allows. It puts the
// steps that remove what is buried into steps, if this was the last of members.
func Acknowledge(tombstone dotmesh.UUID, node dotmesh.NodeID, members []dotmesh.NodeID, steps *[]Verb) Verb {
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
		branches, err := buriedBranches(tx, &t.Tombstone)
		if err != nil {
			return err
		}
		lines := coveredLines(tx, &t.Tombstone, branches)
		if err := noChildren(lines); err != nil {
			return err
		}
		if !slices.Contains(t.Acked, node) {
			t.Acked = sorted(append(t.Acked, node))
			tx.put(key, t)
		}
		for _, m := range members {
			if !slices.Contains(t.Acked, m) {
				return nil
			}
		}
		*steps = removal(&t.Tombstone, branches, lines)
		return nil
	}
}

// buriedBranches returns the branches that a tombstone takes with it.
func buriedBranches(tx *Tx, t *dotmesh.Tombstone) ([]dotmesh.Branch, error) {
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
	return branches, nil
}

// coveredLines returns the lines that are the buried branches' own.
func coveredLines(tx *Tx, t *dotmesh.Tombstone, branches []dotmesh.Branch) []dotmesh.Line {
	ids := map[dotmesh.LineID]bool{}
	for _, c := range t.Covers {
		ids[c.Line] = true
	}
	for _, b := range branches {
		ids[b.Pointer.Line] = true
	}
	var lines []dotmesh.Line
	for id := range ids {
		l := read[dotmesh.Line](tx, lineKey(id))
		if l != nil && owned(l, branches) {
			lines = append(lines, *l)
		}
	}
	return lines
}

func owned(l *dotmesh.Line, branches []dotmesh.Branch) bool {
	return slices.ContainsFunc(branches, func(b dotmesh.Branch) bool { return b.ID == l.Owner })
}

// noChildren refuses while a line that stays was forked from one that would go.
func noChildren(lines []dotmesh.Line) error {
	for _, l := range lines {
		for _, child := range l.Children {
			if !slices.ContainsFunc(lines, func(l dotmesh.Line) bool { return l.ID == child.Line }) {
				return conflict("line %s is still the origin of line %s, which is not deleted", l.ID, child.Line)
			}
		}
	}
	return nil
}

// removal returns the steps that end with the tombstone. Each is small, and until the
// last one the tombstone is there, so a removal that was cut off is taken up again.
func removal(t *dotmesh.Tombstone, branches []dotmesh.Branch, lines []dotmesh.Line) []Verb {
	var steps []Verb
	for _, l := range lines {
		steps = append(steps, removeLine(t.ID, l.ID))
	}
	for _, b := range branches {
		steps = append(steps, removeBranch(t, b))
	}
	return append(steps, func(tx *Tx) error {
		if tx.item(tombstoneKey(t.ID)).Mod == 0 {
			return nil
		}
		if t.Kind == dotmesh.BuriedDot {
			tx.dropRange(opsPrefix(t.Dot.ID), PrefixEnd(opsPrefix(t.Dot.ID)))
		}
		tx.drop(tombstoneKey(t.ID))
		return nil
	})
}

func removeLine(tombstone dotmesh.UUID, id dotmesh.LineID) Verb {
	return func(tx *Tx) error {
		tx.want(tombstoneKey(tombstone), lineKey(id))
		line := read[dotmesh.Line](tx, lineKey(id))
		if tx.item(tombstoneKey(tombstone)).Mod == 0 || line == nil {
			return nil
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
		origin.Children = slices.DeleteFunc(origin.Children, func(c dotmesh.Origin) bool { return c.Line == line.ID })
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
