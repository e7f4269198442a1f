package table

import "slices"

// SetRows replaces the rows by keys, in the order in which they are shown. The table keeps
// the slice; neither it nor the caller changes it from then on.
//
// The cursor stays on its key, and its row where it is on the screen, unless the table is
// seen from its beginning: then what comes in before it is seen. If the key is gone the
// cursor goes to the next one of the old rows that is still there, and where there is none
// it keeps its place. Marks of keys that are gone go.
func (t *Table[K]) SetRows(keys []K) {
	t.SetShown(keys, nil)
}

// SetShown is SetRows for keys that are not all there are: the marks of the others for
// which there is true stay, and are hidden.
func (t *Table[K]) SetShown(keys []K, there func(K) bool) {
	before := t.rows
	t.place(keys)
	t.marks.keep(keys, before, there)
}

func (t *Table[K]) place(keys []K) {
	old, line := t.rows, t.cursor-t.offset
	t.rows = keys
	if len(old) > 0 {
		t.cursor = place(old, t.cursor, keys)
	}
	if t.offset > 0 || t.cursor >= t.body() {
		t.offset = t.cursor - line
	}
	t.follow()
}

// place returns where in keys the row at of old is now.
func place[K comparable](old []K, at int, keys []K) int {
	key := old[at]
	if at < len(keys) && keys[at] == key {
		return at
	}
	if i := slices.Index(keys, key); i >= 0 {
		return i
	}
	return successor(old[at+1:], keys, at)
}

// successor returns where in keys the first of next is that is still there. It looks for
// a screenful of them, and returns at where all of those are gone.
func successor[K comparable](next, keys []K, at int) int {
	next = next[:min(len(next), 64)]
	rank := make(map[K]int, len(next))
	for i, k := range next {
		rank[k] = i
	}
	best := len(next)
	for i, k := range keys {
		if r, ok := rank[k]; ok && r < best {
			best, at = r, i
		}
	}
	return at
}

// Rows returns the keys in the order in which they are shown. They are the table's.
func (t *Table[K]) Rows() []K { return t.rows }

// Len returns how many rows there are.
func (t *Table[K]) Len() int { return len(t.rows) }

// Index returns the number of the cursor's row, from 0; 0 also where there are no rows.
func (t *Table[K]) Index() int { return t.cursor }

// Cursor returns the key under the cursor. It is false where there are no rows.
func (t *Table[K]) Cursor() (k K, ok bool) {
	if len(t.rows) == 0 {
		return k, false
	}
	return t.rows[t.cursor], true
}

// Select puts the cursor on k. It is false, and nothing changes, where there is no such row.
func (t *Table[K]) Select(k K) bool {
	i := slices.Index(t.rows, k)
	if i < 0 {
		return false
	}
	t.cursor = i
	t.follow()
	return true
}

// Visible returns which rows are seen: from the first one up to, and without, to.
func (t *Table[K]) Visible() (from, to int) {
	return t.offset, min(t.offset+t.body(), len(t.rows))
}

// At returns the key of the row that is drawn on a line of View. It is false for the
// header and where no row is.
func (t *Table[K]) At(line int) (k K, ok bool) {
	i := t.offset + line - 1
	if line < 1 || line > t.body() || i >= len(t.rows) {
		return k, false
	}
	return t.rows[i], true
}

// Move moves the cursor by rows, as far as there are any.
func (t *Table[K]) Move(by int) {
	t.cursor += min(max(by, -t.cursor), len(t.rows)) // a sum beyond int would jump
	t.follow()
}

// Page moves the cursor and what is seen by so many pages; 0.5 is half a page down.
func (t *Table[K]) Page(by float64) {
	rows := int(by * float64(t.body()))
	if rows == 0 && by != 0 {
		rows = 1
		if by < 0 {
			rows = -1
		}
	}
	t.offset += rows
	t.Move(rows)
}

// Top moves the cursor to the first row.
func (t *Table[K]) Top() { t.Move(-len(t.rows)) }

// Bottom moves the cursor to the last row.
func (t *Table[K]) Bottom() { t.Move(len(t.rows)) }

// follow keeps the cursor on a row, and the window on the rows with the cursor in it.
func (t *Table[K]) follow() {
	last, body := max(len(t.rows)-1, 0), max(t.body(), 1)
	t.cursor = min(max(t.cursor, 0), last)
	t.offset = min(max(t.offset, t.cursor-body+1), t.cursor)
	t.offset = max(min(t.offset, len(t.rows)-body), 0)
}
