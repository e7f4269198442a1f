package server_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

// store is the fake store with calls that can be made to fail.
type store struct {
	dotmesh.Store
	fork, drop error
}

func (s *store) Fork(ctx context.Context, l dotmesh.LineID, o dotmesh.Origin) error {
	if s.fork != nil {
		return s.fork
	}
	return s.Store.Fork(ctx, l, o)
}

func (s *store) Drop(ctx context.Context, l dotmesh.LineID, c []dotmesh.CommitID) error {
	if s.drop != nil {
		return s.drop
	}
	return s.Store.Drop(ctx, l, c)
}

// faulty returns a world whose store can be made to fail.
func faulty(t *testing.T) (*world, *store) {
	w := newWorld(t)
	w.stop()
	s := &store{Store: w.cfg.Store}
	w.cfg.Store = s
	w.start()
	return w, s
}

// phantom leaves a snapshot in the pool that was never registered.
func (w *world) phantom() {
	w.Helper()
	w.reg.FailNext("Register", dotmesh.Unknown)
	_, err := w.commit("phantom")
	w.wantKind(err, dotmesh.Unknown)
}

func (w *world) logLength() int {
	w.Helper()
	page, err := w.Log(w.Context(), dotmesh.LogRequest{Dot: shop, Limit: 1000})
	w.must(err)
	return len(page.Commits)
}

func TestALongLogReachesBelowWhatTheRegistryKeeps(t *testing.T) {
	w := newWorld(t)
	w.init()
	const many = 230
	for range many {
		w.committed("x")
	}
	page, err := w.Log(t.Context(), dotmesh.LogRequest{Dot: shop, Limit: 1000})
	if err != nil || len(page.Commits) != many+1 {
		t.Fatalf("the log has %d commits, %v; want %d", len(page.Commits), err, many+1)
	}
	for i, c := range page.Commits {
		if want := uint64(many + 1 - i); c.Seq != want {
			t.Fatalf("commit %d of the log has seq %d, want %d", i, c.Seq, want)
		}
	}
	n := 0
	entries, err := w.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Key, "commits/") {
			n++
		}
	}
	if n >= 200 {
		t.Errorf("the registry keeps %d commit records of one line, want fewer than 200", n)
	}
	w.restart()
	if _, err := w.reset("HEAD~225"); err != nil {
		t.Fatal(err)
	}
	if page, err = w.Log(t.Context(), dotmesh.LogRequest{Dot: shop, Limit: 1000}); err != nil || len(page.Commits) != many+1-225 {
		t.Fatalf("after the reset the log has %d commits, %v", len(page.Commits), err)
	}
}

func TestASnapshotThatWasNeverRegistered(t *testing.T) {
	t.Run("does not hide dirty data from a discard", func(t *testing.T) {
		w := newWorld(t)
		dir := w.init()
		w.made(dir, "one")
		w.write(dir, "dirty")
		w.phantom()
		got, err := w.Discard(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop}})
		w.must(err)
		if got.Stash == nil {
			t.Fatal("nothing keeps the dirty data")
		}
		w.wantFile(dir, "one")
		_, err = w.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop})
		w.must(err)
		w.wantFile(dir, "dirty")
	})
	t.Run("never becomes part of a long log", func(t *testing.T) {
		w := newWorld(t)
		w.init()
		w.phantom()
		w.commits(230)
		if n := w.logLength(); n != 231 {
			t.Errorf("the log has %d commits, want 231", n)
		}
	})
	t.Run("does not keep a lost registry from being rebuilt", func(t *testing.T) {
		w := newWorld(t)
		dir := w.init()
		w.phantom()
		w.made(dir, "one")
		w.loseRegistry()
		_, err := w.Recover(t.Context())
		w.must(err)
		w.wantLog("one, Initial commit")
	})
	t.Run("does not keep the server from starting when it cannot be completed", func(t *testing.T) {
		w := newWorld(t)
		w.init()
		w.phantom()
		w.reg.FailNext("Register", dotmesh.NoSpace)
		w.restart()
		w.wantLog("Initial commit")
	})
	t.Run("nor when its record cannot be read", func(t *testing.T) {
		w := newWorld(t)
		w.init()
		b, err := w.Status(t.Context(), dotmesh.StatusRequest{Dot: shop})
		w.must(err)
		made := w.cfg.Store.Snapshot(t.Context(), []dotmesh.SnapRequest{
			{Line: b.Pointer.Line, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}, Meta: []byte("{")},
		})
		w.must(made[0].Err)
		w.restart()
		w.wantLog("Initial commit")
	})
	t.Run("is never registered if its caller was told that it failed", func(t *testing.T) {
		w, s := faulty(t)
		w.init()
		s.drop = dotmesh.E("drop", dotmesh.Busy, "being sent")
		w.reg.FailNext("Register", dotmesh.NoSpace)
		_, err := w.commit("failed")
		w.wantKind(err, dotmesh.NoSpace)
		s.drop = nil
		w.restart()
		w.wantLog("Initial commit")
		w.wantPool(1, 1)
	})
}

