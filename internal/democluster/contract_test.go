package democluster_test

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/democluster"
)

// These are the promises of dotmeshtest.RunServiceTests, which itself writes its files
// through mounts; here they are written with Cluster.Write.
func TestService(t *testing.T) {
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
		{"a fork is a copy and goes its own way", forkDot},
		{"checkout moves the volumes that follow the dot", checkoutMoves},
		{"the log goes back across the lines that a branch was forked from", logAcross},
		{"references name commits", references},
		{"deleting a commit takes it from every log", deleteCommit},
		{"diff names the files that changed", diffFiles},
		{"a file is read in parts", readParts},
		{"a check reads every commit and knows it again", checkCommits},
		{"mounting creates on demand and unmounting lets go", mounting},
		{"a held volume keeps its branch from being reset", heldVolume},
		{"nobody sees or changes what is not theirs", strangers},
		{"a user changes their own password and key", ownSecrets},
		{"two at once: one commit after the other", concurrent},
		{"results are the caller's to change", resultsAreCopies},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, &user{t, empty()}) })
	}
}

// user is the administrator of a cluster with a test's manners: what fails, fails the test.
type user struct {
	t *testing.T
	*democluster.Cluster
}

func (u *user) ctx() context.Context { return u.t.Context() }

func (u *user) init() dotmesh.DotStatus {
	u.t.Helper()
	return must(u.CreateDot(u.ctx(), dotmesh.CreateDot{Dot: shop}))(u.t)
}

func (u *user) write(branch dotmesh.Name, file, text string) {
	u.t.Helper()
	ok(u.t, u.Write(shop, branch, "__default__/"+file, text))
}

func (u *user) commitOn(branch dotmesh.Name, message string) dotmesh.Commit {
	u.t.Helper()
	return must(u.Commit(u.ctx(), dotmesh.CommitRequest{Dot: shop, Branch: branch, Message: message}))(u.t)
}

func (u *user) commit(message string) dotmesh.Commit { u.t.Helper(); return u.commitOn("", message) }

// read returns a file's text in a commit, or "absent".
func (u *user) read(branch dotmesh.Name, ref, file string) string {
	u.t.Helper()
	part, err := u.ReadFile(u.ctx(), dotmesh.FileRequest{
		CommitRef: dotmesh.CommitRef{Dot: shop, Branch: branch, Ref: ref}, Path: "__default__/" + file,
	})
	if dotmesh.KindOf(err) == dotmesh.NotFound {
		return "absent"
	}
	ok(u.t, err)
	return string(part.Data)
}

// now returns a file's text as it is now: committed on a branch of its own.
func (u *user) now(branch dotmesh.Name, file string) string {
	u.t.Helper()
	u.commitOn(branch, "to read it")
	return u.read(branch, "HEAD", file)
}

func (u *user) want(what, got, want string) {
	u.t.Helper()
	if got != want {
		u.t.Fatalf("%s is %q, want %q", what, got, want)
	}
}

func (u *user) wantLog(branch dotmesh.Name, want ...string) {
	u.t.Helper()
	page := must(u.Log(u.ctx(), dotmesh.LogRequest{Dot: shop, Branch: branch}))(u.t)
	got := []string{}
	for _, m := range page.Commits {
		got = append(got, m.Message)
	}
	if !slices.Equal(got, want) {
		u.t.Fatalf("log of %q is %q, want %q", branch, got, want)
	}
}

func (u *user) reset(ref string) dotmesh.Changed {
	u.t.Helper()
	return must(u.Reset(u.ctx(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop, Ref: ref}}))(u.t)
}

func (u *user) branch(name dotmesh.Name, from dotmesh.CommitRef) dotmesh.BranchStatus {
	u.t.Helper()
	from.Dot = shop
	return must(u.CreateBranch(u.ctx(), dotmesh.CreateBranch{From: from, Name: name}))(u.t)
}

func (u *user) undo() dotmesh.Undone {
	u.t.Helper()
	return must(u.Undo(u.ctx(), dotmesh.UndoRequest{Dot: shop}))(u.t)
}

func (u *user) detail() dotmesh.DotDetail {
	u.t.Helper()
	return must(u.Dot(u.ctx(), shop))(u.t)
}

