package tui_test

import (
	"bytes"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

// TestPlainTextDoesTheSame drives a session by numbers, as a screen reader's user does.
func TestPlainTextDoesTheSame(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, way := range []struct {
		name string
		env  string
		args []string
	}{
		{"dumb", "TERM=dumb", []string{"ui"}},
		{"accessible", "ACCESSIBLE=1", nil},
		{"plain", "A=b", []string{"ui", "--plain"}},
	} {
		t.Run(way.name, func(t *testing.T) {
			n := &node{t, n.Client, n.Daemon}
			_, err := n.CreateDot(t.Context(), dotmesh.CreateDot{Dot: name(way.name)})
			n.must(err)
			p := openPTY(t, 80, 24, environment(t, "DM_HOST="+n.URL(), way.env), append([]string{program(t, "dm")}, way.args...)...)
			at := 0
			answer := func(item string) {
				t.Helper()
				at = p.hears("Number, 0 to go back: ", at)
				menu := p.said()
				menu = menu[:at]
				all := regexp.MustCompile(`(?m)^(\d+)\. `+item).FindAllStringSubmatch(menu, -1)
				if len(all) == 0 {
					t.Fatalf("there is no %q to choose", item)
				}
				p.write(all[len(all)-1][1] + "\r")
			}
			reply := func(question, text string) {
				t.Helper()
				at = p.hears(question+" ", at)
				p.write(text + "\r")
			}
			answer(way.name + ", branch master, 1 commit")
			answer("branch master, the current one, 1 commit")
			answer("commit\r")
			reply("Message:", "by numbers")
			at = p.hears("Committed ", at)
			if first := n.commits(way.name)[0]; first.Message != "by numbers" {
				t.Errorf("the commit is %+v", first)
			}
			answer("commit [0-9a-f]{8}, .*Initial commit")
			answer("reset the branch to it")
			reply("y or n:", "y")
			at = p.hears("Reset; ", at)
			if all := n.commits(way.name); len(all) != 1 {
				t.Errorf("after the reset there are %d commits", len(all))
			}
			for range 2 { // to the branch, and to the dot
				at = p.hears("Number, 0 to go back: ", at)
				p.write("0\r")
			}
			answer("undo the newest operation")
			at = p.hears("Undid reset", at)
			if all := n.commits(way.name); len(all) != 2 {
				t.Errorf("after the undo there are %d commits", len(all))
			}
			answer("branch master, the current one, 2 commits")
			at = p.hears("Number, 0 to go back: ", at)
			p.write("77\r")
			at = p.hears("is none of the numbers", at)
			p.write("\x04") // the end of the input
			if state := p.exit(); !state.Success() {
				t.Errorf("it ended with %v", state)
			}
			if said := p.said(); strings.Contains(said, "\x1b") {
				t.Errorf("plain text holds an escape: %q", said[strings.Index(said, "\x1b"):][:20])
			}
			if now := p.settings(); now != p.before {
				t.Errorf("the terminal's settings are %+v, they were %+v", now, p.before)
			}
		})
	}
	t.Run("no terminal", func(t *testing.T) {
		for _, args := range [][]string{{"ui"}, {}} {
			cmd := exec.Command(program(t, "dm"), args...)
			cmd.Env = environment(t, "DM_HOST="+n.URL())
			var talk bytes.Buffer
			cmd.Stderr = &talk
			out, err := cmd.Output()
			if err != nil || !strings.Contains(string(out), "1 node, 3 dots") || strings.Contains(string(out), "\x1b") || talk.Len() > 0 {
				t.Errorf("dm %s: %v\n%q\n%q", args, err, out, talk.String())
			}
		}
	})
}
