package server_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
	"dotmesh.io/dotmesh/server"
)

var data = dotmesh.Volume{Dot: shop, Subdot: dotmesh.DefaultSubdot}

func (w *world) checkout(name dotmesh.Name) error {
	_, err := w.Checkout(w.Context(), dotmesh.BranchRequest{Dot: shop, Branch: name})
	return err
}

// wantCommitted checks that what is written at dir is what the next commit holds.
func (w *world) wantCommitted(dir, content string) {
	w.Helper()
	w.write(dir, content)
	c, err := w.commit(content)
	w.must(err)
	at, err := w.MountCommit(w.Context(), dotmesh.CommitRef{Dot: shop, Ref: c.ID.String()})
	w.must(err)
	w.wantFile(filepath.Join(at.Path, "__default__"), content)
}

// mounted returns what is mounted of volumes and branches.
func (w *world) mounted() []string {
	w.Helper()
	var all []string
	for _, folder := range []string{"volumes", "branches"} {
		found, err := filepath.Glob(filepath.Join(w.cfg.MountDir, folder, "*"))
		w.must(err)
		all = append(all, found...)
	}
	return all
}

func (w *world) wantMounted(want int) {
	w.Helper()
	if got := w.mounted(); len(got) != want {
		w.Fatalf("mounted are %v, want %d", got, want)
	}
}

func (w *world) attachment() string { return w.entry("attachments/") }

// entry returns the value of the first registry key that begins so.
func (w *world) entry(prefix string) string {
	w.Helper()
	for e, err := range w.reg.Export(w.Context()) {
		w.must(err)
		if strings.HasPrefix(e.Key, prefix) {
			return string(e.Value)
		}
	}
	return ""
}

func TestACheckoutThatIsCutOff(t *testing.T) {
	for name, test := range map[string]struct {
		cut  func(*dotmeshtest.Registry)
		want dotmesh.Kind
	}{
		"because the answer was lost, is known to be done": {
			func(r *dotmeshtest.Registry) { r.LoseNext("PutDot") }, "",
		},
		"because two answers were lost, may be done": {
			func(r *dotmeshtest.Registry) { r.LoseNext("PutDot"); r.LoseNext("PutDot") }, dotmesh.Unknown,
		},
		"because nothing answered, may be done": {
			func(r *dotmeshtest.Registry) {
				r.FailNext("PutDot", dotmesh.Unknown)
				r.FailNext("PutDot", dotmesh.Unreachable)
			}, dotmesh.Unknown,
		},
		"before its volumes are attached, does not say that nothing was done": {
			func(r *dotmeshtest.Registry) { r.FailNext("Attach", dotmesh.Unreachable) }, dotmesh.Unknown,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			dir := w.init()
			b := w.branch("b", "")
			test.cut(w.reg)
			if err := w.checkout("b"); dotmesh.KindOf(err) != test.want {
				t.Fatalf("got %v, want kind %q", err, test.want)
			}
			w.must(w.checkout("b"))
			w.wantCommitted(dir, "on b")
			if got := w.attachment(); !strings.Contains(got, b.ID.String()) {
				t.Errorf("the attachment is %s, want branch %s", got, b.ID)
			}
			w.must(w.checkout("master"))
			w.wantCommitted(dir, "on master")
		})
	}
}

func TestACheckoutThatIsCutOffIsFinishedByASweep(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	b := w.branch("b", "")
	w.reg.FailNext("Attach", dotmesh.Unreachable)
	w.wantKind(w.checkout("b"), dotmesh.Unknown)
	w.sweepUntil("the volume is attached to b", func() bool { return strings.Contains(w.attachment(), b.ID.String()) })
	w.wantCommitted(dir, "on b")
}

func TestACheckoutThatFailsChangesNothing(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.branch("b", "")
	w.reg.FailNext("PutDot", dotmesh.NoSpace)
	w.wantKind(w.checkout("b"), dotmesh.NoSpace)
	w.wantCommitted(dir, "still on master")
}

// slowRegistry stops a change of a dot half-way.
type slowRegistry struct {
	dotmesh.Registry
	gate *gate
}

func (r *slowRegistry) PutDot(ctx context.Context, a, b dotmesh.Dot, op dotmesh.Op, reply *dotmesh.Reply) (dotmesh.Cursor, error) {
	r.gate.pass()
	return r.Registry.PutDot(ctx, a, b, op, reply)
}