func (u *user) mount(volume, holder string, create bool) (dotmesh.Mounted, error) {
	u.t.Helper()
	v := must(dotmesh.ParseVolume(volume))(u.t)
	return u.Mount(u.ctx(), dotmesh.MountRequest{Volume: v, Holder: holder, Create: create})
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
	if all := must(u.Dots(t.Context()))(t); len(all) != 1 || all[0].Name != shop {
		t.Fatalf("dots are %+v, want only shop", all)
	}
}

func nameTaken(t *testing.T, u *user) {
	request := dotmesh.NewUUID()
	first := must(u.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop, Request: request}))(t)
	again := must(u.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop, Request: request}))(t)
	if again.ID != first.ID {
		t.Fatalf("the same request made %s and %s", first.ID, again.ID)
	}
	_, err := u.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop})
	wantError(t, err, dotmesh.Exists, "shop exists already")
}

func commitHolds(t *testing.T, u *user) {
	u.init()
	u.write("", "a", "one")
	m := must(u.Commit(t.Context(), dotmesh.CommitRequest{
		Dot: shop, Message: "first", Metadata: map[string]string{"ticket": "a=b,c"},
	}))(t)
	u.write("", "a", "two")
	u.want("the file in the commit", u.read("", m.ID.String(), "a"), "one")
	u.want("the file now", u.now("", "a"), "two")
	page := must(u.Log(t.Context(), dotmesh.LogRequest{Dot: shop}))(t)
	if got := page.Commits[1]; got.Metadata["ticket"] != "a=b,c" || got.Author != "admin" || got.GUID == "" || got.Kind != dotmesh.UserCommit {
		t.Errorf("commit is %+v: want its metadata, author and guid", got)
	}
}

func commitTwice(t *testing.T, u *user) {
	u.init()
	r := dotmesh.CommitRequest{Dot: shop, Message: "once", ID: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
	first := must(u.Commit(t.Context(), r))(t)
	again := must(u.Commit(t.Context(), r))(t)
	if first.ID != r.ID || again.Chain != first.Chain || again.Seq != first.Seq {
		t.Fatalf("the same request made %+v and %+v", first, again)
	}
	u.wantLog("", "once", "Initial commit")
	r.Message = "another"
	_, err := u.Commit(t.Context(), r)
	wantError(t, err, dotmesh.Exists, "exists already, with another message")
}

func commitTooLarge(t *testing.T, u *user) {
	u.init()
	_, err := u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: strings.Repeat("x", dotmesh.MaxMessage)})
	wantError(t, err, dotmesh.Invalid, "at most 4096 are allowed")
	_, err = u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Metadata: map[string]string{"Upper": "x"}})
	wantError(t, err, dotmesh.Invalid, "must start with lowercase")
	_, err = u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "\xff"})
	wantError(t, err, dotmesh.Invalid, "not valid UTF-8")
	u.wantLog("", "Initial commit")
}

func branchDiffers(t *testing.T, u *user) {
	u.init()
	u.write("", "a", "one")
	u.commit("first")
	u.write("", "a", "dirty")
	b := u.branch("test", dotmesh.CommitRef{})
	if b.Pointer.Count != 2 || b.Current || b.Origin == nil || b.Origin.Branch.UUID != u.detail().ID.UUID {
		t.Fatalf("branch %+v: want two commits, not current, and its origin", b)
	}
	u.want("the file in the branch", u.read("test", "HEAD", "a"), "one")
	u.write("test", "a", "branch")
	u.commitOn("test", "on test")
	u.wantLog("test", "on test", "first", "Initial commit")
	u.wantLog("", "first", "Initial commit")
	u.want("the file on master", u.now("", "a"), "dirty")
	_, err := u.CreateBranch(t.Context(), dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: shop}, Name: "test"})
	wantError(t, err, dotmesh.Exists, "Branch already exists: test")
}

