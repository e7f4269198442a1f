package tui

import (
	"slices"
	"strings"

	"dotmesh.io/dotmesh"
)

// twig is a branch and how deep it stands below those that it was forked from.
type twig struct {
	branch *dotmesh.BranchStatus
	stem   string // what is drawn before its name
}

// grow orders branches as a tree: each below the one that it was forked from, in the order
// that they came in. Stashes come last and flat. A branch whose origin is not there, or that
// descends from itself, is a root.
func grow(all []dotmesh.BranchStatus, t *theme) (twigs []twig, stashes []*dotmesh.BranchStatus) {
	there := map[dotmesh.BranchID]bool{}
	for i := range all {
		there[all[i].ID] = all[i].Stash == nil
	}
	children := map[dotmesh.BranchID][]*dotmesh.BranchStatus{}
	var roots []*dotmesh.BranchStatus
	for i := range all {
		b := &all[i]
		switch {
		case b.Stash != nil:
			stashes = append(stashes, b)
		case b.Origin != nil && there[b.Origin.Branch] && b.Origin.Branch != b.ID:
			children[b.Origin.Branch] = append(children[b.Origin.Branch], b)
		default:
			roots = append(roots, b)
		}
	}
	drawn := map[dotmesh.BranchID]bool{}
	for _, b := range roots {
		twigs = climb(twigs, b, "", "", children, drawn, t)
	}
	for i := range all { // what is left descends from itself
		if b := &all[i]; b.Stash == nil && !drawn[b.ID] {
			twigs = climb(twigs, b, "", "", children, drawn, t)
		}
	}
	return twigs, stashes
}

// climb adds a branch and all that were forked from it.
func climb(twigs []twig, b *dotmesh.BranchStatus, stem, below string, children map[dotmesh.BranchID][]*dotmesh.BranchStatus, drawn map[dotmesh.BranchID]bool, t *theme) []twig {
	if drawn[b.ID] {
		return twigs
	}
	drawn[b.ID] = true
	twigs = append(twigs, twig{b, stem})
	for i, child := range children[b.ID] {
		if i == len(children[b.ID])-1 {
			twigs = climb(twigs, child, below+t.last, below+strings.Repeat(" ", len([]rune(t.through))), children, drawn, t)
		} else {
			twigs = climb(twigs, child, below+t.branch, below+t.through, children, drawn, t)
		}
	}
	return twigs
}

// branchRows are the ids of the branches as a tree; the zero id stands for the stashes, which
// follow it when they are unfolded.
func (b *browse) branchRows() []dotmesh.BranchID {
	detail := b.detail()
	if detail == nil {
		if d := b.dot(); d != nil {
			return []dotmesh.BranchID{d.Branch.ID}
		}
		return nil
	}
	twigs, stashes := grow(detail.All, &b.u.look)
	rows := make([]dotmesh.BranchID, 0, len(detail.All)+1)
	for _, t := range twigs {
		rows = append(rows, t.branch.ID)
	}
	if len(stashes) == 0 {
		return rows
	}
	rows = append(rows, dotmesh.BranchID{})
	if b.stashes {
		for _, s := range stashes {
			rows = append(rows, s.ID)
		}
	}
	return rows
}

// commitRows are the ids of the commits that were read; the zero id stands for what is in
// none yet, where there is something.
func (b *browse) commitRows() []dotmesh.CommitID {
	at := b.branchAt()
	if at == nil || b.log.branch != at.ID {
		return nil
	}
	rows := make([]dotmesh.CommitID, 0, len(b.log.commits)+1)
	if at.Dirty.Bytes > 0 {
		rows = append(rows, dotmesh.CommitID{})
	}
	for i := range b.log.commits {
		rows = append(rows, b.log.commits[i].ID)
	}
	return rows
}

// pickBranch finds a branch of a dot by its id.
func pickBranch(all []dotmesh.BranchStatus, id dotmesh.BranchID) *dotmesh.BranchStatus {
	i := slices.IndexFunc(all, func(b dotmesh.BranchStatus) bool { return b.ID == id })
	if i < 0 {
		return nil
	}
	return &all[i]
}
