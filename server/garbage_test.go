package server_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server"
)

// sealed returns how many tombstones cannot be undone any more.
func (w *world) sealed() (n int) {
	w.Helper()
	all, err := w.State(w.Context(), "registry.tombstone.")
	if err != nil {
		w.Fatal(err)
	}
	for _, text := range all {
		if strings.Contains(text, `"sealed":true`) {
			n++
		}
	}
	return n
}

// discard resets the branch so that what it drops is kept for an hour only.
func (w *world) discard(ref string) {
	w.Helper()
	_, err := w.Reset(w.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop, Ref: ref}, Discard: true})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) commitOn(branch dotmesh.Name, message string) dotmesh.Commit {
	w.Helper()
	c, err := w.Commit(w.Context(), dotmesh.CommitRequest{Dot: shop, Branch: branch, Message: message})
	if err != nil {
		w.Fatal(err)
	}
	return c
}

func (w *world) deleteBranch(name dotmesh.Name) {
	w.Helper()
	w.must(w.DeleteBranch(w.Context(), dotmesh.BranchRequest{Dot: shop, Branch: name}))
}

func TestGarbageGoesOnlyWhenItsTimeHasCome(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.write(dir, "one")
	w.committed("first")
	w.write(dir, "two")
	w.committed("second")
	if _, err := w.reset("HEAD^"); err != nil { // the stash keeps "second", and is the new line's origin
		t.Fatal(err)
	}
	w.wantPool(2, 3)
	w.sweepAt(server.KeepStash - time.Hour)
	w.wantPool(2, 3)
	w.sweepAt(server.KeepStash + time.Hour)
	w.awaitTombstones(1)
	w.wantPool(2, 3)
	w.sweepAt(server.KeepStash + 3*time.Hour)
	w.awaitPool(2, 2) // "second" is gone; what the branch was forked from stays
	w.wantLog("first, Initial commit")
	w.wantFile(dir, "one")
	w.must(w.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}))
	w.sweepAt(2 * server.KeepStash)
	w.awaitPool(0, 0)
	_, err := w.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop})
	w.wantKind(err, dotmesh.NotFound)
}

func TestBurialsThatWaitForEachOtherAreCollected(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.made(dir, "one")
	w.made(dir, "two")
	if _, err := w.reset("HEAD^"); err != nil {
		t.Fatal(err)
	}
	w.made(dir, "three")
	w.made(dir, "four")
	w.discard("HEAD^")
	w.sweepAt(2 * time.Hour)
	w.awaitTombstones(1)
	w.must(w.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}))
	w.sweepAt(2 * server.KeepStash)
	w.awaitPool(0, 0)
	w.awaitTombstones(0)
}

func TestALivingBranchKeepsItsHistoryWhenTheLineItCameFromIsCollected(t *testing.T) {
	for _, how := range []string{"an expired stash", "a deleted branch"} {
		t.Run(how, func(t *testing.T) {
			w := newWorld(t)
			dir := w.init()
			if how == "an expired stash" {
				w.made(dir, "one")
				w.made(dir, "two")
				w.made(dir, "three")
				w.discard("HEAD^")
				w.sweepAt(2 * time.Hour)
				w.awaitTombstones(1)
				w.later.Store(int64(4 * time.Hour))
			} else {
				w.branch("old", "")
				for _, message := range []string{"one", "two"} {
					w.commitOn("old", message)
				}
				w.branch("new", "old")
				w.commitOn("old", "three")
				if _, err := w.Checkout(t.Context(), dotmesh.BranchRequest{Dot: shop, Branch: "new"}); err != nil {
					t.Fatal(err)
				}
				w.deleteBranch("old")
				w.later.Store(int64(server.KeepDeleted + time.Hour))
			}
			sweeps := w.counted()
			for _, collected := range []bool{false, true} {
				if collected {
					w.awaitSweep(sweeps)
					if w.sealed() == 0 {
						t.Fatal("nothing was collected")
					}
				}
				w.wantLog("two, one, Initial commit")
				name := dotmesh.Name("b")
				w.branch(name, "")
				w.deleteBranch(name)
				if _, err := w.reset("HEAD^"); err != nil {
					t.Fatal(err)
				}
				w.wantLog("one, Initial commit")
				if _, err := w.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop}); err != nil {
					t.Fatal(err)
				}
			}
			w.wantLog("two, one, Initial commit")
			if err := w.DeleteCommit(t.Context(), dotmesh.CommitRef{Dot: shop, Ref: "HEAD^"}); dotmesh.KindOf(err) != dotmesh.Conflict {
				t.Fatalf("deleted a commit that a stash was made from: %v", err)
			}
		})
	}
}