func resetKeeps(t *testing.T, u *user) {
	u.init()
	u.write("", "a", "one")
	first := u.commit("first")
	u.write("", "a", "two")
	u.commit("second")
	u.write("", "a", "dirty")
	done := u.reset("HEAD^")
	u.wantLog("", "first", "Initial commit")
	if p := done.Branch.Pointer; p.Head != first.ID || p.Epoch != 2 || p.Count != 2 || done.Branch.Dirty.Bytes != 0 || done.Branch.Origin != nil {
		t.Errorf("branch is %+v: want HEAD %s in epoch 2 with 2 commits, clean", done.Branch, first.ID)
	}
	if done.Stash == nil || !strings.HasPrefix(string(done.Stash.Name), "master-RESET-") || done.Stash.Stash.Of != done.Branch.ID {
		t.Fatalf("stash is %+v, want one called master-RESET-…", done.Stash)
	}
	back := u.branch("back", dotmesh.CommitRef{Ref: string(done.Stash.Name)})
	u.want("what the stash keeps", u.read("back", string(done.Stash.Name), "a"), "dirty")
	if back.Pointer.Count != 3 || back.Origin.Branch != done.Branch.ID {
		t.Errorf("the branch from the stash is %+v, want 3 commits and master as its origin", back)
	}
	u.want("the file after the reset", u.now("", "a"), "one")
	_, err := u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Branch: done.Stash.Name, Message: "no"})
	wantError(t, err, dotmesh.Conflict, "is a stash, which never changes")
}

func resetNothing(t *testing.T, u *user) {
	u.init()
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
	first := must(u.Reset(t.Context(), r))(t)
	again := must(u.Reset(t.Context(), r))(t)
	if again.Stash == nil || again.Stash.ID != first.Stash.ID || again.Branch.Pointer != first.Branch.Pointer {
		t.Fatalf("the same request did %+v and %+v", first, again)
	}
	if keep := first.Stash.Stash.Expires.Sub(noon); keep.Hours() != 1 {
		t.Errorf("what was discarded is kept for %s, want an hour", keep)
	}
	u.wantLog("", "first", "Initial commit")
}

func discardKeeps(t *testing.T, u *user) {
	u.init()
	u.write("", "a", "one")
	u.commit("first")
	u.write("", "a", "dirty")
	if n := status(t, u.Cluster, "shop", "").Dirty.Bytes; n != 5 {
		t.Errorf("%d bytes are dirty, want 5", n)
	}
	done := must(u.Discard(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop}}))(t)
	if done.Stash == nil {
		t.Fatal("nothing keeps the dirty data")
	}
	u.wantLog("", "first", "Initial commit")
	u.want("the file", u.now("", "a"), "one")
}

func undoReset(t *testing.T, u *user) {
	u.init()
	u.write("", "a", "one")
	u.commit("first")
	u.write("", "a", "two")
	u.commit("second")
	u.write("", "a", "dirty")
	u.reset("HEAD^")
	done := u.undo()
	if done.Op.Verb != dotmesh.VerbReset || done.Change == nil {
		t.Fatalf("undid %+v, want the reset", done)
	}
	u.wantLog("", "second", "first", "Initial commit")
	u.want("the file", u.now("", "a"), "dirty")
}

func forkDot(t *testing.T, u *user) {
	u.init()
	u.write("", "a", "one")
	first := u.commit("first")
	u.commit("second")
	mine := name(t, "mine")
	r := dotmesh.ForkDot{From: dotmesh.CommitRef{Dot: shop, Ref: "HEAD^", Request: dotmesh.NewUUID()}, Dot: mine}
	made := must(u.ForkDot(t.Context(), r))(t)
	if again := must(u.ForkDot(t.Context(), r))(t); again.ID != made.ID {
		t.Fatalf("the same request made %s and %s", made.ID, again.ID)
	}
	if o := made.Origin; o.Name != shop || o.Commit != first.ID || made.Branch.Origin != nil || made.Branch.Pointer.Count != 2 {
		t.Fatalf("fork is %+v: want first of shop as its origin, and two commits", made)
	}
	_, err := u.ForkDot(t.Context(), dotmesh.ForkDot{From: dotmesh.CommitRef{Dot: shop}, Dot: mine})
	wantError(t, err, dotmesh.Exists, "mine exists already")
	ok(t, u.DeleteCommit(t.Context(), dotmesh.CommitRef{Dot: shop, Ref: "HEAD^"}))
	ok(t, u.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}))
	page := must(u.Log(t.Context(), dotmesh.LogRequest{Dot: mine}))(t)
	if len(page.Commits) != 2 || page.Commits[0].Message != "first" || page.Commits[0].ID == first.ID {
		t.Fatalf("log of the fork is %+v: want copies of two commits", page.Commits)
	}
	part := must(u.ReadFile(t.Context(), dotmesh.FileRequest{CommitRef: dotmesh.CommitRef{Dot: mine}, Path: "__default__/a"}))(t)
	u.want("the file in the fork", string(part.Data), "one")
	must(u.Undo(t.Context(), dotmesh.UndoRequest{Dot: mine}))(t)
	_, err = u.Dot(t.Context(), mine)
	wantError(t, err, dotmesh.NotFound, `no dot called "mine"`)
}

