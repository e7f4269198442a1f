package feed

import (
	"fmt"
	"strings"

	"dotmesh.io/dotmesh"
)

// This file says in words what events mean. Its texts are made of what is harmless already.

func (f *Feed) logLine(e *dotmesh.Event) Line {
	node := f.nodes.name(e.Log.Node)
	level := strings.ToLower(e.Log.Level)
	if level == "" {
		level = Info
	}
	return Line{Time: e.Time, Kind: e.Kind, Level: level, Node: node, Text: prefixed(node, e.Log.Text)}
}

func (f *Feed) dotLine(e *dotmesh.Event, before *dotmesh.DotStatus) Line {
	name := e.Dot.Name.String()
	l := Line{Time: e.Time, Kind: e.Kind, Level: Info, Dot: name}
	switch {
	case e.Deleted:
		l.Text = name + " was deleted"
	case before == nil:
		l.Text = name + " was made"
	case before.Name != e.Dot.Name:
		l.Text = before.Name.String() + " is called " + name + " now"
	case before.Current != e.Dot.Current:
		l.Text = name + " has another current branch"
		if b := f.dots.branch(e.Dot.Current); b != nil && b.Name != "" {
			l.Branch = string(b.Name)
			l.Text = "the current branch of " + name + " is " + l.Branch + " now"
		}
	case !sameDot(&before.Dot, e.Dot):
		l.Text = "the settings of " + name + " were changed"
	}
	return l
}

// branchLine tells nothing of a branch that only went on by a commit: that has its own line.
func (f *Feed) branchLine(e *dotmesh.Event, before *dotmesh.BranchStatus) Line {
	b := e.Branch
	l := f.place(b)
	l.Time, l.Kind, l.Level = e.Time, e.Kind, Info
	switch {
	case e.Deleted && b.Name == dotmesh.MasterBranch: // with its dot
	case e.Deleted:
		l.Text = place(l) + " was dropped"
	case before == nil && e.Time.Sub(b.Created).Abs() > fresh: // it was made long ago, and is heard of only now
	case before == nil && b.Stash != nil:
		l.Text = place(l) + " keeps what was dropped"
		if b.Stash.Reason == dotmesh.StashDiverged {
			l.Level, l.Text = Warn, place(l)+" keeps what is not in the history of its branch"
		}
	case before == nil:
		if b.Name != dotmesh.MasterBranch { // which comes with its dot
			l.Text = place(l) + " was made"
		}
	default:
		l.Text = f.pointerWords(place(l), &before.Pointer, &b.Pointer)
	}
	l.Text = prefixed(l.Node, l.Text)
	return l
}

// pointerWords tells how a branch's pointer changed; "": by commits only.
func (f *Feed) pointerWords(name string, before, now *dotmesh.Pointer) string {
	switch {
	case before.Master != now.Master:
		return name + " came from " + f.nodes.name(before.Master)
	case before.State.Phase != now.State.Phase && now.State.Phase == dotmesh.Moving:
		return name + " goes to " + f.nodes.name(now.State.To)
	case before.State.Phase != now.State.Phase && now.State.Phase == dotmesh.Released:
		return name + " was let go to " + f.nodes.name(now.State.To)
	case before.State.Phase != now.State.Phase && before.State.Phase != "":
		return name + " stays"
	case before.Line != now.Line:
		return name + " was reset to " + short(now.Head.UUID)
	}
	return ""
}

func (f *Feed) commitLine(e *dotmesh.Event) Line {
	c := e.Commit
	l := Line{}
	if b := f.dots.branch(f.dots.lines[c.Line]); b != nil {
		l = f.place(&b.Branch)
	}
	l.Time, l.Kind, l.Level = e.Time, e.Kind, Info
	text := "commit " + short(c.ID.UUID)
	if c.Kind == dotmesh.SystemCommit {
		text = "system " + text
	}
	if l.Dot != "" {
		text += " on " + place(l)
	}
	switch {
	case e.Deleted:
		text += " was deleted"
	default:
		text += by(c.Author) + after(c.Message)
	}
	l.Text = prefixed(l.Node, text)
	return l
}

// nodeLine tells of a node, and is false where nothing is new.
func (f *Feed) nodeLine(e *dotmesh.Event) (Line, bool) {
	known := f.nodes.get(e.Node.ID)
	name := string(e.Node.Name)
	if name == "" {
		name = f.nodes.name(e.Node.ID)
	}
	l := Line{Time: e.Time, Kind: e.Kind, Level: Info, Node: name}
	switch alone := e.Node.Name == ""; {
	case alone && known != nil && known.Alive != e.Deleted:
		return l, false
	case alone && e.Deleted:
		l.Level, l.Text = Warn, name+" fell silent"
	case alone:
		l.Text = name + " is there"
	case e.Deleted:
		l.Level, l.Text = Warn, name+" left the cluster"
	case known == nil:
		l.Text = name + " joined the cluster"
	case known.Version != e.Node.Version:
		l.Text = name + " runs " + e.Node.Version + " now"
	}
	return l, true
}

// transferLine tells how a transfer goes, and is false where only its figures are new.
func (f *Feed) transferLine(e *dotmesh.Event, before *dotmesh.Transfer, known bool) (Line, bool) {
	t := e.Transfer
	if e.Deleted || known && before.State == t.State && before.Reason == t.Reason && before.Step == t.Step {
		return Line{}, false
	}
	l := Line{Time: e.Time, Kind: e.Kind, Level: Info, Dot: t.Dot.String(), Branch: string(t.Branch), Node: t.To}
	text := string(t.Kind) + " of " + place(l) + " from " + t.From + " to " + t.To + ": " + string(t.State)
	if t.Step != "" && !t.State.Ended() {
		text += ", step " + t.Step
	}
	if t.Try > 1 && !t.State.Ended() {
		text += fmt.Sprintf(", try %d", t.Try)
	}
	switch {
	case t.State == dotmesh.TransferFailed:
		l.Level = Error
	case t.State == dotmesh.TransferWaiting && !t.Retry.IsZero(), t.State == dotmesh.TransferCancelled:
		l.Level = Warn
	}
	l.Text = text + after(t.Reason)
	return l, true
}

// place returns a line with the names of a branch, its dot and its master.
func (f *Feed) place(b *dotmesh.Branch) (l Line) {
	l.Branch = string(b.Name)
	if d := f.dots.byID[b.Dot]; d != nil && d.shown {
		l.Dot = d.status.Name.String()
	}
	if b.Pointer.Master != "" {
		l.Node = f.nodes.name(b.Pointer.Master)
	}
	return l
}

// place returns the name of a line's branch as dm takes it.
func place(l Line) string {
	if l.Dot == "" {
		return l.Branch
	}
	return l.Dot + "@" + l.Branch
}

// short returns the beginning of an id that dm takes for all of it.
func short(id dotmesh.UUID) string {
	text := id.String()
	return text[:min(len(text), 8)]
}

func by(author string) string {
	if author == "" {
		return ""
	}
	return " by " + author
}

func after(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

func prefixed(node, text string) string {
	if node == "" || text == "" {
		return text
	}
	return node + ": " + text
}