func TestACommitOnTheLineOfADeletedBranchIsDeleted(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.made(dir, "one")
	w.made(dir, "two")
	w.discard("HEAD")
	w.made(dir, "three")
	w.write(dir, "dirty")
	w.discard("HEAD^")
	w.sweepAt(2 * time.Hour)
	w.awaitTombstones(1)
	w.must(w.DeleteCommit(t.Context(), dotmesh.CommitRef{Dot: shop, Ref: "HEAD^"}))
	w.wantLog("two, Initial commit")
	if _, err := w.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop}); err != nil {
		t.Fatal(err)
	}
	w.wantLog("two, one, Initial commit")
}

func TestWhatWasCollectedIsNotBroughtBackByAClock(t *testing.T) {
	w := newWorld(t)
	w.init()
	w.branch("b", "")
	w.commitOn("b", "kept by c")
	w.branch("c", "b")
	w.commitOn("b", "lost")
	w.deleteBranch("b")
	w.sweepAt(server.KeepDeleted + time.Hour)
	w.awaitPool(3, 2)
	w.later.Store(0)
	_, err := w.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop})
	w.wantKind(err, dotmesh.Conflict)
	w.awaitTombstones(1)
	w.deleteBranch("c")
	w.sweepAt(2*server.KeepDeleted + time.Hour)
	w.awaitPool(1, 1)
	w.awaitTombstones(0)
}

// sweeps counts the rounds of garbage collection that a node's log tells of, and what they
// could not do.
type sweeps struct{ done, failed atomic.Int64 }

func (s *sweeps) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("msg=swept")) {
		s.done.Add(1)
	}
	if bytes.Contains(line, []byte("the next round tries again")) {
		s.failed.Add(1)
	}
	return len(line), nil
}

