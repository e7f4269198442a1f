package tui

import (
	"testing"
	"time"
)

func TestTrend(t *testing.T) {
	began := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return began.Add(time.Duration(seconds) * time.Second) }
	bars := []rune("_-=#")
	type added struct{ second, value int }
	for name, c := range map[string]struct {
		added []added
		now   int
		want  string
	}{
		"nothing is known": {nil, 60, "                              "},
		"always 0":         {[]added{{0, 0}}, 60, "______________________________"},
		"known for 10 s":   {[]added{{50, 0}}, 60, "                        ______"},
		"rises and falls":  {[]added{{0, 0}, {30, 1}, {40, 3}, {50, 0}}, 60, "______________-----######_____"},
		"only what is seen counts": {
			[]added{{0, 900}, {10, 0}, {80, 2}}, 80, "_____________________________#",
		},
		"a short peak is seen": {[]added{{0, 0}, {31, 5}, {32, 0}}, 60, "_______________#______________"},
	} {
		t.Run(name, func(t *testing.T) {
			var past trend
			for _, a := range c.added {
				past = past.add(at(a.second), a.value)
			}
			if got := past.draw(at(c.now), bars); got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestTrendKeepsAMinute(t *testing.T) {
	var past trend
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for i := range 10_000 {
		past = past.add(now.Add(time.Duration(i)*100*time.Millisecond), i)
	}
	if len(past) > 602 {
		t.Errorf("%d figures are kept", len(past))
	}
}

func TestANodeShowsHowItsLagWent(t *testing.T) {
	drive(t, 140, 40, nil, func(d *driver) {
		d.keys("2", "end", "d")
		d.sees("lag ", "in the last minute")
	})
}
