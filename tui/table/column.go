package table

// Align says at which side of its column a text stands.
type Align uint8

// Where a text stands.
const (
	Left Align = iota
	Right
)

// Column is one column of a table. It is Min cells wide and, where room is left over,
// wider by its share Grow of that, up to Max (0: no limit). Where there is too little
// room the columns with the highest Drop go first, the last of those with the same; one
// whose Drop is 0 is never dropped but, at the last, made narrower from the right.
type Column struct {
	Title    string // harmless, as a Cell's Text
	Min, Max int
	Grow     int
	Align    Align
	Drop     int
}

const gap = 1 // between columns

// divide writes into widths how wide each column is where all have room cells together,
// gaps included; 0: it is not shown.
func divide(columns []Column, room int, widths []int) {
	for i, c := range columns {
		widths[i] = max(c.Min, 1)
	}
	for over(widths, room) > 0 && drop(columns, widths) {
	}
	for i := len(widths) - 1; i >= 0; i-- {
		if o := over(widths, room); o > 0 && widths[i] > 0 {
			widths[i] -= min(o, widths[i])
		}
	}
	for grow(columns, widths, -over(widths, room)) {
	}
}

// over returns by how many cells the columns are wider than room; below 0 some is left.
func over(widths []int, room int) int {
	sum, shown := 0, 0
	for _, w := range widths {
		if w > 0 {
			sum, shown = sum+w, shown+1
		}
	}
	return sum + gap*max(shown-1, 0) - max(room, 0)
}

// drop hides the column that can best be spared, and is false where none can be.
func drop(columns []Column, widths []int) bool {
	worst := -1
	for i, c := range columns {
		if c.Drop > 0 && widths[i] > 0 && (worst < 0 || c.Drop >= columns[worst].Drop) {
			worst = i
		}
	}
	if worst >= 0 {
		widths[worst] = 0
	}
	return worst >= 0
}

// grow hands left cells to the columns that still may grow, by their shares. It reports
// whether it is worth another round: a column that reached its Max leaves some over.
func grow(columns []Column, widths []int, left int) bool {
	shares := 0
	for i, c := range columns {
		if mayGrow(c, widths[i]) {
			shares += c.Grow
		}
	}
	again, all := false, left
	for i, c := range columns {
		if left <= 0 || shares == 0 || !mayGrow(c, widths[i]) {
			continue
		}
		more := min(max(all*c.Grow/shares, 1), left)
		if c.Max > 0 {
			more = min(more, c.Max-widths[i])
		}
		widths[i] += more
		left -= more
		again = true
	}
	return again && left > 0
}

func mayGrow(c Column, width int) bool {
	return c.Grow > 0 && width > 0 && (c.Max <= 0 || width < c.Max)
}