func undoOthers(t *testing.T, u *user) {
	u.init()
	u.write("", "a", "one")
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
	u.want("the file", u.read("", "HEAD", "a"), "absent")
	if got := u.undo().Op.Verb; got != dotmesh.VerbInit {
		t.Fatalf("undid %q, want the init", got)
	}
	_, err := u.Dot(t.Context(), shop)
	wantError(t, err, dotmesh.NotFound, `no dot called "shop"`)
}

func undoDelete(t *testing.T, u *user) {
	u.init()
	u.branch("test", dotmesh.CommitRef{})
	u.write("test", "a", "one")
	ok(t, u.DeleteBranch(t.Context(), dotmesh.BranchRequest{Dot: shop, Branch: "test"}))
	_, err := u.Status(t.Context(), dotmesh.StatusRequest{Dot: shop, Branch: "test"})
	wantError(t, err, dotmesh.NotFound, `no branch called "test" in shop`)
	u.undo()
	request := dotmesh.NewUUID()
	for range 2 { // the second time it is the same request
		ok(t, u.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop, Request: request}))
	}
	if all := must(u.Dots(t.Context()))(t); len(all) != 0 {
		t.Fatalf("dots are %+v, want none", all)
	}
	u.undo()
	u.want("the file after the dot came back", u.now("test", "a"), "one")
}

func undoTwice(t *testing.T, u *user) {
	u.init()
	u.commit("first")
	u.commit("second")
	r := dotmesh.UndoRequest{Dot: shop, Request: dotmesh.NewUUID()}
	first := must(u.Undo(t.Context(), r))(t)
	again := must(u.Undo(t.Context(), r))(t)
	if first.Op.N != again.Op.N || again.Change == nil || again.Change.Stash.ID != first.Change.Stash.ID {
		t.Fatalf("the same request did %+v and %+v", first, again)
	}
	u.wantLog("", "first", "Initial commit")
	_, err := u.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop, N: first.Op.N})
	wantError(t, err, dotmesh.Conflict, "has been undone already")
	_, err = u.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop, N: 99})
	wantError(t, err, dotmesh.NotFound, "no operation 99 in the log")
	ops := must(u.Ops(t.Context(), dotmesh.OpsRequest{Dot: shop, Limit: 2}))(t)
	if len(ops) != 2 || ops[0].Verb != dotmesh.VerbUndo || ops[0].Undoes != first.Op.N || ops[1].N != ops[0].N-1 {
		t.Errorf("the newest entries are %+v", ops)
	}
}

func checkoutMoves(t *testing.T, u *user) {
	u.init()
	must(u.mount("shop", "", false))(t)
	must(u.mount("shop@master.db", "", false))(t)
	test := u.branch("test", dotmesh.CommitRef{})
	b := must(u.Checkout(t.Context(), dotmesh.BranchRequest{Dot: shop, Branch: "test"}))(t)
	if !b.Current || !b.Mounted || !status(t, u.Cluster, "shop", "master").Mounted {
		t.Fatalf("branch is %+v: want it to be current, with the volume that follows; the pinned one stays", b)
	}
	u.commit("second")
	u.wantLog("test", "second", "Initial commit")
	if done := u.undo(); done.Op.Verb != dotmesh.VerbCommit {
		t.Fatalf("undid %+v, want the commit", done)
	}
	if u.undo(); u.detail().Current == test.ID {
		t.Error("after the checkout was undone, test is still current")
	}
}

