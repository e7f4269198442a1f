package main

import (
	"strings"
	"testing"
	"time"
)

func TestTheMedianIsOfTheRatiosAndNotTheRatioOfMedians(t *testing.T) {
	ours, theirs := series{}, series{}
	for i := range 9 { // the machine gets slower all the time, for both
		ours.add(time.Duration(2*(i+1)) * time.Millisecond)
		theirs.add(time.Duration(i+1) * time.Millisecond)
	}
	r := compare("ours", "theirs", ours, theirs, false, 1.5, 1)
	if r.Value != 2 || r.Low != 2 || r.High != 2 || r.Ours != 10 || r.Theirs != 5 || r.Rounds != 9 {
		t.Errorf("got %+v", r)
	}
}

func TestMedianAndInterval(t *testing.T) {
	for name, test := range map[string]struct {
		s                 series
		median, low, high float64
	}{
		"of nothing":       {nil, 0, 0, 0},
		"of one":           {series{3}, 3, 3, 3},
		"of two":           {series{1, 2}, 1.5, 1, 2},
		"of three":         {series{9, 1, 2}, 2, 1, 9},
		"with one outlier": {series{1, 1, 1, 1, 1, 1, 1, 1, 1, 99}, 1, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			low, high := test.s.interval()
			if test.s.median() != test.median || low != test.low || high != test.high {
				t.Errorf("got %v (%v to %v), want %v (%v to %v)", test.s.median(), low, high, test.median, test.low, test.high)
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	for name, test := range map[string]struct {
		r    row
		want string
	}{
		"nothing is promised":         {row{Value: 7}, "–"},
		"as much as it may be":        {row{Value: 1.5, Must: 1.5, Aim: 1}, "pass"},
		"more than it may be":         {row{Value: 1.51, Must: 1.5, Aim: 1}, "**miss**"},
		"as good as was hoped":        {row{Value: 1, Must: 1.5, Aim: 1}, "pass, aim reached"},
		"as fast as it must be":       {row{Value: 20, Must: 20, Aim: 200, More: true}, "pass"},
		"not as fast as it must be":   {row{Value: 19, Must: 20, Aim: 200, More: true}, "**miss**"},
		"faster than anybody dreamed": {row{Value: 201, Must: 20, Aim: 200, More: true}, "pass, aim reached"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.r.verdict(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTheTableTakesTheOldOnesPlace(t *testing.T) {
	page := "# Page\n" + begin + "old\n" + end + "after\n"
	r := &results{Rows: []row{compare("a", "b", series{1, 1}, series{20, 20}, true, 20, 200)}}
	once, err := splice(page, r.markdown())
	if err != nil {
		t.Fatal(err)
	}
	twice, err := splice(once, r.markdown())
	if err != nil || twice != once {
		t.Errorf("a second time it is not the same: %v\n%s", err, twice)
	}
	row := "| a | b | 1.00 ms | 20.0 ms | 20.0x faster (20.0 to 20.0) | ≥ 20.0x faster | ≥ 200x faster | pass | 2 | 0.0 |\n"
	if !strings.Contains(once, row) || strings.Contains(once, "old") || !strings.HasSuffix(once, "after\n") {
		t.Errorf("got\n%s", once)
	}
	if _, err := splice("no markers", ""); err == nil {
		t.Error("a page without markers is taken")
	}
}

func TestChoose(t *testing.T) {
	if all, err := choose(""); err != nil || len(all) != len(scenarios()) {
		t.Errorf("got %d, %v", len(all), err)
	}
	if some, err := choose("list, commit"); err != nil || len(some) != 2 || some[0].name != "list" {
		t.Errorf("got %v, %v", some, err)
	}
	if _, err := choose("nothing"); err == nil || !strings.Contains(err.Error(), "commit") {
		t.Errorf("got %v", err)
	}
}
