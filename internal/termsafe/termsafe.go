// Package termsafe makes text from outside harmless on a terminal.
//
// A commit message, a file name or another machine's error can hold bytes that a terminal
// obeys: move the cursor over what was printed, rename the window, fill the clipboard, or
// let one word read as another. Whatever is not plainly visible is therefore shown as an
// escape such as \x1b, and only then printed. There is one sanitiser, for the command
// line and for the terminal UI; colours are added after it.
//
// What comes out is for people. An author may write \x1b in so many characters, so it
// cannot be turned back; programs ask for JSON.
package termsafe

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Line returns s as one line without control characters, tabs and newlines included, or
// characters that are invisible or change the direction of others. Visible text of any
// language stays as it is. Line(Line(s)) is Line(s).
func Line(s string) string { return escape(s, false) }

// Most is how many bytes of a text somebody reads who only looks around.
const Most = 4 << 10

// Brief is Line for text that a screen shows: of more than [Most] bytes it is the beginning,
// with an ellipsis.
func Brief(s string) string { return brief(s, false) }

// BriefText is Brief for text of several lines: newlines stay.
func BriefText(s string) string { return brief(s, true) }

// brief cuts before it escapes, since what a megabyte becomes is thrown away, and after it.
func brief(s string, newlines bool) string {
	const ellipsis = "…"
	head := cut(s, Most)
	text := escape(head, newlines)
	if len(head) == len(s) && len(text) <= Most {
		return text
	}
	return cut(text, Most-len(ellipsis)) + ellipsis
}

// cut returns at most so many bytes of s, and no half of a character.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for n := most; n > most-utf8.UTFMax; n-- {
		if utf8.RuneStart(s[n]) {
			return s[:n]
		}
	}
	return s[:most]
}

func escape(s string, newlines bool) string {
	clean := cleanPrefix(s, newlines)
	if clean == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:clean])
	for s = s[clean:]; s != ""; {
		r, size := utf8.DecodeRuneInString(s)
		b.WriteString(show(r, s[:size], newlines))
		s = s[size:]
	}
	return b.String()
}

// cleanPrefix returns how much of s can be printed as it is.
func cleanPrefix(s string, newlines bool) int {
	for i, r := range s {
		if r == utf8.RuneError || !visible(r, newlines) {
			return i
		}
	}
	return len(s)
}

// show returns what is printed for the rune r, which stands as raw in the text.
func show(r rune, raw string, newlines bool) string {
	switch {
	case r == utf8.RuneError && len(raw) == 1, r < utf8.RuneSelf && !visible(r, newlines):
		return fmt.Sprintf(`\x%02x`, raw[0])
	case visible(r, newlines):
		return raw
	case r > 0xffff:
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// visible reports whether r is a character that one can see, or a space. Control
// characters, direction marks, joiners and characters that nobody has defined are not
// graphic; a few fillers are, and yet show nothing.
func visible(r rune, newlines bool) bool {
	if r == '\n' {
		return newlines
	}
	return unicode.IsGraphic(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}
