package verbs

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"dotmesh.io/dotmesh"
)

// Wants is what a verb asks to read: keys, everything below a prefix, and the last key
// below a prefix.
type Wants struct {
	Keys     []string
	Prefixes []string
	Tails    []string
}

func (w *Wants) empty() bool { return len(w.Keys)+len(w.Prefixes)+len(w.Tails) == 0 }

func (w *Wants) add(more Wants) {
	w.Keys = union(w.Keys, more.Keys)
	w.Prefixes = union(w.Prefixes, more.Prefixes)
	w.Tails = union(w.Tails, more.Tails)
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}

// View is what was read, at one moment.
type View struct {
	Cursor dotmesh.Cursor
	Items  map[string]Item            // by key; the zero Item: absent
	Lists  map[string]map[string]Item // by prefix, then key
	Tails  map[string]string          // by prefix: its last key, "" for none
}

// Item is a value, when it was last written, and the lease with which it goes, 0 for none.
// Absent keys have the zero Item.
type Item struct {
	Value []byte
	Mod   dotmesh.Cursor
	Lease int64
}

// Condition is what must still hold when a Txn is committed: Key was last written at Mod
// (0: is absent) or, with Prefix, no key below it was written after Mod.
type Condition struct {
	Key    string
	Prefix bool
	Mod    dotmesh.Cursor
}

// Write is one change: a put, of what goes with Lease if that is not 0, or, with a nil Value,
// a deletion, of all keys from Key up to and without End if that is set.
type Write struct {
	Key   string
	Value []byte
	End   string
	Lease int64
}

// Txn is what a backend commits.
type Txn struct {
	Conditions []Condition
	Writes     []Write
}

// Tx is one attempt at a verb.
type Tx struct {
	view    *View
	missing Wants
	absent  []string // assumed to be absent without having been read
	writes  []Write
	fault   error // the first value that could not be read or written
}

// want asks for keys that will be read later, so that all come in one answer.
func (tx *Tx) want(keys ...string) {
	for _, key := range keys {
		tx.item(key)
	}
}

func (tx *Tx) item(key string) Item {
	item, ok := tx.view.Items[key]
	if !ok {
		tx.missing.add(Wants{Keys: []string{key}})
	}
	return item
}

// list returns everything below a prefix.
func (tx *Tx) list(prefix string) map[string]Item {
	items, ok := tx.view.Lists[prefix]
	if !ok {
		tx.missing.add(Wants{Prefixes: []string{prefix}})
	}
	return items
}

// tail returns the last key below a prefix, without the prefix.
func (tx *Tx) tail(prefix string) string {
	key, ok := tx.view.Tails[prefix]
	if !ok {
		tx.missing.add(Wants{Tails: []string{prefix}})
	}
	return strings.TrimPrefix(key, prefix)
}

// free reports whether a key is absent. It is not read for that: absence is a condition
// of the commit, and only if that fails the key is looked at.
func (tx *Tx) free(key string) bool {
	if item, ok := tx.view.Items[key]; ok {
		return item.Mod == 0
	}
	tx.absent = union(tx.absent, []string{key})
	return true
}

// read returns the record at a key as this attempt leaves it, nil if there is none.
func read[T any](tx *Tx, key string) *T {
	if value := tx.value(key); value != nil {
		return parse[T](tx, key, value)
	}
	return nil
}

// value returns what this attempt wrote at a key, else what was read there.
func (tx *Tx) value(key string) []byte {
	for _, w := range tx.writes {
		if w.Key == key && w.End == "" {
			return w.Value
		}
	}
	return tx.item(key).Value
}

func parse[T any](tx *Tx, key string, value []byte) *T {
	other := new(T)
	var err error
	if _, isRecord := any(other).(dotmesh.Record); isRecord {
		var record dotmesh.Record
		record, err = Decode(key, value)
		if record, ok := any(record).(*T); ok && err == nil {
			return record
		}
	}
	if err = either(err, decode(key, value, other)); err != nil {
		tx.fault = either(tx.fault, err)
		return nil
	}
	return other
}

// put writes a record. Unknown fields of the value that was read there stay.
func (tx *Tx) put(key string, record any) {
	tx.putOver(tx.value(key), key, record)
}

// create writes a record at a key that free found absent.
func (tx *Tx) create(key string, record any) { tx.putOver(nil, key, record) }

func (tx *Tx) putOver(old []byte, key string, record any) {
	value, err := encode(old, record)
	if err != nil {
		tx.fault = either(tx.fault, corrupt(key, err))
		return
	}
	tx.writes = slices.DeleteFunc(tx.writes, func(w Write) bool { return w.Key == key })
	tx.writes = append(tx.writes, Write{Key: key, Value: value})
}

// lend writes a record that goes with a lease.
func (tx *Tx) lend(key string, record any, lease int64) {
	tx.create(key, record)
	for i := range tx.writes {
		if tx.writes[i].Key == key {
			tx.writes[i].Lease = lease
		}
	}
}

func (tx *Tx) drop(key string) { tx.writes = append(tx.writes, Write{Key: key}) }

// dropRange deletes the keys from first up to and without end.
func (tx *Tx) dropRange(first, end string) {
	tx.writes = append(tx.writes, Write{Key: first, End: end})
}

// log writes an entry of the dot's operation log, unless there is none to write.
func (tx *Tx) log(dot dotmesh.DotID, op dotmesh.Op) error {
	if op == (dotmesh.Op{}) {
		return nil
	}
	if !op.Dot.IsZero() && op.Dot != dot {
		return invalid("the entry for the operation log is of another dot")
	}
	last, err := tx.lastOp(dot)
	if err != nil {
		return err
	}
	op.Dot, op.N = dot, last+1
	if key := opKey(dot, op.N); tx.free(key) {
		tx.create(key, op)
	}
	return nil
}

func (tx *Tx) lastOp(dot dotmesh.DotID) (uint64, error) {
	tail := tx.tail(opsPrefix(dot))
	if tail == "" {
		return 0, nil
	}
	return number(tail)
}

// conditions returns what the attempt relied on: all that it read is as it was, all that
// it took for absent is.
func (tx *Tx) conditions() []Condition {
	var all []Condition
	for _, key := range slices.Sorted(maps.Keys(tx.view.Items)) {
		all = append(all, Condition{Key: key, Mod: tx.view.Items[key].Mod})
	}
	for _, prefix := range slices.Sorted(maps.Keys(tx.view.Lists)) {
		all = append(all, Condition{Key: prefix, Prefix: true, Mod: tx.view.Cursor})
	}
	for _, key := range tx.absent {
		all = append(all, Condition{Key: key})
	}
	return all
}

// field returns one field of a JSON object, nil if it has none.
func field(object []byte, name string) []byte {
	fields := map[string]json.RawMessage{}
	if json.Unmarshal(object, &fields) != nil {
		return nil
	}
	return fields[name]
}

// PrefixEnd returns the first key after all that begin with prefix.
func PrefixEnd(prefix string) string {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return string(end[:i+1])
		}
	}
	return "\x00"
}

func invalid(format string, args ...any) error {
	return dotmesh.E("", dotmesh.Invalid, format, args...)
}

func conflict(format string, args ...any) error {
	return dotmesh.E("", dotmesh.Conflict, format, args...)
}

func absent(format string, args ...any) error {
	return dotmesh.E("", dotmesh.NotFound, format, args...)
}

func exists(format string, args ...any) error {
	return dotmesh.E("", dotmesh.Exists, format, args...)
}
