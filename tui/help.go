package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// helpGroup is a part of the help: the bindings that are in its places.
type helpGroup struct {
	title string
	in    scope
}

var helpGroups = []helpGroup{
	{"Dots, branches, commits", inBrowse},
	{"Nodes", inNodes},
	{"Transfers", inTransfers},
	{"Events", inEvents},
	{"Operations", inOps},
	{"Cluster", inCluster},
	{"Dialogs", inForms},
	{"Everywhere", anywhere},
}

// belongs reports whether a binding is listed in a group: what works everywhere is listed
// there and nowhere else.
func (b *binding) belongs(group scope) bool {
	if b.in == anywhere || group == anywhere {
		return b.in == group
	}
	return b.in&group != 0
}

// help shows the key table, from the table itself.
func (u *ui) help() tea.Cmd {
	s := &sheet{heading: "Keys"}
	if u.o.ReadOnly {
		s.text = append(s.text, u.look.warn.Render("This server is read-only here: keys that change something are absent."), "")
	}
	here := u.shown().scope()
	groups := slices.Clone(helpGroups)
	if i := slices.IndexFunc(groups, func(g helpGroup) bool { return g.in&here != 0 }); i > 0 { // where one is comes first
		groups = slices.Insert(slices.Delete(groups, i, i+1), 0, helpGroups[i])
	}
	shown := map[string]bool{}
	for _, g := range groups {
		var lines []string
		for i := range u.keys {
			if b := &u.keys[i]; !shown[b.name] && b.belongs(g.in) {
				shown[b.name] = true
				lines = append(lines, u.helpLine(b))
			}
		}
		if len(lines) > 0 {
			s.text = append(append(s.text, u.look.title.Render(g.title)), append(lines, "")...)
		}
	}
	s.text = append(s.text, u.look.title.Render("Signs"),
		"  * current branch   ^ master   + bytes in no commit   ~ about   ! fault   > on its way to   ? nobody has measured it")
	return u.ask(s)
}

func (u *ui) helpLine(b *binding) string {
	keys := ":" + b.name
	if len(b.keys) > 0 {
		keys = strings.Join(b.keys, " ")
	}
	text := "  " + u.look.key.Render(fit(keys, 18, u.look.cut)) + " " + b.help
	if b.risk == drops {
		text += u.look.warn.Render("  asks first")
	}
	return text
}
