package tui

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"dotmesh.io/dotmesh"
)

// target is a branch that something is done to. The names are what a server is called with;
// what they stood for when they were chosen is told by the ids.
type target struct {
	dot      dotmesh.DotName
	branch   dotmesh.Name
	dotID    dotmesh.DotID
	branchID dotmesh.BranchID
}

func targetOf(d *dotmesh.DotStatus, at *dotmesh.BranchStatus) target {
	return target{d.Name, at.Name, d.ID, at.ID}
}

func (t target) String() string { return t.dot.String() + "@" + string(t.branch) }

// flags are dm's for it.
func (t target) flags() []string {
	return []string{"--dot", t.dot.String(), "--branch", string(t.branch)}
}

// targets are the branches that a key is for: the marked ones, else the one under the cursor.
// So many of them a filter hides, the last ones.
func (b *browse) targets() (all []target, hidden int) {
	if b.focus == paneDots {
		ids, hidden := b.chosenDots()
		for _, id := range ids {
			if d := b.byID[id]; d != nil {
				all = append(all, targetOf(d, &d.Branch))
			}
		}
		return all, hidden
	}
	d, detail := b.dot(), b.detail()
	if d == nil {
		return nil, 0
	}
	if ids := b.branches.Marked(); b.focus == paneBranches && len(ids) > 0 && detail != nil {
		for _, id := range ids {
			if at := pickBranch(detail.All, id); at != nil {
				all = append(all, targetOf(d, at))
			}
		}
		return all, 0
	}
	if at := b.branchAt(); at != nil {
		all = []target{targetOf(d, at)}
	}
	return all, 0
}

// seenBranch is a target as it was when it was chosen.
type seenBranch struct {
	target
	is *dotmesh.BranchStatus
}

// seen are the targets that are no stashes, as they are now.
func (b *browse) seen() (all []seenBranch, hidden int) {
	targets, hidden := b.targets()
	for _, t := range targets {
		if is := b.branch(t.dotID, t.branchID); is != nil && is.Stash == nil {
			now := *is
			all = append(all, seenBranch{t, &now})
		}
	}
	return all, hidden
}

// chosenDots are the marked dots, else the one under the cursor, and how many are hidden.
func (b *browse) chosenDots() (ids []dotmesh.DotID, hidden int) {
	if ids := b.dots.Marked(); len(ids) > 0 {
		_, hidden = b.dots.Marks()
		return ids, hidden
	}
	if d := b.dot(); d != nil {
		ids = []dotmesh.DotID{d.ID}
	}
	return ids, 0
}

// chosenCommit is one that a key is for.
type chosenCommit struct{ *dotmesh.Commit }

func (c chosenCommit) String() string { return short(c.ID) }

// chosenCommits are the marked ones, newest first, else the one under the cursor.
func (b *browse) chosenCommits() (all []chosenCommit) {
	marked := b.commits.Marked()
	for i := range b.log.commits {
		if c := &b.log.commits[i]; slices.Contains(marked, c.ID) {
			all = append(all, chosenCommit{c})
		}
	}
	if c := b.commitAt(); len(all) == 0 && c != nil {
		all = append(all, chosenCommit{c})
	}
	return all
}

// listed says in full what is acted on, where one may not see all of it.
func listed[T fmt.Stringer](all []T, hidden int) []string {
	names := func(some []T) string {
		texts := make([]string, len(some))
		for i, one := range some {
			texts[i] = one.String()
		}
		return strings.Join(texts, ", ")
	}
	seen := len(all) - min(hidden, len(all))
	switch {
	case hidden == 0:
		return []string{names(all)}
	case seen == 0:
		return []string{"Marked, and hidden by the filter: " + names(all)}
	}
	return []string{names(all[:seen]), "Also marked, and hidden by the filter: " + names(all[seen:])}
}

// stillThere is why a form about a dot cannot go on: it is gone, or not the one that had the
// name when the form was opened.
func stillThere(id dotmesh.DotID, name dotmesh.DotName) func(*ui) string {
	return func(u *ui) string {
		if d := u.browse.byID[id]; d == nil || d.Name != name {
			return name.String() + " is not there any more; esc closes this"
		}
		return ""
	}
}

// allThere is stillThere for branches.
func allThere(all ...target) func(*ui) string {
	return func(u *ui) string {
		for _, t := range all {
			if why := stillThere(t.dotID, t.dot)(u); why != "" {
				return why
			}
			if at := u.browse.branch(t.dotID, t.branchID); at == nil || at.Name != t.branch {
				return t.String() + " is not there any more; esc closes this"
			}
		}
		return ""
	}
}

// check asks the server whether the names of t still stand for what was chosen. The picture
// may be a moment old, and for what drops something that is too long.
func (t target) check(ctx context.Context, s dotmesh.Service) error {
	d, err := s.Dot(ctx, t.dot)
	if err != nil {
		return err
	}
	at := pickBranch(d.All, t.branchID)
	if d.ID != t.dotID || !t.branchID.IsZero() && (at == nil || at.Name != t.branch) {
		return dotmesh.E("tui.check", dotmesh.Conflict, "%s is another one now than the one that was shown; nothing was done", t)
	}
	return nil
}

// wholeDot is a target that is a dot with all of its branches.
type wholeDot struct{ target }

func (d wholeDot) String() string { return d.dot.String() }
