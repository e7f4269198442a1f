package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

const (
	columnsOf = 160 // of every terminal here
	rowsOf    = 45
	seeIn     = time.Minute // what is waited for on a screen
)

// terminal is a terminal with a program in it. It shows what a terminal would, notes when
// each piece came, and answers no question.
type terminal struct {
	cmd   *exec.Cmd
	file  *os.File
	began time.Time // exec
	trace string    // the file that the UI writes a line into for each frame
	done  chan struct{}

	mu      sync.Mutex // guards the rest
	screen  *vt.Emulator
	text    []byte // all that came
	last    time.Time
	changed chan struct{}
	closed  bool
	watch   func(look, time.Time) // is shown the screen after each piece; nil: nobody
}

// open runs dm in a terminal.
func (l *lab) open(p *place, traced bool, args ...string) (*terminal, error) {
	t := &terminal{
		cmd: exec.Command(l.dm, args...), done: make(chan struct{}), changed: make(chan struct{}),
		screen: vt.NewEmulator(columnsOf, rowsOf),
	}
	t.cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"NO_COLOR", "ACCESSIBLE", "TMUX", "TERM_PROGRAM"}, name)
	}), "TERM=xterm-256color", "COLORTERM=truecolor", "DM_HOST="+p.URL(), "DM_CONFIG="+filepath.Join(p.Dir, "dm-config"))
	if traced {
		t.trace = filepath.Join(p.Dir, "trace")
		t.cmd.Env = append(t.cmd.Env, "DM_TUI_TRACE="+t.trace)
	}
	go io.Copy(io.Discard, t.screen) // its answers, which nobody gets
	t.began = time.Now()
	var err error
	if t.file, err = pty.StartWithSize(t.cmd, &pty.Winsize{Cols: columnsOf, Rows: rowsOf}); err != nil {
		return nil, errors.Join(err, t.screen.Close())
	}
	go t.read()
	return t, nil
}

// read takes in what the program writes, until it has ended.
func (t *terminal) read() {
	defer close(t.done)
	piece := make([]byte, 64<<10)
	for {
		n, err := t.file.Read(piece)
		now := time.Now()
		t.mu.Lock()
		t.text = append(t.text, piece[:n]...)
		_, _ = t.screen.Write(piece[:n]) // it cannot fail
		t.closed = err != nil
		if n > 0 {
			t.last = now
		}
		if t.watch != nil {
			t.watch(look{t.screen}, now)
		}
		close(t.changed)
		t.changed = make(chan struct{})
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// close asks the UI to end as a user does, and waits for it.
func (t *terminal) close() error {
	_ = t.press("\x03") // it may have ended already
	late := time.AfterFunc(10*time.Second, func() { _ = t.cmd.Process.Signal(syscall.SIGKILL) })
	err := t.cmd.Wait()
	late.Stop()
	<-t.done
	return errors.Join(err, t.file.Close(), t.screen.Close())
}

func (t *terminal) press(keys string) error {
	_, err := t.file.WriteString(keys)
	return err
}

// look is what a condition sees of a terminal.
type look struct{ *vt.Emulator }

// line is the text of a line, from 0.
func (s look) line(y int) string {
	var b strings.Builder
	for x := 0; x < s.Width(); x++ {
		if c := s.CellAt(x, y); c != nil && c.Content != "" {
			b.WriteString(c.Content)
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// has reports whether a text is seen.
func (s look) has(text string) bool {
	for y := range s.Height() {
		if strings.Contains(s.line(y), text) {
			return true
		}
	}
	return false
}

func (s look) all() string {
	var lines []string
	for y := range s.Height() {
		lines = append(lines, s.line(y))
	}
	return strings.Join(lines, "\n")
}

// see waits until cond holds, and returns when the piece came that made it so.
func (t *terminal) see(ctx context.Context, what string, cond func(look) bool) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, seeIn)
	defer cancel()
	for {
		t.mu.Lock()
		ok, at, changed, closed := cond(look{t.screen}), t.last, t.changed, t.closed
		t.mu.Unlock()
		switch {
		case ok:
			return at, nil
		case closed:
			return at, fmt.Errorf("the UI ended before it showed %s:\n%s", what, t.seen())
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return at, fmt.Errorf("the UI does not show %s: %w\n%s", what, ctx.Err(), t.seen())
		}
	}
}

// seen is what is on the screen.
func (t *terminal) seen() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return look{t.screen}.all()
}

// written is how many bytes came until now.
func (t *terminal) written() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.text)
}

// calm returns when nothing has come for a while.
func (t *terminal) calm(ctx context.Context, d time.Duration) error {
	for {
		t.mu.Lock()
		rest := d - time.Since(t.last)
		t.mu.Unlock()
		if rest <= 0 {
			return nil
		}
		if err := pass(ctx, rest); err != nil {
			return err
		}
	}
}

// cost is how many bytes something leads to, until there is calm again.
func (t *terminal) cost(ctx context.Context, do func() error) (float64, error) {
	const quiet = 700 * time.Millisecond
	if err := t.calm(ctx, quiet); err != nil {
		return 0, err
	}
	before := t.written()
	if err := do(); err != nil {
		return 0, err
	}
	if err := pass(ctx, quiet); err != nil {
		return 0, err
	}
	err := t.calm(ctx, quiet)
	return float64(t.written() - before), err
}

// resize makes the terminal as large.
func (t *terminal) resize(columns, rows int) error {
	t.mu.Lock()
	t.screen.Resize(columns, rows)
	t.mu.Unlock()
	return pty.Setsize(t.file, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)})
}

// frame is a line of the UI's trace.
type frame struct {
	Time   time.Time `json:"time"`
	Cause  string    `json:"cause"`
	Update int64     `json:"update_us"`
	View   int64     `json:"view_us"`
	Views  int       `json:"views"`
	Bytes  int       `json:"bytes"`
}

// frames are those of a time.
func (t *terminal) frames(from, to time.Time) (all []frame, err error) {
	text, err := os.ReadFile(t.trace)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		var f frame
		if err := json.Unmarshal(line, &f); err != nil {
			return nil, fmt.Errorf("trace: %w", err)
		}
		if f.Time.After(from) && f.Time.Before(to) {
			all = append(all, f)
		}
	}
	return all, nil
}
