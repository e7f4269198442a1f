package dotmeshtest

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

// Cluster is what a Service test runs against.
type Cluster struct {
	Gate dotmesh.Gate
	// Admin acts as the administrator, through whatever door is tested.
	Admin dotmesh.Service
	// Files are those of the volumes that Admin mounts; nil: they are on this machine, and the
	// cluster is a node of this machine on its own.
	Files Files
}

// Files are what programs see that have a volume or commit mounted, below the path that Mount
// or MountCommit has returned.
type Files interface {
	Write(path, content string) error
	Read(path string) (string, error) // [fs.ErrNotExist] where there is no such file
	Remove(path string) error
}

// onDisk are files of this machine.
type onDisk struct{}

func (onDisk) Write(path, content string) error { return os.WriteFile(path, []byte(content), 0o644) }

func (onDisk) Read(path string) (string, error) {
	content, err := os.ReadFile(path)
	return string(content), err
}

func (onDisk) Remove(path string) error { return os.Remove(path) }

// RunServiceTests tests that the services of what open returns do as dotmesh.Service says.
// Each test gets an empty cluster.
func RunServiceTests(t *testing.T, open func(t *testing.T) Cluster) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, u *user)
	}{
		{"a new dot has a master branch and one initial commit", newDot},
		{"a dot's name can be used once", nameTaken},
		{"a commit holds the data as they were", commitHolds},
		{"a commit with an id is made once", commitTwice},
		{"a commit too large is refused before anything is done", commitTooLarge},
		{"a branch starts as a copy and goes its own way", branchDiffers},
		{"reset brings back a commit and keeps what it drops", resetKeeps},
		{"reset to where the branch is does nothing", resetNothing},
		{"a repeated reset does nothing twice", resetTwice},
		{"discard drops what no commit holds and keeps it", discardKeeps},
		{"undo brings back what reset dropped, dirty data included", undoReset},
		{"undo of a commit, of a branch and of an init", undoOthers},
		{"undo brings back a deleted branch and a deleted dot", undoDelete},
		{"a repeated undo does nothing twice", undoTwice},
		{"checkout moves the volumes that follow the dot", checkoutMoves},
		{"the log goes back across the lines that a branch was forked from", logAcross},
		{"references name commits", references},
		{"deleting a commit takes it from every log", deleteCommit},
		{"diff names the files that changed", diffFiles},
		{"a file is read as a commit has it", readFile},
		{"a part of a file is read", readPart},
		{"only a regular file is read", alone(readOthers)},
		{"a branch knows where it was forked from", forkPoints},
		{"a check reads every commit and knows it again", checkCommits},
		{"mounting creates on demand and unmounting lets go", mounting},
		{"a held volume keeps its branch from being reset", heldVolume},
		{"nobody sees or changes what is not theirs", strangers},
		{"a user changes their own password and key", ownSecrets},
		{"a node on its own says what it is", alone(members)},
		{"a branch goes to no other node yet", alone(moves)},
		{"events tell what happened, and where to go on", events},
		{"two at once: one commit after the other", concurrent},
		{"results are the caller's to change", resultsAreCopies},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := open(t)
			if c.Files == nil {
				c.Files = onDisk{}
			}
			test.run(t, &user{T: t, Service: c.Admin, gate: c.Gate, files: c.Files})
		})
	}
}

// alone is a test that is about a node of this machine on its own.
func alone(run func(t *testing.T, u *user)) func(t *testing.T, u *user) {
	return func(t *testing.T, u *user) {
		if u.files != (onDisk{}) {
			t.Skip("this is about a node of this machine on its own")
		}
		run(t, u)
	}
}

// user is a service with a test's manners: what fails, fails the test.
type user struct {
	*testing.T
	dotmesh.Service
	gate  dotmesh.Gate
	files Files
}

var shop = dotmesh.DotName{Namespace: "admin", Name: "shop"}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("unexpected error: %v", err)
		}
		return v
	}
}

func (u *user) ok(err error) {
	u.Helper()
	if err != nil {
		u.Fatalf("unexpected error: %v", err)
	}
}

func (u *user) kind(err error, want dotmesh.Kind) {
	u.Helper()
	if dotmesh.KindOf(err) != want {
		u.Fatalf("got error %v (%q), want kind %q", err, dotmesh.KindOf(err), want)
	}
}

// refused fails the test unless err is of that kind and tells the user that.
func (u *user) refused(err error, kind dotmesh.Kind, text string) {
	u.Helper()
	u.kind(err, kind)
	if got := dotmesh.Text(err); !strings.Contains(got, text) {
		u.Fatalf("the user is told %q, want %q", got, text)
	}
}

func (u *user) init() dotmesh.DotStatus {
	u.Helper()
	return must[dotmesh.DotStatus](u.T)(u.CreateDot(u.Context(), dotmesh.CreateDot{Dot: shop}))
}

func (u *user) commit(message string) dotmesh.Commit {
	u.Helper()
	return must[dotmesh.Commit](u.T)(u.Commit(u.Context(), dotmesh.CommitRequest{Dot: shop, Message: message}))
}

func (u *user) mount(volume string) string {
	u.Helper()
	v := must[dotmesh.Volume](u.T)(dotmesh.ParseVolume(volume))
	return must[dotmesh.Mounted](u.T)(u.Mount(u.Context(), dotmesh.MountRequest{Volume: v})).Path
}

func (u *user) write(dir, name, content string) {
	u.Helper()
	u.ok(u.files.Write(filepath.Join(dir, name), content))
}

// read returns a file's content, or "absent".
func (u *user) read(dir, name string) string {
	u.Helper()
	content, err := u.files.Read(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return "absent"
	}
	u.ok(err)
	return content
}

