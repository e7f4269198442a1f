package table

import (
	"cmp"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Style is how a text looks. A lipgloss.Style is one. What counts is what Render writes
// before and after a text: colours and attributes. It is asked for that once where it is
// in a [Look] or made into a [Pen], and else for each cell.
type Style interface{ Render(...string) string }

// Pen is a Style that was asked once and costs nothing from then on. A nil Pen is plain.
type Pen struct{ open, end string }

// NewPen returns s as a Pen; nil is plain. A style that does not leave a text as it is
// between what it writes around it (one that pads or changes letters) is plain too: cells
// have the width that they have.
func NewPen(s Style) *Pen {
	if p, ok := s.(*Pen); ok && p != nil {
		return p
	} else if s == nil || ok {
		return &Pen{}
	}
	const probe = "x"
	text := s.Render(probe)
	open, end, found := strings.Cut(text, probe)
	if !found || ansi.Strip(text) != probe {
		return &Pen{}
	}
	return &Pen{open: open, end: end}
}

// Render implements Style.
func (p *Pen) Render(text ...string) string {
	s := strings.Join(text, " ")
	if p == nil {
		return s
	}
	return p.open + s + p.end
}

func (p *Pen) plain() bool { return p.open == "" && p.end == "" }

// over returns the pen that writes as p does where under has been at work.
func (p *Pen) over(under *Pen) *Pen {
	return &Pen{open: under.open + p.open, end: p.end + under.end}
}

// Look is how a table is drawn. Styles may be nil. Texts are harmless, and of the width
// that the terminal gives them.
type Look struct {
	Header, Cursor, CursorBlurred, Marked Style

	// Pointer and PointerBlurred stand before the cursor's row, Mark before marked rows.
	// Where the cursor has no style of its own and no pointer, so that nobody could see
	// it, it gets ">", and "-" without the focus.
	Pointer, PointerBlurred, Mark string

	Cut      string // ends a text that was cut: "…" or "~"
	Up, Down string // stand after the title of the column that orders the rows; "": "^" and "v"
}

// ink is a Look made ready.
type ink struct {
	header, plain, marked *Pen
	cursor, cursorMarked  [2]*Pen // without the focus, with it
	pointer               [2]string
	mark                  string
	cut, up, down         string
	points, gutter        int // the widths of the pointer, and of what stands before a row
}

func newInk(l Look) ink {
	k := ink{
		header: NewPen(l.Header), plain: &Pen{}, marked: NewPen(l.Marked),
		cursor:  [2]*Pen{NewPen(l.CursorBlurred), NewPen(l.Cursor)},
		pointer: [2]string{l.PointerBlurred, l.Pointer},
		mark:    l.Mark, cut: l.Cut, up: cmp.Or(l.Up, "^"), down: cmp.Or(l.Down, "v"),
	}
	for i, sign := range [2]string{"-", ">"} {
		if k.cursor[i].plain() && k.pointer[i] == "" {
			k.pointer[i] = sign
		}
		k.cursorMarked[i] = k.cursor[i].over(k.marked)
		k.points = max(k.points, ansi.StringWidth(k.pointer[i]))
	}
	k.gutter = k.points + ansi.StringWidth(k.mark)
	return k
}

// row returns the pen of a row.
func (k *ink) row(cursor, marked bool, focus int) *Pen {
	switch {
	case cursor && marked:
		return k.cursorMarked[focus]
	case cursor:
		return k.cursor[focus]
	case marked:
		return k.marked
	}
	return k.plain
}
