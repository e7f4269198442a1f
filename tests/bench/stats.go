package main

import (
	"math/rand/v2"
	"slices"
	"time"
)

// series is one measured quantity, in the order in which it was measured.
type series []float64

// add appends a time in milliseconds.
func (s *series) add(d time.Duration) { *s = append(*s, float64(d)/float64(time.Millisecond)) }

// over returns the ratios of two series, round by round.
func (s series) over(other series) series {
	ratios := make(series, min(len(s), len(other)))
	for i := range ratios {
		ratios[i] = s[i] / other[i]
	}
	return ratios
}

// median is 0 for an empty series.
func (s series) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// interval is the 95 % bootstrap interval of the median: what the median would be in 2,000
// other runs, each drawn from the rounds of this one. The same series has the same one.
func (s series) interval() (low, high float64) {
	const runs = 2000
	if len(s) == 0 {
		return 0, 0
	}
	random := rand.New(rand.NewPCG(1, 2))
	medians := make(series, runs)
	drawn := make(series, len(s))
	for i := range medians {
		for j := range drawn {
			drawn[j] = s[random.IntN(len(s))]
		}
		medians[i] = drawn.median()
	}
	slices.Sort(medians)
	return medians[runs*25/1000], medians[runs*975/1000-1]
}
