package table

import (
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"dotmesh.io/dotmesh/internal/termsafe"
)

// isPlain reports whether s is printable ASCII only: each byte is then a cell.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func widthOf(s string) int {
	if isPlain(s) {
		return len(s)
	}
	return ansi.StringWidth(s)
}

// appendFit appends text to b, cut and padded to exactly width cells. What it appends has
// that width whatever spaces stand beside it.
func appendFit(b []byte, text string, width int, align Align, cut string) []byte {
	wide := len(text)
	if !isPlain(text) {
		text = loner(termsafe.Line(text))
		wide = ansi.StringWidth(text)
	}
	tail := ""
	if wide > width {
		text, tail, wide = shorten(text, width, cut)
	}
	if align == Right {
		b = appendSpaces(b, width-wide)
	}
	b = append(append(b, text...), tail...)
	if align == Left {
		b = appendSpaces(b, width-wide)
	}
	return b
}

// shorten returns as much of text as fits into width cells together with cut after it,
// and the width of both. Where not even cut fits it is left out.
func shorten(text string, width int, cut string) (head, tail string, wide int) {
	room := width - ansi.StringWidth(cut)
	if room < 0 {
		cut, room = "", width
	}
	n, wide := prefix(text, room)
	return text[:n], cut, wide + ansi.StringWidth(cut)
}

// prefix returns how many bytes of text fit into room cells, and how wide they are.
func prefix(text string, room int) (n, wide int) {
	if isPlain(text) {
		n = min(len(text), room)
		return n, n
	}
	for n < len(text) {
		cluster, w := ansi.FirstGraphemeCluster(text[n:], ansi.GraphemeWidth)
		if wide+w > room {
			break
		}
		n, wide = n+len(cluster), wide+w
	}
	return n, wide
}

// loner returns text as something that does not join what stands before or after it: an
// accent at its beginning would sit on the space before, and a few letters of India take
// the space after them in.
func loner(text string) string {
	if first, size := utf8.DecodeRuneInString(text); unicode.IsMark(first) {
		text = escape(first) + text[size:]
	}
	last, size := utf8.DecodeLastRuneInString(text)
	if last < utf8.RuneSelf {
		return text
	}
	pair := text[len(text)-size:] + " "
	if cluster, _ := ansi.FirstGraphemeCluster(pair, ansi.GraphemeWidth); len(cluster) == len(pair) {
		text = text[:len(text)-size] + escape(last)
	}
	return text
}

// escape writes r as termsafe does.
func escape(r rune) string {
	if r > 0xffff {
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

const spaces = "                                                                "

func appendSpaces(b []byte, n int) []byte {
	for ; n > len(spaces); n -= len(spaces) {
		b = append(b, spaces...)
	}
	return append(b, spaces[:max(n, 0)]...)
}
