package tui

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
	"dotmesh.io/dotmesh/tui/feed"
	"dotmesh.io/dotmesh/tui/table"
)

// lines implements screen.
func (b *browse) lines() []string {
	if b.u.pic.State == feed.Connecting || len(b.u.pic.Dots) == 0 {
		return b.blank()
	}
	a := b.areas()
	if !b.isWide() {
		pane := [...]func() []string{b.dotLines, b.branchLines, b.commitLines}[b.focus]()
		return append(pane, b.detailLines(a.detail.w, a.detail.h)...)
	}
	edge := b.u.look.dim.Render(b.u.look.vertical)
	right := beside(b.branchLines(), b.commitLines(), edge)
	right = append(right, b.detailLines(a.detail.w, a.detail.h)...)
	return beside(b.dotLines(), right, edge)
}

// beside joins two columns of lines, line by line.
func beside(left, right []string, edge string) []string {
	lines := make([]string, len(left))
	for i := range left {
		lines[i] = left[i] + edge + right[i]
	}
	return lines
}

// blank is what stands where there is no dot.
func (b *browse) blank() []string {
	text := []string{"", "  asking the server …"}
	if b.u.pic.State == feed.Lost && len(b.u.pic.Dots) == 0 && b.u.pic.Err != nil {
		text = []string{"", "  " + termsafe.Brief(errorText(b.u.pic.Err))}
	} else if b.u.pic.State != feed.Connecting {
		text = []string{"", "  There are no dots yet.", "", "  n makes one; so does: dm init NAME"}
	}
	return fill(text, b.width, b.height, b.u.look.cut)
}

// fill cuts and pads text to a size.
func fill(text []string, width, height int, cut string) []string {
	lines := make([]string, height)
	for i := range lines {
		if i < len(text) {
			lines[i] = fit(text[i], width, cut)
		} else {
			lines[i] = strings.Repeat(" ", width)
		}
	}
	return lines
}

// heading is a pane's first line.
func (b *browse) heading(pane int, text string, width int) string {
	style := b.u.look.dim
	if b.focus == pane {
		style = b.u.look.title
	}
	return style.Render(fit(" "+text, width, b.u.look.cut))
}

// marks says how many rows are marked.
func marks(all, hidden int) (text string) {
	if all > 0 {
		text = ", " + count(all) + " marked"
	}
	if hidden > 0 {
		text += " (" + count(hidden) + " hidden)"
	}
	return text
}

func (b *browse) dotLines() []string {
	text := "Dots " + count(b.dots.Len())
	if all := len(b.u.pic.Dots); all != b.dots.Len() {
		text += " of " + count(all)
	}
	text += marks(b.dots.Marks())
	if b.column > 0 || b.reverse {
		text += "  by " + b.columns[b.column].Title
		if b.reverse {
			text += " reversed"
		}
	}
	lines := []string{b.heading(paneDots, text, b.areas().dots.w)}
	return append(lines, b.dots.View(func(id dotmesh.DotID, cells []table.Cell) {
		d := b.byID[id]
		for i := range cells {
			cells[i] = b.columns[i].cell(b.u, d)
		}
	})...)
}

func (b *browse) branchLines() []string {
	width := b.areas().branches.w
	d := b.dot()
	title := "Branches"
	if d != nil {
		title += " of " + d.Name.String()
	}
	all, stems, stashes := b.family()
	lines := []string{b.heading(paneBranches, title, width)}
	return append(lines, b.branches.View(func(id dotmesh.BranchID, cells []table.Cell) {
		if id.IsZero() {
			sign := "+ "
			if b.stashes {
				sign = "- "
			}
			cells[0] = table.Cell{Text: sign + plural(stashes, "stash", "stashes"), Style: b.u.look.pen.dim}
			return
		}
		b.branchCells(all[id], stems[id], cells)
	})...)
}

