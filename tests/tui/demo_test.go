package tui_test

import (
	"regexp"
	"strings"
	"testing"
)

// demo opens the cluster in memory in a terminal.
func demo(t *testing.T, width, height int) *terminal {
	t.Helper()
	s := open(t, width, height, environment(t), program(t, "dm"), "ui", "--demo")
	s.sees("LIVE", "nodes 3/3", "payments-db")
	return s
}

// TestATourOfThreeNodes goes through what one node cannot show.
func TestATourOfThreeNodes(t *testing.T) {
	t.Parallel()
	s := demo(t, 150, 40)
	for _, stop := range []struct {
		what string
		do   func(*terminal)
	}{
		{"nodes and their masters", tourNodes},
		{"a move is followed to its end", tourMove},
		{"a transfer is cancelled and tried again", tourCancel},
		{"events are filtered and followed", tourEvents},
		{"the cluster and its tokens", tourCluster},
		{"an init is planned and done step by step", tourWizard},
		{"the palette finds commands and dots", tourPalette},
		{"the help shows the keys of the place", tourHelp},
	} {
		if !t.Run(stop.what, func(t *testing.T) {
			stop.do(&terminal{t, s.dir, s.socket, s.env})
		}) {
			break
		}
	}
}

func tourNodes(s *terminal) {
	s.press("2")
	s.sees("2 Nodes", "node-1", "ready leader here", "ready voter", "MASTERS", "v1.3.9")
	s.press("d")
	s.sees("─ node-1", "heard of", "address")
	s.escape("─ node-1")
	s.press("/")
	s.sees("─ Filter")
	s.write("version:1.3")
	s.seesNot("ready leader here")
	s.press("Enter")
	s.seesNot("─ Filter")
	s.press("Enter") // what it is the master of
	s.sees("1 Dots", "/master:^node-3$", "sessions")
	s.seesNot("log-ship")
	s.escape("/master:^node-3$")
	s.sees("log-ship")
}

func tourMove(s *terminal) {
	s.goTo("qa/fixtures")
	s.press("m")
	s.sees("─ Move qa/fixtures@master to", "node-2", "free")
	s.press("Down", "Enter")
	s.dialog("Move qa/fixtures@master", "move qa/fixtures@master node-2")
	s.press("Enter")
	s.press("3")
	const route = "move qa/fixtures@master node-1>node-2"
	s.sees("3 Transfers", route)
	s.until("the move is done", func(frame string) bool { return strings.Contains(lineOf(frame, route), "done") })
	s.press("1")
	s.goTo("qa/fixtures")
	s.until("the master is another one", func(frame string) bool {
		return regexp.MustCompile(`master +node-2  epoch 2`).MatchString(frame)
	})
}