func TestACommitsIDMeansOneCommitForEver(t *testing.T) {
	t.Run("when its record has left the registry", func(t *testing.T) {
		w := newWorld(t)
		first := w.made(w.init(), "one")
		w.commits(230)
		again, err := w.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "one", ID: first.ID})
		w.must(err)
		if again.Seq != first.Seq || again.Chain != first.Chain {
			t.Errorf("the id means %+v now, want %+v", again, first)
		}
		_, err = w.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "other", ID: first.ID})
		w.wantKind(err, dotmesh.Exists)
		w.wantPool(1, 232)
	})
	t.Run("when it was deleted", func(t *testing.T) {
		w := newWorld(t)
		dir := w.init()
		first := w.made(dir, "one")
		w.made(dir, "two")
		w.must(w.DeleteCommit(t.Context(), dotmesh.CommitRef{Dot: shop, Ref: first.ID.String()}))
		_, err := w.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "one", ID: first.ID})
		w.wantKind(err, dotmesh.Exists)
		_, err = w.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop})
		w.must(err)
		w.wantLog("two, one, Initial commit")
	})
}

func TestAnOldCommitThatWasDeletedAndBroughtBackHidesNothing(t *testing.T) {
	w := newWorld(t)
	w.init()
	w.commits(230)
	w.must(w.DeleteCommit(t.Context(), dotmesh.CommitRef{Dot: shop, Ref: "HEAD~200"}))
	if n := w.logLength(); n != 230 {
		t.Fatalf("without it the log has %d commits, want 230", n)
	}
	_, err := w.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop})
	w.must(err)
	w.restart()
	if n := w.logLength(); n != 231 {
		t.Errorf("the log has %d commits, want 231", n)
	}
	w.wantPool(1, 231)
}

func TestAnOlderRegistryDestroysNothing(t *testing.T) {
	w := newWorld(t)
	w.init()
	dump, err := w.Export(t.Context())
	w.must(err)
	other := dotmesh.DotName{Namespace: "admin", Name: "other"}
	_, err = w.CreateDot(t.Context(), dotmesh.CreateDot{Dot: other})
	w.must(err)
	_, err = w.Commit(t.Context(), dotmesh.CommitRequest{Dot: other, Message: "acknowledged"})
	w.must(err)
	w.must(w.Import(t.Context(), dump))
	w.restart()
	w.wantPool(2, 3)
}

func TestAResetWhoseOutcomeStaysUnknown(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.made(dir, "one")
	w.made(dir, "two")
	w.reg.FailNext("Swing", dotmesh.Unknown)
	w.reg.FailNext("Swing", dotmesh.Unreachable) // and it cannot be asked for again
	_, err := w.reset("HEAD^")
	w.wantKind(err, dotmesh.Unknown)
	// The next call finds out, and the branch is mounted again.
	w.write(w.mount(), "three")
	_, err = w.commit("three")
	w.must(err)
	w.wantLog("three, one, Initial commit")
	w.wantFile(dir, "three")
}

