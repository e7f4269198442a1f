package plan

import (
	"cmp"
	"slices"

	"dotmesh.io/dotmesh"
)

// Chain returns the part of one line's commits that is tip's history, newest first; it is
// empty if tip is not among them. It goes from parent to parent, so a snapshot that was
// never registered is not in it; where the parent was deleted it goes on at the next older
// commit.
func Chain(commits []dotmesh.Commit, tip dotmesh.CommitID) []dotmesh.Commit {
	sorted := slices.SortedFunc(slices.Values(commits), func(a, b dotmesh.Commit) int { return cmp.Compare(a.Seq, b.Seq) })
	byID := map[dotmesh.CommitID]int{}
	for i := range sorted {
		byID[sorted[i].ID] = i
	}
	var chain []dotmesh.Commit
	next, ok := byID[tip]
	if !ok {
		return nil
	}
	for next >= 0 {
		c := sorted[next]
		chain = append(chain, c)
		if next, ok = byID[c.Parent]; !ok || sorted[next].Seq >= c.Seq {
			next = below(sorted, c.Seq)
		}
	}
	return chain
}

// below returns the index of the newest commit with a lower seq, or -1.
func below(sorted []dotmesh.Commit, seq uint64) int {
	at, _ := slices.BinarySearchFunc(sorted, seq, func(c dotmesh.Commit, seq uint64) int { return cmp.Compare(c.Seq, seq) })
	return at - 1
}
