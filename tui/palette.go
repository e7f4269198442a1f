package tui

import (
	"cmp"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// palette finds any command, dot, node or server by a part of its name. Commands of other
// screens come after those of this one, and lead there.
func (u *ui) palette() tea.Cmd {
	m := &menu{heading: "Commands, dots, nodes", typing: newField("", "", nil), empty: "nothing is called like that"}
	m.typing.input.Focus()
	var elsewhere []choice
	for i := range u.keys {
		b := &u.keys[i]
		c := choice{text: ":" + b.name, detail: strings.TrimSpace(b.help + "  " + b.key()), run: b.run}
		there := slices.IndexFunc(u.screens[:], func(s screen) bool { return b.in&s.scope() != 0 })
		switch {
		case b.name == "palette":
		case b.in&u.shown().scope() != 0:
			m.all = append(m.all, c)
		case b.in&inBrowse != 0:
			there = int(atBrowse) // whichever of its panes has the focus
			fallthrough
		case there >= 0:
			c.run = func(u *ui) tea.Cmd { return tea.Batch(u.visit(screenID(there)), b.run(u)) }
			elsewhere = append(elsewhere, c)
		}
	}
	m.all = append(m.all, elsewhere...)
	m.all = append(m.all, choice{text: ":ctx", detail: "switch to another server", run: (*ui).switchContext})
	for _, d := range u.pic.Dots {
		id := d.ID
		m.all = append(m.all, choice{text: d.Name.String(), detail: "dot", run: func(u *ui) tea.Cmd { return u.browse.goTo(u, id) }})
	}
	for i := range u.pic.Nodes {
		n := u.pic.Nodes[i]
		m.all = append(m.all, choice{text: string(n.Name), detail: "node", run: func(u *ui) tea.Cmd { return u.showNode(n.ID) }})
	}
	return u.openMenu(m)
}

// rank returns the items whose text has the letters of what was typed in that order, those
// first where they stand closest together and soonest. At most 200 are returned.
func rank[T any](all []T, typed string, text func(T) string) []T {
	const most = 200
	typed = strings.ToLower(strings.TrimSpace(typed))
	if typed == "" {
		return all[:min(len(all), most)]
	}
	type scored struct {
		item  T
		score int
	}
	var found []scored
	for _, item := range all {
		if score, ok := closeness(strings.ToLower(text(item)), typed); ok {
			found = append(found, scored{item, score})
		}
	}
	slices.SortStableFunc(found, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	best := make([]T, 0, min(len(found), most))
	for _, f := range found[:min(len(found), most)] {
		best = append(best, f.item)
	}
	return best
}

// closeness is smaller the better text fits: how late the letters begin and how far apart
// they stand. A whole word in text counts most.
func closeness(text, typed string) (score int, ok bool) {
	if at := strings.Index(text, typed); at >= 0 {
		return at, true
	}
	at, last := 0, -1
	for _, r := range typed {
		if r == ' ' {
			continue
		}
		i := strings.IndexRune(text[at:], r)
		if i < 0 {
			return 0, false
		}
		if last >= 0 {
			score += 10 * i
		}
		at, last = at+i+len(string(r)), i
	}
	return 100 + score, true
}
