package feed

import (
	"fmt"
	"slices"

	"dotmesh.io/dotmesh"
)

// Check looks whether what the feed holds hangs together.
func (f *Feed) Check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	tallies := map[dotmesh.DotID][2]int{}
	for id, b := range f.dots.branches {
		e := f.dots.byID[b.dot]
		switch {
		case e == nil:
			return fmt.Errorf("branch %v belongs to a dot that is gone", id)
		case b.status == nil && e.status.Current != id:
			return fmt.Errorf("branch %v has no status and is not the current one", id)
		case b.status != nil && e.status.Current == id && e.shown:
			return fmt.Errorf("the current branch %v has two statuses", id)
		case b.status != nil && !slices.Contains(e.others, id):
			return fmt.Errorf("branch %v is not among those of its dot", id)
		}
		tally := tallies[b.dot]
		tally[kind(b.stash)]++
		tallies[b.dot] = tally
	}
	for id, e := range f.dots.byID {
		if e.tally != tallies[id] || e.gone {
			return fmt.Errorf("%v counts %v branches, there are %v; gone: %v", e.status.Name, e.tally, tallies[id], e.gone)
		}
		for _, other := range e.others {
			if f.dots.branches[other] == nil {
				return fmt.Errorf("%v has a branch that is gone", e.status.Name)
			}
		}
	}
	for _, id := range f.dots.lines {
		if f.dots.branches[id] == nil {
			return fmt.Errorf("a line belongs to the branch %v that is gone", id)
		}
	}
	return nil
}

// Append appends to lines those that are kept and numbered from n on, oldest first, and
// returns them.
func (l *Log) Append(lines []Line, n uint64) []Line {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for n = max(n, l.first); n < l.next; n++ {
		lines = append(lines, *l.at(n))
	}
	return lines
}