func logAcross(t *testing.T, u *user) {
	u.init()
	for _, m := range []string{"1", "2", "3"} {
		u.commit(m)
	}
	u.branch("b", dotmesh.CommitRef{Ref: "HEAD^"})
	u.commitOn("b", "b1")
	u.branch("c", dotmesh.CommitRef{Branch: "b"})
	u.commitOn("c", "c1")
	u.wantLog("c", "c1", "b1", "2", "1", "Initial commit")
	page := must(u.Log(t.Context(), dotmesh.LogRequest{Dot: shop, Branch: "c", Limit: 2}))(t)
	if !page.More || len(page.Commits) != 2 {
		t.Fatalf("page is %+v, want two commits and more", page)
	}
	page = must(u.Log(t.Context(), dotmesh.LogRequest{Dot: shop, Branch: "c", Before: page.Commits[1].ID, Limit: 3}))(t)
	if page.More || len(page.Commits) != 3 || page.Commits[0].Message != "2" {
		t.Fatalf("second page is %+v, want 2, 1 and the initial commit", page)
	}
	_, err := u.Log(t.Context(), dotmesh.LogRequest{Dot: shop, Before: dotmesh.CommitID{UUID: dotmesh.NewUUID()}})
	wantError(t, err, dotmesh.NotFound, "list again from the newest")
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
	wantError(t, err, dotmesh.Conflict, "a branch or stash was made from commit")
	r := dotmesh.CommitRef{Dot: shop, Ref: second.ID.String(), Request: dotmesh.NewUUID()}
	for range 2 {
		ok(t, u.DeleteCommit(t.Context(), r))
	}
	u.wantLog("", "third", "first", "Initial commit")
	u.wantLog("b", "third", "first", "Initial commit")
	for _, b := range u.detail().All {
		if b.Pointer.Count != 3 {
			t.Errorf("%s counts %d commits, want 3", b.Name, b.Pointer.Count)
		}
	}
	u.commit("fourth")
	must(u.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop, N: 6}))(t)
	u.wantLog("", "fourth", "third", "second", "first", "Initial commit")
}

func (u *user) diff(from, to string) map[string]dotmesh.ChangeKind {
	u.t.Helper()
	got := map[string]dotmesh.ChangeKind{}
	for change, err := range u.Diff(u.ctx(), dotmesh.DiffRequest{Dot: shop, From: from, To: to}) {
		ok(u.t, err)
		got[path.Base(change.Path)] = change.Kind
	}
	return got
}

func diffFiles(t *testing.T, u *user) {
	u.init()
	for _, file := range []string{"same", "changes", "goes"} {
		u.write("", file, "one")
	}
	u.commit("first")
	u.write("", "changes", "two!")
	u.write("", "comes", "new")
	ok(t, u.Remove(shop, "", "__default__/goes"))
	want := map[string]dotmesh.ChangeKind{"changes": dotmesh.Modified, "comes": dotmesh.Added, "goes": dotmesh.Removed}
	if got := u.diff("", ""); !maps.Equal(got, want) {
		t.Errorf("diff is %v, want %v", got, want)
	}
	u.commit("second")
	want = map[string]dotmesh.ChangeKind{"changes": dotmesh.Modified, "comes": dotmesh.Removed, "goes": dotmesh.Added}
	if got := u.diff("HEAD", "HEAD^"); !maps.Equal(got, want) {
		t.Errorf("backwards, diff is %v, want %v", got, want)
	}
	if got := u.diff("HEAD", ""); len(got) != 0 {
		t.Errorf("a clean branch differs from HEAD in %v", got)
	}
}

func readParts(t *testing.T, u *user) {
	u.init()
	u.write("", "a", "0123456789")
	u.commit("first")
	for _, test := range []struct {
		offset int64
		limit  int
		want   string
	}{{0, 0, "0123456789"}, {0, 4, "0123"}, {8, 4, "89"}, {10, 4, ""}, {99, 4, ""}} {
		part := must(u.ReadFile(t.Context(), dotmesh.FileRequest{
			CommitRef: dotmesh.CommitRef{Dot: shop}, Path: "__default__/a", Offset: test.offset, Limit: test.limit,
		}))(t)
		if string(part.Data) != test.want || part.Size != 10 {
			t.Errorf("%d bytes from %d are %q of %d, want %q of 10", test.limit, test.offset, part.Data, part.Size, test.want)
		}
	}
}

