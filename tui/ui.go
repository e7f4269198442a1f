package tui

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/tui/feed"
)

const (
	callTime = time.Minute           // for an answer of the server
	restTime = 60 * time.Millisecond // a cursor that stays this long is looked at closer
	toastFor = 4 * time.Second       // a good word; a fault stays until a key is pressed
	frozen   = 2 * time.Second       // the order of rows stays while keys are pressed, and this long after
	minWidth = 60
	minRows  = 15
)

// ui is the whole state of the terminal UI. Update changes it, View reads it.
type ui struct {
	o     *Options
	ctx   context.Context // of everything that is asked of the server
	feed  *feed.Feed
	look  theme
	keys  keymap
	width int
	rows  int

	pic      *feed.Picture
	seen     uint64        // the Rev of the last picture that came
	still    time.Time     // since when what is seen stands still; zero: it does not
	held     *feed.Picture // the last one that came since; nil: none
	screens  [len(screenNames)]screen
	at       screenID
	trail    []screenID // the places before
	ahead    []screenID // the places after, once one went back
	browse   *browse
	dialogs  []dialog // the last one has the keys
	toast    toast
	faults   []fault        // newest last
	failures uint64         // how many there were
	working  []*work        // calls under way, oldest first
	job      *wizard        // that was started last; nil: none
	chores   sync.WaitGroup // the operator's work; whoever ends ctx waits for it
	deleted  []wholeDot     // right before, so that z brings them back
	refused  *form          // the last one that came to nothing; nil: none
	lastKey  time.Time
	mouse    bool
	rev      uint64 // raised by every message that may change what is shown
	drawn    uint64 // the rev that view shows
	view     tea.View
	hinted   struct { // the hints as they were made last
		place hintPlace
		text  string
	}
	lined struct { // the command line that was made last: to check one costs a whole command tree
		args []string
		line string
	}
	quitting bool
}

func newUI(ctx context.Context, o *Options, f *feed.Feed) *ui {
	u := &ui{
		o: o, ctx: ctx, feed: f, pic: &feed.Picture{}, look: newTheme(o.Palette),
		keys: newKeymap(o.Settings.Keys, o.ReadOnly), mouse: o.Settings.Mouse, rev: 1,
	}
	u.browse = newBrowse(u)
	u.screens = [...]screen{u.browse, newNodes(u), newTransfers(u), newEvents(u), newCluster(u), newOps(u), newFaults(u)}
	return u
}

// Init implements tea.Model.
func (u *ui) Init() tea.Cmd { return u.awaitPicture() }

// pictureMsg is a picture that is newer than the one before.
type pictureMsg struct{ *feed.Picture }

func (u *ui) awaitPicture() tea.Cmd {
	f, ctx, seen := u.feed, u.ctx, u.seen
	return func() tea.Msg {
		p, err := f.Next(ctx, seen)
		if err != nil {
			return nil // the program ends
		}
		return pictureMsg{p}
	}
}

// Update implements tea.Model.
func (u *ui) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	u.rev++
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		u.resize(msg.Width, msg.Height)
		return u, nil
	case tea.KeyPressMsg:
		return u, u.press(msg)
	case tea.PasteMsg:
		return u, u.paste(msg)
	case tea.MouseWheelMsg:
		return u, u.wheel(msg)
	case tea.MouseClickMsg:
		return u, u.click(msg)
	case pictureMsg:
		return u, tea.Batch(u.take(msg.Picture), u.awaitPicture())
	case answer:
		return u, msg.into(u)
	case hasRested:
		u.rev-- // what it asks for changes what is seen, once it is there
		return u, msg()
	case panicMsg:
		panic(msg.text)
	case toastOver:
		if msg.toast == u.toast {
			u.toast = toast{}
		}
		return u, nil
	}
	u.rev-- // nothing of ours: what is drawn stays
	return u, nil
}

// answer is what a command brings back. It changes the state that it is for, if that is
// still wanted.
type answer interface{ into(u *ui) tea.Cmd }

