package tui

import (
	"strings"
	"time"
)

const (
	trendFor  = time.Minute     // how long a trend looks back
	trendCell = 2 * time.Second // what one of its cells stands for
)

// trend is how a figure went in the last minute: when it became what, the oldest first. The
// first is what it was when the minute began, or when it was first seen.
type trend []figure

type figure struct {
	at    time.Time
	value int
}

// add notes a figure, which stays what it is until another one is added.
func (t trend) add(at time.Time, value int) trend {
	if n := len(t); n > 0 && t[n-1].value == value {
		return t
	}
	t = append(t, figure{at, value})
	for len(t) > 1 && at.Sub(t[1].at) >= trendFor {
		t = t[1:]
	}
	return t
}

// draw makes a cell of each two seconds up to now: its highest figure, beside the highest of
// all, in bars from the lowest, which is 0, to the highest. What was before the first figure
// is blank.
func (t trend) draw(now time.Time, bars []rune) string {
	top := 1
	for _, f := range t {
		top = max(top, f.value)
	}
	var line strings.Builder
	for end := now.Add(trendCell - trendFor); !end.After(now); end = end.Add(trendCell) {
		value, known := t.highest(end.Add(-trendCell), end)
		if !known {
			line.WriteByte(' ')
			continue
		}
		line.WriteRune(bars[(value*(len(bars)-1)+top-1)/top])
	}
	return line.String()
}

// highest is the largest figure of a time, if there is one.
func (t trend) highest(from, to time.Time) (value int, known bool) {
	for i, f := range t {
		over := i+1 < len(t) && !t[i+1].at.After(from)
		if !over && !f.at.After(to) {
			value, known = max(value, f.value), true
		}
	}
	return value, known
}
