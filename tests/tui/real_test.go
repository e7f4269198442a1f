package tui_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

// TestOnARealNode is a user's day on a node: after each key the server is asked whether what
// the screen says is true.
func TestOnARealNode(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for _, dot := range []string{"alpha", "beta", "gamma"} {
		_, err := n.CreateDot(t.Context(), dotmesh.CreateDot{Dot: name(dot)})
		n.must(err)
	}
	ui := n.open(160, 45, "ui")
	for _, part := range []struct {
		what string
		do   func(*day)
	}{
		{"dots are found by a filter", (*day).find},
		{"a dot is made", (*day).make},
		{"what is written is seen as dirty", (*day).write},
		{"commits are made", (*day).commit},
		{"a branch is made from a commit", (*day).branch},
		{"the difference of two commits is shown, and that within a file", (*day).diff},
		{"what the server refuses is shown in its words and changes nothing", (*day).refused},
		{"a reset goes back and an undo forward", (*day).reset},
		{"a branch is checked out", (*day).checkout},
		{"a dot is deleted by typing its name", (*day).remove},
		{"orders to the terminal are only shown", (*day).hostile},
		{"a killed server is said to be lost, and then to be live again", (*day).kill},
		{"dm alone opens the UI", (*day).alone},
	} {
		if !t.Run(part.what, func(t *testing.T) {
			at := &day{&node{t, n.Client, n.Daemon}, &terminal{t, ui.dir, ui.socket, ui.env}}
			part.do(at)
		}) {
			break
		}
	}
}

// day is a node and the UI that is open on it.
type day struct {
	*node
	ui *terminal
}

func (d *day) find() {
	d.ui.sees("LIVE", "Dots 3", "alpha", "beta", "gamma", "nodes 1/1")
	d.ui.press("/")
	d.ui.sees("─ Filter")
	d.ui.write("!al a$")
	d.ui.sees("Dots 2 of 3")
	d.ui.press("C-u")
	d.ui.write("bet")
	d.ui.sees("Dots 1 of 3")
	d.ui.press("Enter")
	d.ui.seesNot("─ Filter")
	d.ui.sees("Branches of beta", "/bet")
	d.ui.escape("Dots 1 of 3")
	d.ui.sees("Dots 3", "alpha", "gamma")
}

func (d *day) make() {
	d.ui.press("n")
	d.ui.sees("─ New dot")
	d.ui.write("sh op")
	d.ui.sees("! ") // a name has no space, and it says so while it is typed
	d.ui.press("C-u")
	d.ui.write("shop")
	d.ui.dialog("New dot", "init shop")
	d.ui.press("C-s")
	d.ui.sees("made shop", "Dots 4")
	if made := d.dot("shop"); made.Branches != 1 {
		d.Errorf("the dot has %d branches", made.Branches)
	}
	d.ui.goTo("shop")
	d.ui.sees("Initial commit")
}

// folder is where the dot is mounted for its user.
func (d *day) folder() string { return filepath.Join(d.Dir, "shop") }

func (d *day) put(file, text string) {
	d.Helper()
	d.must(os.WriteFile(filepath.Join(d.folder(), file), []byte(text), 0o600))
}

func (d *day) write() {
	d.dm("mount", "shop", d.folder())
	d.put("notes.txt", "one\ntwo\nthree\n")
	d.put("big", strings.Repeat("x", 3<<20))
	d.ui.press("r")
	d.ui.sees("in no commit yet: +")
	d.true("the server says it is dirty too", func() bool { return d.dot("shop").Branch.Dirty.Bytes > 0 })
}

func (d *day) commit() {
	d.ui.press("c")
	d.ui.sees("─ Commit shop@master", "in no commit, as of")
	d.ui.write("first things")
	d.ui.press("Tab")
	d.ui.write("job=test, by=me")
	d.ui.dialog("Commit", "commit --dot shop --branch master -m 'first things'")
	d.ui.press("C-s")
	d.ui.sees("committed shop@master", "Commits of master 2", "first things")
	first := d.commits("shop")[0]
	if first.Message != "first things" || first.Metadata["job"] != "test" || first.Metadata["by"] != "me" {
		d.Errorf("the commit is %+v", first)
	}
	d.put("notes.txt", "one\n2\nthree\n")
	d.put("more", "more")
	d.must(os.Remove(filepath.Join(d.folder(), "big")))
	d.ui.press("c")
	d.ui.sees("─ Commit shop@master")
	d.ui.write("second thoughts")
	d.ui.press("C-s")
	d.ui.sees("Commits of master 3", "second thoughts")
	if all := d.commits("shop"); len(all) != 3 || all[0].Message != "second thoughts" {
		d.Errorf("the commits are %+v", all)
	}
}

// commitsPane goes to the newest commit of the branch under the cursor.
func (d *day) commitsPane() {
	d.Helper()
	d.ui.goTo("shop")
	d.ui.press("Tab", "Tab", "Home")
}

