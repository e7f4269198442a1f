//go:build linux

package btrfs

import (
	"slices"
	"sync"

	"dotmesh.io/dotmesh"
)

// incoming knows the lines that streams are received into, and what streams have left that
// the next one may use. None of that outlives the process.
type incoming struct {
	mu    sync.Mutex // guards what follows, and the first part of each arrival
	lines map[dotmesh.LineID]*arrival
	clock int
}

// arrival is what there is of streams into one line. While a Receive runs it is that one's;
// else it belongs to whoever has the turn and claims it.
type arrival struct {
	busy   bool // a Receive runs
	unborn bool // the line was made for it, and is hidden while it has no commit
	left   int  // when the last Receive ended

	line    dotmesh.LineID
	staging *staging
}

// enter begins a Receive. There is one at a time for each line.
func (in *incoming) enter(line dotmesh.LineID) (*arrival, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.lines == nil {
		in.lines = map[dotmesh.LineID]*arrival{}
	}
	a := in.lines[line]
	if a == nil {
		a = &arrival{line: line}
		in.lines[line] = a
	}
	if a.busy {
		return nil, receiving(line)
	}
	a.busy = true
	return a, nil
}

func receiving(line dotmesh.LineID) error {
	return dotmesh.E("", dotmesh.Busy, "a stream is being received into line %s; wait for its end, or end it", line)
}

// leave ends a Receive.
func (in *incoming) leave(a *arrival) {
	in.mu.Lock()
	defer in.mu.Unlock()
	a.busy = false
	in.clock++
	if a.left = in.clock; a.staging == nil && !a.unborn {
		delete(in.lines, a.line)
	}
}

// claim takes what streams into a line have left, nil if there is nothing. It refuses with
// Busy while a Receive runs.
func (in *incoming) claim(line dotmesh.LineID) (*arrival, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := in.lines[line]
	if a != nil && a.busy {
		return nil, receiving(line)
	}
	delete(in.lines, line)
	return a, nil
}

// basedOn takes what streams into a line have left, if it is a difference to one of the
// commits, or the same as it. While a Receive runs it takes nothing.
func (in *incoming) basedOn(line dotmesh.LineID, commits []dotmesh.Ref) *arrival {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := in.lines[line]
	if a == nil || a.busy || a.staging == nil || !slices.Contains(commits, a.staging.base) {
		return nil
	}
	delete(in.lines, line)
	return a
}

// busy reports whether a Receive runs.
func (in *incoming) busy(line dotmesh.LineID) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := in.lines[line]
	return a != nil && a.busy
}

// oldest takes what was left longest ago, if there is more than so much.
func (in *incoming) oldest(keep int) *arrival {
	in.mu.Lock()
	defer in.mu.Unlock()
	var first *arrival
	for _, a := range in.lines {
		if !a.busy && (first == nil || a.left < first.left) {
			first = a
		}
	}
	if first == nil || len(in.lines) <= keep {
		return nil
	}
	delete(in.lines, first.line)
	return first
}

// setUnborn hides a line, or shows it.
func (in *incoming) setUnborn(a *arrival, unborn bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	a.unborn = unborn
}

// all takes everything. No Receive runs any more.
func (in *incoming) all() (list []*arrival) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, a := range in.lines {
		list = append(list, a)
	}
	in.lines = nil
	return list
}

// unborn reports whether a line is hidden.
func (in *incoming) unborn(line dotmesh.LineID) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	a := in.lines[line]
	return a != nil && a.unborn
}

// allUnborn returns the lines that are hidden.
func (in *incoming) allUnborn() map[dotmesh.LineID]bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	hidden := map[dotmesh.LineID]bool{}
	for line, a := range in.lines {
		if a.unborn {
			hidden[line] = true
		}
	}
	return hidden
}