func checkCommits(t *testing.T, u *user) {
	u.init()
	u.write("", "file", "one")
	u.commit("first")
	u.write("", "file", "two")
	u.commit("second")
	trees := map[dotmesh.CommitID]string{}
	for _, want := range []dotmesh.CheckState{dotmesh.CheckNew, dotmesh.CheckSame} {
		n := 0
		for c, err := range u.Check(t.Context(), dotmesh.CheckRequest{Dot: shop}) {
			ok(t, err)
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
}

func mounting(t *testing.T, u *user) {
	_, err := u.mount("shop.db", "", false)
	wantError(t, err, dotmesh.NotFound, "no dot called")
	at := must(u.mount("shop.db", "", true))(t)
	if again := must(u.mount("shop.db", "", false))(t); again != at {
		t.Errorf("a second mount is at %+v, the first at %+v", again, at)
	}
	v := must(dotmesh.ParseVolume("shop.db"))(t)
	for range 2 {
		ok(t, u.Unmount(t.Context(), dotmesh.MountRequest{Volume: v}))
	}
	if status(t, u.Cluster, "shop", "").Mounted {
		t.Error("after it was unmounted, it is mounted")
	}
	_, err = u.mount("none@branch", "", true)
	wantError(t, err, dotmesh.NotFound, "no dot called")
	m := must(u.MountCommit(t.Context(), dotmesh.CommitRef{Dot: shop}))(t)
	ok(t, u.Unmount(t.Context(), dotmesh.MountRequest{Commit: m.Commit}))
}

func heldVolume(t *testing.T, u *user) {
	must(u.mount("shop", "web-1", true))(t)
	must(u.mount("shop", "web-2", false))(t)
	u.write("", "a", "dirty")
	_, err := u.Discard(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop}})
	wantError(t, err, dotmesh.Busy, "shop is in use by web-1, web-2; stop that first")
	wantError(t, u.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}), dotmesh.Busy, "web-1, web-2")
	v := must(dotmesh.ParseVolume("shop"))(t)
	wantError(t, u.Unmount(t.Context(), dotmesh.MountRequest{Volume: v}), dotmesh.Busy, "web-1, web-2")
	for _, holder := range []string{"web-1", "web-1", "web-2"} {
		ok(t, u.Unmount(t.Context(), dotmesh.MountRequest{Volume: v, Holder: holder}))
	}
	must(u.Discard(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop}}))(t)
}

func strangers(t *testing.T, u *user) {
	u.init()
	alice, key, err := u.CreateUser(t.Context(), dotmesh.CreateUser{Name: "alice", Email: "a@example.com"})
	ok(t, err)
	who := must(u.Authenticate(t.Context(), "alice", key))(t)
	if who.User != alice.ID || who.Admin {
		t.Fatalf("alice logs in as %+v", who)
	}
	_, err = u.Authenticate(t.Context(), "alice", "wrong")
	wantError(t, err, dotmesh.Unauthenticated, "Permission denied")
	a := u.As(who)
	if all := must(a.Dots(t.Context()))(t); len(all) != 0 {
		t.Errorf("alice sees %+v", all)
	}
	_, err = a.Dot(t.Context(), shop)
	wantError(t, err, dotmesh.NotFound, "no dot called")
	_, err = a.CreateDot(t.Context(), dotmesh.CreateDot{Dot: name(t, "mine")})
	wantError(t, err, dotmesh.Denied, `namespace "admin" is not yours`)
	must(a.CreateDot(t.Context(), dotmesh.CreateDot{Dot: name(t, "alice/mine")}))(t)
	copied := dotmesh.ForkDot{From: dotmesh.CommitRef{Dot: shop}, Dot: name(t, "alice/copy")}
	_, err = a.ForkDot(t.Context(), copied)
	wantError(t, err, dotmesh.NotFound, "no dot called")
	must(u.SetDot(t.Context(), dotmesh.SetDot{Dot: shop, AddCollaborator: "alice"}))(t)
	if d := must(a.ForkDot(t.Context(), copied))(t); d.Owner != alice.ID {
		t.Errorf("alice's fork belongs to %s", d.Owner)
	}
	must(a.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "as a collaborator"}))(t)
	_, err = a.Reset(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop, Ref: "HEAD^"}})
	wantError(t, err, dotmesh.Denied, "You are not the owner of shop")
	wantError(t, a.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}), dotmesh.Denied, "not the owner")
	for what, call := range adminCalls {
		wantError(t, call(t.Context(), a), dotmesh.Denied, "only the administrator may do this")
		wantError(t, call(t.Context(), u.As(dotmesh.Principal{})), dotmesh.Unauthenticated, "log in first")
		if t.Failed() {
			t.Fatal(what)
		}
	}
}