// family is the branches of the dot by id, and what is drawn before their names.
func (b *browse) family() (all map[dotmesh.BranchID]*dotmesh.BranchStatus, stems map[dotmesh.BranchID]string, stashes int) {
	all, stems = map[dotmesh.BranchID]*dotmesh.BranchStatus{}, map[dotmesh.BranchID]string{}
	detail := b.detail()
	if detail == nil {
		if d := b.dot(); d != nil {
			all[d.Branch.ID] = &d.Branch
		}
		return all, stems, 0
	}
	twigs, stashed := grow(detail.All, &b.u.look)
	for _, t := range twigs {
		all[t.branch.ID], stems[t.branch.ID] = t.branch, t.stem
	}
	for _, s := range stashed {
		all[s.ID], stems[s.ID] = s, "  "
	}
	return all, stems, len(stashed)
}

func (b *browse) branchCells(s *dotmesh.BranchStatus, stem string, cells []table.Cell) {
	if s == nil {
		return
	}
	name := stem
	if s.Current {
		name += "*"
	}
	cells[0] = table.Cell{Text: name + string(s.Name)}
	if s.Stash != nil {
		cells[0].Style = b.u.look.pen.dim
	}
	cells[1] = b.u.dirtyCell(s.Dirty)
	cells[2] = table.Cell{Text: count(s.Pointer.Count)}
	cells[3] = b.u.masterCell(s)
	cells[4] = table.Cell{Text: sizeOf(s)}
	cells[5] = table.Cell{Text: users(s.Containers)}
}

func (b *browse) commitLines() []string {
	width := b.areas().commits.w
	title := "Commits"
	at := b.branchAt()
	if at != nil {
		title += " of " + string(at.Name) + " " + count(at.Pointer.Count)
	}
	if b.log.reading {
		title += " …"
	}
	byID := map[dotmesh.CommitID]*dotmesh.Commit{}
	for i := range b.log.commits {
		byID[b.log.commits[i].ID] = &b.log.commits[i]
	}
	lines := []string{b.heading(paneCommits, title, width)}
	return append(lines, b.commits.View(func(id dotmesh.CommitID, cells []table.Cell) {
		if id.IsZero() {
			cells[2] = table.Cell{Text: "in no commit yet: " + dirty(at.Dirty), Style: b.u.look.pen.warn}
			return
		}
		b.commitCells(byID[id], cells)
	})...)
}

func (b *browse) commitCells(c *dotmesh.Commit, cells []table.Cell) {
	if c == nil {
		return
	}
	cells[0] = table.Cell{Text: short(c.ID), Style: b.u.look.pen.key}
	cells[1] = table.Cell{Text: when(c.Time, b.u.o.Now()), Style: b.u.look.pen.dim}
	cells[2] = table.Cell{Text: firstLine(c.Message)}
	cells[3] = table.Cell{Text: c.Author, Style: b.u.look.pen.dim}
}

// detailLines tell more of what the cursor is on.
func (b *browse) detailLines(width, height int) []string {
	if height == 0 {
		return nil
	}
	text := []string{b.u.look.dim.Render(strings.Repeat(b.u.look.horizontal, width))}
	switch c := b.commitAt(); {
	case c != nil && b.focus == paneCommits:
		text = append(text, b.aboutCommit(c, width)...)
	case b.focus == paneDots:
		text = append(text, b.aboutDot()...)
	default:
		if at := b.branchAt(); at != nil {
			text = append(text, b.aboutBranch(at)...)
		}
	}
	return fill(text, width, height, b.u.look.cut)
}

// label is a word of a detail and what it is of.
func (b *browse) label(word, text string) string {
	return " " + b.u.look.dim.Render(fmt.Sprintf("%-9s", word)) + " " + text
}

