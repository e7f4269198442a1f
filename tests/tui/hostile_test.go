package tui_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// record opens a part that this program plays in a terminal, and returns the file into which
// every byte goes that it writes there.
func record(t *testing.T, part string, width, height int, env ...string) (s *terminal, file string) {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "bytes")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, width, height, environment(t, append(env, partVariable+"="+part)...), "sh", "-c", `read -r go && exec "$0"`, own)
	s.tmux("pipe-pane", "cat > "+file)
	s.press("Enter")
	s.sees("LIVE")
	return s, file
}

// TestNothingRawReachesTheTerminal goes everywhere in a cluster whose every text is an order
// to the terminal. What is shown are escapes that can be read, what arrives at the terminal
// are our own renderer's bytes, and the frame keeps its shape.
func TestNothingRawReachesTheTerminal(t *testing.T) {
	for _, size := range [][2]int{{150, 40}, {80, 24}} {
		t.Run(strconv.Itoa(size[0])+" columns", func(t *testing.T) {
			t.Parallel()
			s, file := record(t, partHostile, size[0], size[1], "NO_COLOR=yes")
			look := func(_ string, texts ...string) {
				t.Helper()
				s.sees(texts...)
				s.aligned(size[0])
			}
			const clear = `\x1b[2J`
			look("dots", "fixtures", `<\x1b`)
			s.press(":")
			s.sees("─ Commands, dots, nodes")
			s.write("fixtures")
			s.sees(">qa/fixtures")
			s.press("Enter")
			s.sees("qa/fixtures", "owner <"+clear)
			look("a dot")
			s.press("d")
			look("what a dot is", "─ qa/fixtures", clear)
			s.escape("─ qa/fixtures")
			s.press("Tab", "Tab")
			look("commits", "Commits of master", "long"+clear)
			for range len(payloads()) + 3 {
				s.press("Down")
				look("a commit", "Commits of master")
			}
			s.press("Home", "Down", "Down")
			s.press("d")
			look("a diff", "enter open  y copy  esc close", clear, "__default__/")
			s.press("Down", "Down", "Enter")
			look("a file", "@@", clear)
			s.press("G")
			look("the end of a file", "漢字", "long"+clear)
			s.escape("j k scroll")
			s.escape("esc close")
			s.press("R")
			s.sees("─ Reset")
			look("a reset", "Off the branch")
			s.press("Enter")
			look("a refusal", "! reset qa/fixtures@master: <"+clear)
			s.press("c")
			s.sees("─ Commit qa/fixtures@master")
			s.tmux("set-buffer", "pasted "+strings.ReplaceAll(payload(), "\x00", ""))
			s.tmux("paste-buffer", "-p")
			look("a paste", "─ Commit qa/fixtures@master")
			s.press("Home")
			look("what was pasted", "pasted <")
			s.press("C-s")
			look("what could not be done", "! commit qa/fixtures@master: <"+clear)
			s.press("2")
			look("nodes", "MASTERS", clear)
			s.press("d")
			look("a node", "address")
			s.escape("address")
			s.press("3")
			look("transfers", "TRANSFER", clear)
			s.press("d")
			look("a transfer", "last word")
			s.escape("last word")
			s.press("4")
			look("events", "follow ON", "! ")
			s.press("w")
			look("wrapped events", "follow ON", clear)
			s.press("5")
			look("cluster", "Certificates", clear)
			s.press("6")
			look("operations", "OPERATION", clear)
			s.press("7")
			look("errors", "7 Errors 2", clear)
			s.press("Enter")
			look("an error", "─ Error", "漢字")
			s.escape("─ Error")
			s.press("q")
			if code := s.ended(); code != 0 {
				t.Errorf("it ended with %d", code)
			}
			stream, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(stream) < 20_000 {
				t.Errorf("only %d bytes were written: this test saw nothing", len(stream))
			}
			for _, foreign := range harmless(string(stream)) {
				t.Error(foreign)
			}
			if n := strings.Count(string(stream), "\x1b[?1049l"); n != 1 {
				t.Errorf("the screen was left %d times", n)
			}
		})
	}
}

// TestAStormOfSizesEndsInARightFrame: a hundred sizes from 1x1 to 200x50, and then the first.
func TestAStormOfSizesEndsInARightFrame(t *testing.T) {
	t.Parallel()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, 140, 40, environment(t, partVariable+"="+partStill), own)
	s.sees("LIVE", "Commits of", "has all", "jobs:")
	s.press("?")
	s.sees("─ Keys")
	before := s.frame()
	resize := func(width, height int) {
		s.tmux("resize-window", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height))
	}
	for i := range 100 {
		resize(1+i*37%200, 1+i*23%50)
	}
	resize(59, 14)
	s.sees("dm needs 60x15, this is 59x14")
	resize(140, 40)
	s.until("the frame is the first one again", func(frame string) bool { return frame == before })
	s.aligned(140)
}
