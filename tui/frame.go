package tui

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"dotmesh.io/dotmesh/internal/termsafe"
	"dotmesh.io/dotmesh/tui/feed"
)

const (
	headRows = 2 // where am I; screens and filter
	footRows = 2 // what is under way or was said; hints
)

func (u *ui) tooSmall() bool { return u.width < minWidth || u.rows < minRows }

func (u *ui) resize(width, rows int) {
	u.width, u.rows = width, rows
	if u.tooSmall() {
		return
	}
	for _, s := range u.screens {
		s.resize(width, rows-headRows-footRows)
	}
}

// View implements tea.Model. It is called after every message; what has not changed is not
// drawn again.
func (u *ui) View() tea.View {
	if u.drawn == u.rev {
		return u.view
	}
	u.drawn = u.rev
	u.view = tea.NewView(strings.Join(u.lines(), "\n"))
	u.view.AltScreen = true
	u.view.WindowTitle = "dm " + termsafe.Brief(u.o.Where)
	if u.mouse {
		u.view.MouseMode = tea.MouseModeCellMotion
	}
	return u.view
}

// lines is the whole frame.
func (u *ui) lines() []string {
	if u.quitting {
		return nil
	}
	if u.tooSmall() {
		return []string{ansi.Truncate("dm needs "+strconv.Itoa(minWidth)+"x"+strconv.Itoa(minRows)+", this is "+
			strconv.Itoa(u.width)+"x"+strconv.Itoa(u.rows)+"; q leaves", u.width, "")}
	}
	lines := append(u.head(), u.shown().lines()...)
	lines = append(lines, u.foot()...)
	for _, d := range u.dialogs {
		lines = u.over(lines, d)
	}
	return lines
}

// head says where one is and how far what is seen can be trusted.
func (u *ui) head() []string {
	p := u.pic
	alive := 0
	for i := range p.Nodes {
		if p.Nodes[i].Alive {
			alive++
		}
	}
	about := " dm  " + termsafe.Brief(u.o.Where)
	if p.Version.Version != "" {
		about += "  " + p.Version.Version
	}
	if p.State != feed.Connecting {
		about += "  nodes " + strconv.Itoa(alive) + "/" + strconv.Itoa(len(p.Nodes)) + "  dots " + count(len(p.Dots))
	}
	state := u.state()
	if u.o.ReadOnly {
		state = "READ ONLY  " + state
	}
	room := u.width - ansi.StringWidth(state) - 2
	return []string{u.look.bar.Render(fit(about, room, u.look.cut)+" ") + u.look.bar.Render(state+" "), u.crumbs()}
}

// state says how fresh the picture is. It names a time and no age, so that it stands still.
func (u *ui) state() string {
	if u.still.IsZero() {
		return u.freshness()
	}
	text := u.look.warn.Inherit(u.look.bar).Render("FROZEN, as of " + when(u.still, u.o.Now()))
	if u.pic.State == feed.Live {
		return text
	}
	return text + u.look.bar.Render("  ") + u.freshness()
}

func (u *ui) freshness() string {
	switch u.pic.State {
	case feed.Live:
		return u.look.good.Inherit(u.look.bar).Render("LIVE")
	case feed.Lost:
		since := "! LOST"
		if !u.pic.AsOf.IsZero() {
			since += ", as of " + when(u.pic.AsOf, u.o.Now())
		}
		return u.look.fault.Inherit(u.look.bar).Render(since)
	}
	return u.look.warn.Inherit(u.look.bar).Render("connecting")
}

// crumbs names the screens, marks the one that is seen, and says what of it is shown.
func (u *ui) crumbs() string {
	var tabs strings.Builder
	for i, name := range screenNames {
		tab := " " + strconv.Itoa(i+1) + " " + name
		if screenID(i) == atFaults && len(u.faults) > 0 {
			tab += " " + count(u.failures)
		}
		switch {
		case screenID(i) == u.at:
			tabs.WriteString(u.look.title.Render(tab))
		case u.width >= 100 || screenID(i) == atFaults && len(u.faults) > 0:
			tabs.WriteString(u.look.dim.Render(tab))
		}
	}
	right := u.shown().crumbs()
	if f := u.shown().filtered(); f != "" {
		right = u.look.warn.Render("/"+f) + "  " + right
	}
	left := tabs.String()
	room := max(u.width-ansi.StringWidth(left)-1, 0)
	return left + " " + ansi.Truncate(strings.Repeat(" ", max(room-ansi.StringWidth(right), 0))+right, room, u.look.cut)
}

