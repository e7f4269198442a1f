package tui

import (
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh/tui/feed"
	"dotmesh.io/dotmesh/tui/filter"
	"dotmesh.io/dotmesh/tui/table"
)

// faults is the screen that keeps what went wrong.
type faults struct{ tabled[uint64] }

func newFaults(u *ui) *faults {
	f := &faults{newTabled[uint64](
		u, faultLanguage,
		table.Column{Title: "WHEN", Min: 9, Max: 12},
		table.Column{Title: "WHAT", Min: 16, Max: 50, Grow: 2},
		table.Column{Title: "KIND", Min: 9, Max: 16, Drop: 1},
		table.Column{Title: "ERROR, AND WHAT TO DO", Min: 30, Grow: 5},
	)}
	f.tabled.arrange = f.show
	return f
}

var faultLanguage = filter.Language{Text: []string{"what", "text"}, Keys: []string{"what", "text", "kind"}}

func (f *faults) take(*feed.Picture) tea.Cmd {
	f.show()
	return nil
}

// show shows those that match, the newest first.
func (f *faults) show() {
	var rows []uint64
	for _, one := range slices.Backward(f.u.faults) {
		fields := map[string]string{"what": one.what, "text": one.text, "kind": string(one.kind)}
		if f.wanted.Match(func(field string) string { return fields[field] }) {
			rows = append(rows, one.n)
		}
	}
	f.rows.SetRows(rows)
}

// fault finds the one with a number, nil if it is not kept any more.
func (f *faults) fault(n uint64) *fault {
	i := slices.IndexFunc(f.u.faults, func(one fault) bool { return one.n == n })
	if i < 0 {
		return nil
	}
	return &f.u.faults[i]
}

// chosenFault is the one under the cursor, nil if there is none.
func (f *faults) chosenFault() *fault {
	n, ok := f.rows.Cursor()
	if !ok {
		return nil
	}
	return f.fault(n)
}

func (f *faults) enter() tea.Cmd { return f.take(f.u.pic) }

func (f *faults) lines() []string {
	if len(f.u.faults) == 0 {
		return fill([]string{"", "  Nothing has gone wrong."}, f.width, f.height, f.u.look.cut)
	}
	return f.rows.View(func(n uint64, cells []table.Cell) {
		one := f.fault(n)
		if one == nil {
			return
		}
		cells[0] = table.Cell{Text: when(one.at, f.u.o.Now()), Style: f.u.look.pen.dim}
		cells[1] = table.Cell{Text: one.what}
		cells[2] = table.Cell{Text: string(one.kind), Style: f.u.look.pen.warn}
		cells[3] = table.Cell{Text: one.text}
	})
}

func (f *faults) crumbs() string {
	return plural(int(f.u.failures), "error", "errors") + " since the start"
}

func (f *faults) scope() scope { return inFaults }

func (f *faults) name() string {
	if one := f.chosenFault(); one != nil {
		return one.what + ": " + one.text
	}
	return ""
}

func (f *faults) open() tea.Cmd {
	one := f.chosenFault()
	if one == nil {
		return nil
	}
	text := append([]string{one.what + "  " + when(one.at, f.u.o.Now()) + "  " + string(one.kind), ""}, wrap(one.text, f.width-6)...)
	return f.u.ask(&sheet{heading: "Error", text: text})
}

// text is the errors that are shown, oldest first.
func (f *faults) text() string {
	var text strings.Builder
	for _, n := range slices.Backward(f.rows.Rows()) {
		if one := f.fault(n); one != nil {
			text.WriteString(one.at.UTC().Format(time.RFC3339) + "\t" + string(one.kind) + "\t" + one.what + ": " + one.text + "\n")
		}
	}
	return text.String()
}
