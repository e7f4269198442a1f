package verbs

import (
	"cmp"
	"slices"

	"dotmesh.io/dotmesh"
)

// CheckEntries returns the entries as they are to be written: each of them can be read
// by this program, none hangs on a lease, and the cluster's own comes last, so that a
// registry that was half written is one without a cluster.
func CheckEntries(entries []dotmesh.Entry) ([]dotmesh.Entry, error) {
	var all []dotmesh.Entry
	for _, e := range entries {
		if !Lasting(e.Key) {
			continue
		}
		if _, err := Decode(e.Key, e.Value); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b dotmesh.Entry) int { return cmp.Compare(order(a.Key), order(b.Key)) })
	for i := 1; i < len(all); i++ {
		if all[i].Key == all[i-1].Key {
			return nil, invalid("there are two entries with the key %q", clip(all[i].Key))
		}
	}
	return all, nil
}

func order(key string) string {
	if key == keyCluster {
		return "\xff"
	}
	return key
}

// Entries returns what a registry that holds the records and operation logs has. The name
// of a buried branch stays free, and so does that of a buried dot.
func Entries(records []dotmesh.Record, ops []dotmesh.Op) ([]dotmesh.Entry, error) {
	buried := map[dotmesh.UUID]bool{}
	for _, r := range records {
		if t, ok := r.(*dotmesh.Tombstone); ok {
			buried[t.ID] = true
		}
	}
	var entries []dotmesh.Entry
	add := func(key string, value any) error {
		text, err := Encode(value)
		entries = append(entries, dotmesh.Entry{Key: key, Value: text})
		return err
	}
	for _, r := range records {
		switch r := r.(type) {
		case *dotmesh.Branch:
			// The branches of a buried dot keep their names, which Unbury counts on.
			if !buried[r.ID.UUID] || r.ID.UUID == r.Dot.UUID {
				if err := add(nameKey(r.Dot, r.Name), nameValue{ID: r.ID}); err != nil {
					return nil, err
				}
			}
		case *dotmesh.Dot:
			if buried[r.ID.UUID] {
				continue
			}
		}
		if err := add(identity(r), r); err != nil {
			return nil, err
		}
	}
	for i := range ops {
		if err := add(opKey(ops[i].Dot, ops[i].N), &ops[i]); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// Told returns what a watcher is told of a write: the record, or what identifies it if
// the value is nil. The change has no record if the key is not one of its own.
func Told(key string, value []byte) (dotmesh.Change, error) {
	if value == nil {
		record, err := Identify(key)
		return dotmesh.Change{Record: record, Deleted: true}, err
	}
	record, err := Decode(key, value)
	return dotmesh.Change{Record: record}, err
}