// lineOf is the first line of a frame with a text in it.
func lineOf(frame, text string) string {
	for line := range strings.Lines(frame) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

func tourCancel(s *terminal) {
	const route = "move images@master"
	s.press("3", "/")
	s.sees("─ Filter")
	s.write("images")
	s.seesNot("move search/synonyms")
	s.press("Enter")
	s.seesNot("─ Filter")
	s.press("x")
	s.dialog("Cancel 1 transfer", "transfers cancel")
	s.press("Enter")
	s.until("the move is cancelled", func(frame string) bool { return strings.Contains(lineOf(frame, route), "cancelled") })
	s.press("t")
	s.until("it is tried again", func(frame string) bool { return strings.Contains(lineOf(frame, route), "running") })
	s.escape("/images")
	s.sees("search/synonyms")
}

func tourEvents(s *terminal) {
	s.press("4")
	s.sees("4 Events", "follow ON", "connected to node-1")
	s.press("f")
	s.sees("follow off (f follows)")
	s.press("f")
	s.sees("follow ON")
	s.press("/")
	s.sees("─ Filter")
	s.write("dot:fixtures")
	s.seesNot("connected to node-1")
	s.press("Enter")
	s.seesNot("─ Filter")
	s.sees("fixtures")
	s.press("w")
	s.sees("fixtures")
	s.escape("/dot:fixtures")
	s.sees("connected to node-1")
}

func tourCluster(s *terminal) {
	s.press("5")
	s.sees("5 Cluster", "voters 3", "quorum yes", "Certificates", "authority")
	s.press("n")
	s.sees("─ New token", "good for")
	s.press("C-s")
	s.sees("─ Token, shown this once", "y copies it")
	s.escape("─ Token")
	s.press("V")
	s.sees("─ Revoke a token", "made by admin")
	s.press("Enter")
	s.sees("revoked ")
}

func tourWizard(s *terminal) {
	s.press("5", "a")
	s.sees("─ Cluster", ">init", "join", "upgrade", "reset")
	s.press("Enter")
	s.sees("─ Cluster init", "The plan is shown before anything is done")
	s.press("C-s")
	s.sees("0 of 9 steps", "4 pull", "9 save the remote")
	s.press("Enter")
	s.sees("run 4 pull", "MB/s")
	s.press("x") // stops it, and it says so
	s.sees("!! 4 pull", "3 of 9 steps")
	s.press("Enter") // plans anew
	s.seesNot("!! 4 pull")
	s.sees("3 of 9 steps", " ok 3")
	s.press("Enter") // and goes on where it was
	s.sees("run 4 pull", "MB/s")
	s.press("x")
	s.sees("!! 4 pull")
	s.escape("4 pull")
}

func tourPalette(s *terminal) {
	s.press("1", ":")
	s.sees("─ Commands, dots, nodes")
	s.write("trnsf")
	s.sees(">:transfers")
	s.press("Enter")
	s.sees("3 Transfers", "under way")
	s.press(":")
	s.sees("─ Commands, dots, nodes")
	s.write("no dot is called like this")
	s.escape("nothing is called like that")
	s.goTo("search/index")
	s.press(":")
	s.sees("─ Commands, dots, nodes")
	s.write("ctx")
	s.sees(">:ctx")
	s.press("Enter")
	s.escape("─ Switch to")
}

func tourHelp(s *terminal) {
	s.press("?")
	s.sees("─ Keys", "Dots, branches, commits", "make a dot")
	s.press("G")
	s.escape("* current branch")
	s.press("4", "?")
	s.sees("─ Keys", "Events", "follow what happens")
	s.escape("─ Keys")
	s.press("1")
	s.sees("Branches of")
}

// TestEveryActionShowsItsCommandLine: a line is only shown if dm itself takes it.
func TestEveryActionShowsItsCommandLine(t *testing.T) {
	t.Parallel()
	s := demo(t, 150, 40)
	s.goTo("qa/fixtures")
	for _, a := range []struct {
		what    string
		keys    []string
		title   string // of the dialog
		command string
		fill    string // typed into its first field
	}{
		{"commit", []string{"c"}, "Commit qa/fixtures@master", "commit --dot qa/fixtures --branch master -m", "why"},
		{"new dot", []string{"n"}, "New dot", "init fresh", "fresh"},
		{"branch", []string{"b"}, "New branch of qa/fixtures", "branch side", "side"},
		{"fork", []string{"p"}, "Fork qa/fixtures", "dot fork fresh master --dot qa/fixtures", "fresh"},
		{"settings", []string{"."}, "Settings of qa/fixtures", "dot set qa/fixtures", ""},
		{"discard", []string{"X"}, "Discard what is in no commit", "discard --dot qa/fixtures", ""},
		{"delete a dot", []string{"D"}, "Delete 1 dot", "dot delete qa/fixtures", ""},
		{"move", []string{"m", "Down", "Enter"}, "Move qa/fixtures@master", "move qa/fixtures@master node-2", ""},
		{"checkout", []string{"Tab", "Down", "s"}, "Check out", "checkout ", ""},
		{"take over", []string{"T", "Down", "Enter"}, "Take over qa/fixtures@", "move qa/fixtures@", ""},
		{"delete a branch", []string{"D"}, "Delete 1 branch", "branch -d ", ""},
		{"branch from a branch", []string{"b"}, "New branch of qa/fixtures", "branch side", "side"},
		{"reset", []string{"Tab", "End", "R"}, "Reset qa/fixtures@", "reset ", ""},
		{"delete a commit", []string{"D"}, "Delete 1 commit", "commit delete ", ""},
		{"branch from a commit", []string{"b"}, "New branch of qa/fixtures", "branch side ", "side"},
		{"fork a commit", []string{"p"}, "Fork qa/fixtures", "dot fork fresh ", "fresh"},
		{"drain", []string{"2", "N"}, "Drain node-1", "cluster drain node-1", ""},
		{"cancel", []string{"3", "x"}, "Cancel 1 transfer", "transfers cancel ", ""},
		{"token", []string{"5", "n"}, "New token", "cluster token --lasts 1h", ""},
	} {
		t.Run(a.what, func(t *testing.T) {
			s := &terminal{t, s.dir, s.socket, s.env}
			s.press(a.keys...)
			s.sees("─ " + a.title)
			if a.fill != "" {
				s.write(a.fill)
			}
			s.dialog(a.title, a.command)
			s.escape("= dm " + a.command)
		})
	}
}
