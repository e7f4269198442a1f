package server_test

import (
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
)

func TestACommitThatFailsLeavesNothing(t *testing.T) {
	for _, kind := range []dotmesh.Kind{dotmesh.Conflict, dotmesh.Unreachable, dotmesh.NoSpace} {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t)
			w.init()
			w.reg.FailNext("Register", kind)
			_, err := w.commit("no")
			w.wantKind(err, kind)
			w.wantPool(1, 1)
			w.committed("yes")
			w.wantLog("yes, Initial commit")
		})
	}
}

func TestACommitWhoseAnswerWasLost(t *testing.T) {
	t.Run("is completed after a restart if the registry never had it", func(t *testing.T) {
		w := newWorld(t)
		w.init()
		w.reg.FailNext("Register", dotmesh.Unknown)
		_, err := w.commit("maybe")
		w.wantKind(err, dotmesh.Unknown)
		w.restart()
		w.wantLog("maybe, Initial commit")
		w.wantPool(1, 2)
	})
	t.Run("is there if the registry had it", func(t *testing.T) {
		w := newWorld(t)
		w.init()
		w.reg.LoseNext("Register")
		_, err := w.commit("maybe")
		w.wantKind(err, dotmesh.Unknown)
		w.restart()
		w.wantLog("maybe, Initial commit")
	})
	t.Run("is what a second try of the same request finds", func(t *testing.T) {
		w := newWorld(t)
		dir := w.init()
		w.write(dir, "one")
		r := dotmesh.CommitRequest{Dot: shop, Message: "maybe", ID: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
		w.reg.FailNext("Register", dotmesh.Unknown)
		_, err := w.Commit(t.Context(), r)
		w.wantKind(err, dotmesh.Unknown)
		w.write(dir, "two")
		again, err := w.Commit(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		at, err := w.MountCommit(t.Context(), dotmesh.CommitRef{Dot: shop})
		if err != nil || at.Commit != again.ID {
			t.Fatalf("HEAD is %s, %v; want %s", at.Commit, err, again.ID)
		}
		w.wantFile(filepath.Join(at.Path, "__default__"), "one")
		w.restart()
		w.wantLog("maybe, Initial commit")
		w.wantPool(1, 2)
	})
	t.Run("gives way to the next commit", func(t *testing.T) {
		w := newWorld(t)
		w.init()
		w.reg.FailNext("Register", dotmesh.Unknown)
		_, err := w.commit("maybe")
		w.wantKind(err, dotmesh.Unknown)
		w.committed("next")
		w.restart()
		w.wantLog("next, Initial commit")
		w.wantPool(1, 2)
	})
}

func TestAResetThatFailsChangesNothing(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.write(dir, "one")
	w.committed("first")
	w.write(dir, "dirty")
	w.reg.FailNext("Swing", dotmesh.NoSpace)
	_, err := w.reset("HEAD^")
	w.wantKind(err, dotmesh.NoSpace)
	w.wantFile(dir, "dirty")
	w.wantLog("first, Initial commit")
	w.restart()
	w.wantFile(dir, "dirty")
	lines, _ := w.snapshots()
	if lines != 1 {
		t.Errorf("the pool holds %d lines, want only the branch's own", lines)
	}
}

func TestAResetWhoseAnswerWasLost(t *testing.T) {
	for _, test := range []struct {
		name string
		lose func(*dotmeshtest.Registry)
	}{
		{"and that was not done", func(r *dotmeshtest.Registry) { r.FailNext("Swing", dotmesh.Unknown) }},
		{"and that was done", func(r *dotmeshtest.Registry) { r.LoseNext("Swing") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			dir := w.init()
			w.write(dir, "one")
			w.committed("first")
			w.write(dir, "two")
			w.committed("second")
			test.lose(w.reg)
			_, err := w.reset("HEAD^")
			w.wantKind(err, dotmesh.Unknown)
			// Asked for again, the registry has only one answer: the branch is usable at once.
			w.wantLog("first, Initial commit")
			w.wantFile(dir, "one")
			w.write(dir, "three")
			w.committed("third")
			w.restart()
			w.wantLog("third, first, Initial commit")
			w.wantFile(dir, "three")
		})
	}
}

func TestABusyBranchIsNotReset(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.write(dir, "one")
	w.committed("first")
	b, err := w.Status(t.Context(), dotmesh.StatusRequest{Dot: shop})
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(w.cfg.MountDir, "branches", b.ID.String())
	w.mounts.SetBusy(at, "sqlite3 (pid 7)")
	_, err = w.reset("HEAD^")
	w.wantKind(err, dotmesh.Busy)
	if !strings.Contains(dotmesh.Text(err), "sqlite3 (pid 7)") {
		t.Errorf("error is %q, want it to name who uses it", dotmesh.Text(err))
	}
	w.wantKind(w.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}), dotmesh.Busy)
	w.wantFile(dir, "one")
	w.mounts.SetBusy(at, "")
	if _, err := w.reset("HEAD^"); err != nil {
		t.Fatal(err)
	}
}

func TestACreationThatFailsLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.reg.FailNext("Create", dotmesh.Exists)
	_, err := w.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop})
	w.wantKind(err, dotmesh.Exists)
	w.wantPool(0, 0)
	w.reg.FailNext("Create", dotmesh.Unknown)
	request := dotmesh.NewUUID()
	_, err = w.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop, Request: request})
	w.wantKind(err, dotmesh.Unknown)
	w.restart()
	w.wantPool(0, 0)
	if _, err := w.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop, Request: request}); err != nil {
		t.Fatal(err)
	}
	w.wantPool(1, 1)
}

func TestWithoutTheRegistry(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.write(dir, "one")
	w.committed("first")
	w.reg.SetDown(true)
	_, err := w.commit("no")
	w.wantKind(err, dotmesh.Unreachable)
	_, err = w.reset("HEAD^")
	w.wantKind(err, dotmesh.Unreachable)
	w.wantLog("first, Initial commit")
	w.mount() // what is attached already needs no registry
	w.reg.SetDown(false)
	w.committed("second")
	w.wantLog("second, first, Initial commit")
}

func TestALostRegistryFreezesTheNodeUntilItRecovers(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.write(dir, "one")
	first := w.committed("first")
	w.write(dir, "two")
	w.committed("second")
	if _, err := w.reset(first.ID.String()); err != nil {
		t.Fatal(err)
	}
	user, key, err := w.CreateUser(t.Context(), dotmesh.CreateUser{Name: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Recover(t.Context())
	w.wantKind(err, dotmesh.Conflict) // nothing is lost yet
	w.awaitMirror("master-RESET-", "alice")

	w.stop()
	lines, commits := w.snapshots()
	w.reg = dotmeshtest.NewRegistry()
	t.Cleanup(func() { w.reg.Close() })
	w.cfg.Registry = w.reg
	w.start()
	_, err = w.commit("no")
	w.wantKind(err, dotmesh.Conflict)
	if !strings.Contains(dotmesh.Text(err), "dm cluster recover") {
		t.Errorf("error is %q, want it to say what to do", dotmesh.Text(err))
	}
	w.wantPool(lines, commits)
	w.wantFile(dir, "one") // the mounts stay

	got, err := w.Recover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Dots != 1 || got.Branches != 2 || got.Commits != commits || len(got.Notes) != 0 {
		t.Errorf("recovered %+v, want 1 dot, 2 branches and %d commits", got, commits)
	}
	w.wantLog("first, Initial commit")
	if _, err := w.node.Authenticate(t.Context(), "alice", key); err != nil {
		t.Errorf("%s cannot log in after the recovery: %v", user.Name, err)
	}
	w.write(dir, "three")
	w.committed("third")
	w.restart()
	w.wantLog("third, first, Initial commit")
	w.wantFile(dir, "three")
}

func TestAnImportThatIsNoRegistryChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.init()
	w.wantKind(w.Import(t.Context(), nil), dotmesh.Invalid)
	w.wantLog("Initial commit")
	entries, err := w.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.committed("later")
	w.must(w.Import(t.Context(), entries))
	w.wantLog("later, Initial commit") // the pool has what the older registry lacks
}
