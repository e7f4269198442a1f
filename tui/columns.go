package tui

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
	"dotmesh.io/dotmesh/tui/filter"
	"dotmesh.io/dotmesh/tui/table"
)

// column is one of the table of dots: how it is shown, and how dots are sorted by it.
type column struct {
	table.Column
	compare func(a, b *dotmesh.DotStatus) int
	cell    func(u *ui, d *dotmesh.DotStatus) table.Cell
}

func dotColumns() []column {
	by := func(figure func(*dotmesh.DotStatus) int64) func(a, b *dotmesh.DotStatus) int { // the largest first
		return func(a, b *dotmesh.DotStatus) int { return cmp.Compare(figure(b), figure(a)) }
	}
	text := func(of func(*dotmesh.DotStatus) string) func(a, b *dotmesh.DotStatus) int {
		return func(a, b *dotmesh.DotStatus) int { return strings.Compare(of(a), of(b)) }
	}
	return []column{
		{
			table.Column{Title: "NAME", Min: 16, Max: 60, Grow: 3},
			text(func(d *dotmesh.DotStatus) string { return d.Name.String() }),
			func(u *ui, d *dotmesh.DotStatus) table.Cell { return table.Cell{Text: d.Name.String()} },
		},
		{
			table.Column{Title: "DIRTY", Min: 7, Align: table.Right},
			by(func(d *dotmesh.DotStatus) int64 { return d.Branch.Dirty.Bytes }),
			func(u *ui, d *dotmesh.DotStatus) table.Cell { return u.dirtyCell(d.Branch.Dirty) },
		},
		{
			table.Column{Title: "USED BY", Min: 9, Max: 40, Grow: 2, Drop: 2},
			by(func(d *dotmesh.DotStatus) int64 { return int64(len(d.Branch.Containers)) }),
			func(u *ui, d *dotmesh.DotStatus) table.Cell { return table.Cell{Text: users(d.Branch.Containers)} },
		},
		{
			table.Column{Title: "LAG", Min: 5, Max: 14, Grow: 1, Drop: 2},
			by(func(d *dotmesh.DotStatus) int64 { return int64(d.Branch.Missing) }),
			func(u *ui, d *dotmesh.DotStatus) table.Cell { return u.lagCell(&d.Branch) },
		},
		{
			table.Column{Title: "MASTER", Min: 7, Max: 20, Grow: 1, Drop: 1},
			text(func(d *dotmesh.DotStatus) string { return masterName(&d.Branch) }),
			func(u *ui, d *dotmesh.DotStatus) table.Cell { return u.masterCell(&d.Branch) },
		},
		{
			table.Column{Title: "BRANCH", Min: 7, Max: 24, Grow: 1, Drop: 5},
			text(func(d *dotmesh.DotStatus) string { return string(d.Branch.Name) }),
			func(u *ui, d *dotmesh.DotStatus) table.Cell { return table.Cell{Text: string(d.Branch.Name)} },
		},
		{
			table.Column{Title: "COMMITS", Min: 7, Align: table.Right, Drop: 4},
			by(func(d *dotmesh.DotStatus) int64 { return int64(d.Branch.Pointer.Count) }),
			func(u *ui, d *dotmesh.DotStatus) table.Cell { return table.Cell{Text: count(d.Branch.Pointer.Count)} },
		},
		{
			table.Column{Title: "SIZE", Min: 5, Align: table.Right, Drop: 3},
			by(func(d *dotmesh.DotStatus) int64 { return d.Branch.Size }),
			func(u *ui, d *dotmesh.DotStatus) table.Cell { return table.Cell{Text: sizeOf(&d.Branch)} },
		},
	}
}

func tableColumns(columns []column) []table.Column {
	all := make([]table.Column, len(columns))
	for i, c := range columns {
		all[i] = c.Column
	}
	return all
}

