package main

// row is a line of the table: one promise and what came of it.
type row struct {
	What    string `json:"what"`
	Against string `json:"against,omitempty"` // empty: the value stands alone
	Unit    string `json:"unit"`              // of Value, Must and Aim: "x", "ms", "s", "MB", "%", "bytes", …

	Value float64 `json:"value"` // the median
	Low   float64 `json:"low"`   // and its 95 % interval
	High  float64 `json:"high"`
	Must  float64 `json:"must,omitempty"` // 0: none
	Aim   float64 `json:"aim,omitempty"`
	Never bool    `json:"never,omitempty"` // the must is 0
	More  bool    `json:"more,omitempty"`  // more is better

	Rounds int     `json:"rounds"`
	Ours   float64 `json:"ours,omitempty"`   // medians in milliseconds, where two sides are compared
	Theirs float64 `json:"theirs,omitempty"` //
	Load   float64 `json:"load"`             // of the machine in the minute before
	Rates  series  `json:"series"`           // what Value is the median of
}

// compare makes a row of two sides that were measured in turn. With more, the ratio says
// how many times faster ours is; else how many times as long it takes.
func compare(what, against string, ours, theirs series, more bool, must, aim float64) row {
	ratios := ours.over(theirs)
	if more {
		ratios = theirs.over(ours)
	}
	r := alone(what, "x", ratios, must)
	r.Against, r.More, r.Aim = against, more, aim
	r.Ours, r.Theirs = ours.median(), theirs.median()
	return r
}

// alone makes a row that is compared with nothing but its must.
func alone(what, unit string, values series, must float64) row {
	r := row{What: what, Unit: unit, Value: values.median(), Must: must, Rounds: len(values), Rates: values}
	r.Low, r.High = values.interval()
	return r
}

// verdict is how the median stands to the must and the aim.
func (r *row) verdict() string {
	reached := func(limit float64) bool {
		if r.More {
			return r.Value >= limit
		}
		return r.Value <= limit
	}
	switch {
	case r.Never && r.Value != 0:
		return "**miss**"
	case r.Never:
		return "pass"
	case r.Must != 0 && !reached(r.Must):
		return "**miss**"
	case r.Aim != 0 && reached(r.Aim):
		return "pass, aim reached"
	case r.Must != 0:
		return "pass"
	case r.Aim != 0:
		return "aim missed"
	}
	return "–"
}
