package tui

import (
	"context"
	"slices"
	"strconv"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
	"dotmesh.io/dotmesh/tui/feed"
	"dotmesh.io/dotmesh/tui/filter"
	"dotmesh.io/dotmesh/tui/table"
)

// ops is the screen of a dot's operation log.
type ops struct {
	tabled[uint64]
	dot     dotmesh.DotID
	as      *dotmesh.DotStatus // the picture of the dot that it was read for
	all     []dotmesh.Op       // newest first
	more    bool
	reading bool
}

const opsAtOnce = 200

func newOps(u *ui) *ops {
	o := &ops{tabled: newTabled[uint64](
		u, opLanguage,
		table.Column{Title: "N", Min: 5, Align: table.Right},
		table.Column{Title: "WHEN", Min: 12, Max: 12},
		table.Column{Title: "OPERATION", Min: 14, Max: 16},
		table.Column{Title: "BRANCH", Min: 10, Max: 40, Grow: 2},
		table.Column{Title: "FROM", Min: 8, Max: 8, Drop: 2},
		table.Column{Title: "TO", Min: 8, Max: 8, Drop: 2},
		table.Column{Title: "BY", Min: 6, Max: 24, Grow: 1},
		table.Column{Title: "WHY", Min: 6, Max: 80, Grow: 3, Drop: 1},
	)}
	o.tabled.arrange = o.show
	return o
}

// take reads the log anew when its dot has changed while it is looked at.
func (o *ops) take(*feed.Picture) tea.Cmd {
	if o.u.at != atOps {
		return nil
	}
	return o.moved()
}

func (o *ops) enter() tea.Cmd {
	o.as = nil
	return o.moved()
}

// moved reads what is not known yet: the newest operations, or older ones near the end.
func (o *ops) moved() tea.Cmd {
	d := o.u.browse.dot()
	switch {
	case d == nil || o.reading:
		return nil
	case o.dot != d.ID:
		o.dot, o.all = d.ID, nil
		o.show()
		return o.read(d, 0)
	case o.as != d:
		return o.read(d, 0)
	case o.more && len(o.all) > 0 && o.rows.Index() > len(o.all)-pageAhead:
		return o.read(d, o.all[len(o.all)-1].N)
	}
	return nil
}

func (o *ops) read(d *dotmesh.DotStatus, before uint64) tea.Cmd {
	o.reading = true
	r := dotmesh.OpsRequest{Dot: d.Name, Before: before, Limit: opsAtOnce}
	return fetch(o.u, func(ctx context.Context, s dotmesh.Service) ([]dotmesh.Op, error) {
		return s.Ops(ctx, r)
	}, func(u *ui, page []dotmesh.Op, err error) tea.Cmd {
		o.reading = false
		o.as = d
		if o.dot != d.ID {
			return o.moved()
		}
		if err != nil {
			u.fault("operations of "+d.Name.String(), err)
			return nil
		}
		if before == 0 {
			o.all = nil
		}
		o.all, o.more = append(o.all, page...), len(page) == opsAtOnce
		o.show()
		return nil
	})
}

func (o *ops) show() {
	var numbers []uint64
	for i := range o.all {
		op := &o.all[i]
		if o.wanted.Match(func(field string) string { return opField(op, field) }) {
			numbers = append(numbers, op.N)
		}
	}
	o.rows.SetRows(numbers)
}

var opLanguage = filter.Language{Text: []string{"verb", "branch", "by", "why"}, Keys: []string{"verb", "branch", "by", "why"}}

func opField(op *dotmesh.Op, field string) string {
	switch field {
	case "why":
		return op.Why
	case "verb":
		return string(op.Verb)
	case "branch":
		return string(op.Name)
	case "by":
		return op.By
	}
	return ""
}

func (o *ops) op(n uint64) *dotmesh.Op {
	i := slices.IndexFunc(o.all, func(op dotmesh.Op) bool { return op.N == n })
	if i < 0 {
		return nil
	}
	return &o.all[i]
}

// undone reports whether a later operation has undone this one.
func (o *ops) undone(n uint64) bool {
	return slices.ContainsFunc(o.all, func(op dotmesh.Op) bool { return op.Undoes == n })
}

func (o *ops) lines() []string {
	if len(o.all) == 0 {
		text := "  No dot is chosen."
		switch {
		case o.reading:
			text = "  reading …"
		case o.u.browse.dot() != nil:
			text = "  No operation is on record."
		}
		return fill([]string{"", text}, o.width, o.height, o.u.look.cut)
	}
	return o.rows.View(func(n uint64, cells []table.Cell) {
		if op := o.op(n); op != nil {
			o.cells(op, cells)
		}
	})
}

func (o *ops) cells(op *dotmesh.Op, cells []table.Cell) {
	cells[0] = table.Cell{Text: strconv.FormatUint(op.N, 10)}
	cells[1] = table.Cell{Text: when(op.Time, o.u.o.Now()), Style: o.u.look.pen.dim}
	cells[2] = table.Cell{Text: string(op.Verb)}
	if op.Undoes > 0 {
		cells[2].Text += " of " + strconv.FormatUint(op.Undoes, 10)
	}
	if o.undone(op.N) {
		cells[2] = table.Cell{Text: cells[2].Text + " (undone)", Style: o.u.look.pen.dim}
	}
	cells[3] = table.Cell{Text: string(op.Name)}
	if !op.Old.IsZero() {
		cells[4] = table.Cell{Text: short(op.Old.Commit), Style: o.u.look.pen.key}
	}
	if !op.New.IsZero() {
		cells[5] = table.Cell{Text: short(op.New.Commit), Style: o.u.look.pen.key}
	}
	cells[6] = table.Cell{Text: termsafe.Line(op.By)}
	cells[7] = table.Cell{Text: termsafe.Line(op.Why), Style: o.u.look.pen.dim}
}

func (o *ops) crumbs() string {
	if d := o.u.browse.dot(); d != nil {
		return d.Name.String() + " > operations"
	}
	return ""
}

func (o *ops) scope() scope { return inOps }

func (o *ops) name() string {
	if n, ok := o.rows.Cursor(); ok {
		return strconv.FormatUint(n, 10)
	}
	return ""
}

// undo asks once, since it may be any operation of the past.
func (o *ops) undo() tea.Cmd {
	d := o.u.browse.dot()
	n, ok := o.rows.Cursor()
	op := o.op(n)
	if !ok || op == nil || d == nil {
		return o.u.nothing("an operation")
	}
	return o.u.openForm(&form{
		heading: "Undo operation " + strconv.FormatUint(n, 10) + " of " + d.Name.String(), do: "Undo",
		about:   []string{string(op.Verb) + " " + string(op.Name) + ", by " + op.By + ", " + when(op.Time, o.u.o.Now()) + ".", "An undo can be undone."},
		gone:    stillThere(d.ID, d.Name),
		command: func([]string) []string { return []string{"undo", strconv.FormatUint(n, 10), "--dot", d.Name.String()} },
		submit:  func([]string) tea.Cmd { return o.u.undoOp(d.Name, n) },
	})
}
