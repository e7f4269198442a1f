// Package table draws long tables and knows where one is in them.
//
// A table holds keys and no rows. It knows the order of the keys, which one is under the
// cursor and which are marked; what stands in a row is asked for while it is drawn, and
// only for the rows that are seen. So a step of the cursor costs the same with ten rows
// and with a hundred thousand:
//
//	              Columns, by their Min, Max and Grow
//	             ┌──────────────┬────────┬───────┐
//	             │ NAME v       │ MASTER │  SIZE │  header
//	offset ──>   │ admin/ledger │ node-1 │  900M │
//	cursor ──>   │>admin/orders │ node-2 │  4.1G │  height - 1 rows are asked for
//	             └──────────────┴────────┴───────┘
//	keys: 10,000, of which these two are drawn
//
// Cursor and marks hold keys and never row numbers: whatever is inserted, removed or
// sorted around it, the row that was chosen stays the one that is acted on.
//
// The package decides nothing about colours and keys on the keyboard; both are its user's.
package table

// Table is a window on rows that are named by keys. Its methods are for one goroutine.
type Table[K comparable] struct {
	columns []Column
	rows    []K
	cursor  int // in rows; 0 where there are none
	offset  int // the first row that is seen
	marks   marks[K]
	width   int
	height  int // with the header

	look       ink
	focus      bool
	sorted     int // the column that the rows are ordered by; -1: none
	descending bool

	cells  []Cell // of the row that is being drawn
	widths []int  // of the columns; 0: not shown
	buf    []byte
}

// New returns an empty table that has the focus and the zero [Look].
func New[K comparable](columns ...Column) *Table[K] {
	t := &Table[K]{
		columns: columns, focus: true, sorted: -1,
		cells: make([]Cell, len(columns)), widths: make([]int, len(columns)),
	}
	t.SetLook(Look{})
	return t
}

// SetSize gives the table a place of width cells and height lines, the header's included.
func (t *Table[K]) SetSize(width, height int) {
	t.width, t.height = max(width, 0), max(height, 0)
	t.layout()
	t.follow()
}

// SetLook says how the table is drawn from now on.
func (t *Table[K]) SetLook(l Look) {
	t.look = newInk(l)
	t.layout()
}

// SetFocus says whether the keyboard is the table's, which shows at the cursor.
func (t *Table[K]) SetFocus(focus bool) { t.focus = focus }

// Header says which column the rows are ordered by, for its title to show; -1: none.
func (t *Table[K]) Header(sorted int, descending bool) {
	t.sorted, t.descending = sorted, descending
}

// body returns how many rows are seen.
func (t *Table[K]) body() int { return max(t.height-1, 0) }

func (t *Table[K]) layout() {
	divide(t.columns, t.width-t.look.gutter, t.widths)
}
