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
	opLog *opLog // never nil; another dot has another one
}

// opLog is the part of a dot's operation log that has been read.
type opLog struct {
	dot     dotmesh.DotID
	as      *dotmesh.DotStatus // the picture of the dot that it was read for
	all     []dotmesh.Op       // newest first
	more    bool
	reading bool
	failed  bool // the page before could not be read; it is tried again when somebody asks
}

const opsAtOnce = 200

func newOps(u *ui) *ops {
	o := &ops{opLog: &opLog{}, tabled: newTabled[uint64](
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
	o.opLog.as, o.opLog.failed = nil, false
	return o.moved()
}

// moved reads what is not known yet: the newest operations, or older ones near the end.
func (o *ops) moved() tea.Cmd {
	d := o.chosenDot()
	l := o.opLog
	switch {
	case d == nil || l.reading || o.u.pic.State == feed.Lost:
		return nil
	case l.as != d:
		return o.read(dotmesh.OpsRequest{Dot: d.Name, Limit: min(max(opsAtOnce, len(l.all)), mostAtOnce)}, d)
	case l.more && !l.failed && len(l.all) > 0 && o.rows.Index() > len(l.all)-pageAhead:
		return o.read(dotmesh.OpsRequest{Dot: d.Name, Before: l.all[len(l.all)-1].N, Limit: opsAtOnce}, d)
	}
	return nil
}

// chosenDot is the dot that the browser's cursor is on, nil if there is none. Where it is
// another one than before its log takes the place of the other's at once, read or not.
func (o *ops) chosenDot() *dotmesh.DotStatus {
	d := o.u.browse.dot()
	id := dotmesh.DotID{}
	if d != nil {
		id = d.ID
	}
	if o.opLog.dot != id {
		o.opLog = &opLog{dot: id}
		o.show()
	}
	return d
}

func (o *ops) read(r dotmesh.OpsRequest, d *dotmesh.DotStatus) tea.Cmd {
	l := o.opLog
	l.reading = true
	return fetch(o.u, func(ctx context.Context, s dotmesh.Service) ([]dotmesh.Op, error) {
		return s.Ops(ctx, r)
	}, func(u *ui, page []dotmesh.Op, err error) tea.Cmd {
		l.reading, l.failed, l.as = false, err != nil, d
		switch {
		case l != o.opLog:
			return nil
		case err != nil:
			u.unread("operations of "+r.Dot.String(), err)
			return nil
		}
		cleanOps(page)
		if r.Before == 0 {
			l.all = nil
		}
		l.all, l.more = append(l.all, page...), len(page) == r.Limit
		o.show()
		return o.moved()
	})
}

func cleanOps(all []dotmesh.Op) {
	for i := range all {
		op := &all[i]
		cleanWord(&op.Verb)
		op.By, op.Why = termsafe.Brief(op.By), termsafe.Brief(op.Why)
	}
}

func (o *ops) show() {
	var numbers []uint64
	for i := range o.opLog.all {
		op := &o.opLog.all[i]
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
	i := slices.IndexFunc(o.opLog.all, func(op dotmesh.Op) bool { return op.N == n })
	if i < 0 {
		return nil
	}
	return &o.opLog.all[i]
}

// undone reports whether a later operation has undone this one.
func (o *ops) undone(n uint64) bool {
	return slices.ContainsFunc(o.opLog.all, func(op dotmesh.Op) bool { return op.Undoes == n })
}

func (o *ops) lines() []string {
	if len(o.opLog.all) == 0 {
		text := "  No dot is chosen."
		switch {
		case o.opLog.reading:
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
	cells[6] = table.Cell{Text: op.By}
	cells[7] = table.Cell{Text: op.Why, Style: o.u.look.pen.dim}
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

func (o *ops) open() tea.Cmd { return o.describe() }

func (o *ops) describe() tea.Cmd {
	n, ok := o.rows.Cursor()
	op := o.op(n)
	if !ok || op == nil {
		return nil
	}
	text := []string{
		"operation " + string(op.Verb) + " " + string(op.Name),
		"when      " + when(op.Time, o.u.o.Now()),
		"by        " + op.By,
		"why       " + op.Why,
	}
	if op.Undoes > 0 {
		text = append(text, "undoes    "+strconv.FormatUint(op.Undoes, 10))
	}
	if !op.Old.IsZero() {
		text = append(text, "from      "+op.Old.Commit.String())
	}
	if !op.New.IsZero() {
		text = append(text, "to        "+op.New.Commit.String())
	}
	return o.u.ask(&sheet{heading: "Operation " + strconv.FormatUint(n, 10), text: text})
}

// undo is for the operation under the cursor, which may be any one of the past.
func (o *ops) undo() tea.Cmd {
	d := o.chosenDot()
	n, ok := o.rows.Cursor()
	op := o.op(n)
	if !ok || op == nil || d == nil {
		return o.u.nothing("an operation")
	}
	return o.u.askUndo(d, op)
}
