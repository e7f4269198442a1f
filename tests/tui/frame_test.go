package tui_test

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// aligned waits until the frame is in order: one may be looked at while it is drawn.
func (s *terminal) aligned(width int) {
	s.Helper()
	var wrong []string
	if !await(patience/4, func() bool { wrong = misaligned(s.frame(), width); return len(wrong) == 0 }) {
		s.Fatalf("the frame is out of order:\n%s", strings.Join(wrong, "\n"))
	}
}

// misaligned says what is not in order in a frame: lines that are too wide, and edges of
// panes and of a dialog that do not stand below each other.
func misaligned(frame string, width int) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	lines := strings.Split(strings.TrimRight(frame, "\n"), "\n")
	for i, line := range lines {
		if w := ansi.StringWidth(line); w > width {
			say("line %d is %d wide: %s", i+1, w, line)
		}
	}
	var corners []int // of a dialog, on its first line
	for i, line := range lines {
		at := columns(line)
		switch {
		case strings.Contains(line, "╭"):
			corners = edges(line, "╭", "╮")
		case strings.Contains(line, "╰"):
			if below := edges(line, "╰", "╯"); len(corners) != 2 || below[0] != corners[0] || below[1] != corners[1] {
				say("line %d: the corners are at %v, above at %v", i+1, below, corners)
			}
			corners = nil
		case len(corners) == 2 && (!at[corners[0]] || !at[corners[1]]):
			say("line %d: no edge at %v: %s", i+1, corners, line)
		}
		if i >= 2 && i < len(lines)-2 && corners == nil && width >= 120 && strings.Contains(lines[2], "│") && !strings.Contains(line, "╯") && !at[width*2/5] {
			say("line %d: no edge between dots and branches: %s", i+1, line)
		}
	}
	return wrong
}

// columns are where a line has vertical edges.
func columns(line string) map[int]bool {
	at, all := 0, map[int]bool{}
	for part := range strings.SplitSeq(line, "│") {
		at += ansi.StringWidth(part)
		all[at] = true
		at++
	}
	return all
}

// edges are the columns of some characters of a line.
func edges(line string, characters ...string) (at []int) {
	for _, c := range characters {
		before, _, _ := strings.Cut(line, c)
		at = append(at, ansi.StringWidth(before))
	}
	return at
}