func (d *day) branch() {
	d.commitsPane()
	d.ui.sees("shop > master > " + d.commits("shop")[0].ID.String()[:8])
	d.ui.press("Down")
	d.ui.sees("shop > master > " + d.commits("shop")[1].ID.String()[:8])
	d.ui.press("b")
	d.ui.sees("─ New branch of shop", "first things")
	d.ui.write("try")
	d.ui.dialog("New branch", "branch try")
	d.ui.press("C-s")
	d.ui.sees("made branch try", "└ try")
	made := d.node.branch("shop", "try")
	if made == nil || made.Pointer.Head != d.commits("shop")[1].ID {
		d.Errorf("the branch is %+v", made)
	}
	if d.dot("shop").Branch.Name != "master" {
		d.Error("it was checked out, which nobody asked for")
	}
}

func (d *day) diff() {
	d.commitsPane()
	d.ui.sees("second thoughts", "1 added, 1 modified, 1 removed") // beside the commits
	d.ui.press("d")
	frame := d.ui.sees("─ "+d.commits("shop")[0].ID.String()[:8]+" second thoughts", "__default__/more", "__default__/big")
	steps := 0 // down to the file
	for line := range strings.Lines(frame[strings.Index(frame, " second thoughts ─"):]) {
		if strings.Contains(line, "__default__/notes.txt") {
			break
		}
		steps++
	}
	for range steps - 1 {
		d.ui.press("Down")
	}
	d.ui.press("Enter")
	d.ui.sees("─ __default__/notes.txt", "-two", "+2", " three")
	d.ui.escape("─ __default__/notes.txt")
	d.ui.escape("second thoughts ─")
}

func (d *day) refused() {
	volume := dotmesh.Volume{Dot: name("shop"), Branch: "master", Subdot: dotmesh.DefaultSubdot}
	_, err := d.Mount(d.Context(), dotmesh.MountRequest{Volume: volume, Holder: "web-1"})
	d.must(err)
	before := d.dot("shop").Branch
	target := d.commits("shop")[1]
	d.commitsPane()
	d.ui.press("r")
	d.ui.sees("web-1")
	d.ui.press("Down")
	d.ui.sees("> " + target.ID.String()[:8])
	d.ui.press("R")
	d.ui.dialog("Reset shop@master", "reset "+target.ID.String()[:8])
	d.ui.press("Enter")
	_, err = d.Reset(d.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: name("shop"), Branch: "master", Ref: target.ID.String()}})
	d.ui.sees("! reset shop@master: " + d.refuses(err, dotmesh.Busy))
	d.must(d.Unmount(d.Context(), dotmesh.MountRequest{Volume: volume, Holder: "web-1"}))

	d.ui.goTo("shop")
	d.ui.press("m")
	d.ui.sees("─ Move shop@master to", "one")
	d.ui.press("Enter")
	d.ui.dialog("Move shop@master", "move shop@master one")
	d.ui.press("Enter")
	_, err = d.Move(d.Context(), dotmesh.MoveRequest{Dot: name("shop"), Branch: "master", Node: "one"})
	d.ui.sees("! move shop@master: " + d.refuses(err, dotmesh.KindOf(err)))
	if now := d.dot("shop").Branch; now.Pointer != before.Pointer {
		d.Errorf("what was refused has changed the branch: %+v, it was %+v", now.Pointer, before.Pointer)
	}

	d.ui.press("5")
	d.ui.sees("5 Cluster", "quorum yes")
	d.ui.press("a")
	d.ui.sees("there is nothing on this machine yet that could do that")
	d.ui.press("n")
	d.ui.sees("─ New token")
	d.ui.press("C-s")
	_, _, err = d.CreateToken(d.Context(), dotmesh.TokenRequest{Lasts: time.Hour})
	d.ui.sees("! make a token: " + d.refuses(err, dotmesh.KindOf(err)))
	d.ui.press("7") // all of them are kept
	d.ui.sees("7 Errors 3", "reset shop@master", "move shop@master", "make a token")
	d.ui.press("1")
	d.ui.sees("Branches of shop")
}

func (d *day) reset() {
	all := d.commits("shop")
	d.commitsPane()
	d.ui.press("Down")
	d.ui.sees("> " + all[1].ID.String()[:8])
	d.ui.press("R")
	d.ui.sees("Off the branch: 1 commit", "second thoughts", "A stash keeps all of it")
	d.ui.press("Enter")
	d.ui.sees("z undoes")
	if head := d.dot("shop").Branch.Pointer.Head; head != all[1].ID {
		d.Errorf("HEAD is %s, want %s", head, all[1].ID)
	}
	d.ui.sees("Commits of master 2", "1 stash")
	if text, err := os.ReadFile(filepath.Join(d.folder(), "notes.txt")); string(text) != "one\ntwo\nthree\n" {
		d.Errorf("the mounted file holds %q, %v", text, err)
	}
	d.ui.press("z")
	d.ui.sees("─ Undo operation", "reset master, by")
	d.ui.press("Enter")
	d.ui.sees("undid reset", "Commits of master 3")
	if head := d.commits("shop")[0]; head.Message != "second thoughts" {
		d.Errorf("HEAD is %+v", head)
	}
	d.ui.press("6")
	d.ui.sees("undo of", "reset (undone)")
	d.ui.press("1")
}

