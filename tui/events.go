package tui

import (
	"context"
	"sort"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/tui/feed"
	"dotmesh.io/dotmesh/tui/filter"
)

// events is the screen of what happens: the feed's log, of which it remembers the numbers of
// the lines that match. A new line costs what it takes to look at it, however long the log is.
type events struct {
	still
	u             *ui
	width, height int
	shown         []uint64 // numbers of lines that match, ascending
	read          uint64   // the first number that was not looked at yet
	following     bool
	wrapped       bool
	last          uint64 // the number of the line at the bottom, where not following
	wanted        *filter.Filter
	typed         string
}

func newEvents(u *ui) *events { return &events{u: u, following: true} }

var eventLanguage = filter.Language{Text: []string{"text"}, Keys: []string{"text", "level", "kind", "dot", "branch", "node"}}

func eventField(l *feed.Line, field string) string {
	switch field {
	case "text":
		return l.Text
	case "level":
		return l.Level
	case "kind":
		return string(l.Kind)
	case "dot":
		return l.Dot
	case "branch":
		return l.Branch
	case "node":
		return l.Node
	}
	return ""
}

func (e *events) resize(width, height int) { e.width, e.height = width, height }

// take looks at the lines that are new, and forgets those that are kept no more.
func (e *events) take(p *feed.Picture) tea.Cmd {
	if p.Log == nil {
		return nil
	}
	first, next := p.Log.Range()
	for n := max(e.read, first); n < next; n++ {
		if l, ok := p.Log.Line(n); ok && e.wanted.Match(func(field string) string { return eventField(&l, field) }) {
			e.shown = append(e.shown, n)
		}
	}
	e.read = next
	gone := sort.Search(len(e.shown), func(i int) bool { return e.shown[i] >= first })
	if gone > len(e.shown)/2 || gone > 1000 {
		e.shown = append([]uint64(nil), e.shown[gone:]...)
	} else {
		e.shown = e.shown[gone:]
	}
	return nil
}

func (e *events) setFilter(text string) error {
	f, err := eventLanguage.Parse(text)
	if err != nil {
		return err
	}
	e.wanted, e.typed, e.shown, e.read = f, text, nil, 0
	e.take(e.u.pic)
	return nil
}

func (e *events) filtered() string { return e.typed }

func (e *events) back() bool {
	switch {
	case !e.following:
		e.following = true
	case e.typed != "":
		_ = e.setFilter("") // nothing is always right
	default:
		return false
	}
	return true
}

// bottomAt is the index in shown of the line at the bottom; -1 where there is none.
func (e *events) bottomAt() int {
	if e.following {
		return len(e.shown) - 1
	}
	return min(sort.Search(len(e.shown), func(i int) bool { return e.shown[i] > e.last })-1, len(e.shown)-1)
}

// lines draws upwards from the bottom, so that only what is seen is read.
func (e *events) lines() []string {
	lines := make([]string, 0, e.height)
	for i := e.bottomAt(); i >= 0 && len(lines) < e.height; i-- {
		l, ok := e.u.pic.Log.Line(e.shown[i])
		if !ok {
			break
		}
		drawn := e.draw(&l)
		for j := len(drawn) - 1; j >= 0 && len(lines) < e.height; j-- {
			lines = append(lines, drawn[j])
		}
	}
	for i, j := 0, len(lines)-1; i < j; i, j = i+1, j-1 {
		lines[i], lines[j] = lines[j], lines[i]
	}
	if len(lines) == 0 {
		lines = []string{"", "  Nothing has happened since dm was opened" + e.matching() + "."}
	}
	return fill(lines, e.width, e.height, e.u.look.cut)
}

func (e *events) matching() string {
	if e.typed == "" {
		return ""
	}
	return " that matches"
}

// draw is one line of the log, over several lines of the screen where it is wrapped.
func (e *events) draw(l *feed.Line) []string {
	style := e.u.look.text
	switch l.Level {
	case feed.Warn:
		style = e.u.look.warn
	case feed.Error:
		style = e.u.look.fault
	}
	head := " " + e.u.look.dim.Render(l.Time.In(e.u.o.Now().Location()).Format(time.TimeOnly)) + " "
	text := sign(l.Level) + l.Text
	room := e.width - ansi.StringWidth(head)
	if !e.wrapped {
		return []string{head + style.Render(ansi.Truncate(text, room, e.u.look.cut))}
	}
	var lines []string
	for i, part := range wrap(text, room) {
		if i > 0 {
			head = strings.Repeat(" ", e.width-room)
		}
		lines = append(lines, head+style.Render(part))
	}
	return lines
}

// sign marks a line that is no good news without any colour.
func sign(level string) string {
	if level == feed.Warn || level == feed.Error {
		return "! "
	}
	return ""
}

func (e *events) crumbs() string {
	text := count(len(e.shown)) + " lines, follow "
	if e.following {
		return text + "ON"
	}
	return text + "off (f follows)"
}

func (e *events) scope() scope { return inEvents }

// move stands still and looks back; at the end it follows again.
func (e *events) move(by int) {
	if len(e.shown) == 0 {
		return
	}
	at := max(min(e.bottomAt()+by, len(e.shown)-1), min(e.height, len(e.shown))-1)
	e.following = at == len(e.shown)-1
	e.last = e.shown[at]
}

func (e *events) page(by float64) { e.move(int(by * float64(e.height))) }
func (e *events) top()            { e.move(-len(e.shown)) }
func (e *events) bottom()         { e.move(len(e.shown)) }

// name is the line at the bottom.
func (e *events) name() string {
	if at := e.bottomAt(); at >= 0 {
		l, _ := e.u.pic.Log.Line(e.shown[at])
		return l.Text
	}
	return ""
}

func (u *ui) events() *events { return u.screens[atEvents].(*events) }

// follow shows what happens as it happens, or stands still.
func (u *ui) follow() tea.Cmd {
	e := u.events()
	if e.following && len(e.shown) > 0 {
		e.following, e.last = false, e.shown[len(e.shown)-1]
	} else {
		e.following = true
	}
	return nil
}

func (u *ui) toggleWrap() tea.Cmd {
	u.events().wrapped = !u.events().wrapped
	return nil
}

// save writes the lines shown, of the events or the errors, into a new file.
func (u *ui) save() tea.Cmd {
	if u.o.Save == nil {
		return u.say("nothing can be saved here")
	}
	name, text := "dm-events-", u.events().text
	if u.at == atFaults {
		name, text = "dm-errors-", u.screens[atFaults].(*faults).text
	}
	name += u.o.Now().UTC().Format("20060102T150405Z") + ".log"
	save, body := u.o.Save, []byte(text())
	return u.begin("save", func(context.Context, dotmesh.Service) done {
		path, err := save(name, body)
		if err != nil {
			return done{errs: []failed{{"save", err}}}
		}
		return done{said: "saved " + path}
	})
}

// text is the lines that match.
func (e *events) text() string {
	var text strings.Builder
	for _, n := range e.shown {
		if l, ok := e.u.pic.Log.Line(n); ok {
			text.WriteString(l.Time.UTC().Format(time.RFC3339) + "\t" + l.Level + "\t" + l.Text + "\n")
		}
	}
	return text.String()
}