// foot says what is under way and which keys there are.
func (u *ui) foot() []string {
	return []string{fit(u.status(), u.width, u.look.cut), fit(u.hints(), u.width, u.look.cut)}
}

func (u *ui) status() string {
	switch {
	case u.pic.State == feed.Lost && u.toast.text == "":
		return u.look.fault.Render(" ! the server does not answer; it is asked again and again, and q leaves. ") + termsafe.Brief(errorText(u.pic.Err))
	case u.toast.bad:
		return u.look.fault.Render(" ! " + u.toast.text)
	case u.toast.text != "":
		return u.look.good.Render(" " + u.toast.text)
	case len(u.working) > 0:
		return " " + u.working[0].what + " …" + more(len(u.working)-1)
	}
	return u.jobs()
}

// jobs is a line about the transfers under way.
func (u *ui) jobs() string {
	var texts []string
	for i := range u.pic.Transfers {
		if t := &u.pic.Transfers[i]; !t.State.Ended() {
			texts = append(texts, brief(t))
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return u.look.dim.Render(" jobs: ") + strings.Join(texts, "   ")
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return " and " + strconv.Itoa(n) + " more"
}

// hints are the keys of the place, as many as there is room for; ? is always there.
func (u *ui) hints() string {
	if d := u.dialog(); d != nil {
		return u.pairs(d.hints(u), u.width)
	}
	place := hintPlace{u.shown().scope(), u.width, u.o.Palette}
	if u.hinted.place != place {
		u.hinted.place, u.hinted.text = place, u.hintsOf(place)
	}
	return u.hinted.text
}

// hintPlace is what the hints depend on besides the key table.
type hintPlace struct {
	scope   scope
	width   int
	palette string
}

func (u *ui) hintsOf(place hintPlace) string {
	var here []*binding
	for i := range u.keys {
		if b := &u.keys[i]; b.hint != "" && b.in&place.scope != 0 && b.name != "help" {
			here = append(here, b)
		}
	}
	slices.SortStableFunc(here, func(a, b *binding) int { return cmp.Compare(a.urgency(), b.urgency()) })
	all := make([]hint, len(here))
	for i, b := range here {
		all[i] = hint{b.key(), b.hint}
	}
	help := u.pairs([]hint{{"?", "help"}, {"q", "quit"}}, place.width)
	return u.pairs(all, place.width-ansi.StringWidth(help)) + help
}

// urgency orders hints for lines that do not hold all: how to look around, then what can be
// done, then the rest.
func (b *binding) urgency() int {
	switch {
	case b.name == "open" || b.name == "filter":
		return 0
	case b.risk > looks:
		return 1
	}
	return 2
}

// hint is a key and what it does.
type hint struct{ key, does string }

func (u *ui) pairs(hints []hint, room int) string {
	var b strings.Builder
	for _, h := range hints {
		width := ansi.StringWidth(h.key) + ansi.StringWidth(h.does) + 3
		if width > room {
			break
		}
		room -= width
		b.WriteString(" " + u.look.key.Render(h.key) + " " + u.look.dim.Render(h.does) + " ")
	}
	return b.String()
}

// over draws a dialog's box into the middle of a frame.
func (u *ui) over(frame []string, d dialog) []string {
	box := u.box(d)
	if len(box) == 0 {
		return frame
	}
	width := ansi.StringWidth(box[0])
	top, left := max((len(frame)-len(box))/2, 0), max((u.width-width)/2, 0)
	for i, line := range box {
		if top+i >= len(frame) {
			break
		}
		under := fit(frame[top+i], u.width, "")
		frame[top+i] = ansi.Cut(under, 0, left) + "\x1b[m" + line + "\x1b[m" + ansi.Cut(under, left+width, u.width)
	}
	return frame
}

// box is a dialog with its title and border.
func (u *ui) box(d dialog) []string {
	room := min(u.width-4, d.width(u))
	body := d.lines(u, room-2, u.rows-4)
	title := ansi.Truncate(" "+d.title()+" ", room-2, u.look.cut)
	rule := strings.Repeat(u.look.horizontal, max(room-1-ansi.StringWidth(title), 0))
	c := u.look.corners
	box := []string{u.look.dim.Render(c[0]+u.look.horizontal) + u.look.title.Render(title) + u.look.dim.Render(rule+c[1])}
	edge := u.look.dim.Render(u.look.vertical)
	for _, line := range body {
		box = append(box, edge+" "+fit(line, room-2, u.look.cut)+" "+edge)
	}
	return append(box, u.look.dim.Render(c[2]+strings.Repeat(u.look.horizontal, room)+c[3]))
}
