package server_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
	"dotmesh.io/dotmesh/server"
)

// ops returns the newest entries of the shop's operation log.
func (w *world) ops() []dotmesh.Op {
	w.Helper()
	ops, err := w.Ops(w.Context(), dotmesh.OpsRequest{Dot: shop, Limit: 1000})
	w.must(err)
	return ops
}

// recovered loses the registry and rebuilds it from the pool, after which the newest entry
// of the operation log is the given one.
func (w *world) recovered(newest dotmesh.Verb) {
	w.Helper()
	w.loseRegistry()
	_, err := w.Recover(w.Context())
	w.must(err)
	if ops := w.ops(); len(ops) == 0 || ops[0].Verb != newest {
		w.Fatalf("the operation log after the recovery is %+v, want it to end with %q", ops, newest)
	}
}

func TestWhatWasDoneBeforeARecoveryCanBeUndone(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.made(dir, "one")
	w.made(dir, "two")
	w.write(dir, "unsaved")
	_, err := w.reset("HEAD^")
	w.must(err)
	w.wantFile(dir, "one")
	before := w.ops()

	w.recovered(dotmesh.VerbReset)
	after := w.ops()
	if fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the operation log is %v after the recovery, want %v", after, before)
	}
	undone, err := w.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop})
	w.must(err)
	if undone.Op.N != before[0].N {
		t.Errorf("operation %d was undone, want %d", undone.Op.N, before[0].N)
	}
	w.wantFile(dir, "unsaved")
	w.wantLog("two, one, Initial commit")
	if newest := w.ops()[0]; newest.N != before[0].N+1 || newest.Undoes != before[0].N {
		t.Errorf("the newest entry is %+v, want one numbered %d that undoes %d", newest, before[0].N+1, before[0].N)
	}
	w.recovered(dotmesh.VerbUndo)
	_, err = w.commit("third")
	w.must(err)
}

func TestADeletionBeforeARecoveryCanBeUndone(t *testing.T) {
	w := newWorld(t)
	w.made(w.init(), "one")
	w.must(w.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}))
	w.recovered(dotmesh.VerbDeleteDot)
	_, err := w.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop})
	w.must(err)
	w.wantLog("one, Initial commit")
}

func TestThePoolKeepsTheNewestOperationsAndNoneOfWhatIsGone(t *testing.T) {
	w := newWorld(t)
	w.init()
	w.commits(120)
	newest := w.ops()[0].N
	w.recovered(dotmesh.VerbCommit)
	ops := w.ops()
	if len(ops) != 100 || ops[0].N != newest || ops[99].N != newest-99 {
		t.Errorf("%d entries are back, from %d on; want the newest 100 down from %d", len(ops), ops[0].N, newest)
	}
	w.must(w.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}))
	w.sweepAt(100 * 24 * time.Hour)
	w.awaitPool(0, 0)
	w.restart()
	w.awaitNote("ops", 0)
	w.awaitNote("owed", 0)
}

// awaitNote waits until a bucket of the node's memory has that many keys.
func (w *world) awaitNote(bucket string, want int) {
	w.Helper()
	w.eventually(fmt.Sprintf("%d keys in the bucket %s", want, bucket), func() bool {
		got := 0
		w.must(w.cfg.Store.KV().View(func(tx dotmesh.KVReader) error {
			for range tx.Scan(bucket) {
				got++
			}
			return nil
		}))
		return got == want
	})
}

func TestLogsThatCouldNotBeReadAreReadLater(t *testing.T) {
	w := newWorld(t)
	w.init()
	w.awaitNote("ops", 1)
	w.reg.FailNext("Latest", dotmesh.Unreachable)
	_, err := w.commit("first")
	w.must(err)
	w.awaitNote("owed", 1)
	_, err = w.CreateDot(t.Context(), dotmesh.CreateDot{Dot: dotmesh.DotName{Namespace: "admin", Name: "other"}})
	w.must(err)
	w.awaitNote("owed", 0)
	w.recovered(dotmesh.VerbCommit)
}

// setBack is a registry that can be an older copy of itself which no watch has told of yet.
type setBack struct {
	*dotmeshtest.Registry
	on atomic.Bool
}

func (r *setBack) Ops(ctx context.Context, dot dotmesh.DotID, before uint64, limit int) ([]dotmesh.Op, error) {
	ops, err := r.Registry.Ops(ctx, dot, before, limit)
	if r.on.Load() && len(ops) > 0 {
		ops = ops[len(ops)-1:]
	}
	return ops, err
}

func (r *setBack) Latest(ctx context.Context) (dotmesh.Cursor, error) {
	at, err := r.Registry.Latest(ctx)
	if r.on.Load() {
		at = 1
	}
	return at, err
}

func TestTheLogsOfARegistryThatWasSetBackDoNotReachThePool(t *testing.T) {
	var reg *setBack
	w := newWorld(t, func(c *server.Config) {
		reg = &setBack{Registry: c.Registry.(*dotmeshtest.Registry)}
		c.Registry = reg
	})
	w.made(w.init(), "one")
	_, err := w.reset("HEAD^")
	w.must(err)
	w.awaitMirror("master-RESET-")
	w.awaitNote("owed", 0)
	reg.on.Store(true)
	_, err = w.commit("two")
	w.must(err)
	w.awaitNote("owed", 1)
	w.recovered(dotmesh.VerbReset)
}