func (b *browse) aboutDot() []string {
	d := b.dot()
	if d == nil {
		return nil
	}
	lines := []string{b.label("dot", d.Name.String()+"  "+b.u.look.dim.Render(d.ID.String()))}
	owner := ""
	if detail := b.detail(); detail != nil {
		owner = "  owner " + detail.OwnerName
	}
	lines = append(lines, b.label("made", when(d.Created, b.u.o.Now())+forked(d)+owner),
		b.label("branches", strconv.Itoa(d.Branches)+", stashes "+strconv.Itoa(d.Stashes)+"  replicas "+orAll(d.Replicas)+rpo(d)))
	if detail := b.detail(); detail != nil {
		if at := pickBranch(detail.All, d.Current); at != nil {
			lines = append(lines, b.state(at)...)
		}
	}
	return lines
}

// forked says what a dot was made out of.
func forked(d *dotmesh.DotStatus) string {
	if d.Origin.Commit.IsZero() {
		return ""
	}
	return "  out of " + d.Origin.Name.String() + " at " + short(d.Origin.Commit)
}

func orAll(replicas string) string {
	if replicas == "" {
		return "all"
	}
	return termsafe.Brief(replicas)
}

func rpo(d *dotmesh.DotStatus) string {
	if d.RPO == 0 {
		return ""
	}
	return "  rpo " + span(d.RPO)
}

func (b *browse) aboutBranch(at *dotmesh.BranchStatus) []string {
	name := string(at.Name)
	if at.Origin != nil {
		from := short(at.Origin.Commit)
		if detail := b.detail(); detail != nil {
			if o := pickBranch(detail.All, at.Origin.Branch); o != nil {
				from = string(o.Name) + " " + from
			}
		}
		name += "  from " + from
	}
	lines := []string{b.label("branch", name+"  "+b.u.look.dim.Render(at.ID.String()))}
	if s := at.Stash; s != nil {
		lines = append(lines, b.label("stash", string(s.Reason)+", made "+when(s.At, b.u.o.Now())+", kept until "+orForever(when(s.Expires, b.u.o.Now()))))
	}
	return append(lines, b.state(at)...)
}

func orForever(t string) string {
	if t == "-" {
		return "it is deleted"
	}
	return t
}

// state says who has a branch, who uses it, and how far its replicas are.
func (b *browse) state(at *dotmesh.BranchStatus) []string {
	p := &at.Pointer
	lines := []string{b.label("master", masterName(at)+"  epoch "+strconv.FormatUint(p.Epoch, 10)+"  "+phase(b.u, at))}
	dirtyText := dirty(at.Dirty)
	if !at.Dirty.AsOf.IsZero() {
		dirtyText += "  as of " + when(at.Dirty.AsOf, b.u.o.Now())
	}
	lines = append(lines, b.label("dirty", dirtyText+"  size "+sizeOf(at)))
	if len(at.Containers) > 0 {
		lines = append(lines, b.label("used by", users(at.Containers)))
	}
	for i := range at.Replicas {
		r := &at.Replicas[i]
		text, style := "has all", b.u.look.good
		switch {
		case r.Node == p.Master:
			text = "^master"
		case len(r.Missing) > 0:
			text, style = "! "+lag(len(r.Missing), r.Behind)+" behind", b.u.look.warn
		}
		if !r.Alive {
			text, style = text+", ! silent", b.u.look.fault
		}
		lines = append(lines, b.label("replica", fit(string(r.Name), 12, b.u.look.cut)+" "+style.Render(text)))
	}
	return lines
}

// phase says where a branch is on its way to another master.
func phase(u *ui, at *dotmesh.BranchStatus) string {
	s := at.Pointer.State
	if s.Phase == dotmesh.Held || s.Phase == "" {
		return "held"
	}
	to := string(s.To)
	if n := u.node(s.To); n != nil {
		to = string(n.Name)
	}
	return u.look.warn.Render(string(s.Phase) + " to " + to)
}

