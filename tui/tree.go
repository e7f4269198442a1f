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
	tree := tree{children: children, drawn: map[dotmesh.BranchID]bool{}, look: t}
	for _, b := range roots {
		tree.climb(b, "", "")
	}
	for i := range all { // what is left descends from itself
		if b := &all[i]; b.Stash == nil && !tree.drawn[b.ID] {
			tree.climb(b, "", "")
		}
	}
	return tree.twigs, stashes
}

// tree is a tree of branches as it is being drawn.
type tree struct {
	twigs    []twig
	children map[dotmesh.BranchID][]*dotmesh.BranchStatus
	drawn    map[dotmesh.BranchID]bool
	look     *theme
}

// climb draws a branch with its stem, and all that were forked from it below it.
func (t *tree) climb(b *dotmesh.BranchStatus, stem, below string) {
	if t.drawn[b.ID] {
		return
	}
	t.drawn[b.ID] = true
	t.twigs = append(t.twigs, twig{b, stem})
	for i, child := range t.children[b.ID] {
		if i == len(t.children[b.ID])-1 {
			t.climb(child, below+t.look.last, below+strings.Repeat(" ", len([]rune(t.look.through))))
		} else {
			t.climb(child, below+t.look.branch, below+t.look.through)
		}
	}
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