// take shows a new picture of the cluster. While it stands still, all that is seen of it is
// whether the server is there, and what happens among the events.
func (u *ui) take(p *feed.Picture) tea.Cmd {
	u.seen = p.Rev
	if !u.still.IsZero() {
		u.held = p
		u.screens[atEvents].take(p)
		if p.State == u.pic.State {
			return nil
		}
		old := *u.pic
		old.State, old.Err, old.AsOf = p.State, p.Err, p.AsOf
		p = &old
	}
	lost := u.pic.State == feed.Live && p.State == feed.Lost
	back := u.pic.State == feed.Lost && p.State == feed.Live
	u.pic = p
	if lost {
		u.fault("connection", p.Err)
	}
	var cmds []tea.Cmd
	if back {
		cmds = append(cmds, u.say("connected again"))
	}
	for _, s := range u.screens {
		cmds = append(cmds, s.take(p))
	}
	for _, d := range u.dialogs {
		d.take(u)
	}
	if back {
		cmds = append(cmds, u.shown().enter()) // reads what could not be read
	}
	return tea.Batch(cmds...)
}

// press gives a key to the dialog on top, else to the key table.
func (u *ui) press(k tea.KeyPressMsg) tea.Cmd {
	u.lastKey = u.o.Now()
	if k.String() == "ctrl+c" {
		return u.leave()
	}
	if u.tooSmall() { // nothing is seen, but for how to leave
		if b := u.keys.find(k.String(), anywhere); b != nil && b.name == "quit" {
			return u.leave()
		}
		return nil
	}
	if u.toast.bad {
		u.toast = toast{} // it was seen; the errors keep it
	}
	if d := u.dialog(); d != nil {
		return d.press(u, k)
	}
	if b := u.keys.find(k.String(), u.shown().scope()); b != nil {
		if b.name != "undo" {
			u.deleted = nil
		}
		return tea.Batch(b.run(u), u.rested())
	}
	return nil
}

// rested sorts anew once the keys have rested, where the order can have changed meanwhile.
func (u *ui) rested() tea.Cmd {
	nodes := u.screens[atNodes].(*nodes)
	if u.browse.column == 0 && nodes.column == 0 {
		return nil
	}
	return u.atRest(frozen, u.resting, func() tea.Cmd {
		u.rev++ // this is seen
		u.browse.arrange()
		nodes.show()
		return nil
	})
}

// paste is for text fields; what is pasted elsewhere is no keys.
func (u *ui) paste(p tea.PasteMsg) tea.Cmd {
	if d := u.dialog(); d != nil {
		return d.paste(u, p.Content)
	}
	return nil
}

func (u *ui) dialog() dialog {
	if len(u.dialogs) == 0 {
		return nil
	}
	return u.dialogs[len(u.dialogs)-1]
}

// ask opens a dialog on top of what is there.
func (u *ui) ask(d dialog) tea.Cmd {
	u.dialogs = append(u.dialogs, d)
	switch d.(type) {
	case *form, *wizard: // nothing is done to what is not so any more
		return u.goOn()
	}
	return nil
}

// freeze lets what is seen stand still, or go on.
func (u *ui) freeze() tea.Cmd {
	if !u.still.IsZero() {
		return u.goOn()
	}
	u.still = u.o.Now()
	return nil
}

// goOn shows what has changed while it stood still.
func (u *ui) goOn() tea.Cmd {
	p := u.held
	u.still, u.held = time.Time{}, nil
	if p == nil {
		return nil
	}
	return u.take(p)
}

// close takes a dialog away, wherever it lies.
func (u *ui) close(d dialog) {
	u.dialogs = slices.DeleteFunc(u.dialogs, func(other dialog) bool { return other == d })
}

// shown is the screen that is seen.
func (u *ui) shown() screen { return u.screens[u.at] }

// visit goes to a screen and remembers the way.
func (u *ui) visit(id screenID) tea.Cmd {
	if id == u.at {
		return nil
	}
	u.trail = append(u.trail, u.at)
	u.ahead = nil
	return u.enter(id)
}

func (u *ui) enter(id screenID) tea.Cmd {
	u.at = id
	return u.shown().enter()
}

func (u *ui) goBrowse() tea.Cmd    { return u.visit(atBrowse) }
func (u *ui) goNodes() tea.Cmd     { return u.visit(atNodes) }
func (u *ui) goTransfers() tea.Cmd { return u.visit(atTransfers) }
func (u *ui) goEvents() tea.Cmd    { return u.visit(atEvents) }
func (u *ui) goCluster() tea.Cmd   { return u.visit(atCluster) }
func (u *ui) goOps() tea.Cmd       { return u.visit(atOps) }
func (u *ui) goFaults() tea.Cmd    { return u.visit(atFaults) }

