package table

// Cell is what stands in one column of a row.
type Cell struct {
	Text  string // one line; it is cut and padded to the column's width
	Style Style  // nil: the row's. A *Pen costs nothing
}

// View draws the table: as many lines as it is high, each exactly as wide as it is. It
// calls cells for each row that is seen, which fills in one Cell for each of the table's
// columns, hidden ones included; they come to it empty and are not its to keep.
func (t *Table[K]) View(cells func(k K, cells []Cell)) []string {
	if t.height == 0 {
		return nil
	}
	ends := make([]int, 0, 64) // of the lines, in buf
	t.buf = t.appendHeader(t.buf[:0])
	ends = append(ends, len(t.buf))
	for i := t.offset; i < t.offset+t.body(); i++ {
		if i < len(t.rows) {
			t.appendRow(i, cells)
		} else {
			t.buf = appendSpaces(t.buf, t.width)
		}
		ends = append(ends, len(t.buf))
	}
	return split(string(t.buf), ends)
}

// split cuts one text into lines, so that a whole view is one piece of memory.
func split(text string, ends []int) []string {
	lines, from := make([]string, len(ends)), 0
	for i, end := range ends {
		lines[i], from = text[from:end], end
	}
	return lines
}

func (t *Table[K]) appendHeader(b []byte) []byte {
	pen := t.look.header
	b = append(b, pen.open...)
	b = appendSpaces(b, min(t.look.gutter, t.width))
	used := t.look.gutter
	for i, c := range t.columns {
		w := t.widths[i]
		if w == 0 {
			continue
		}
		if used > t.look.gutter {
			b, used = append(b, ' '), used+gap
		}
		b, used = t.appendTitle(b, i, c, w), used+w
	}
	return append(appendSpaces(b, t.width-used), pen.end...)
}

// appendTitle appends a column's title; the sign of the order is never cut away.
func (t *Table[K]) appendTitle(b []byte, i int, c Column, width int) []byte {
	sign := ""
	if i == t.sorted {
		sign = t.look.up
		if t.descending {
			sign = t.look.down
		}
	}
	wide := widthOf(sign)
	room := min(widthOf(c.Title), width-wide)
	if sign == "" || room < 0 {
		return appendFit(b, c.Title, width, c.Align, t.look.cut)
	}
	pad := width - room - wide
	if c.Align == Right {
		b = appendSpaces(b, pad)
	}
	b = append(appendFit(b, c.Title, room, Left, ""), sign...)
	if c.Align == Left {
		b = appendSpaces(b, pad)
	}
	return b
}

func (t *Table[K]) appendRow(i int, fill func(K, []Cell)) {
	k := t.rows[i]
	clear(t.cells)
	fill(k, t.cells)
	marked := t.marks.has(k)
	pen := t.look.row(i == t.cursor, marked, t.focused())
	b := append(t.buf, pen.open...)
	b = t.appendGutter(b, i == t.cursor, marked)
	used := t.look.gutter
	for j, w := range t.widths {
		if w == 0 {
			continue
		}
		if used > t.look.gutter {
			b, used = append(b, ' '), used+gap
		}
		b, used = t.appendCell(b, j, pen), used+w
	}
	t.buf = append(appendSpaces(b, t.width-used), pen.end...)
}

// appendCell appends a cell; what its own style ends, the row's begins again.
func (t *Table[K]) appendCell(b []byte, j int, row *Pen) []byte {
	c := &t.cells[j]
	if c.Style == nil {
		return appendFit(b, c.Text, t.widths[j], t.columns[j].Align, t.look.cut)
	}
	pen := NewPen(c.Style)
	b = append(b, pen.open...)
	b = appendFit(b, c.Text, t.widths[j], t.columns[j].Align, t.look.cut)
	b = append(b, pen.end...)
	if pen.end != "" {
		b = append(b, row.open...)
	}
	return b
}

func (t *Table[K]) appendGutter(b []byte, cursor, marked bool) []byte {
	pointer, mark := "", ""
	if cursor {
		pointer = t.look.pointer[t.focused()]
	}
	if marked {
		mark = t.look.mark
	}
	b = appendFit(b, pointer, min(t.look.points, t.width), Left, "")
	return appendFit(b, mark, min(t.look.gutter, t.width)-min(t.look.points, t.width), Left, "")
}

func (t *Table[K]) focused() int {
	if t.focus {
		return 1
	}
	return 0
}