func (u *user) want(what, got, want string) {
	u.Helper()
	if got != want {
		u.Fatalf("%s is %q, want %q", what, got, want)
	}
}

func (u *user) log(branch dotmesh.Name) []string {
	u.Helper()
	page := must[dotmesh.LogPage](u.T)(u.Log(u.Context(), dotmesh.LogRequest{Dot: shop, Branch: branch}))
	messages := []string{}
	for _, c := range page.Commits {
		messages = append(messages, c.Message)
	}
	return messages
}

func (u *user) wantLog(branch dotmesh.Name, want ...string) {
	u.Helper()
	if got := u.log(branch); !slices.Equal(got, want) {
		u.Fatalf("log of %q is %q, want %q", branch, got, want)
	}
}

func (u *user) reset(ref string) dotmesh.Changed {
	u.Helper()
	return must[dotmesh.Changed](u.T)(u.Reset(u.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop, Ref: ref}}))
}

func (u *user) branch(name dotmesh.Name, from dotmesh.CommitRef) dotmesh.BranchStatus {
	u.Helper()
	from.Dot = shop
	return must[dotmesh.BranchStatus](u.T)(u.CreateBranch(u.Context(), dotmesh.CreateBranch{From: from, Name: name}))
}

func (u *user) undo() dotmesh.Undone {
	u.Helper()
	return must[dotmesh.Undone](u.T)(u.Undo(u.Context(), dotmesh.UndoRequest{Dot: shop}))
}

func (u *user) detail() dotmesh.DotDetail {
	u.Helper()
	return must[dotmesh.DotDetail](u.T)(u.Dot(u.Context(), shop))
}

func newDot(t *testing.T, u *user) {
	d := u.init()
	if d.ID.UUID != d.Branch.ID.UUID || d.Branch.Name != dotmesh.MasterBranch || !d.Branch.Current {
		t.Fatalf("dot %+v: its id is not its current master branch's", d)
	}
	if p := d.Branch.Pointer; p.Count != 1 || p.Epoch != 1 || p.State.Phase != dotmesh.Held {
		t.Fatalf("pointer %+v: want one commit in epoch 1, held", p)
	}
	u.wantLog("", "Initial commit")
	all := must[[]dotmesh.DotStatus](t)(u.Dots(t.Context()))
	if len(all) != 1 || all[0].Name != shop {
		t.Fatalf("dots are %+v, want only shop", all)
	}
}

func nameTaken(t *testing.T, u *user) {
	request := dotmesh.NewUUID()
	first := must[dotmesh.DotStatus](t)(u.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop, Request: request}))
	again := must[dotmesh.DotStatus](t)(u.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop, Request: request}))
	if again.ID != first.ID {
		t.Fatalf("the same request made %s and %s", first.ID, again.ID)
	}
	_, err := u.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop})
	u.refused(err, dotmesh.Exists, "shop exists already")
	_, err = u.Commit(t.Context(), dotmesh.CommitRequest{Dot: dotmesh.DotName{Namespace: "admin", Name: "none"}})
	u.kind(err, dotmesh.NotFound)
}

func commitHolds(t *testing.T, u *user) {
	u.init()
	dir := u.mount("shop")
	u.write(dir, "a", "one")
	c := must[dotmesh.Commit](t)(u.Commit(t.Context(), dotmesh.CommitRequest{
		Dot: shop, Message: "first", Metadata: map[string]string{"ticket": "a=b,c"},
	}))
	u.write(dir, "a", "two")
	at := must[dotmesh.Mounted](t)(u.MountCommit(t.Context(), dotmesh.CommitRef{Dot: shop, Ref: c.ID.String()}))
	u.want("the file in the commit", u.read(at.Path, "__default__/a"), "one")
	u.want("the file now", u.read(dir, "a"), "two")
	u.ok(u.Unmount(t.Context(), dotmesh.MountRequest{Commit: at.Commit}))
	u.want("the file when unmounted", u.read(at.Path, "__default__/a"), "absent")
	page := must[dotmesh.LogPage](t)(u.Log(t.Context(), dotmesh.LogRequest{Dot: shop}))
	if got := page.Commits[0]; got.Metadata["ticket"] != "a=b,c" || got.Author != "admin" || got.GUID == "" || got.Kind != dotmesh.UserCommit {
		t.Errorf("commit is %+v: want its metadata, author and guid", got)
	}
}

func commitTwice(t *testing.T, u *user) {
	u.init()
	r := dotmesh.CommitRequest{Dot: shop, Message: "once", ID: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
	first := must[dotmesh.Commit](t)(u.Commit(t.Context(), r))
	again := must[dotmesh.Commit](t)(u.Commit(t.Context(), r))
	if first.ID != r.ID || again.Chain != first.Chain || again.Seq != first.Seq {
		t.Fatalf("the same request made %+v and %+v", first, again)
	}
	u.wantLog("", "once", "Initial commit")
	r.Message = "another"
	_, err := u.Commit(t.Context(), r)
	u.refused(err, dotmesh.Exists, "exists already, with another message")
}

func commitTooLarge(t *testing.T, u *user) {
	u.init()
	_, err := u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: strings.Repeat("x", dotmesh.MaxMessage)})
	u.refused(err, dotmesh.Invalid, "at most 4096 are allowed")
	_, err = u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Metadata: map[string]string{"Upper": "x"}})
	u.refused(err, dotmesh.Invalid, "must start with lowercase")
	u.wantLog("", "Initial commit")
}