func TestATakeoverThatFailsIsNotRepeated(t *testing.T) {
	w, s := faulty(t)
	w.made(w.init(), "one")
	w.must(w.Unmount(t.Context(), dotmesh.MountRequest{Volume: dotmesh.Volume{Dot: shop, Subdot: dotmesh.DefaultSubdot}}))
	w.becomeAnotherNode()
	b, err := w.Status(t.Context(), dotmesh.StatusRequest{Dot: shop})
	w.must(err)
	_, err = w.commit("not here")
	w.wantKind(err, dotmesh.Conflict)
	s.fork = dotmesh.E("fork", dotmesh.NoSpace, "full")
	_, err = w.Takeover(t.Context(), dotmesh.TakeoverRequest{Dot: shop, Epoch: b.Pointer.Epoch})
	w.wantKind(err, dotmesh.NoSpace)
	s.fork = nil
	w.restart()
	after, err := w.Status(t.Context(), dotmesh.StatusRequest{Dot: shop})
	w.must(err)
	if after.Pointer != b.Pointer {
		t.Fatalf("the pointer is %+v, want it as it was: %+v", after.Pointer, b.Pointer)
	}
	_, err = w.Takeover(t.Context(), dotmesh.TakeoverRequest{Dot: shop, Epoch: b.Pointer.Epoch + 1})
	w.wantKind(err, dotmesh.Conflict)
	got, err := w.Takeover(t.Context(), dotmesh.TakeoverRequest{Dot: shop, Epoch: b.Pointer.Epoch})
	w.must(err)
	if got.Stash == nil || got.Stash.Stash.Reason != dotmesh.StashDiverged || got.Branch.Pointer.Epoch != b.Pointer.Epoch+1 {
		t.Errorf("the takeover did %+v", got)
	}
	w.made(w.mount(), "two")
	w.wantLog("two, one, Initial commit")
}

// becomeAnotherNode restarts the node as one that never wrote to its branches.
func (w *world) becomeAnotherNode() {
	w.Helper()
	w.stop()
	w.must(w.cfg.Store.KV().Update(func(tx dotmesh.KVWriter) error {
		var keys []string
		for key := range tx.Scan("authority") {
			keys = append(keys, key)
		}
		for _, key := range keys {
			if err := tx.Delete("authority", key); err != nil {
				return err
			}
		}
		return tx.Put("self", "node", []byte(dotmesh.NewNodeID()))
	}))
	w.cfg.Name = "two"
	w.start()
}

func TestANodeThatRestartsWithoutItsRegistry(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.made(dir, "one")
	w.write(dir, "dirty")
	w.stop()
	w.reg.SetDown(true)
	w.start() // it answers though the registry does not
	w.wantLog("one, Initial commit")
	w.wantFile(dir, "dirty")
	w.mount()
	_, err := w.commit("no")
	w.wantKind(err, dotmesh.Unreachable)
	at, err := w.MountCommit(t.Context(), dotmesh.CommitRef{Dot: shop})
	w.must(err)
	w.wantFile(filepath.Join(at.Path, "__default__"), "one")
	w.reg.SetDown(false)
	w.eventually("a commit works again", func() bool {
		_, err := w.commit("two")
		return err == nil
	})
	w.wantLog("two, one, Initial commit")
}

func TestARegistryEmptiedUnderARunningNode(t *testing.T) {
	w := newWorld(t)
	one := w.made(w.init(), "one")
	w.awaitMirror(one.ID.String())
	_, err := w.reg.Import(t.Context(), nil, true)
	w.must(err)
	w.eventually("the node is frozen", func() bool {
		_, err := w.commit("no")
		return dotmesh.KindOf(err) == dotmesh.Conflict
	})
	w.stop()
	w.awaitMirror(one.ID.String()) // what it will be rebuilt from is still there
	w.start()
	got, err := w.Recover(t.Context())
	w.must(err)
	if got.Dots != 1 || got.Commits != 2 {
		t.Errorf("recovered %+v, want 1 dot and 2 commits", got)
	}
	w.wantLog("one, Initial commit")
}
