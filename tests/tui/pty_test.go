package tui_test

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// pseudo is a program on a pseudo-terminal that answers nothing and keeps every byte.
type pseudo struct {
	*testing.T
	cmd           *exec.Cmd
	master, slave *os.File
	before        unix.Termios
	ended         chan struct{} // closed when the program has ended
	read          chan struct{} // closed when there is nothing more to read

	mu  sync.Mutex // guards out
	out bytes.Buffer
}

// openPTY starts a program on a terminal of that size.
func openPTY(t *testing.T, columns, rows uint16, env []string, command ...string) *pseudo {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	p := &pseudo{T: t, master: master, slave: slave, ended: make(chan struct{}), read: make(chan struct{})}
	if err := pty.Setsize(slave, &pty.Winsize{Cols: columns, Rows: rows}); err != nil {
		t.Fatal(err)
	}
	p.before = p.settings()
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = env
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // whoever wants to know looks at the process's state
	}()
	go p.listen()
	t.Cleanup(p.close)
	return p
}

func (p *pseudo) listen() {
	defer close(p.read)
	buffer := make([]byte, 64<<10)
	for {
		n, err := p.master.Read(buffer)
		p.mu.Lock()
		p.out.Write(buffer[:n])
		p.mu.Unlock()
		if err != nil {
			return // the other end is closed
		}
	}
}

func (p *pseudo) close() {
	if p.Failed() {
		said := p.said()
		p.Logf("the last bytes: %q", said[max(0, len(said)-3000):])
	}
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
	_, _ = p.slave.Close(), p.master.Close() // ends the reader
	<-p.read
}

// settings are the terminal's, as stty shows them.
func (p *pseudo) settings() unix.Termios {
	p.Helper()
	settings, err := unix.IoctlGetTermios(int(p.slave.Fd()), unix.TCGETS)
	if err != nil {
		p.Fatal(err)
	}
	return *settings
}

// said is all that the program has written.
func (p *pseudo) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// hears waits until the program has written a text after its first so many bytes, and
// returns where the text ends.
func (p *pseudo) hears(text string, after int) (now int) {
	p.Helper()
	if !await(patience, func() bool {
		before, _, ok := strings.Cut(p.said()[after:], text)
		now = after + len(before) + len(text)
		return ok
	}) {
		p.Fatalf("waited in vain for %q", text)
	}
	return now
}

func (p *pseudo) write(text string) {
	p.Helper()
	if _, err := p.master.WriteString(text); err != nil {
		p.Fatal(err)
	}
}

// exit waits until the program has ended and all that it wrote has come.
func (p *pseudo) exit() *os.ProcessState {
	p.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.Fatal("the program does not end")
	}
	return p.cmd.ProcessState
}

// mode is a private mode of the terminal that is switched on or off.
var mode = regexp.MustCompile("\x1b\\[\\?([0-9;]+)([hl])")

// restored checks that the terminal is as it was: its settings, the screen, the cursor and
// every mode that was switched.
func (p *pseudo) restored() {
	p.Helper()
	const entered, left = "\x1b[?1049h", "\x1b[?1049l"
	if !await(patience, func() bool { return strings.Contains(p.said(), left) }) {
		p.Error("the first screen was not brought back")
	}
	if now := p.settings(); now != p.before {
		p.Errorf("the terminal's settings are %+v, they were %+v", now, p.before)
	}
	said := p.said()
	if strings.LastIndex(said, left) < strings.LastIndex(said, entered) {
		p.Error("the UI's screen was opened again at the end")
	}
	on := map[string]bool{}
	for _, m := range mode.FindAllStringSubmatch(said, -1) {
		for number := range strings.SplitSeq(m[1], ";") {
			on[number] = m[2] == "h"
		}
	}
	if shown, switched := on["25"]; switched && !shown {
		p.Error("the cursor is still hidden")
	}
	for number, still := range on {
		if still && number != "25" {
			p.Errorf("mode %s is still on", number)
		}
	}
}