func branchDiffers(t *testing.T, u *user) {
	u.init()
	dir := u.mount("shop")
	u.write(dir, "a", "one")
	u.commit("first")
	u.write(dir, "a", "dirty")
	b := u.branch("test", dotmesh.CommitRef{})
	if b.Pointer.Count != 2 || b.Current {
		t.Fatalf("branch %+v: want two commits, and not current", b)
	}
	other := u.mount("shop@test")
	u.want("the file in the branch", u.read(other, "a"), "one")
	u.write(other, "a", "branch")
	must[dotmesh.Commit](t)(u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Branch: "test", Message: "on test"}))
	u.want("the file on master", u.read(dir, "a"), "dirty")
	u.wantLog("test", "on test", "first", "Initial commit")
	u.wantLog("", "first", "Initial commit")
	_, err := u.CreateBranch(t.Context(), dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: shop}, Name: "test"})
	u.refused(err, dotmesh.Exists, "Branch already exists: test")
	u.kind(u.DeleteBranch(t.Context(), dotmesh.BranchRequest{Dot: shop, Branch: "master"}), dotmesh.Conflict)
}

func resetKeeps(t *testing.T, u *user) {
	u.init()
	dir := u.mount("shop")
	u.write(dir, "a", "one")
	first := u.commit("first")
	u.write(dir, "a", "two")
	u.commit("second")
	u.write(dir, "a", "dirty")
	done := u.reset("HEAD^")
	u.want("the file after the reset", u.read(dir, "a"), "one")
	u.wantLog("", "first", "Initial commit")
	if done.Branch.Pointer.Head != first.ID || done.Branch.Pointer.Epoch != 2 || done.Branch.Pointer.Count != 2 {
		t.Errorf("pointer is %+v: want HEAD %s in epoch 2 with 2 commits", done.Branch.Pointer, first.ID)
	}
	if done.Stash == nil || !strings.HasPrefix(string(done.Stash.Name), "master-RESET-") {
		t.Fatalf("stash is %+v, want one called master-RESET-…", done.Stash)
	}
	back := u.branch("back", dotmesh.CommitRef{Ref: string(done.Stash.Name)})
	u.want("what the stash keeps", u.read(u.mount("shop@back"), "a"), "dirty")
	if back.Pointer.Count != 3 {
		t.Errorf("the branch from the stash has %d commits, want 3", back.Pointer.Count)
	}
	u.commit("third")
	u.wantLog("", "third", "first", "Initial commit")
	_, err := u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Branch: done.Stash.Name, Message: "no"})
	u.refused(err, dotmesh.Conflict, "is a stash, which never changes")
}

func resetNothing(t *testing.T, u *user) {
	u.init()
	u.mount("shop")
	before := u.commit("first")
	done := u.reset("HEAD")
	if done.Stash != nil || done.Branch.Pointer.Tip != before.ID || done.Branch.Pointer.Epoch != 1 {
		t.Fatalf("reset to HEAD of a clean branch did %+v, want nothing", done)
	}
}

func resetTwice(t *testing.T, u *user) {
	u.init()
	u.commit("first")
	u.commit("second")
	r := dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop, Ref: "HEAD^", Request: dotmesh.NewUUID()}, Discard: true}
	first := must[dotmesh.Changed](t)(u.Reset(t.Context(), r))
	again := must[dotmesh.Changed](t)(u.Reset(t.Context(), r))
	if again.Stash == nil || again.Stash.ID != first.Stash.ID || again.Branch.Pointer != first.Branch.Pointer {
		t.Fatalf("the same request did %+v and %+v", first, again)
	}
	if s := first.Stash.Stash; s.Expires.Sub(s.At) != time.Hour {
		t.Errorf("what was discarded is kept for %s, want an hour", s.Expires.Sub(s.At))
	}
	u.wantLog("", "first", "Initial commit")
}

func discardKeeps(t *testing.T, u *user) {
	u.init()
	dir := u.mount("shop")
	u.write(dir, "a", "one")
	u.commit("first")
	u.write(dir, "a", "dirty")
	done := must[dotmesh.Changed](t)(u.Discard(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop}}))
	u.want("the file", u.read(dir, "a"), "one")
	if done.Stash == nil {
		t.Fatal("nothing keeps the dirty data")
	}
	u.wantLog("", "first", "Initial commit")
}

func undoReset(t *testing.T, u *user) {
	u.init()
	dir := u.mount("shop")
	u.write(dir, "a", "one")
	u.commit("first")
	u.write(dir, "a", "two")
	u.commit("second")
	u.write(dir, "a", "dirty")
	u.reset("HEAD^")
	done := u.undo()
	if done.Op.Verb != dotmesh.VerbReset || done.Change == nil {
		t.Fatalf("undid %+v, want the reset", done)
	}
	u.want("the file", u.read(dir, "a"), "dirty")
	u.wantLog("", "second", "first", "Initial commit")
}

func undoOthers(t *testing.T, u *user) {
	u.init()
	dir := u.mount("shop")
	u.write(dir, "a", "one")
	u.commit("first")
	u.branch("test", dotmesh.CommitRef{})
	if got := u.undo().Op.Verb; got != dotmesh.VerbBranch {
		t.Fatalf("undid %q, want the branch", got)
	}
	if n := len(u.detail().All); n != 1 {
		t.Fatalf("%d branches are left, want 1", n)
	}
	if got := u.undo().Op.Verb; got != dotmesh.VerbCommit {
		t.Fatalf("undid %q, want the commit", got)
	}
	u.wantLog("", "Initial commit")
	u.want("the file", u.read(dir, "a"), "absent")
	if got := u.undo().Op.Verb; got != dotmesh.VerbInit {
		t.Fatalf("undid %q, want the init", got)
	}
	_, err := u.Dot(t.Context(), shop)
	u.refused(err, dotmesh.NotFound, `no dot called "shop"`)
}