// slowMounter stops a mount half-way.
type slowMounter struct {
	*dotmeshtest.Mounter
	gate *gate
}

func (m *slowMounter) Bind(ctx context.Context, root string, s dotmesh.Subdot, target string) error {
	m.gate.pass()
	return m.Mounter.Bind(ctx, root, s, target)
}

// gate lets everybody through until it is closed.
type gate struct{ closed atomic.Pointer[chan struct{}] }

func (g *gate) pass() {
	if closed := g.closed.Load(); closed != nil {
		<-*closed
	}
}

func (g *gate) shut() {
	closed := make(chan struct{})
	g.closed.Store(&closed)
}

func (g *gate) open() { close(*g.closed.Load()) }

// race runs first until it waits at the gate, then second until that waits for first, and
// then lets both end.
func (w *world) race(g *gate, first, second func() error) (error, error) {
	synctest.Wait() // the node does what it does after a start, and stops at no gate
	g.shut()
	one, two := make(chan error, 1), make(chan error, 1)
	go func() { one <- first() }()
	synctest.Wait()
	go func() { two <- second() }()
	synctest.Wait()
	g.open()
	return <-one, <-two
}

func TestAMountThatWaitsForACheckoutMountsTheNewBranch(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		g := &gate{}
		w := newWorld(t, func(cfg *server.Config) { cfg.Registry = &slowRegistry{cfg.Registry, g} })
		_, err := w.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop})
		w.must(err)
		b := w.branch("b", "")
		var m dotmesh.Mounted
		checkedOut, mounted := w.race(g, func() error { return w.checkout("b") }, func() (err error) {
			m, err = w.Mount(t.Context(), dotmesh.MountRequest{Volume: data})
			return err
		})
		w.must(checkedOut)
		w.must(mounted)
		if m.Branch != b.ID {
			t.Errorf("branch %s is mounted, want the current one, %s", m.Branch, b.ID)
		}
		w.wantCommitted(m.Path, "on b")
	})
}

func TestAnUnmountThatWaitsForAMountSeesItsHolder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		g := &gate{}
		w := newWorld(t, func(cfg *server.Config) {
			cfg.Mounter = &slowMounter{cfg.Mounter.(*dotmeshtest.Mounter), g}
		})
		_, err := w.Mount(t.Context(), dotmesh.MountRequest{Volume: data, Create: true, Holder: "h1"})
		w.must(err)
		var m dotmesh.Mounted
		mounted, unmounted := w.race(g, func() (err error) {
			m, err = w.Mount(t.Context(), dotmesh.MountRequest{Volume: data, Holder: "h2"})
			return err
		}, func() error {
			return w.Unmount(t.Context(), dotmesh.MountRequest{Volume: data, Holder: "h1"})
		})
		w.must(mounted)
		w.must(unmounted)
		w.write(m.Path, "h2 is still here")
		if got := w.attachment(); strings.Contains(got, "h1") || !strings.Contains(got, "h2") {
			t.Errorf("the attachment is %s, want it held by h2 alone", got)
		}
		w.must(w.Unmount(t.Context(), dotmesh.MountRequest{Volume: data, Holder: "h2"}))
		w.wantMounted(0)
	})
}

func TestAMountThatFailsLeavesNothing(t *testing.T) {
	w := newWorld(t)
	_, err := w.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop})
	w.must(err)
	w.reg.FailNext("Attach", dotmesh.Unreachable)
	_, err = w.Mount(t.Context(), dotmesh.MountRequest{Volume: data})
	w.wantKind(err, dotmesh.Unreachable)
	w.wantMounted(0)
	w.restart()
	w.wantMounted(0)
	w.mount()
	w.reg.FailNext("Attach", dotmesh.Unreachable)
	_, err = w.Mount(t.Context(), dotmesh.MountRequest{Volume: data, Holder: "h"})
	w.wantKind(err, dotmesh.Unreachable)
	w.wantMounted(2) // as before
	w.restart()
	w.wantMounted(2)
	_, err = w.commit("one")
	w.must(err)
	w.must(w.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop})) // nobody holds it
}

