package table

import "slices"

// marks are the keys that were chosen to be acted on together.
type marks[K comparable] struct {
	set  map[K]struct{}
	last K // the one that was marked last; a range begins there
}

func (m *marks[K]) has(k K) bool {
	_, ok := m.set[k]
	return ok
}

func (m *marks[K]) add(k K) {
	if m.set == nil {
		m.set = map[K]struct{}{}
	}
	m.set[k] = struct{}{}
	m.last = k
}

// keep forgets the marks of keys that are not among those given.
func (m *marks[K]) keep(keys []K) {
	if len(m.set) == 0 {
		return
	}
	kept := make(map[K]struct{}, len(m.set))
	for _, k := range keys {
		if m.has(k) {
			kept[k] = struct{}{}
		}
	}
	m.set = kept
}

// Mark marks k, which is one of the rows.
func (t *Table[K]) Mark(k K) { t.marks.add(k) }

// Unmark takes the mark of k away, if it has one.
func (t *Table[K]) Unmark(k K) { delete(t.marks.set, k) }

// IsMarked reports whether k is marked.
func (t *Table[K]) IsMarked(k K) bool { return t.marks.has(k) }

// Marks returns how many rows are marked.
func (t *Table[K]) Marks() int { return len(t.marks.set) }

// Marked returns the marked keys in the order of their rows; nil: none.
func (t *Table[K]) Marked() (keys []K) {
	if len(t.marks.set) == 0 {
		return nil
	}
	for _, k := range t.rows {
		if t.marks.has(k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// ToggleMark marks the cursor's row, or takes its mark away, and moves down.
func (t *Table[K]) ToggleMark() {
	k, ok := t.Cursor()
	switch {
	case !ok:
		return
	case t.marks.has(k):
		t.Unmark(k)
	default:
		t.Mark(k)
	}
	t.Move(1)
}

// MarkRange marks the rows from the one that was marked last to the cursor's. Where none
// is, it marks the cursor's.
func (t *Table[K]) MarkRange() {
	if len(t.rows) == 0 {
		return
	}
	from := t.cursor
	if i := slices.Index(t.rows, t.marks.last); i >= 0 && t.marks.has(t.marks.last) {
		from = i
	}
	for _, k := range t.rows[min(from, t.cursor) : max(from, t.cursor)+1] {
		t.marks.add(k)
	}
	t.marks.last = t.rows[t.cursor]
}

// ClearMarks takes all marks away.
func (t *Table[K]) ClearMarks() { t.marks = marks[K]{} }