func undoDelete(t *testing.T, u *user) {
	u.init()
	u.branch("test", dotmesh.CommitRef{})
	dir := u.mount("shop@test")
	u.write(dir, "a", "one")
	u.ok(u.DeleteBranch(t.Context(), dotmesh.BranchRequest{Dot: shop, Branch: "test"}))
	_, err := u.Status(t.Context(), dotmesh.StatusRequest{Dot: shop, Branch: "test"})
	u.refused(err, dotmesh.NotFound, `no branch called "test" in shop`)
	u.undo()
	u.want("the file, which no commit held", u.read(u.mount("shop@test"), "a"), "one")
	request := dotmesh.NewUUID()
	for range 2 { // the second time it is the same request
		u.ok(u.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop, Request: request}))
	}
	if all := must[[]dotmesh.DotStatus](t)(u.Dots(t.Context())); len(all) != 0 {
		t.Fatalf("dots are %+v, want none", all)
	}
	u.undo()
	u.want("the file after the dot came back", u.read(u.mount("shop@test"), "a"), "one")
}

func undoTwice(t *testing.T, u *user) {
	u.init()
	u.commit("first")
	u.commit("second")
	r := dotmesh.UndoRequest{Dot: shop, Request: dotmesh.NewUUID()}
	first := must[dotmesh.Undone](t)(u.Undo(t.Context(), r))
	again := must[dotmesh.Undone](t)(u.Undo(t.Context(), r))
	if first.Op.N != again.Op.N || again.Change == nil || again.Change.Stash.ID != first.Change.Stash.ID {
		t.Fatalf("the same request did %+v and %+v", first, again)
	}
	u.wantLog("", "first", "Initial commit")
	_, err := u.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop, N: first.Op.N})
	u.refused(err, dotmesh.Conflict, "has been undone already")
	_, err = u.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop, N: 99})
	u.refused(err, dotmesh.NotFound, "no operation 99 in the log")
	ops := must[[]dotmesh.Op](t)(u.Ops(t.Context(), dotmesh.OpsRequest{Dot: shop, Limit: 2}))
	if len(ops) != 2 || ops[0].Verb != dotmesh.VerbUndo || ops[0].Undoes != first.Op.N || ops[1].N != ops[0].N-1 {
		t.Errorf("the newest entries are %+v", ops)
	}
}

func checkoutMoves(t *testing.T, u *user) {
	u.init()
	dir := u.mount("shop")
	u.write(dir, "a", "one")
	u.commit("first")
	u.branch("test", dotmesh.CommitRef{})
	pinned := u.mount("shop@master.db")
	u.write(pinned, "p", "pinned")
	b := must[dotmesh.BranchStatus](t)(u.Checkout(t.Context(), dotmesh.BranchRequest{Dot: shop, Branch: "test"}))
	if !b.Current {
		t.Fatalf("branch is %+v, want it to be current", b)
	}
	u.write(dir, "a", "on test")
	u.want("the pinned file", u.read(pinned, "p"), "pinned")
	must[dotmesh.Commit](t)(u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "second"}))
	u.wantLog("test", "second", "first", "Initial commit")
	must[dotmesh.BranchStatus](t)(u.Checkout(t.Context(), dotmesh.BranchRequest{Dot: shop, Branch: "master"}))
	u.want("the file back on master", u.read(dir, "a"), "one")
	u.undo()
	u.want("the file after undoing the checkout", u.read(dir, "a"), "on test")
}

func logAcross(t *testing.T, u *user) {
	u.init()
	for _, m := range []string{"1", "2", "3"} {
		u.commit(m)
	}
	u.branch("b", dotmesh.CommitRef{Ref: "HEAD^"})
	must[dotmesh.Commit](t)(u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Branch: "b", Message: "b1"}))
	u.branch("c", dotmesh.CommitRef{Branch: "b"})
	must[dotmesh.Commit](t)(u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Branch: "c", Message: "c1"}))
	u.wantLog("c", "c1", "b1", "2", "1", "Initial commit")
	page := must[dotmesh.LogPage](t)(u.Log(t.Context(), dotmesh.LogRequest{Dot: shop, Branch: "c", Limit: 2}))
	if !page.More || len(page.Commits) != 2 {
		t.Fatalf("page is %+v, want two commits and more", page)
	}
	page = must[dotmesh.LogPage](t)(u.Log(t.Context(), dotmesh.LogRequest{Dot: shop, Branch: "c", Before: page.Commits[1].ID, Limit: 3}))
	if page.More || len(page.Commits) != 3 || page.Commits[0].Message != "2" {
		t.Fatalf("second page is %+v, want 2, 1 and the initial commit", page)
	}
	_, err := u.Log(t.Context(), dotmesh.LogRequest{Dot: shop, Before: dotmesh.CommitID{UUID: dotmesh.NewUUID()}})
	u.refused(err, dotmesh.NotFound, "list again from the newest")
}

func references(t *testing.T, u *user) {
	u.init()
	first, second := u.commit("first"), u.commit("second")
	for ref, want := range map[string]dotmesh.CommitID{
		"":                                 second.ID,
		"HEAD":                             second.ID,
		"HEAD^":                            first.ID,
		"HEAD~1":                           first.ID,
		first.ID.String():                  first.ID,
		first.ID.String()[:9]:              first.ID,
		second.ID.String() + "^":           first.ID,
		strings.ToUpper(first.ID.String()): first.ID,
		"master":                           second.ID,
	} {
		b := u.branch(dotmesh.Name("b"+strings.Trim(dotmesh.NewUUID().String(), "-")), dotmesh.CommitRef{Ref: ref})
		if b.Pointer.Tip != want {
			t.Errorf("%q names %s, want %s", ref, b.Pointer.Tip, want)
		}
	}
	for ref, kind := range map[string]dotmesh.Kind{
		"HEAD^^^":                  dotmesh.NotFound,
		"none":                     dotmesh.NotFound,
		dotmesh.NewUUID().String(): dotmesh.NotFound,
		"../x":                     dotmesh.Invalid,
		"HEAD~x":                   dotmesh.Invalid,
		"--hard":                   dotmesh.Invalid,
	} {
		_, err := u.Reset(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop, Ref: ref}})
		if dotmesh.KindOf(err) != kind {
			t.Errorf("reset to %q: got %v, want kind %q", ref, err, kind)
		}
	}
}

