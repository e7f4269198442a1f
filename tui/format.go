package tui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"dotmesh.io/dotmesh"
)

// unknown stands for a figure that nobody has measured, which is not 0.
const unknown = "?"

// size writes a number of bytes in three digits and a unit: 0, 12K, 1.5M, 980G.
func size(bytes int64) string {
	if bytes < 0 {
		return "-" + size(-bytes)
	}
	if bytes < 1000 {
		return strconv.FormatInt(bytes, 10) + "B"
	}
	value, unit := float64(bytes)/1024, 0
	const units = "KMGTPE"
	for value >= 999.5 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	if value < 9.95 {
		return strconv.FormatFloat(value, 'f', 1, 64) + units[unit:unit+1]
	}
	return strconv.FormatFloat(value, 'f', 0, 64) + units[unit:unit+1]
}

// dirty writes the bytes that are in no commit, with the sign that there are some.
func dirty(b dotmesh.Bytes) string {
	switch {
	case b.AsOf.IsZero():
		return unknown
	case b.Bytes == 0:
		return "0"
	case b.Exact:
		return "+" + size(b.Bytes)
	}
	return "+~" + size(b.Bytes)
}

// count groups a number's digits: 9,812.
func count[N int | int64 | uint64](n N) string {
	digits := strconv.FormatInt(int64(n), 10)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// plural counts things in words.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// span writes a duration in one unit, as coarse as people say it.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < 100*time.Second:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	case d < 100*time.Minute:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "m"
	case d < 48*time.Hour:
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	}
	return strconv.FormatInt(int64(d/(24*time.Hour)), 10) + "d"
}

// left writes how long something still takes: 0:14, 12:05, 3:02:11.
func left(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

// when writes a time in the zone of now: the time of day for today, else the date, with the
// year if it is another one. It does not age while it is looked at.
func when(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	t = t.In(now.Location())
	switch {
	case t.Year() == now.Year() && t.YearDay() == now.YearDay():
		return t.Format("15:04:05")
	case t.Year() == now.Year():
		return t.Format("Jan _2 15:04")
	}
	return t.Format("2006-01-02")
}

// short is the beginning of an id, as long as references must be.
func short(id fmt.Stringer) string {
	s := id.String()
	return s[:min(len(s), 8)]
}

// firstLine is the part of a message that a table shows.
func firstLine(message string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	return line
}

// subject is what a dialog says of a commit's message: short enough to leave the rest of what
// it says in sight.
func (u *ui) subject(message string) string {
	return ansi.Truncate(firstLine(message), 60, u.look.cut)
}

// lag writes how far a node or replica is behind.
func lag(missing int, behind time.Duration) string {
	if missing == 0 {
		return "0"
	}
	return plural(missing, "commit", "commits") + " " + span(behind)
}

// fit cuts or pads a line to exactly width cells.
func fit(line string, width int, cut string) string {
	have := ansi.StringWidth(line)
	if have > width {
		line = ansi.Truncate(line, width, cut)
		have = ansi.StringWidth(line)
	}
	if have < width {
		line += strings.Repeat(" ", width-have)
	}
	return line
}

// wrap breaks text into lines of at most width cells, at spaces where there are any.
func wrap(text string, width int) []string {
	if width < 1 {
		return nil
	}
	return strings.Split(ansi.Wrap(text, width, ""), "\n")
}

// progress is a bar of width cells.
func (t *theme) progress(done, of int64, width int) string {
	filled := 0
	if of > 0 {
		filled = int(min(done, of) * int64(width) / of)
	}
	return strings.Repeat(t.full, filled) + strings.Repeat(t.empty, width-filled)
}