// chosenColumns are the ones of those titles, in that order; all for none. The name is
// always there, and first.
func chosenColumns(titles []string) []column {
	all := dotColumns()
	if len(titles) == 0 {
		return all
	}
	chosen := all[:1:1]
	for _, title := range titles {
		if i := slices.IndexFunc(all, func(c column) bool { return c.Title == title }); i > 0 {
			c := all[i]
			c.Drop = 0 // it was asked for
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// dotLanguage are the fields of a dot that a filter knows.
var dotLanguage = filter.Language{
	Text: []string{"name"},
	Keys: []string{"lag", "name", "branch", "master", "node", "ns", "namespace", "used", "by", "dirty", "state", "commits"},
}

// dotField is what a filter finds in a field of a dot.
func dotField(d *dotmesh.DotStatus, field string) string {
	switch field {
	case "name":
		return d.Name.String()
	case "branch":
		return string(d.Branch.Name)
	case "master", "node":
		return masterName(&d.Branch)
	case "ns", "namespace":
		return string(d.Name.Namespace)
	case "used", "by":
		return users(d.Branch.Containers)
	case "lag":
		return yesNo(d.Branch.Missing > 0)
	case "dirty":
		return yesNo(d.Branch.Dirty.Bytes > 0)
	case "state":
		return string(d.Branch.Pointer.State.Phase)
	case "commits":
		return strconv.FormatUint(d.Branch.Pointer.Count, 10)
	}
	return ""
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// users names the containers and callers that use a branch.
func users(all []dotmesh.Container) string {
	names := make([]string, len(all))
	for i, c := range all {
		names[i] = strings.TrimPrefix(termsafe.Brief(c.Name), "/")
	}
	return strings.Join(names, ",")
}

func masterName(b *dotmesh.BranchStatus) string {
	if b.MasterName != "" {
		return string(b.MasterName)
	}
	return string(b.Pointer.Master)
}

// masterCell is a branch's master; one that is on its way shows where to.
func (u *ui) masterCell(b *dotmesh.BranchStatus) table.Cell {
	if b.Pointer.State.Phase == dotmesh.Held || b.Pointer.State.Phase == "" {
		if n := u.node(b.Pointer.Master); n != nil && !n.Alive {
			return table.Cell{Text: "!" + masterName(b), Style: u.look.pen.fault}
		}
		return table.Cell{Text: masterName(b)}
	}
	to := string(b.Pointer.State.To)
	if n := u.node(b.Pointer.State.To); n != nil {
		to = string(n.Name)
	}
	return table.Cell{Text: masterName(b) + ">" + to, Style: u.look.pen.warn}
}

// lagCell is how far the replica furthest behind is.
func (u *ui) lagCell(b *dotmesh.BranchStatus) table.Cell {
	if b.Missing == 0 {
		return table.Cell{Text: "0", Style: u.look.pen.dim}
	}
	return table.Cell{Text: "!" + lag(b.Missing, b.Behind), Style: u.look.pen.warn}
}

func (u *ui) dirtyCell(b dotmesh.Bytes) table.Cell {
	c := table.Cell{Text: dirty(b), Style: u.look.pen.dim}
	if b.Bytes > 0 {
		c.Style = u.look.pen.warn
	}
	return c
}

// sizeOf is a branch's size; 0 of one with commits was not measured yet.
func sizeOf(b *dotmesh.BranchStatus) string {
	if b.Size == 0 && b.Dirty.AsOf.IsZero() {
		return unknown
	}
	return size(b.Size)
}

// node finds a node of the picture, nil if it is not there.
func (u *ui) node(id dotmesh.NodeID) *dotmesh.NodeStatus {
	i := slices.IndexFunc(u.pic.Nodes, func(n dotmesh.NodeStatus) bool { return n.ID == id })
	if i < 0 {
		return nil
	}
	return &u.pic.Nodes[i]
}

func branchColumns() []table.Column {
	return []table.Column{
		{Title: "BRANCH", Min: 12, Max: 60, Grow: 3},
		{Title: "DIRTY", Min: 7, Align: table.Right, Drop: 1},
		{Title: "COMMITS", Min: 7, Align: table.Right, Drop: 2},
		{Title: "MASTER", Min: 7, Max: 20, Grow: 1, Drop: 3},
		{Title: "SIZE", Min: 5, Align: table.Right, Drop: 5},
		{Title: "USED BY", Min: 8, Max: 40, Grow: 1, Drop: 4},
	}
}

func commitColumns() []table.Column {
	return []table.Column{
		{Title: "COMMIT", Min: 9, Max: 9},
		{Title: "WHEN", Min: 12, Max: 12, Drop: 1},
		{Title: "MESSAGE", Min: 22, Grow: 4},
		{Title: "BY", Min: 6, Max: 16, Grow: 1, Drop: 2},
	}
}

// tableLook is how tables look in this palette.
func (u *ui) tableLook() table.Look {
	return table.Look{
		Header: u.look.header, Cursor: u.look.cursor, CursorBlurred: u.look.blurred, Marked: u.look.marked,
		Mark: u.look.mark, Cut: u.look.cut,
	}
}