func deleteCommit(t *testing.T, u *user) {
	u.init()
	u.commit("first")
	second := u.commit("second")
	u.commit("third")
	u.branch("b", dotmesh.CommitRef{})
	err := u.DeleteCommit(t.Context(), dotmesh.CommitRef{Dot: shop, Ref: "HEAD"})
	u.refused(err, dotmesh.Conflict, "a branch or stash was made from commit")
	r := dotmesh.CommitRef{Dot: shop, Ref: second.ID.String(), Request: dotmesh.NewUUID()}
	for range 2 { // the second time it is the same request
		u.ok(u.DeleteCommit(t.Context(), r))
	}
	u.wantLog("", "third", "first", "Initial commit")
	u.wantLog("b", "third", "first", "Initial commit")
	for _, b := range u.detail().All {
		if b.Pointer.Count != 3 {
			t.Errorf("%s counts %d commits, want 3", b.Name, b.Pointer.Count)
		}
	}
	u.commit("fourth")
	must[dotmesh.Undone](t)(u.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop, N: 6}))
	u.wantLog("", "fourth", "third", "second", "first", "Initial commit")
}

func diffFiles(t *testing.T, u *user) {
	u.init()
	dir := u.mount("shop")
	u.write(dir, "same", "same")
	u.write(dir, "changes", "one")
	u.write(dir, "goes", "one")
	u.commit("first")
	u.write(dir, "changes", "two!")
	u.write(dir, "comes", "new")
	u.ok(u.files.Remove(filepath.Join(dir, "goes")))
	got := map[string]dotmesh.ChangeKind{}
	for c, err := range u.Diff(t.Context(), dotmesh.DiffRequest{Dot: shop}) {
		u.ok(err)
		got[filepath.Base(c.Path)] = c.Kind
	}
	if got["changes"] != dotmesh.Modified || got["comes"] != dotmesh.Added || got["goes"] != dotmesh.Removed || got["same"] != "" {
		t.Errorf("diff is %v", got)
	}
	u.commit("second")
	n := 0
	for _, err := range u.Diff(t.Context(), dotmesh.DiffRequest{Dot: shop, From: "HEAD", To: "HEAD^"}) {
		u.ok(err)
		n++
	}
	if n != 3 {
		t.Errorf("backwards, %d files differ, want 3", n)
	}
}

// file returns what a commit has in a file of the default subdot.
func (u *user) file(ref, name string) string {
	u.Helper()
	part := must[dotmesh.FilePart](u.T)(u.ReadFile(u.Context(), fileAt(ref, "__default__/"+name)))
	if part.Size != int64(len(part.Data)) {
		u.Fatalf("%s has %d bytes, and %d were read", name, part.Size, len(part.Data))
	}
	return string(part.Data)
}

func fileAt(ref, path string) dotmesh.FileRequest {
	return dotmesh.FileRequest{CommitRef: dotmesh.CommitRef{Dot: shop, Ref: ref}, Path: path}
}

func readFile(t *testing.T, u *user) {
	u.init()
	dir := u.mount("shop")
	const foreign = "caf\xe9" // Latin-1, and no UTF-8
	u.write(dir, "a", "one")
	u.write(dir, foreign, "coffee")
	u.commit("first")
	u.write(dir, "a", "two")
	u.write(dir, "empty", "")
	u.commit("second")
	u.write(dir, "a", "dirty")
	u.want("the file in HEAD", u.file("", "a"), "two")
	u.want("the file in HEAD^", u.file("HEAD^", "a"), "one")
	u.want("a file whose name is no text", u.file("HEAD^", foreign), "coffee")
	u.want("an empty file", u.file("HEAD", "empty"), "")
	_, err := u.ReadFile(t.Context(), fileAt("HEAD^", "__default__/empty"))
	u.kind(err, dotmesh.NotFound)
	_, err = u.ReadFile(t.Context(), fileAt("HEAD~7", "__default__/a"))
	u.kind(err, dotmesh.NotFound)
	u.reset("HEAD^")
	u.want("the file in HEAD after a reset", u.file("", "a"), "one")
}

func readPart(t *testing.T, u *user) {
	u.init()
	dir := u.mount("shop")
	const large = 1<<20 + 100
	u.write(dir, "short", "0123456789")
	u.write(dir, "large", strings.Repeat("x", large))
	u.commit("first")
	for _, test := range []struct {
		name   string
		offset int64
		limit  int
		want   int
	}{
		{"short", 0, 0, 10},
		{"short", 3, 0, 7},
		{"short", 3, 4, 4},
		{"short", 10, 0, 0},
		{"short", 1 << 40, 5, 0},
		{"large", 0, 0, 64 << 10},
		{"large", 0, 1 << 30, 1 << 20},
		{"large", 1 << 20, 1 << 20, 100},
	} {
		r := fileAt("", "__default__/"+test.name)
		r.Offset, r.Limit = test.offset, test.limit
		part := must[dotmesh.FilePart](t)(u.ReadFile(t.Context(), r))
		size := map[string]int64{"short": 10, "large": large}[test.name]
		if len(part.Data) != test.want || part.Size != size {
			t.Errorf("%+v: got %d bytes of %d", test, len(part.Data), part.Size)
		}
		if test.name == "short" && string(part.Data) != "0123456789"[min(10, test.offset):][:test.want] {
			t.Errorf("%+v: got %q", test, part.Data)
		}
	}
	for _, r := range []dotmesh.FileRequest{{Offset: -1}, {Limit: -1}} {
		r.CommitRef, r.Path = dotmesh.CommitRef{Dot: shop}, "__default__/short"
		_, err := u.ReadFile(t.Context(), r)
		u.kind(err, dotmesh.Invalid)
	}
}

