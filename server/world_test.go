package server_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
	"dotmesh.io/dotmesh/server"
)

var shop = dotmesh.DotName{Namespace: "admin", Name: "shop"}

// world is a node on fakes that can be stopped and started again.
type world struct {
	*testing.T
	cfg    server.Config
	reg    *dotmeshtest.Registry
	mounts *dotmeshtest.Mounter
	dotmesh.Service
	node *server.Node
	stop func()
	// later is how far the node's clock is ahead.
	later atomic.Int64
}

// newWorld starts a node on fakes, which changes may replace before.
func newWorld(t *testing.T, changes ...func(*server.Config)) *world {
	w := &world{T: t, cfg: fakes(t)}
	w.reg = w.cfg.Registry.(*dotmeshtest.Registry)
	w.mounts = w.cfg.Mounter.(*dotmeshtest.Mounter)
	w.cfg.Now = func() time.Time { return time.Now().Add(time.Duration(w.later.Load())) }
	for _, change := range changes {
		change(&w.cfg)
	}
	w.start()
	return w
}

func (w *world) start() {
	w.Helper()
	n := server.New(w.cfg)
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stopped := false
	w.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			<-done
		}
	}
	w.Cleanup(w.stop)
	select {
	case <-n.Ready():
	case err := <-done:
		w.Fatalf("the node ended with %v", err)
	}
	w.node, w.Service = n, n.As(admin)
}

func (w *world) restart() {
	w.Helper()
	w.stop()
	w.start()
}

// loseRegistry stops the node and starts it with an empty registry.
func (w *world) loseRegistry() {
	w.Helper()
	w.stop()
	w.reg = dotmeshtest.NewRegistry()
	w.Cleanup(func() { w.reg.Close() })
	w.cfg.Registry = w.reg
	w.start()
}

// must fails the test if err is not nil.
func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("unexpected error: %v", err)
	}
}

func (w *world) wantKind(err error, want dotmesh.Kind) {
	w.Helper()
	if dotmesh.KindOf(err) != want {
		w.Fatalf("got %v (%q), want kind %q", err, dotmesh.KindOf(err), want)
	}
}

func (w *world) init() string {
	w.Helper()
	_, err := w.CreateDot(w.Context(), dotmesh.CreateDot{Dot: shop})
	w.must(err)
	return w.mount()
}

func (w *world) mount() string {
	w.Helper()
	m, err := w.Mount(w.Context(), dotmesh.MountRequest{Volume: dotmesh.Volume{Dot: shop, Subdot: dotmesh.DefaultSubdot}})
	w.must(err)
	return m.Path
}

func (w *world) write(dir, content string) {
	w.Helper()
	w.must(os.WriteFile(filepath.Join(dir, "f"), []byte(content), 0o644))
}

func (w *world) wantFile(dir, want string) {
	w.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "f"))
	if err != nil || string(data) != want {
		w.Fatalf("the file holds %q, %v; want %q", data, err, want)
	}
}

func (w *world) commit(message string) (dotmesh.Commit, error) {
	return w.Commit(w.Context(), dotmesh.CommitRequest{Dot: shop, Message: message})
}

// made writes a file and commits it, both with that content.
func (w *world) made(dir, content string) dotmesh.Commit {
	w.Helper()
	w.write(dir, content)
	return w.committed(content)
}

// commits makes n commits.
func (w *world) commits(n int) {
	w.Helper()
	for range n {
		w.committed("x")
	}
}

// committed makes a commit of what is there.
func (w *world) committed(message string) dotmesh.Commit {
	w.Helper()
	c, err := w.commit(message)
	w.must(err)
	return c
}

// branch makes a branch of the newest commit of another, or of the current one.
func (w *world) branch(name, from dotmesh.Name) dotmesh.BranchStatus {
	w.Helper()
	r := dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: shop, Branch: from}, Name: name}
	b, err := w.CreateBranch(w.Context(), r)
	w.must(err)
	return b
}

func (w *world) reset(ref string) (dotmesh.Changed, error) {
	return w.Reset(w.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop, Ref: ref}})
}

func (w *world) wantLog(want string) {
	w.Helper()
	page, err := w.Log(w.Context(), dotmesh.LogRequest{Dot: shop})
	w.must(err)
	var got []string
	for _, c := range page.Commits {
		got = append(got, c.Message)
	}
	if text := strings.Join(got, ", "); text != want {
		w.Fatalf("the log is %q, want %q", text, want)
	}
}

// snapshots returns how many commits the pool holds.
func (w *world) snapshots() (lines, commits int) {
	w.Helper()
	for info, err := range w.cfg.Store.Inventory(w.Context()) {
		w.must(err)
		lines++
		commits += len(info.Commits)
	}
	return lines, commits
}

func (w *world) wantPool(lines, commits int) {
	w.Helper()
	if l, c := w.snapshots(); l != lines || c != commits {
		w.Fatalf("the pool holds %d lines and %d commits, want %d and %d", l, c, lines, commits)
	}
}

// eventually tries until it is so.
func (w *world) eventually(what string, so func() bool) {
	w.Helper()
	deadline := time.After(20 * time.Second)
	for !so() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			w.Fatalf("not in time: %s", what)
		}
	}
}

// sweepUntil asks for sweeps until it is so.
func (w *world) sweepUntil(what string, so func() bool) {
	w.Helper()
	w.eventually(what, func() bool {
		if so() {
			return true
		}
		w.node.Sweep()
		return false
	})
}

// sweepAt sweeps with a clock that is so far ahead.
func (w *world) sweepAt(later time.Duration) {
	w.later.Store(int64(later))
	w.node.Sweep()
}

// awaitPool asks for sweeps until the pool holds that much.
func (w *world) awaitPool(lines, commits int) {
	w.Helper()
	w.sweepUntil(fmt.Sprintf("%d lines and %d commits in the pool", lines, commits), func() bool {
		l, c := w.snapshots()
		return l == lines && c == commits
	})
}

// awaitTombstones asks for sweeps until there are so many.
func (w *world) awaitTombstones(want int) {
	w.Helper()
	w.sweepUntil(fmt.Sprintf("%d tombstones", want), func() bool { return w.noted("registry.tombstone.") == want })
}

// noted returns how many entries of that kind the node shows of itself.
func (w *world) noted(prefix string) int {
	w.Helper()
	all, err := w.State(w.Context(), prefix)
	w.must(err)
	return len(all)
}

// awaitMirror waits until the pool's copy of the registry mentions all of words.
func (w *world) awaitMirror(words ...string) {
	w.Helper()
	for _, word := range words {
		w.eventually(fmt.Sprintf("%q in the pool's copy of the registry", word), func() bool {
			found := false
			w.must(w.cfg.Store.KV().View(func(tx dotmesh.KVReader) error {
				for _, value := range tx.Scan("mirror") {
					found = found || bytes.Contains(value, []byte(word))
				}
				return nil
			}))
			return found
		})
	}
}
