package main

import (
	"bufio"
	"unicode/utf8"

	"dotmesh.io/dotmesh/internal/termsafe"
)

// table lays rows out in columns as dm always has: a column is as wide as its widest cell
// and two blanks, three characters at least, and the last cell of a row is not filled up.
// It is what text/tabwriter makes of rows that have all the same number of cells, in a
// fifth of the time: ten thousand dots are a table, too.
type table struct {
	text   []byte // all cells, one after the other
	ends   []int  // where in text each of them ends
	widths []int  // of the columns, in characters, without blanks
}

// newTable begins a table with its first row.
func newTable(header ...string) *table {
	t := &table{widths: make([]int, len(header))}
	t.row(header...)
	return t
}

// row adds a row, which must have as many cells as the first. No cell can end the line.
func (t *table) row(cells ...string) {
	if len(cells) != len(t.widths) {
		panic("dm: a row has not as many cells as its table has columns")
	}
	for _, cell := range cells {
		t.cell(append(t.text, termsafe.Line(cell)...))
	}
}

// cell adds what text has more than before as the next cell.
func (t *table) cell(text []byte) {
	column := len(t.ends) % len(t.widths)
	t.widths[column] = max(t.widths[column], utf8.RuneCount(text[len(t.text):]))
	t.ends = append(t.ends, len(text))
	t.text = text
}

// write prints the table, and returns the error that out sticks to, if it has one.
func (t *table) write(out *bufio.Writer) (err error) {
	from, last := 0, len(t.widths)-1
	for i, end := range t.ends {
		cell, column := t.text[from:end], i%len(t.widths)
		from = end
		out.Write(cell)
		if column == last {
			err = out.WriteByte('\n')
			continue
		}
		fill(out, max(t.widths[column]+2, 3)-utf8.RuneCount(cell))
	}
	return err
}

// fill writes n blanks.
func fill(out *bufio.Writer, n int) {
	const blanks = "                                                                "
	for ; n > len(blanks); n -= len(blanks) {
		out.WriteString(blanks)
	}
	out.WriteString(blanks[:n])
}