func readOthers(t *testing.T, u *user) {
	u.init()
	dir := u.mount("shop")
	u.ok(os.Mkdir(filepath.Join(dir, "dir"), 0o755))
	u.write(dir, "dir/a", "below")
	u.ok(os.Symlink("dir/a", filepath.Join(dir, "link")))
	u.ok(os.Symlink("dir", filepath.Join(dir, "dirlink")))
	u.ok(os.Symlink("/etc/passwd", filepath.Join(dir, "outside")))
	u.commit("first")
	u.want("the file", u.file("", "dir/a"), "below")
	for path, kind := range map[string]dotmesh.Kind{
		"dir":                dotmesh.Invalid,
		"link":               dotmesh.Invalid,
		"outside":            dotmesh.Invalid,
		"none":               dotmesh.NotFound,
		"dir/none":           dotmesh.NotFound,
		"dir/a/none":         dotmesh.NotFound,
		"dirlink/a":          dotmesh.NotFound,
		"dir/../dir/a":       dotmesh.Invalid,
		"../../../etc/hosts": dotmesh.Invalid,
		"dir//a":             dotmesh.Invalid,
		"a\x00b":             dotmesh.Invalid,
	} {
		if _, err := u.ReadFile(t.Context(), fileAt("", "__default__/"+path)); dotmesh.KindOf(err) != kind {
			t.Errorf("%q: got %v, want kind %q", path, err, kind)
		}
	}
	for _, path := range []string{"", ".", "/", "/etc/passwd"} {
		_, err := u.ReadFile(t.Context(), fileAt("", path))
		u.kind(err, dotmesh.Invalid)
	}
}

func forkPoints(t *testing.T, u *user) {
	d := u.init()
	initial, first, second := d.Branch.Pointer.Tip, u.commit("first"), u.commit("second")
	branch := u.branch("branch", dotmesh.CommitRef{Ref: "HEAD^"})
	inner := must[dotmesh.Commit](t)(u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Branch: "branch", Message: "inner"}))
	u.branch("twig", dotmesh.CommitRef{Branch: "branch"})
	dropped := u.reset("HEAD~2").Stash
	u.branch("saved", dotmesh.CommitRef{Ref: string(dropped.Name)})
	u.branch("older", dotmesh.CommitRef{Branch: "branch", Ref: "HEAD~2"})
	must[dotmesh.Changed](t)(u.Reset(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop, Branch: "branch", Ref: "HEAD^"}}))
	want := map[dotmesh.Name]*dotmesh.ForkPoint{
		"branch": {Branch: d.Branch.ID, Commit: first.ID},
		"twig":   {Branch: branch.ID, Commit: inner.ID},
		"saved":  {Branch: d.Branch.ID, Commit: second.ID},
		"older":  {Branch: d.Branch.ID, Commit: initial},
	}
	for _, b := range u.detail().All {
		w := want[b.Name]
		if b.Stash != nil && b.Stash.Of == branch.ID {
			w = want["branch"]
		}
		if !reflect.DeepEqual(b.Origin, w) {
			t.Errorf("%s was forked at %+v, want %+v", b.Name, b.Origin, w)
		}
	}
	if b := must[dotmesh.BranchStatus](t)(u.Status(t.Context(), dotmesh.StatusRequest{Dot: shop, Branch: "twig"})); b.Origin == nil {
		t.Error("its status does not say where twig was forked")
	}
}

func checkCommits(t *testing.T, u *user) {
	u.init()
	dir := u.mount("shop")
	u.write(dir, "file", "one")
	u.commit("first")
	u.write(dir, "file", "two")
	u.commit("second")
	trees := map[dotmesh.CommitID]string{}
	for _, want := range []dotmesh.CheckState{dotmesh.CheckNew, dotmesh.CheckSame} {
		n := 0
		for c, err := range u.Check(t.Context(), dotmesh.CheckRequest{Dot: shop}) {
			u.ok(err)
			if n++; c.State != want || !c.Sound() || c.Dot != shop || c.Branch != dotmesh.MasterBranch || c.Text != "" {
				t.Errorf("check = %+v, want %s", c, want)
			}
			if old := trees[c.Commit]; c.Tree == "" || old != "" && old != c.Tree {
				t.Errorf("the hash of %s is %q, and was %q", c.Commit, c.Tree, old)
			}
			trees[c.Commit] = c.Tree
		}
		if n != 3 {
			t.Errorf("%d commits were checked, want 3", n)
		}
	}
	if hashes := slices.Sorted(maps.Values(trees)); len(slices.Compact(hashes)) != 3 {
		t.Errorf("commits that differ have one hash: %v", trees)
	}
	for _, err := range u.Check(t.Context(), dotmesh.CheckRequest{}) { // all dots
		u.ok(err)
	}
}

