package tui_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// terminal is a program in a tmux of its own.
type terminal struct {
	*testing.T
	dir    string // of tmux's socket
	socket string
	env    []string
}

var terminals atomic.Int64 // how many there were: each has a name of its own

// open starts a program in a terminal of that size. Nothing is left of it when the test ends.
func open(t *testing.T, width, height int, env []string, command ...string) *terminal {
	t.Helper()
	dir, err := os.MkdirTemp("", "dt") // short: sockets have short paths
	if err != nil {
		t.Fatal(err)
	}
	s := &terminal{
		T: t, dir: dir, socket: fmt.Sprintf("dmtest-%d-%d", os.Getpid(), terminals.Add(1)),
		env: append(env, "TMUX_TMPDIR="+dir),
	}
	t.Cleanup(s.close)
	s.tmux(append([]string{
		"set-option", "-s", "escape-time", "0", ";",
		"set-option", "-g", "status", "off", ";",
		"set-option", "-g", "remain-on-exit", "on", ";",
		"set-option", "-g", "default-terminal", "tmux-256color", ";",
		"new-session", "-d", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height), "--",
		"sh", "-c", `"$@"; echo $? >"$0"`, s.status(),
	}, command...)...)
	return s
}

// tmux gives an order to this terminal's own tmux.
func (s *terminal) tmux(args ...string) string {
	s.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.Fatal(err)
	}
	return out
}

func (s *terminal) try(args ...string) (string, error) {
	cmd := exec.Command("tmux", append([]string{"-u", "-L", s.socket, "-f", "/dev/null"}, args...)...)
	cmd.Env = s.env
	var talk strings.Builder
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("tmux %s: %w: %s", strings.Join(args, " "), err, talk.String())
	}
	return string(out), err
}

func (s *terminal) close() {
	if s.Failed() {
		frame, err := s.try("capture-pane", "-p")
		s.Logf("the last frame: %v\n%s", err, frame)
	}
	_, err := s.try("kill-server")
	if err = errors.Join(err, os.RemoveAll(s.dir)); err != nil {
		s.Error(err)
	}
}

// frame is what is seen now.
func (s *terminal) frame() string {
	s.Helper()
	return s.tmux("capture-pane", "-p")
}

// press presses keys, as tmux names them.
func (s *terminal) press(keys ...string) {
	s.Helper()
	s.tmux(append([]string{"send-keys", "--"}, keys...)...)
}

// write types a text.
func (s *terminal) write(text string) {
	s.Helper()
	s.tmux("send-keys", "-l", "--", text)
}

// escape presses Escape and waits until what it takes away is gone: with a key right behind
// it, it would be read as alt and that key.
func (s *terminal) escape(gone string) {
	s.Helper()
	s.sees(gone)
	s.press("Escape")
	s.seesNot(gone)
}

// until waits for a frame and returns it.
func (s *terminal) until(what string, is func(frame string) bool) (frame string) {
	s.Helper()
	if !await(patience, func() bool { frame = s.frame(); return is(frame) }) {
		s.Fatalf("waited in vain until %s", what)
	}
	return frame
}

// sees waits until all of the texts are on the screen.
func (s *terminal) sees(texts ...string) (frame string) {
	s.Helper()
	return s.until(fmt.Sprintf("%q is seen", texts), func(frame string) bool {
		for _, text := range texts {
			if !strings.Contains(frame, text) {
				return false
			}
		}
		return true
	})
}

// seesNot waits until none of the texts is on the screen.
func (s *terminal) seesNot(texts ...string) {
	s.Helper()
	s.until(fmt.Sprintf("%q is gone", texts), func(frame string) bool {
		for _, text := range texts {
			if strings.Contains(frame, text) {
				return false
			}
		}
		return true
	})
}

// dialog waits for a dialog with this title, and for the line with dm's command for it, which
// begins so.
func (s *terminal) dialog(title, command string) {
	s.Helper()
	s.sees("─ "+title, "= dm "+command)
}

// goTo puts the cursor on a dot, by the palette.
func (s *terminal) goTo(dot string) {
	s.Helper()
	s.press(":")
	s.sees("─ Commands, dots, nodes")
	s.write(dot)
	s.sees(">" + dot)
	s.press("Enter")
	s.sees("Branches of " + dot)
}

// status is where the exit code stands once the program has ended: tmux does not always
// know it.
func (s *terminal) status() string { return filepath.Join(s.dir, "status") }

// ended waits until the program has ended, and returns its exit code.
func (s *terminal) ended() int {
	s.Helper()
	var status []byte
	if !await(patience, func() bool {
		status, _ = os.ReadFile(s.status()) // there is none before the end
		return len(status) > 0
	}) {
		s.Fatal("the program does not end")
	}
	code, err := strconv.Atoi(strings.TrimSpace(string(status)))
	if err != nil {
		s.Fatalf("the program has ended with %q", status)
	}
	return code
}