func TestAMountWithUnknownOutcomeCanBeUndone(t *testing.T) {
	w := newWorld(t)
	_, err := w.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop})
	w.must(err)
	w.reg.FailNext("Attach", dotmesh.Unknown)
	w.reg.FailNext("Attach", dotmesh.Unreachable)
	_, err = w.Mount(t.Context(), dotmesh.MountRequest{Volume: data, Holder: "h"})
	w.wantKind(err, dotmesh.Unknown)
	w.must(w.Unmount(t.Context(), dotmesh.MountRequest{Volume: data, Holder: "h"}))
	w.wantMounted(0)
	w.restart()
	w.wantMounted(0)
	if got := w.attachment(); got != "" {
		t.Errorf("%s is attached, want nothing", got)
	}
}

func TestAnUnmountThatFailsChangesNothing(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.reg.FailNext("Detach", dotmesh.Unreachable)
	w.wantKind(w.Unmount(t.Context(), dotmesh.MountRequest{Volume: data}), dotmesh.Unreachable)
	w.wantCommitted(dir, "still mounted")
	w.must(w.Unmount(t.Context(), dotmesh.MountRequest{Volume: data}))
	w.wantMounted(0)
}

func TestADeletedDotIsNotMounted(t *testing.T) {
	for name, test := range map[string]struct {
		cut  func(*dotmeshtest.Registry)
		want dotmesh.Kind
	}{
		"when the answer was lost": {func(r *dotmeshtest.Registry) { r.LoseNext("Bury") }, ""},
		"when two answers were lost": {
			func(r *dotmeshtest.Registry) { r.LoseNext("Bury"); r.LoseNext("Bury") }, dotmesh.Unknown,
		},
		"when its volume could not be detached": {
			func(r *dotmeshtest.Registry) { r.FailNext("Detach", dotmesh.Unreachable) }, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			dir := w.init()
			w.wantCommitted(dir, "one")
			test.cut(w.reg)
			if err := w.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}); dotmesh.KindOf(err) != test.want {
				t.Fatalf("got %v, want kind %q", err, test.want)
			}
			w.wantMounted(0)
			w.sweepUntil("nothing is attached", func() bool { return w.attachment() == "" })
			w.wantMounted(0)
		})
	}
}

func TestADotWhoseDeletionNeverArrivedIsMountedAgain(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.reg.FailNext("Bury", dotmesh.Unknown)
	w.reg.FailNext("Bury", dotmesh.Unreachable)
	w.wantKind(w.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}), dotmesh.Unknown)
	w.sweepUntil("the volume is mounted", func() bool { _, err := os.Stat(dir); return err == nil })
	w.wantCommitted(dir, "still there")
}

func TestASweepUnmountsWhatNobodyAskedFor(t *testing.T) {
	w := newWorld(t)
	w.init()
	stray := filepath.Join(w.cfg.MountDir, "branches", dotmesh.NewUUID().String())
	w.must(os.Symlink(w.TempDir(), stray))
	w.sweepUntil("the stray mount is gone", func() bool { _, err := os.Lstat(stray); return err != nil })
	w.wantMounted(2)
}

// TestAFileThatIsReadLeavesNothingMounted: neither a read that fails nor one that a killed
// server did not end.
func TestAFileThatIsReadLeavesNothingMounted(t *testing.T) {
	w := newWorld(t)
	c := w.made(w.init(), "content")
	leftOver := filepath.Join(w.cfg.MountDir, "checks", "file-"+c.ID.String())
	for path, want := range map[string]dotmesh.Kind{"__default__/f": "", "__default__/g": dotmesh.NotFound, "__default__": dotmesh.Invalid} {
		_, err := w.ReadFile(t.Context(), dotmesh.FileRequest{CommitRef: dotmesh.CommitRef{Dot: shop}, Path: path})
		w.wantKind(err, want)
		if _, err := os.Lstat(leftOver); !os.IsNotExist(err) {
			t.Errorf("after reading %s the commit is mounted: %v", path, err)
		}
	}
	w.stop()
	w.must(os.Symlink(t.TempDir(), leftOver)) // as the fake mounts
	w.start()
	if _, err := os.Lstat(leftOver); !os.IsNotExist(err) {
		t.Errorf("what a killed server had mounted is still there: %v", err)
	}
}