func mounting(t *testing.T, u *user) {
	v := must[dotmesh.Volume](t)(dotmesh.ParseVolume("shop.db"))
	_, err := u.Mount(t.Context(), dotmesh.MountRequest{Volume: v})
	u.kind(err, dotmesh.NotFound)
	at := must[dotmesh.Mounted](t)(u.Mount(t.Context(), dotmesh.MountRequest{Volume: v, Create: true}))
	u.write(at.Path, "a", "one")
	root := u.mount("shop.__root__")
	u.want("the file from the root", u.read(root, "db/a"), "one")
	again := must[dotmesh.Mounted](t)(u.Mount(t.Context(), dotmesh.MountRequest{Volume: v}))
	u.want("the path of a second mount", again.Path, at.Path)
	u.ok(u.Unmount(t.Context(), dotmesh.MountRequest{Volume: v}))
	u.ok(u.Unmount(t.Context(), dotmesh.MountRequest{Volume: v}))
	u.want("the file when unmounted", u.read(at.Path, "a"), "absent")
	u.want("the file when mounted again", u.read(u.mount("shop.db"), "a"), "one")
	missing := must[dotmesh.Volume](t)(dotmesh.ParseVolume("none@branch"))
	_, err = u.Mount(t.Context(), dotmesh.MountRequest{Volume: missing, Create: true})
	u.kind(err, dotmesh.NotFound)
	if all := must[[]dotmesh.DotStatus](t)(u.Dots(t.Context())); len(all) != 1 {
		t.Errorf("a failed mount left %d dots, want 1", len(all))
	}
}

func heldVolume(t *testing.T, u *user) {
	v := must[dotmesh.Volume](t)(dotmesh.ParseVolume("shop"))
	must[dotmesh.Mounted](t)(u.Mount(t.Context(), dotmesh.MountRequest{Volume: v, Create: true, Holder: "web-1"}))
	at := must[dotmesh.Mounted](t)(u.Mount(t.Context(), dotmesh.MountRequest{Volume: v, Holder: "web-2"}))
	u.write(at.Path, "a", "dirty")
	_, err := u.Discard(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop}})
	u.refused(err, dotmesh.Busy, "shop is in use by web-1, web-2; stop that first")
	u.refused(u.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}), dotmesh.Busy, "web-1, web-2")
	u.refused(u.Unmount(t.Context(), dotmesh.MountRequest{Volume: v}), dotmesh.Busy, "web-1, web-2")
	u.ok(u.Unmount(t.Context(), dotmesh.MountRequest{Volume: v, Holder: "web-1"}))
	u.ok(u.Unmount(t.Context(), dotmesh.MountRequest{Volume: v, Holder: "web-1"}))
	u.want("the file while web-2 holds it", u.read(at.Path, "a"), "dirty")
	u.ok(u.Unmount(t.Context(), dotmesh.MountRequest{Volume: v, Holder: "web-2"}))
	must[dotmesh.Changed](t)(u.Discard(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop}}))
}

func strangers(t *testing.T, u *user) {
	u.init()
	alice, key, err := u.CreateUser(t.Context(), dotmesh.CreateUser{Name: "alice", Email: "a@example.com"})
	u.ok(err)
	who := must[dotmesh.Principal](t)(u.gate.Authenticate(t.Context(), "alice", key))
	if who.User != alice.ID || who.Admin {
		t.Fatalf("alice logs in as %+v", who)
	}
	_, err = u.gate.Authenticate(t.Context(), "alice", "wrong")
	u.kind(err, dotmesh.Unauthenticated)
	a := &user{T: t, Service: u.gate.As(who), gate: u.gate, files: u.files}
	if all := must[[]dotmesh.DotStatus](t)(a.Dots(t.Context())); len(all) != 0 {
		t.Errorf("alice sees %+v", all)
	}
	_, err = a.Dot(t.Context(), shop)
	a.kind(err, dotmesh.NotFound)
	_, err = a.ReadFile(t.Context(), fileAt("", "__default__/a"))
	a.refused(err, dotmesh.NotFound, "no dot called")
	_, err = a.Cluster(t.Context())
	a.kind(err, dotmesh.Denied)
	_, err = a.Move(t.Context(), dotmesh.MoveRequest{Dot: shop, Node: "one"})
	a.kind(err, dotmesh.NotFound)
	_, err = a.CreateDot(t.Context(), dotmesh.CreateDot{Dot: dotmesh.DotName{Namespace: "admin", Name: "mine"}})
	a.refused(err, dotmesh.Denied, `namespace "admin" is not yours`)
	must[dotmesh.DotStatus](t)(a.CreateDot(t.Context(), dotmesh.CreateDot{Dot: dotmesh.DotName{Namespace: "alice", Name: "mine"}}))
	must[dotmesh.DotStatus](t)(u.SetDot(t.Context(), dotmesh.SetDot{Dot: shop, AddCollaborator: "alice"}))
	a.commit("as a collaborator")
	_, err = a.Reset(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop, Ref: "HEAD^"}})
	a.refused(err, dotmesh.Denied, "You are not the owner of shop")
	a.kind(a.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}), dotmesh.Denied)
	_, err = a.Move(t.Context(), dotmesh.MoveRequest{Dot: shop, Node: "one"})
	a.kind(err, dotmesh.Denied)
	nobody := u.gate.As(dotmesh.Principal{})
	_, err = nobody.Dots(t.Context())
	u.kind(err, dotmesh.Unauthenticated)
}

