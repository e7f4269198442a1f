package tui

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/democluster"
	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
	"dotmesh.io/dotmesh/tui/feed"
)

// driver is a user at the UI of a cluster in memory, in a bubble of testing/synctest: time
// passes only while a test waits, and "nothing moves any more" is a fact.
type driver struct {
	t       *testing.T
	u       *ui
	cluster *democluster.Cluster
	msgs    chan tea.Msg
	running sync.WaitGroup // commands
	ctx     context.Context
	quit    bool
	lines   [][]string // the command lines that were asked for
	saved   map[string]string
	copied  string
}

// drive opens the UI at a size and hands it to a test.
func drive(t *testing.T, width, height int, change func(*Options), test func(d *driver)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		d := &driver{t: t, msgs: make(chan tea.Msg, 10_000), ctx: ctx, saved: map[string]string{}}
		d.cluster = democluster.New(democluster.Options{Dots: 12, Seed: 1, Now: time.Now})
		o := &Options{
			Service: d.cluster, Operator: d.cluster.Operator(), Where: "test", Now: time.Now, Palette: PaletteASCII,
			Command: func(args []string) (string, error) {
				d.lines = append(d.lines, args)
				return "dm " + strings.Join(args, " "), nil
			},
			Save: func(name string, text []byte) (string, error) {
				d.saved[name] = string(text)
				return "/saved/" + name, nil
			},
		}
		if change != nil {
			change(o)
		}
		f := feed.New(o.Service, o.Now)
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		defer func() {
			stop()
			<-ended
			d.u.chores.Wait()
			d.running.Wait()
		}()
		d.u = newUI(ctx, o, f)
		d.do(d.u.Init())
		d.send(tea.WindowSizeMsg{Width: width, Height: height})
		d.settle()
		test(d)
	})
}

// do runs a command beside the test and posts what it brings.
func (d *driver) do(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	d.running.Go(func() {
		if msg := cmd(); msg != nil {
			d.msgs <- msg
		}
	})
}

// send gives a message to the UI.
func (d *driver) send(msg tea.Msg) {
	switch msg := msg.(type) {
	case tea.BatchMsg:
		for _, cmd := range msg {
			d.do(cmd)
		}
		return
	case tea.QuitMsg:
		d.quit = true
		return
	}
	if v := reflect.ValueOf(msg); v.Kind() == reflect.String { // what tea.SetClipboard brings
		d.copied = v.String()
		return
	}
	_, cmd := d.u.Update(msg)
	d.do(cmd)
}

// settle looks for as long as a user does before they say that nothing moves any more.
func (d *driver) settle() { d.look(2 * time.Second) }

// look takes in what comes while some time of the bubble passes.
func (d *driver) look(long time.Duration) { d.until(long, func() bool { return false }) }

// until takes in what comes until done is so, and reports whether it was so in time.
func (d *driver) until(within time.Duration, done func() bool) bool {
	late := time.NewTimer(within)
	defer late.Stop()
	for {
		d.drain()
		if done() {
			return true
		}
		select {
		case msg := <-d.msgs:
			d.send(msg)
		case <-late.C:
			d.drain()
			return done()
		}
	}
}

// live waits until the server answers again.
func (d *driver) live() {
	d.t.Helper()
	if !d.until(6*time.Second, func() bool { return d.u.pic.State == feed.Live }) {
		d.t.Fatal("the server is not live again")
	}
	d.settle()
}

// drain takes in what has come by now.
func (d *driver) drain() {
	for {
		synctest.Wait()
		select {
		case msg := <-d.msgs:
			d.send(msg)
		default:
			return
		}
	}
}

// keys presses keys, named as Bubble Tea names them, or types a text where a word begins
// with a space.
func (d *driver) keys(keys ...string) {
	d.t.Helper()
	for _, k := range keys {
		if text, ok := strings.CutPrefix(k, " "); ok {
			for _, r := range text {
				d.send(press(string(r)))
			}
		} else {
			d.send(press(k))
		}
		d.drain()
	}
	d.settle()
}

// press makes the message of a key.
func press(name string) tea.KeyPressMsg {
	special := map[string]rune{
		"enter": tea.KeyEnter, "esc": tea.KeyEscape, "tab": tea.KeyTab, "space": tea.KeySpace, "up": tea.KeyUp, "down": tea.KeyDown,
		"left": tea.KeyLeft, "right": tea.KeyRight, "home": tea.KeyHome, "end": tea.KeyEnd, "backspace": tea.KeyBackspace,
		"pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp,
	}
	if code, ok := special[name]; ok {
		k := tea.Key{Code: code}
		if name == "space" {
			k.Text = " "
		}
		return tea.KeyPressMsg(k)
	}
	if letter, ok := strings.CutPrefix(name, "ctrl+"); ok {
		return tea.KeyPressMsg{Code: rune(letter[0]), Mod: tea.ModCtrl}
	}
	if name == "shift+tab" {
		return tea.KeyPressMsg{Code: tea.KeyTab, Mod: tea.ModShift}
	}
	r := []rune(name)[0]
	return tea.KeyPressMsg{Code: r, Text: string(r)}
}

// frame is what is seen, without colours.
func (d *driver) frame() string { return ansi.Strip(d.u.View().Content) }

// sees fails the test unless all texts are seen.
func (d *driver) sees(texts ...string) {
	d.t.Helper()
	frame := d.frame()
	for _, text := range texts {
		if !strings.Contains(frame, text) {
			d.t.Fatalf("%q is not seen:\n%s", text, frame)
		}
	}
}

func (d *driver) seesNot(texts ...string) {
	d.t.Helper()
	frame := d.frame()
	for _, text := range texts {
		if strings.Contains(frame, text) {
			d.t.Fatalf("%q is seen:\n%s", text, frame)
		}
	}
}

// dot asks the cluster what is true of a dot.
func (d *driver) dot(name string) dotmesh.DotDetail {
	d.t.Helper()
	parsed, err := dotmesh.ParseDotName(name)
	if err != nil {
		d.t.Fatal(err)
	}
	detail, err := d.cluster.Dot(d.ctx, parsed)
	if err != nil {
		d.t.Fatal(err)
	}
	return detail
}
