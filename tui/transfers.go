package tui

import (
	"context"
	"slices"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
	"dotmesh.io/dotmesh/tui/feed"
	"dotmesh.io/dotmesh/tui/filter"
	"dotmesh.io/dotmesh/tui/table"
)

// transfers is the screen of what is on its way.
type transfers struct{ tabled[dotmesh.UUID] }

func newTransfers(u *ui) *transfers {
	t := &transfers{newTabled[dotmesh.UUID](
		u, transferLanguage,
		table.Column{Title: "TRANSFER", Min: 24, Max: 60, Grow: 3},
		table.Column{Title: "STATE", Min: 10, Max: 10},
		table.Column{Title: "PROGRESS", Min: 16, Max: 16, Drop: 2},
		table.Column{Title: "SENT/SIZE", Min: 11, Align: table.Right, Drop: 1},
		table.Column{Title: "RATE", Min: 7, Align: table.Right, Drop: 3},
		table.Column{Title: "LEFT", Min: 6, Align: table.Right, Drop: 3},
		table.Column{Title: "COMMITS", Min: 7, Align: table.Right, Drop: 4},
		table.Column{Title: "WHY", Min: 10, Max: 120, Grow: 4},
	)}
	t.tabled.arrange = t.show
	return t
}

func (t *transfers) take(*feed.Picture) tea.Cmd {
	t.show()
	return nil
}

func (t *transfers) show() {
	var ids []dotmesh.UUID
	for i := range t.u.pic.Transfers {
		tr := &t.u.pic.Transfers[i]
		if t.wanted.Match(func(field string) string { return transferField(tr, field) }) {
			ids = append(ids, tr.ID)
		}
	}
	t.rows.SetShown(ids, func(id dotmesh.UUID) bool { return t.u.transfer(id) != nil })
}

var transferLanguage = filter.Language{Text: []string{"route"}, Keys: []string{"kind", "state", "dot", "from", "to"}}

func transferField(t *dotmesh.Transfer, field string) string {
	switch field {
	case "route":
		return route(t)
	case "kind":
		return string(t.Kind)
	case "state":
		return string(t.State)
	case "dot":
		return t.Dot.String()
	case "from":
		return t.From
	case "to":
		return t.To
	}
	return ""
}

// route is what goes where.
func route(t *dotmesh.Transfer) string {
	return string(t.Kind) + " " + t.Dot.String() + "@" + string(t.Branch) + " " + termsafe.Brief(t.From) + ">" + termsafe.Brief(t.To)
}

// brief is a transfer in a few words, for the line about jobs.
func brief(t *dotmesh.Transfer) string {
	text := string(t.Kind) + " " + string(t.Dot.Name) + " " + termsafe.Brief(t.From) + ">" + termsafe.Brief(t.To)
	switch {
	case t.State == dotmesh.TransferWaiting:
		return text + " waits"
	case t.Step != "":
		text += " " + t.Step
	}
	if t.Size > 0 {
		text += " " + percent(t)
	}
	if d, ok := t.Left(); ok {
		text += " " + left(d)
	}
	return text
}

func percent(t *dotmesh.Transfer) string {
	return strconv.FormatInt(min(t.Sent*100/max(t.Size, 1), 100), 10) + "%"
}

// transfer finds one of the picture, nil if it is not there.
func (u *ui) transfer(id dotmesh.UUID) *dotmesh.Transfer {
	i := slices.IndexFunc(u.pic.Transfers, func(t dotmesh.Transfer) bool { return t.ID == id })
	if i < 0 {
		return nil
	}
	return &u.pic.Transfers[i]
}

func (t *transfers) lines() []string {
	if len(t.u.pic.Transfers) == 0 {
		return fill([]string{"", "  Nothing is on its way."}, t.width, t.height, t.u.look.cut)
	}
	return t.rows.View(func(id dotmesh.UUID, cells []table.Cell) {
		if tr := t.u.transfer(id); tr != nil {
			t.u.transferCells(tr, cells)
		}
	})
}

func (u *ui) transferCells(t *dotmesh.Transfer, cells []table.Cell) {
	cells[0] = table.Cell{Text: route(t)}
	cells[1] = table.Cell{Text: string(t.State), Style: u.stateStyle(t.State)}
	cells[3] = table.Cell{Text: size(t.Sent) + "/" + unknown}
	if t.Size > 0 {
		cells[2] = table.Cell{Text: u.look.progress(t.Sent, t.Size, 11) + " " + percent(t)}
		cells[3].Text = size(t.Sent) + "/" + size(t.Size)
	}
	if t.State == dotmesh.TransferRunning {
		cells[4] = table.Cell{Text: size(t.Rate) + "/s"}
		if d, ok := t.Left(); ok {
			cells[5] = table.Cell{Text: left(d)}
		}
	}
	if t.Of > 0 {
		cells[6] = table.Cell{Text: strconv.Itoa(t.Commits) + "/" + strconv.Itoa(t.Of)}
	}
	cells[7] = table.Cell{Text: u.why(t), Style: u.look.pen.dim}
}

func (u *ui) stateStyle(s dotmesh.TransferState) table.Style {
	switch s {
	case dotmesh.TransferFailed:
		return u.look.fault
	case dotmesh.TransferWaiting:
		return u.look.warn
	case dotmesh.TransferDone:
		return u.look.good
	}
	return u.look.text
}