func ownSecrets(t *testing.T, u *user) {
	_, key, err := u.CreateUser(t.Context(), dotmesh.CreateUser{Name: "alice", Password: "old password"})
	u.ok(err)
	login := func(secret dotmesh.Secret) dotmesh.Principal {
		return must[dotmesh.Principal](t)(u.gate.Authenticate(t.Context(), "alice", secret))
	}
	who := login(key)
	byKey := u.gate.As(who)
	if me := must[dotmesh.User](t)(byKey.Whoami(t.Context())); me.Name != "alice" || me.KeyHash != "" {
		t.Errorf("alice is %+v", me)
	}
	_, err = byKey.ResetKey(t.Context())
	u.refused(err, dotmesh.Denied, "log in with your password")
	byPassword := u.gate.As(login("old password"))
	short := dotmesh.Secret("short")
	_, err = byPassword.SetUser(t.Context(), dotmesh.SetUser{User: who.User, Password: &short})
	u.refused(err, dotmesh.Invalid, "at least 7 characters")
	next := must[dotmesh.Secret](t)(byPassword.ResetKey(t.Context()))
	_, err = u.gate.Authenticate(t.Context(), "alice", key)
	u.kind(err, dotmesh.Unauthenticated)
	login(next)
	if found := must[dotmesh.User](t)(u.FindUser(t.Context(), dotmesh.UserQuery{Name: "alice"})); found.ID != who.User {
		t.Errorf("alice is found as %+v", found)
	}
}

func members(t *testing.T, u *user) {
	u.init()
	u.branch("other", dotmesh.CommitRef{})
	u.branch("gone", dotmesh.CommitRef{})
	u.ok(u.DeleteBranch(t.Context(), dotmesh.BranchRequest{Dot: shop, Branch: "gone"}))
	u.commit("first")
	u.reset("HEAD^")
	version := must[dotmesh.Version](t)(u.Version(t.Context()))
	nodes := must[[]dotmesh.NodeStatus](t)(u.Nodes(t.Context()))
	if len(nodes) != 1 {
		t.Fatalf("nodes are %+v, want one", nodes)
	}
	n := nodes[0]
	if n.ID != version.Node || !n.Self || !n.Voter || !n.Leader || n.Masters != 2 || n.AsOf.IsZero() || n.Missing != 0 || n.Behind != 0 {
		t.Errorf("the node is %+v, want it to lead and to be the master of two branches", n)
	}
	c := must[dotmesh.ClusterStatus](t)(u.Cluster(t.Context()))
	if c.ID != version.Cluster || c.Feature != version.Feature || c.Created.IsZero() || c.Voters != 1 || !c.Quorum {
		t.Errorf("the cluster is %+v, want one voter and a quorum", c)
	}
	u.ok(u.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}))
	if nodes = must[[]dotmesh.NodeStatus](t)(u.Nodes(t.Context())); nodes[0].Masters != 0 {
		t.Errorf("it is the master of %d branches of no dot", nodes[0].Masters)
	}
}

func moves(t *testing.T, u *user) {
	d := u.init()
	_, err := u.Move(t.Context(), dotmesh.MoveRequest{Dot: shop, Node: "nobody"})
	u.kind(err, dotmesh.NotFound)
	for _, node := range []string{string(d.Branch.MasterName), string(d.Branch.Pointer.Master)} {
		_, err = u.Move(t.Context(), dotmesh.MoveRequest{Dot: shop, Node: node})
		u.kind(err, dotmesh.Conflict)
		_, err = u.Drain(t.Context(), dotmesh.DrainRequest{Node: node})
		u.kind(err, dotmesh.Unsupported)
	}
	_, err = u.Drain(t.Context(), dotmesh.DrainRequest{Node: "nobody"})
	u.kind(err, dotmesh.NotFound)
	if all := must[[]dotmesh.Transfer](t)(u.Transfers(t.Context())); len(all) != 0 {
		t.Errorf("transfers are %+v, want none", all)
	}
	u.kind(u.CancelTransfer(t.Context(), dotmesh.NewUUID()), dotmesh.NotFound)
	u.kind(u.RetryTransfer(t.Context(), dotmesh.NewUUID()), dotmesh.NotFound)
	_, _, err = u.CreateToken(t.Context(), dotmesh.TokenRequest{})
	u.kind(err, dotmesh.Unsupported)
	u.kind(u.RevokeToken(t.Context(), dotmesh.NewUUID()), dotmesh.Unsupported)
}

func events(t *testing.T, u *user) {
	u.init()
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan dotmesh.Event)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for e, err := range u.Events(ctx, "") {
			if err != nil {
				return
			}
			select {
			case got <- e:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() { cancel(); <-ended }()
	// The listener may begin after the first commits: commit until it hears of one.
	heard := func() bool {
		c := u.commit("seen")
		for {
			select {
			case e := <-got:
				if e.Kind == dotmesh.EventCommit && e.Commit.ID == c.ID {
					return true
				}
			case <-time.After(time.Second):
				return false
			}
		}
	}
	for try := 0; !heard(); try++ {
		if try == 20 {
			t.Fatal("no commit was heard of")
		}
	}
	for e, err := range u.Events(t.Context(), "00000000-7") {
		u.ok(err)
		if e.Kind != dotmesh.EventGap {
			t.Errorf("a stale cursor is answered with %q, want a gap", e.Kind)
		}
		break
	}
}

func concurrent(t *testing.T, u *user) {
	u.init()
	const each = 5
	errs := make(chan error)
	for range 4 {
		go func() {
			for range each {
				_, err := u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "x"})
				errs <- err
			}
		}()
	}
	for range 4 * each {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := len(u.log("")); n != 4*each+1 {
		t.Errorf("the log has %d commits, want %d", n, 4*each+1)
	}
}

func resultsAreCopies(t *testing.T, u *user) {
	u.init()
	metadata := map[string]string{"ticket": "1"}
	made := must[dotmesh.Commit](t)(u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "x", Metadata: metadata}))
	metadata["ticket"], made.Metadata["ticket"] = "2", "3"
	page := must[dotmesh.LogPage](t)(u.Log(t.Context(), dotmesh.LogRequest{Dot: shop}))
	if got := page.Commits[0].Metadata["ticket"]; got != "1" {
		t.Errorf("the commit's ticket is %q, want 1", got)
	}
}
