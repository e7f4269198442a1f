package tui

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"
)

// traced is the ui with a watch on it: for each piece that is written to the terminal it
// writes a line of JSON that says what led to it and what that cost.
type traced struct {
	ui  *ui
	now func() time.Time
	out io.Writer

	mu   sync.Mutex // guards the rest: the renderer writes when it likes
	next frame
	err  error
}

// frame is a line of the trace.
type frame struct {
	Time   time.Time `json:"time"`
	Cause  string    `json:"cause"`     // the kinds of messages since the frame before
	Update int64     `json:"update_us"` // all of them together
	View   int64     `json:"view_us"`
	Views  int       `json:"views"` // how often lines were made
	Bytes  int       `json:"bytes"`
}

// trace puts a watch on u, and on what the program writes to o.Out.
func (o *Options) trace(u *ui) tea.Model {
	if o.Trace == nil {
		return u
	}
	t := &traced{ui: u, now: o.Now, out: o.Trace}
	if file, ok := o.Out.(term.File); ok {
		o.Out = tracedTerminal{file, t}
	}
	return t
}

func (t *traced) Init() tea.Cmd { return t.ui.Init() }

// Update implements tea.Model.
func (t *traced) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	rev, began := t.ui.rev, time.Now()
	_, cmd := t.ui.Update(msg)
	took := time.Since(began)
	if t.ui.rev == rev {
		return t, cmd
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next.Update += took.Microseconds()
	if cause := causeOf(msg); !strings.Contains(t.next.Cause, cause) {
		t.next.Cause = strings.TrimPrefix(t.next.Cause+"+"+cause, "+")
	}
	return t, cmd
}

func causeOf(msg tea.Msg) string {
	switch msg.(type) {
	case tea.KeyPressMsg, tea.PasteMsg:
		return "key"
	case tea.WindowSizeMsg:
		return "size"
	case tea.MouseWheelMsg, tea.MouseClickMsg:
		return "mouse"
	case pictureMsg:
		return "picture"
	case toastOver:
		return "toast"
	}
	return "answer"
}

// View implements tea.Model.
func (t *traced) View() tea.View {
	fresh, began := t.ui.drawn != t.ui.rev, time.Now()
	view := t.ui.View()
	if took := time.Since(began); fresh {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.next.Views++
		t.next.View += took.Microseconds()
	}
	return view
}

// wrote ends a frame.
func (t *traced) wrote(bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next.Time, t.next.Bytes = t.now(), bytes
	line, err := json.Marshal(t.next)
	if err == nil && t.err == nil {
		_, err = t.out.Write(append(line, '\n'))
	}
	t.err = errors.Join(t.err, err) // a trace that cannot be written ends; the UI goes on
	t.next = frame{}
}

// tracedTerminal is a terminal, and tells of what is written to it.
type tracedTerminal struct {
	term.File
	trace *traced
}

func (o tracedTerminal) Write(p []byte) (int, error) {
	n, err := o.File.Write(p)
	o.trace.wrote(n)
	return n, err
}
