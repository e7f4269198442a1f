package tui

import (
	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

// Context is a server that one can switch to.
type Context struct {
	Name     string
	URL      string
	ReadOnly bool
	Connect  func() (dotmesh.Service, error) // dials nothing by itself
}

// switchContext lets one choose another server.
func (u *ui) switchContext() tea.Cmd {
	m := &menu{heading: "Switch to", empty: "no other server is configured; dm remote add adds one"}
	for _, c := range u.o.Contexts {
		detail := c.URL
		if c.Name == u.o.Where {
			detail += "  (here)"
		}
		m.all = append(m.all, choice{text: termsafe.Brief(c.Name), detail: termsafe.Brief(detail), run: func(u *ui) tea.Cmd { return u.switchTo(c) }})
	}
	return u.openMenu(m)
}

// switchTo leaves the server for another one. Run opens that in a new program, so that
// nothing of the old one is shown as if it were the new one's.
func (u *ui) switchTo(c Context) tea.Cmd {
	s, err := c.Connect()
	if err != nil {
		u.fault("switch to "+termsafe.Brief(c.Name), err)
		return nil
	}
	return u.unlessBusy(func() tea.Cmd {
		u.o.next = &next{Context: c, service: s}
		return u.leave()
	})
}

// next is the server to go on with.
type next struct {
	Context
	service dotmesh.Service
}