// aboutCommit is a commit's record and what it changed.
func (b *browse) aboutCommit(c *dotmesh.Commit, width int) []string {
	lines := []string{
		b.label("commit", c.ID.String()),
		b.label("by", c.Author+"  "+when(c.Time, b.u.o.Now())+"  "+string(c.Kind)),
	}
	for _, line := range strings.Split(strings.TrimSpace(c.Message), "\n") {
		lines = append(lines, "   "+b.u.look.title.Render(line))
	}
	for _, k := range slices.Sorted(maps.Keys(c.Metadata)) {
		lines = append(lines, b.label("metadata", k+"="+c.Metadata[k])) // no label is theirs
	}
	if at := b.branchAt(); at != nil && len(at.Replicas) > 0 {
		lines = append(lines, b.label("on", heldBy(at, c.ID)))
	}
	if b.diff.commit != c.ID || !b.diff.ready {
		return append(lines, b.label("changes", "…"))
	}
	return append(lines, b.u.diffstatLines(*b.diff, c.Parent.IsZero())...)
}

// heldBy counts the nodes that have a commit, and names those that lack it.
func heldBy(at *dotmesh.BranchStatus, id dotmesh.CommitID) string {
	held := len(at.Replicas)
	var without []string
	for i := range at.Replicas {
		if slices.Contains(at.Replicas[i].Missing, id) {
			held--
			without = append(without, string(at.Replicas[i].Name))
		}
	}
	text := strconv.Itoa(held) + "/" + strconv.Itoa(len(at.Replicas)) + " nodes"
	if len(without) > 0 {
		text += " ! not on " + strings.Join(without, ", ")
	}
	return text
}

// diffstatLines count what was changed, and name it.
func (u *ui) diffstatLines(d diffstat, first bool) []string {
	switch {
	case d.err != nil:
		return []string{u.look.fault.Render("  ! " + termsafe.Brief(errorText(d.err)))}
	case first:
		return []string{"   " + u.look.dim.Render("the dot begins here")}
	case len(d.files) == 0:
		return []string{"   " + u.look.dim.Render("no file differs")}
	}
	n := map[dotmesh.ChangeKind]int{}
	for _, f := range d.files {
		n[f.Kind]++
	}
	sum := "   " + count(n[dotmesh.Added]) + " added, " + count(n[dotmesh.Modified]) + " modified, " + count(n[dotmesh.Removed]) + " removed"
	if d.more {
		sum += ", and more"
	}
	lines := []string{u.look.dim.Render(sum)}
	for i := range d.files {
		lines = append(lines, u.fileLine(&d.files[i]))
	}
	return lines
}

// fileLine is one file that differs.
func (u *ui) fileLine(f *dotmesh.FileChange) string {
	sign, style := "~", u.look.warn
	switch f.Kind {
	case dotmesh.Added:
		sign, style = "+", u.look.added
	case dotmesh.Removed:
		sign, style = "-", u.look.removed
	}
	return "   " + style.Render(sign) + " " + fit(size(f.Size), 6, "") + " " + termsafe.Brief(f.Path)
}

// crumbs implements screen.
func (b *browse) crumbs() string {
	var path []string
	if d := b.dot(); d != nil {
		path = append(path, d.Name.String())
	}
	if at := b.branchAt(); at != nil && b.focus > paneDots {
		path = append(path, string(at.Name))
	}
	if c := b.commitAt(); c != nil && b.focus == paneCommits {
		path = append(path, short(c.ID))
	}
	return strings.Join(path, " > ")
}

// clickRow puts the cursor of the pane with the focus on what is drawn on a line of its table.
func (b *browse) clickRow(line int) {
	switch b.focus {
	case paneBranches:
		clickRow(b.branches, line)
	case paneCommits:
		clickRow(b.commits, line)
	default:
		clickRow(b.dots, line)
	}
}

func clickRow[K comparable](t *table.Table[K], line int) {
	if k, ok := t.At(line); ok {
		t.Select(k)
	}
}