// earlier goes back one place, later forward again.
func (u *ui) earlier() tea.Cmd {
	if len(u.trail) == 0 {
		return nil
	}
	last := u.trail[len(u.trail)-1]
	u.trail = u.trail[:len(u.trail)-1]
	u.ahead = append(u.ahead, u.at)
	return u.enter(last)
}

func (u *ui) later() tea.Cmd {
	if len(u.ahead) == 0 {
		return nil
	}
	next := u.ahead[len(u.ahead)-1]
	u.ahead = u.ahead[:len(u.ahead)-1]
	u.trail = append(u.trail, u.at)
	return u.enter(next)
}

// back undoes the last narrowing: a filter, marks, a pane, and then the way here.
func (u *ui) back() tea.Cmd {
	if u.shown().back() {
		return u.moved()
	}
	return u.earlier()
}

func (u *ui) quit() tea.Cmd { return u.unlessBusy(u.leave) }

// unlessBusy leaves at once, or asks where that breaks off a change of the cluster.
func (u *ui) unlessBusy(leave func() tea.Cmd) tea.Cmd {
	w := u.job
	if w == nil || !w.running {
		return leave()
	}
	return u.openForm(&form{
		heading: "Leave", do: "Leave",
		about:  []string{"The " + string(w.job.Kind) + " of the cluster is under way, and is broken off. A new plan goes on from there."},
		submit: func([]string) tea.Cmd { return leave() },
	})
}

func (u *ui) leave() tea.Cmd {
	u.quitting = true
	return tea.Quit
}

func (u *ui) refresh() tea.Cmd {
	u.feed.Refresh()
	u.lastKey = time.Time{} // and sort anew
	return tea.Batch(u.goOn(), u.shown().enter(), u.say("listing anew"))
}

func (u *ui) top() tea.Cmd    { u.shown().top(); return u.moved() }
func (u *ui) bottom() tea.Cmd { u.shown().bottom(); return u.moved() }

// moved lets the screen look closer at what the cursor is on now.
func (u *ui) moved() tea.Cmd { return u.shown().moved() }

func (u *ui) open() tea.Cmd        { return u.shown().open() }
func (u *ui) describe() tea.Cmd    { return u.shown().describe() }
func (u *ui) mark() tea.Cmd        { u.shown().mark(false); return u.moved() }
func (u *ui) markRange() tea.Cmd   { u.shown().mark(true); return u.moved() }
func (u *ui) sortNext() tea.Cmd    { u.shown().sort(false); return u.moved() }
func (u *ui) sortReverse() tea.Cmd { u.shown().sort(true); return u.moved() }

func (u *ui) copyName() tea.Cmd { return u.copyText(u.shown().name()) }

func (u *ui) copyID() tea.Cmd { return u.copyText(u.browse.ids()) }

func (u *ui) copyText(text string) tea.Cmd {
	if text == "" {
		return u.say("there is nothing to copy here")
	}
	return tea.Batch(tea.SetClipboard(text), u.say("copied "+strings.ReplaceAll(text, "\n", " ")))
}

// resting reports whether the rows may be put into another order.
func (u *ui) resting() bool { return u.o.Now().Sub(u.lastKey) >= frozen }

// service returns the service as it is now; a switch of contexts replaces it.
func (u *ui) service() dotmesh.Service { return u.o.Service }

func (u *ui) nextPalette() tea.Cmd {
	all := Palettes()
	u.o.Palette = all[(slices.Index(all, u.o.Palette)+1)%len(all)]
	u.look = newTheme(u.o.Palette)
	u.resize(u.width, u.rows)
	return u.say("palette " + u.o.Palette)
}

func (u *ui) toggleMouse() tea.Cmd {
	u.mouse = !u.mouse
	if u.mouse {
		return u.say("the mouse works here now; hold shift to select text")
	}
	return u.say("the mouse is the terminal's again")
}

func (u *ui) wheel(m tea.MouseWheelMsg) tea.Cmd {
	by := map[tea.MouseButton]int{tea.MouseWheelUp: -3, tea.MouseWheelDown: 3}[m.Button]
	if by == 0 || u.dialog() != nil {
		return nil
	}
	u.shown().move(by)
	return u.moved()
}

func (u *ui) click(m tea.MouseClickMsg) tea.Cmd {
	if m.Button != tea.MouseLeft || u.dialog() != nil || m.Y < headRows {
		return nil
	}
	u.shown().click(m.X, m.Y-headRows)
	return u.moved()
}
