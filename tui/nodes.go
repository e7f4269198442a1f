package tui

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
	"dotmesh.io/dotmesh/tui/feed"
	"dotmesh.io/dotmesh/tui/filter"
	"dotmesh.io/dotmesh/tui/table"
)

// nodes is the screen of the machines that make up the cluster.
type nodes struct {
	tabled[dotmesh.NodeID]
	column  int
	reverse bool
	lags    map[dotmesh.NodeID]trend
}

var nodeColumns = []table.Column{
	{Title: "NODE", Min: 10, Max: 32, Grow: 2},
	{Title: "STATE", Min: 20, Max: 28, Grow: 1},
	{Title: "MASTERS", Min: 7, Align: table.Right},
	{Title: "USED/POOL", Min: 11, Align: table.Right, Drop: 1},
	{Title: "LAG", Min: 8, Max: 18, Grow: 1},
	{Title: "RTT", Min: 5, Align: table.Right, Drop: 4},
	{Title: "VERSION", Min: 8, Max: 20, Drop: 3},
	{Title: "POOL", Min: 10, Max: 60, Grow: 3, Drop: 5},
}

// nodeOrders sort by a column's place; the others have no order of their own.
var nodeOrders = map[int]func(a, b *dotmesh.NodeStatus) int{
	0: func(a, b *dotmesh.NodeStatus) int { return strings.Compare(string(a.Name), string(b.Name)) },
	2: func(a, b *dotmesh.NodeStatus) int { return cmp.Compare(b.Masters, a.Masters) },
	3: func(a, b *dotmesh.NodeStatus) int {
		return cmp.Compare(b.Pool.Size-b.Pool.Free, a.Pool.Size-a.Pool.Free)
	},
	4: func(a, b *dotmesh.NodeStatus) int { return cmp.Compare(b.Missing, a.Missing) },
}

func newNodes(u *ui) *nodes {
	n := &nodes{tabled: newTabled[dotmesh.NodeID](u, nodeLanguage, nodeColumns...), lags: map[dotmesh.NodeID]trend{}}
	n.tabled.arrange = n.show
	return n
}

func (n *nodes) take(p *feed.Picture) tea.Cmd {
	lags := make(map[dotmesh.NodeID]trend, len(p.Nodes)) // without those that are gone
	for i := range p.Nodes {
		s := &p.Nodes[i]
		lags[s.ID] = n.lags[s.ID]
		if s.Alive {
			lags[s.ID] = lags[s.ID].add(n.u.o.Now(), s.Missing)
		}
	}
	n.lags = lags
	n.show()
	return nil
}

// show orders the nodes that match.
func (n *nodes) show() {
	var shown []*dotmesh.NodeStatus
	for i := range n.u.pic.Nodes {
		s := &n.u.pic.Nodes[i]
		if n.wanted.Match(func(field string) string { return nodeField(s, field) }) {
			shown = append(shown, s)
		}
	}
	slices.SortStableFunc(shown, nodeOrders[0])
	slices.SortStableFunc(shown, nodeOrders[n.column])
	if n.reverse {
		slices.Reverse(shown)
	}
	ids := make([]dotmesh.NodeID, len(shown))
	for i, s := range shown {
		ids[i] = s.ID
	}
	if !n.u.resting() {
		ids = keepOrder(n.rows.Rows(), ids)
	}
	n.rows.SetRows(ids)
}

var nodeLanguage = filter.Language{Text: []string{"name", "state"}, Keys: []string{"name", "node", "state", "version", "pool"}}

func nodeField(s *dotmesh.NodeStatus, field string) string {
	switch field {
	case "name", "node":
		return string(s.Name)
	case "state":
		return nodeState(s)
	case "version":
		return s.Version
	case "pool":
		return s.Node.Pool
	}
	return ""
}

// nodeState is what a node is, in words.
func nodeState(s *dotmesh.NodeStatus) string {
	words := []string{"ready"}
	if !s.Alive {
		words[0] = "!silent"
	}
	if s.Draining {
		words = append(words, "draining")
	}
	switch {
	case s.Leader:
		words = append(words, "leader")
	case s.Voter:
		words = append(words, "voter")
	}
	if s.Self {
		words = append(words, "here")
	}
	return strings.Join(words, " ")
}

func (n *nodes) lines() []string {
	return n.rows.View(func(id dotmesh.NodeID, cells []table.Cell) {
		if s := n.u.node(id); s != nil {
			n.u.nodeCells(s, cells)
		}
	})
}