func (d *day) checkout() {
	d.ui.goTo("shop")
	d.ui.press("Tab", "Home", "Down")
	d.ui.sees("shop > try")
	d.ui.press("s")
	d.ui.dialog("Check out try", "checkout try --dot shop")
	d.ui.press("Enter")
	d.ui.sees("checked out try", "*try")
	if now := d.dot("shop").Branch.Name; now != "try" {
		d.Errorf("the current branch is %s", now)
	}
	d.ui.press("Home", "s")
	d.ui.sees("─ Check out master")
	d.ui.press("Enter")
	d.ui.sees("*master")
}

func (d *day) remove() {
	d.ui.goTo("beta")
	d.ui.press("D")
	d.ui.dialog("Delete 1 dot", "dot delete beta")
	d.ui.sees("[ Cancel ]")
	d.ui.press("Enter") // alone it does nothing
	d.ui.seesNot("─ Delete 1 dot")
	d.ui.press("D")
	d.ui.sees("type beta")
	d.ui.press("BTab")
	d.ui.write("bet")
	d.ui.press("C-s")
	d.ui.sees("to go on, type beta")
	if d.dot("beta").ID.IsZero() {
		d.Error("it is gone before its name was typed")
	}
	was := d.dot("beta").ID
	d.ui.write("a")
	d.ui.press("C-s")
	d.ui.sees("deleted beta; z undoes", "Dots 3")
	_, err := d.Dot(d.Context(), name("beta"))
	if dotmesh.KindOf(err) != dotmesh.NotFound {
		d.Errorf("the server says %v", err)
	}
	d.ui.press("z")
	d.ui.dialog("Undo: bring back 1 dot", "undo --dot beta")
	d.ui.press("Enter")
	d.ui.sees("brought back beta", "Dots 4")
	if d.dot("beta").ID != was {
		d.Error("another dot came back")
	}
	d.must(d.DeleteDot(d.Context(), dotmesh.DeleteDot{Dot: name("beta")}))
	d.ui.sees("Dots 3")
}

// hostile commits a message and files that give orders to a terminal.
func (d *day) hostile() {
	const clipboard, title = "\x1b]52;c;ZXZpbA==\a", "\x1b]0;owned\a"
	d.put("evil"+clipboard+"\n\r\u202e", "text "+title+"\n")
	_, err := d.Commit(d.Context(), dotmesh.CommitRequest{Dot: name("shop"), Branch: "master", Message: "evil " + clipboard + "\u202e\x1b[2J\x1b[6n"})
	d.must(err)
	d.commitsPane()
	d.ui.sees(`evil \x1b]52`) // it comes above the cursor, which stays where it is
	d.ui.press("Home")
	d.ui.sees(`__default__/evil\x1b]52;c;ZXZpbA==\x07\x0a\x0d\u202e`)
	d.ui.aligned(160)
	d.ui.press("d")
	d.ui.sees("─ "+d.commits("shop")[0].ID.String()[:8], "1 added")
	d.ui.press("Down", "Enter")
	d.ui.sees(`text \x1b]0;owned\x07`)
	d.ui.aligned(160)
	d.ui.escape(`─ __default__/evil`)
	d.ui.escape(`─ ` + d.commits("shop")[0].ID.String()[:8])
	if title := d.ui.tmux("display-message", "-p", "#{pane_title}"); !strings.HasPrefix(title, "dm ") {
		d.Errorf("the window is called %q", title)
	}
}

func (d *day) kill() {
	d.ui.goTo("alpha")
	d.crash()
	d.ui.sees("! LOST, as of") // how soon is for make bench to say
	d.ui.press("2")            // it lives, and shows what it knows
	d.ui.sees("2 Nodes", "MASTERS", "! LOST")
	d.ui.press("1")
	d.ui.sees("Branches of alpha", "gamma")
	d.start()
	d.ui.sees("LIVE")
	d.ui.seesNot("LOST")
	d.ui.press("c")
	d.ui.sees("─ Commit alpha@master")
	d.ui.write("after the crash")
	d.ui.press("C-s")
	d.ui.sees("committed alpha@master", "after the crash")
	if first := d.commits("alpha")[0]; first.Message != "after the crash" {
		d.Errorf("the commit is %+v", first)
	}
	d.ui.press("q")
	if code := d.ui.ended(); code != 0 {
		d.Errorf("it ended with %d", code)
	}
}

func (d *day) alone() {
	d.ui = d.open(100, 30)
	d.ui.sees("LIVE", "shop", "gamma", "Dots 3")
	d.ui.press("q")
	if code := d.ui.ended(); code != 0 {
		d.Errorf("it ended with %d", code)
	}
}
