package tui

import (
	"image/color"

	"charm.land/lipgloss/v2"

	"dotmesh.io/dotmesh/tui/table"
)

// The palettes. ASCII is without colour, too.
const (
	PaletteDark  = "dark"
	PaletteLight = "light"
	PaletteNone  = "none"
	PaletteASCII = "ascii"
)

// Palettes are the names that a palette can have.
func Palettes() []string { return []string{PaletteDark, PaletteLight, PaletteNone, PaletteASCII} }

// theme is how things look. Colour is never the only sign of anything: each style that
// means something goes with a character or a word.
type theme struct {
	text, dim, title, key           lipgloss.Style
	good, warn, fault               lipgloss.Style
	added, removed                  lipgloss.Style
	header, cursor, blurred, marked lipgloss.Style
	bar                             lipgloss.Style // the first line
	pen                             pens           // the same, for the cells of tables

	cut, mark             string // a text that was cut; a row that is marked
	vertical, horizontal  string
	corners               [4]string // top left, top right, bottom left, bottom right
	full, empty           string    // of a progress bar
	bars                  []rune    // from nothing to the most
	branch, last, through string    // of a tree
}

// pens are styles that cost nothing where they are used for each cell.
type pens struct{ dim, key, good, warn, fault *table.Pen }

// newTheme returns the palette of that name; an unknown one is the dark one.
func newTheme(palette string) theme {
	t := styles(palette)
	t.pen = pens{
		dim: table.NewPen(t.dim), key: table.NewPen(t.key),
		good: table.NewPen(t.good), warn: table.NewPen(t.warn), fault: table.NewPen(t.fault),
	}
	return t
}

func styles(palette string) theme {
	t := plainTheme()
	switch palette {
	case PaletteASCII:
		return t.ascii()
	case PaletteNone:
		return t
	case PaletteLight:
		return t.coloured(shades{
			dim: "#5f5f5f", accent: "#005f87", good: "#006f00", warn: "#875f00", fault: "#af0000",
			bar: "#d0d0d0", cursor: "#bcd7ee", blurred: "#e0e0e0",
		})
	}
	return t.coloured(shades{
		dim: "#8a8a8a", accent: "#87d7ff", good: "#87d787", warn: "#ffd75f", fault: "#ff8787",
		bar: "#303030", cursor: "#005f87", blurred: "#3a3a3a",
	})
}

// plainTheme uses what every terminal has: bold, reverse, underline.
func plainTheme() theme {
	s := lipgloss.NewStyle()
	return theme{
		text: s, dim: s, title: s.Bold(true), key: s.Bold(true),
		good: s, warn: s.Bold(true), fault: s.Bold(true), added: s, removed: s,
		header: s.Bold(true), cursor: s.Reverse(true), blurred: s.Underline(true), marked: s.Bold(true),
		bar: s.Bold(true),
		cut: "…", mark: "●", vertical: "│", horizontal: "─", corners: [4]string{"╭", "╮", "╰", "╯"},
		full: "█", empty: "░", bars: []rune("▁▂▃▄▅▆▇█"), branch: "├ ", last: "└ ", through: "│ ",
	}
}

func (t theme) ascii() theme {
	t.cut, t.mark, t.vertical, t.horizontal = "~", "*", "|", "-"
	t.corners = [4]string{"+", "+", "+", "+"}
	t.full, t.empty, t.branch, t.last, t.through = "#", "-", "|-", "`-", "| "
	t.bars = []rune("_.-=+*%#")
	return t
}

// shades are the colours of a palette.
type shades struct{ dim, accent, good, warn, fault, bar, cursor, blurred string }

func (t theme) coloured(c shades) theme {
	of := func(s string) color.Color { return lipgloss.Color(s) }
	t.dim = t.dim.Foreground(of(c.dim))
	t.title, t.key = t.title.Foreground(of(c.accent)), t.key.Foreground(of(c.accent))
	t.good, t.warn, t.fault = t.good.Foreground(of(c.good)), t.warn.Foreground(of(c.warn)), t.fault.Foreground(of(c.fault))
	t.added, t.removed = t.added.Foreground(of(c.good)), t.removed.Foreground(of(c.fault))
	t.header = t.header.Foreground(of(c.accent))
	t.bar = t.bar.Background(of(c.bar))
	t.cursor = lipgloss.NewStyle().Background(of(c.cursor))
	t.blurred = lipgloss.NewStyle().Background(of(c.blurred))
	t.marked = t.marked.Foreground(of(c.warn))
	return t
}
