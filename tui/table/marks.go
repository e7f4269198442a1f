package table

import "slices"

// marks are the keys that were chosen to be acted on together.
type marks[K comparable] struct {
	set    map[K]struct{}
	hidden []K // those of them that are no rows, in the order in which they were hidden
	last   K   // the one that was marked last; a range begins there
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

// keep forgets the marks of keys that are not among the rows, but for those that are there.
func (m *marks[K]) keep(rows, before []K, there func(K) bool) {
	if len(m.set) == 0 {
		return
	}
	kept := make(map[K]struct{}, len(m.set))
	for _, k := range rows {
		if m.has(k) {
			kept[k] = struct{}{}
		}
	}
	candidates := slices.Concat(m.hidden, before)
	m.hidden = nil
	for _, k := range candidates {
		if _, shown := kept[k]; !shown && m.has(k) && there != nil && there(k) {
			kept[k] = struct{}{}
			m.hidden = append(m.hidden, k)
		}
	}
	m.set = kept
}

// Mark marks k, which is one of the rows. Where it is hidden later it keeps the mark.
func (t *Table[K]) Mark(k K) { t.marks.add(k) }

// Unmark takes the mark of k away, if it has one.
func (t *Table[K]) Unmark(k K) {
	delete(t.marks.set, k)
	t.marks.hidden = slices.DeleteFunc(t.marks.hidden, func(other K) bool { return other == k })
}

// Marks returns how many keys are marked, and how many of those are hidden.
func (t *Table[K]) Marks() (all, hidden int) { return len(t.marks.set), len(t.marks.hidden) }

// Marked returns the marked keys in the order of their rows, and after them those that are
// hidden; nil: none.
func (t *Table[K]) Marked() (keys []K) {
	if len(t.marks.set) == 0 {
		return nil
	}
	for _, k := range t.rows {
		if t.marks.has(k) {
			keys = append(keys, k)
		}
	}
	return append(keys, t.marks.hidden...)
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
