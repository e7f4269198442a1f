package tui

import (
	"context"

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
func (b *browse) targets() (all []target) {
	d := b.dot()
	switch {
	case d == nil:
		return nil
	case b.focus == paneDots && len(b.dots.Marked()) > 0:
		for _, id := range b.dots.Marked() {
			if d := b.byID[id]; d != nil {
				all = append(all, targetOf(d, &d.Branch))
			}
		}
		return all
	case b.focus == paneBranches && len(b.branches.Marked()) > 0 && b.detail() != nil:
		for _, id := range b.branches.Marked() {
			if at := pickBranch(b.detail().All, id); at != nil {
				all = append(all, targetOf(d, at))
			}
		}
		return all
	case b.focus == paneDots:
		return []target{targetOf(d, &d.Branch)}
	}
	if at := b.branchAt(); at != nil {
		return []target{targetOf(d, at)}
	}
	return nil
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
