package tui_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

const rounds = 20 // of each kind of end

// TestTheTerminalIsAsItWasAfterAnyEnd: 20 of 20 for each. The terminal answers no query, so
// this also shows that the UI opens on one that does not.
func TestTheTerminalIsAsItWasAfterAnyEnd(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []struct {
		name   string
		rounds int
		part   string // of a test program; empty: dm itself
		do     func(*pseudo)
		says   string // on the screen that was there before
	}{
		{"q", rounds, "", func(p *pseudo) { p.write("q") }, ""},
		{"ctrl+c", rounds, "", func(p *pseudo) { p.write("\x03") }, ""},
		{"SIGTERM", rounds, "", func(p *pseudo) { _ = p.cmd.Process.Signal(syscall.SIGTERM) }, ""},
		{"SIGINT", rounds / 4, "", func(p *pseudo) { _ = p.cmd.Process.Signal(syscall.SIGINT) }, ""},
		{"a panic while drawing", rounds / 4, partPanicDraw, func(p *pseudo) { p.write("c") }, "as it was asked to"},
		{"a panic in a call", rounds / 4, partPanicCall, func(p *pseudo) { p.write("c\x13") }, "as it was asked to"},
		{"a panic of the feed", rounds / 4, partPanicListen, func(p *pseudo) { p.write("r") }, "as it was asked to"},
	} {
		t.Run(end.name, func(t *testing.T) {
			t.Parallel()
			for range end.rounds {
				env, command := environment(t), []string{program(t, "dm"), "ui", "--demo"}
				if end.part != "" {
					env, command = append(env, partVariable+"="+end.part), []string{own}
				}
				p := openPTY(t, 100, 30, env, command...)
				p.hears("made", 0) // of the dot under the cursor: keys are for that
				end.do(p)
				state := p.exit()
				p.restored()
				if end.part != "" && state.Success() {
					t.Error("it ended as if nothing had happened")
				}
				p.hears(end.says, strings.LastIndex(p.said(), "\x1b[?1049l")+1)
				if t.Failed() {
					return
				}
				p.close()
			}
		})
	}
}

func TestATerminalThatSays0x0IsDrawnAt80x24(t *testing.T) {
	t.Parallel()
	p := openPTY(t, 0, 0, environment(t), program(t, "dm"), "ui", "--demo")
	p.hears("payments-db", 0)
	p.hears("quit", 0)
	if said := p.said(); strings.Contains(said, "2 Nodes") { // which has room from 100 columns on
		t.Errorf("it is drawn wider than 80 columns")
	}
	lowest := 0
	for _, at := range position.FindAllStringSubmatch(p.said(), -1) {
		lowest = max(lowest, number(t, at[1]))
	}
	if lines := strings.Count(p.said(), "\n") + 1; lowest > 24 || max(lowest, lines) < 24 {
		t.Errorf("the lowest line that is written is %d", lowest)
	}
	p.write("q")
	p.exit()
	p.restored()
}

// TestAnyNO_COLORMeansNoColour: no-color.org says any value that is not empty.
func TestAnyNO_COLORMeansNoColour(t *testing.T) {
	t.Parallel()
	colours := func(env ...string) (used []string) {
		p := openPTY(t, 100, 30, environment(t, env...), program(t, "dm"), "ui", "--demo")
		p.hears("payments-db", 0)
		p.hears("quit", 0)
		p.write("c")
		p.hears("metadata", 0)
		p.write("\x03")
		p.exit()
		for _, s := range sgr.FindAllStringSubmatch(p.said(), -1) {
			for parameter := range strings.SplitSeq(s[1], ";") {
				if n := number(t, parameter); n >= 30 && n < 50 || n >= 90 {
					used = append(used, s[1])
				}
			}
		}
		return used
	}
	if used := colours("NO_COLOR=yes"); len(used) > 0 {
		t.Errorf("coloured by %q", used)
	}
	if len(colours("COLORTERM=truecolor")) == 0 {
		t.Error("without NO_COLOR there is no colour either, so this test shows nothing")
	}
}