// nodeCells shows no figure of a silent node as if it were known.
func (u *ui) nodeCells(s *dotmesh.NodeStatus, cells []table.Cell) {
	cells[0] = table.Cell{Text: string(s.Name)}
	cells[1] = table.Cell{Text: nodeState(s), Style: u.look.pen.good}
	cells[6] = table.Cell{Text: termsafe.Brief(s.Version)}
	cells[7] = table.Cell{Text: termsafe.Brief(s.Node.Pool), Style: u.look.pen.dim}
	if !s.Alive {
		cells[1].Style = u.look.pen.fault
		if !s.AsOf.IsZero() {
			cells[1].Text += " since " + when(s.AsOf, u.o.Now())
		}
		for _, i := range []int{2, 3, 4, 5} {
			cells[i] = table.Cell{Text: unknown, Style: u.look.pen.dim}
		}
		return
	}
	cells[2] = table.Cell{Text: count(s.Masters)}
	cells[3] = table.Cell{Text: size(s.Pool.Size-s.Pool.Free) + "/" + size(s.Pool.Size)}
	cells[4] = table.Cell{Text: lag(s.Missing, s.Behind)}
	if s.Missing > 0 {
		cells[4].Style = u.look.pen.warn
	}
	cells[5] = table.Cell{Text: span(s.RTT)}
}

func (n *nodes) crumbs() string {
	text := plural(len(n.u.pic.Nodes), "node", "nodes")
	if n.column > 0 || n.reverse {
		text += " by " + nodeColumns[n.column].Title
	}
	return text
}

func (n *nodes) scope() scope { return inNodes }

func (n *nodes) sort(reverse bool) {
	if reverse {
		n.reverse = !n.reverse
	} else {
		n.column, n.reverse = (n.column+1)%len(nodeColumns), false
		for nodeOrders[n.column] == nil {
			n.column = (n.column + 1) % len(nodeColumns)
		}
	}
	n.u.lastKey = time.Time{} // the order is what was asked for
	n.show()
}

func (n *nodes) name() string {
	if id, ok := n.rows.Cursor(); ok {
		if s := n.u.node(id); s != nil {
			return string(s.Name)
		}
	}
	return ""
}

// open shows the dots whose current branch the node is the master of.
func (n *nodes) open() tea.Cmd {
	name := n.name()
	if name == "" {
		return nil
	}
	if err := n.u.browse.setFilter("master:^" + regexp.QuoteMeta(name) + "$"); err != nil {
		n.u.fault("filter", err)
		return nil
	}
	n.u.browse.turn(-paneCommits)
	return tea.Batch(n.u.goBrowse(), n.u.browse.moved())
}

func (n *nodes) describe() tea.Cmd {
	id, ok := n.rows.Cursor()
	s := n.u.node(id)
	if !ok || s == nil {
		return nil
	}
	u := n.u
	text := []string{
		"node      " + string(s.Name) + "  " + string(s.ID),
		"state     " + nodeState(s),
		"pool      " + termsafe.Brief(s.Node.Pool) + "  " + size(s.Pool.Size-s.Pool.Free) + " of " + size(s.Pool.Size) + " used, " + size(s.Pool.Reserve) + " in reserve",
		"masters   " + plural(s.Masters, "branch", "branches"),
		"lag       " + lag(s.Missing, s.Behind) + "  " + n.lags[id].draw(u.o.Now(), u.look.bars) + "  in the last minute",
		"version   " + termsafe.Brief(s.Version),
		"heard of  " + when(s.AsOf, u.o.Now()),
	}
	for _, a := range s.Addresses {
		text = append(text, "address   "+termsafe.Brief(a))
	}
	return u.ask(&sheet{heading: string(s.Name), text: text})
}

// showNode goes to a node.
func (u *ui) showNode(id dotmesh.NodeID) tea.Cmd {
	n := u.screens[atNodes].(*nodes)
	_ = n.setFilter("") // nothing is always right
	n.rows.Select(id)
	return u.visit(atNodes)
}

// drain moves every branch away from a node, or lets it take branches again.
func (u *ui) drain() tea.Cmd {
	n := u.screens[atNodes].(*nodes)
	id, ok := n.rows.Cursor()
	s := u.node(id)
	if !ok || s == nil {
		return u.nothing("a node")
	}
	name := string(s.Name)
	r := dotmesh.DrainRequest{Node: string(id), Stop: s.Draining}
	f := &form{
		heading: "Drain " + name, do: "Drain",
		gone: func(u *ui) string {
			switch now := u.node(id); {
			case now == nil:
				return name + " is not there any more; esc closes this"
			case now.Draining && !r.Stop:
				return "it is being drained already; esc closes this"
			case !now.Draining && r.Stop:
				return "it is not being drained any more; esc closes this"
			}
			return ""
		},
		about: []string{
			plural(s.Masters, "branch", "branches") + " of which it is the master " + "go to other nodes; what is in use waits.",
			"It takes no branch until N is pressed again.",
		},
		command: func([]string, int) []string { return []string{"cluster", "drain", name} },
	}
	if r.Stop {
		f.heading, f.do, f.about = "Stop draining "+name, "Stop", []string{name + " takes branches again."}
		f.command = func([]string, int) []string { return []string{"cluster", "drain", name, "--stop"} }
	}
	f.submit = func([]string) tea.Cmd {
		return u.call("drain "+name, func(ctx context.Context, sv dotmesh.Service) (string, error) {
			started, err := sv.Drain(ctx, r)
			return name + ": " + plural(len(started), "branch is", "branches are") + " on the way (3 shows them)", err
		})
	}
	return u.openForm(f)
}