// why says what a transfer does or waits for.
func (u *ui) why(t *dotmesh.Transfer) string {
	var parts []string
	if t.State == dotmesh.TransferFailed {
		parts = append(parts, "!")
	}
	if t.Step != "" && !t.State.Ended() {
		parts = append(parts, t.Step)
	}
	if t.Try > 1 {
		parts = append(parts, "try "+strconv.Itoa(t.Try))
	}
	if !t.Retry.IsZero() && !t.State.Ended() {
		parts = append(parts, "again at "+when(t.Retry, u.o.Now()))
	}
	if t.Reason != "" {
		parts = append(parts, termsafe.Brief(t.Reason))
	}
	return strings.Join(parts, " ")
}

func (t *transfers) crumbs() string {
	running := 0
	for i := range t.u.pic.Transfers {
		if !t.u.pic.Transfers[i].State.Ended() {
			running++
		}
	}
	return plural(running, "transfer", "transfers") + " under way" + marks(t.rows.Marks())
}

func (t *transfers) scope() scope { return inTransfers }

func (t *transfers) name() string {
	id, ok := t.rows.Cursor()
	tr := t.u.transfer(id)
	if !ok || tr == nil {
		return ""
	}
	if tr.Reason != "" {
		return tr.Reason
	}
	return id.String()
}

func (t *transfers) open() tea.Cmd { return t.describe() }

func (t *transfers) describe() tea.Cmd {
	id, ok := t.rows.Cursor()
	tr := t.u.transfer(id)
	if !ok || tr == nil {
		return nil
	}
	s := &sheet{heading: route(tr), text: t.u.aboutTransfer(tr)}
	s.again = func() []string { // what is on its way is followed
		if tr := t.u.transfer(id); tr != nil {
			return t.u.aboutTransfer(tr)
		}
		return nil
	}
	return t.u.ask(s)
}

func (u *ui) aboutTransfer(t *dotmesh.Transfer) []string {
	now := u.o.Now()
	text := []string{
		"id        " + t.ID.String(),
		"state     " + string(t.State) + " " + u.why(t),
	}
	sent := size(t.Sent)
	if t.Size > 0 {
		sent += " of " + size(t.Size) + "  " + u.look.progress(t.Sent, t.Size, 20) + " " + percent(t)
	}
	if t.State == dotmesh.TransferRunning {
		sent += "  " + size(t.Rate) + "/s"
		if d, ok := t.Left(); ok {
			sent += ", " + left(d) + " to go"
		}
	}
	text = append(text, "bytes     "+sent)
	if t.Of > 0 {
		text = append(text, "commits   "+strconv.Itoa(t.Commits)+" of "+strconv.Itoa(t.Of))
	}
	if !t.Commit.IsZero() {
		text = append(text, "commit    "+t.Commit.String())
	}
	text = append(text, "began     "+when(t.Started, now), "last word "+when(t.Updated, now))
	if t.State.Ended() {
		text = append(text, "ended     "+when(t.Ended, now))
	}
	return text
}

// chosenTransfer is one that a key is for.
type chosenTransfer struct {
	id   dotmesh.UUID
	text string
}

func (c chosenTransfer) String() string { return c.text }

// chosenTransfers are they, and how many of them are hidden, the last ones.
func (u *ui) chosenTransfers() (all []chosenTransfer, hidden int) {
	s := u.screens[atTransfers].(*transfers)
	_, hidden = s.rows.Marks()
	for _, id := range s.chosen() {
		if t := u.transfer(id); t != nil {
			all = append(all, chosenTransfer{id, route(t)})
		}
	}
	return all, hidden
}

// cancelTransfer ends transfers. It asks once.
func (u *ui) cancelTransfer() tea.Cmd {
	all, hidden := u.chosenTransfers()
	if !slices.ContainsFunc(all, func(c chosenTransfer) bool { return !u.transfer(c.id).State.Ended() }) {
		return u.nothing("a transfer that is under way")
	}
	return u.openForm(&form{
		heading: "Cancel " + plural(len(all), "transfer", "transfers"), do: "End it", alike: len(all) - 1,
		about:   append(listed(all, hidden), "What has arrived whole stays; t goes on from there. A move stays with its master."),
		command: func(_ []string, i int) []string { return []string{"transfers", "cancel", all[i].id.String()} },
		submit: func([]string) tea.Cmd {
			return callEach(u, "cancel", "cancelled", all, func(ctx context.Context, s dotmesh.Service, t chosenTransfer) error {
				return s.CancelTransfer(ctx, t.id)
			})
		},
	})
}

// retryTransfer goes on with transfers. The one under the cursor it tries at once: it loses
// nothing. What is marked may not be seen, and is listed first.
func (u *ui) retryTransfer() tea.Cmd {
	all, hidden := u.chosenTransfers()
	if len(all) == 0 {
		return u.nothing("a transfer")
	}
	retry := func([]string) tea.Cmd {
		return callEach(u, "retry", "tried again:", all, func(ctx context.Context, s dotmesh.Service, t chosenTransfer) error {
			return s.RetryTransfer(ctx, t.id)
		})
	}
	if len(all) == 1 && hidden == 0 {
		return retry(nil)
	}
	return u.openForm(&form{
		heading: "Try " + plural(len(all), "transfer", "transfers") + " again", do: "Try again", alike: len(all) - 1,
		about:   listed(all, hidden),
		command: func(_ []string, i int) []string { return []string{"transfers", "retry", all[i].id.String()} },
		submit:  retry,
	})
}