// adminCalls are what only administrators may do.
var adminCalls = map[string]func(context.Context, dotmesh.Service) error{
	"mount": func(ctx context.Context, s dotmesh.Service) error {
		_, err := s.Mount(ctx, dotmesh.MountRequest{})
		return err
	},
	"unmount": func(ctx context.Context, s dotmesh.Service) error { return s.Unmount(ctx, dotmesh.MountRequest{}) },
	"takeover": func(ctx context.Context, s dotmesh.Service) error {
		_, err := s.Takeover(ctx, dotmesh.TakeoverRequest{})
		return err
	},
	"cluster": func(ctx context.Context, s dotmesh.Service) error { _, err := s.Cluster(ctx); return err },
	"drain": func(ctx context.Context, s dotmesh.Service) error {
		_, err := s.Drain(ctx, dotmesh.DrainRequest{})
		return err
	},
	"token": func(ctx context.Context, s dotmesh.Service) error {
		_, _, err := s.CreateToken(ctx, dotmesh.TokenRequest{})
		return err
	},
	"revoke": func(ctx context.Context, s dotmesh.Service) error { return s.RevokeToken(ctx, dotmesh.UUID{}) },
	"user": func(ctx context.Context, s dotmesh.Service) error {
		_, _, err := s.CreateUser(ctx, dotmesh.CreateUser{})
		return err
	},
	"find": func(ctx context.Context, s dotmesh.Service) error {
		_, err := s.FindUser(ctx, dotmesh.UserQuery{})
		return err
	},
	"export":  func(ctx context.Context, s dotmesh.Service) error { _, err := s.Export(ctx); return err },
	"import":  func(ctx context.Context, s dotmesh.Service) error { return s.Import(ctx, nil) },
	"recover": func(ctx context.Context, s dotmesh.Service) error { _, err := s.Recover(ctx); return err },
	"state":   func(ctx context.Context, s dotmesh.Service) error { _, err := s.State(ctx, ""); return err },
}

func ownSecrets(t *testing.T, u *user) {
	_, key, err := u.CreateUser(t.Context(), dotmesh.CreateUser{Name: "alice", Password: "old password"})
	ok(t, err)
	byKey := u.As(must(u.Authenticate(t.Context(), "alice", key))(t))
	_, err = byKey.ResetKey(t.Context())
	wantError(t, err, dotmesh.Denied, "log in with your password")
	who := must(u.Authenticate(t.Context(), "alice", "old password"))(t)
	byPassword := u.As(who)
	next := must(byPassword.ResetKey(t.Context()))(t)
	_, err = u.Authenticate(t.Context(), "alice", key)
	wantError(t, err, dotmesh.Unauthenticated, "Permission denied")
	must(u.Authenticate(t.Context(), "alice", next))(t)
	short := dotmesh.Secret("short")
	_, err = byPassword.SetUser(t.Context(), dotmesh.SetUser{User: who.User, Password: &short})
	wantError(t, err, dotmesh.Invalid, "at least 7 characters")
	if me := must(byKey.Whoami(t.Context()))(t); me.Name != "alice" || me.KeyHash != "" {
		t.Errorf("alice is %+v", me)
	}
	if found := must(u.FindUser(t.Context(), dotmesh.UserQuery{Name: "alice"}))(t); found.ID != who.User {
		t.Errorf("alice is found as %+v", found)
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
	if page := must(u.Log(t.Context(), dotmesh.LogRequest{Dot: shop}))(t); len(page.Commits) != 4*each+1 {
		t.Errorf("the log has %d commits, want %d", len(page.Commits), 4*each+1)
	}
}

func resultsAreCopies(t *testing.T, u *user) {
	u.init()
	metadata := map[string]string{"ticket": "1"}
	m := must(u.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "x", Metadata: metadata}))(t)
	metadata["ticket"], m.Metadata["ticket"] = "2", "3"
	page := must(u.Log(t.Context(), dotmesh.LogRequest{Dot: shop}))(t)
	if got := page.Commits[0].Metadata["ticket"]; got != "1" {
		t.Errorf("the commit's ticket is %q, want 1", got)
	}
	nodes := must(u.Nodes(t.Context()))(t)
	nodes[0].Addresses[0] = "elsewhere"
	if got := must(u.Nodes(t.Context()))(t)[0].Addresses[0]; got == "elsewhere" {
		t.Error("a caller changed the address of a node")
	}
}