// counted restarts the node with a log that counts its sweeps.
func (w *world) counted() *sweeps {
	w.Helper()
	var s sweeps
	w.stop()
	w.cfg.Logger = slog.New(slog.NewTextHandler(&s, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.start()
	return &s
}

// awaitSweep waits for a sweep from beginning to end.
func (w *world) awaitSweep(s *sweeps) {
	w.Helper()
	end := s.done.Load() + 2 // one may have begun before
	w.sweepUntil("two more sweeps", func() bool { return s.done.Load() >= end })
}

func TestAClockThatJumpsForwardDestroysNoStash(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.made(dir, "one")
	w.made(dir, "two")
	w.discard("HEAD^")
	sweeps := w.counted()
	w.sweepAt(server.KeepStash)
	w.awaitTombstones(1)
	for _, later := range []time.Duration{server.KeepStash + 30*time.Minute, 10 * time.Minute} {
		w.later.Store(int64(later))
		w.awaitSweep(sweeps)
		w.wantPool(2, 3)
		if n := w.sealed(); n != 0 {
			t.Errorf("%d tombstones are sealed", n)
		}
	}
}

func TestACommitOnALineThatIsGoneIsCollected(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.branch("b", "")
	w.commitOn("b", "on b")
	w.discard("b")
	w.made(dir, "three")
	w.made(dir, "four")
	w.made(dir, "five")
	w.must(w.DeleteCommit(t.Context(), dotmesh.CommitRef{Dot: shop, Ref: "HEAD^"}))
	w.discard("b")
	w.sweepAt(2 * time.Hour)
	w.sweepUntil("the stashes' burial", func() bool { return w.noted("registry.tombstone.") >= 3 })
	sweeps := w.counted()
	w.sweepAt(400 * time.Hour)
	w.awaitTombstones(1) // of master's first line, which the branch b came from
	w.awaitSweep(sweeps)
	if n := sweeps.failed.Load(); n != 0 {
		t.Errorf("it failed %d times", n)
	}
}

func TestALineThatThePoolHasLostIsCollected(t *testing.T) {
	for _, lost := range []string{"an origin", "all"} {
		t.Run(lost, func(t *testing.T) {
			w := newWorld(t)
			w.init()
			w.branch("b", "")
			w.commitOn("b", "kept by c")
			w.branch("c", "b")
			var lines []dotmesh.LineID
			for _, name := range []dotmesh.Name{"c", "b"} {
				s, err := w.Status(t.Context(), dotmesh.StatusRequest{Dot: shop, Branch: name})
				if err != nil {
					t.Fatal(err)
				}
				lines = append(lines, s.Pointer.Line)
			}
			w.deleteBranch("b")
			left := 1
			if lost == "all" {
				w.deleteBranch("c")
				left = 0
			}
			for _, id := range lines {
				w.must(w.cfg.Store.Destroy(t.Context(), id))
			}
			sweeps := w.counted()
			w.sweepAt(server.KeepDeleted + time.Hour)
			w.awaitTombstones(left)
			w.awaitSweep(sweeps)
			if n := sweeps.failed.Load(); n != 0 {
				t.Errorf("it failed %d times", n)
			}
		})
	}
}

func TestACollectedBranchIsForgotten(t *testing.T) {
	w := newWorld(t)
	w.init()
	for range 3 {
		w.branch("b", "")
		w.deleteBranch("b")
	}
	if n := w.noted("authority."); n != 4 {
		t.Fatalf("the node notes %d authorities, want one for each branch", n)
	}
	w.sweepAt(server.KeepDeleted + time.Hour)
	w.awaitTombstones(0)
	w.sweepUntil("the authorities to be forgotten", func() bool { return w.noted("authority.") == 1 })
}

func TestADeletionWhoseCollectionWasCutOffIsFinished(t *testing.T) {
	for _, verb := range []string{"Seal", "Acknowledge"} {
		t.Run(verb, func(t *testing.T) {
			w := newWorld(t)
			w.init()
			w.branch("b", "")
			w.commitOn("b", "one")
			w.deleteBranch("b")
			w.reg.LoseNext(verb)
			w.sweepAt(server.KeepDeleted + time.Hour)
			w.awaitTombstones(0)
			w.wantPool(1, 1)
			w.sweepUntil("the authority to be forgotten", func() bool { return w.noted("authority.") == 1 })
		})
	}
}

func TestADeletedCommitThatIsOlderThanTheRegistryKeepsComesBack(t *testing.T) {
	w := newWorld(t)
	w.init()
	const many = 230
	for range many {
		w.committed("x")
	}
	for _, ref := range []string{"HEAD~200", "HEAD~50"} {
		w.must(w.DeleteCommit(t.Context(), dotmesh.CommitRef{Dot: shop, Ref: ref}))
		if ref == "HEAD~50" { // trimmed while it is buried
			for range many {
				w.committed("x")
			}
			ops, err := w.Ops(t.Context(), dotmesh.OpsRequest{Dot: shop, Limit: many + 10})
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range ops {
				if o.Verb == dotmesh.VerbDeleteCommit {
					w.undo(o.N)
					break
				}
			}
		} else {
			w.undo(0)
		}
	}
	_, before := w.snapshots()
	for range 2 {
		page, err := w.Log(t.Context(), dotmesh.LogRequest{Dot: shop, Limit: 1000})
		if err != nil || len(page.Commits) != 2*many+1 {
			t.Fatalf("the log has %d commits, %v; want %d", len(page.Commits), err, 2*many+1)
		}
		w.restart()
	}
	if _, after := w.snapshots(); after != before {
		t.Errorf("the pool holds %d commits after a restart, want %d", after, before)
	}
}

func (w *world) undo(n uint64) {
	w.Helper()
	if _, err := w.Undo(w.Context(), dotmesh.UndoRequest{Dot: shop, N: n}); err != nil {
		w.Fatal(err)
	}
}
