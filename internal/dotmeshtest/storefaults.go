package dotmeshtest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// faultTests are about callers who give up, and pools that are full.
func faultTests() []storeTest {
	return []storeTest{
		{"a call whose context has ended does nothing", nil, storeTestCanceled},
		{"a call returns within a second of being cancelled", mountable, storeTestCanceledWhileRunning},
		{"a full pool still commits, forks and deletes, and is usable again", mountable, storeTestFull},
	}
}

func storeTestCanceled(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	first := h.snap(line)
	ctx, cancel := context.WithCancel(h.Context())
	cancel()
	_, live := h.Live(ctx, line)
	_, view := h.View(ctx, first)
	_, usage := h.Usage(ctx, line, dotmesh.Ref{}, true)
	_, pool := h.Pool(ctx)
	_, meta := h.Meta(ctx, first)
	_, one := h.Line(ctx, line)
	_, fence := h.Fence(ctx, line, true)
	errs := map[string]error{
		"Live": live, "View": view, "Usage": usage, "Pool": pool, "Meta": meta, "Line": one, "Fence": fence,
		"Fork":     h.Fork(ctx, newLine(), dotmesh.Origin{}),
		"Snapshot": h.Snapshot(ctx, []dotmesh.SnapRequest{{Line: line, Commit: newCommit()}})[0].Err,
		"Drop":     h.Drop(ctx, line, []dotmesh.CommitID{first.Commit}),
		"DropHead": h.DropHead(ctx, line),
		"Destroy":  h.Destroy(ctx, line),
	}
	for _, err := range h.Inventory(ctx) {
		errs["Inventory"] = err
	}
	for _, err := range h.Diff(ctx, first, headOf(line)) {
		errs["Diff"] = err
	}
	for verb, err := range errs {
		if !errors.Is(err, dotmesh.Canceled) {
			h.Errorf("%s: %v, want Canceled", verb, err)
		}
	}
	if len(errs) != 14 {
		h.Errorf("%d verbs returned, want 14", len(errs))
	}
	h.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {first}})
}

// storeTestCanceledWhileRunning gives up on a commit of much data that is not written out yet.
func storeTestCanceledWhileRunning(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	dir, _ := h.live(line)
	h.must(os.WriteFile(filepath.Join(dir, "a"), make([]byte, 64<<20), 0o644))
	ctx, cancel := context.WithTimeout(h.Context(), time.Millisecond)
	defer cancel()
	r := dotmesh.Ref{Line: line, Commit: newCommit()}
	request := []dotmesh.SnapRequest{{Line: line, Commit: r.Commit, Meta: []byte(r.Commit.String())}}
	start := time.Now()
	err := h.Snapshot(ctx, request)[0].Err
	if took := time.Since(start); took > time.Second+100*time.Millisecond {
		h.Errorf("it took %v", took)
	}
	switch kind := dotmesh.KindOf(err); kind {
	case "", dotmesh.Timeout, dotmesh.Unknown:
	default:
		h.Errorf("err = %v", err)
	}
	h.must(h.Snapshot(h.Context(), request)[0].Err) // whatever came of it, this settles it
	h.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {r}})
}

func storeTestFull(h *storeHarness) {
	line, other := h.fork(dotmesh.Origin{}), h.fork(dotmesh.Origin{})
	h.write(other, "a", "1")
	tip := h.snap(other)
	h.write(other, "a", "2")
	dir, unmount := h.live(line)
	fill(h, filepath.Join(dir, "full"))
	p, err := h.Pool(h.Context())
	h.must(err)
	if p.Free-p.Reserve > p.Size/20 {
		h.Errorf("a full pool says that it has %d bytes free: %+v", p.Free-p.Reserve, p)
	}
	h.must(h.KV().Update(func(w dotmesh.KVWriter) error {
		return w.Put("b", "k", []byte(strings.Repeat("v", 1<<20)))
	}))
	closing := h.snap(other)
	child := h.fork(dotmesh.Origin(closing))
	h.wantFile(tip, "a", "1")
	h.wantFile(headOf(child), "a", "2")
	unmount()
	h.must(h.Drop(h.Context(), other, []dotmesh.CommitID{tip.Commit}))
	h.must(h.Destroy(h.Context(), line))
	h.wantLines(map[dotmesh.LineID][]dotmesh.Ref{other: {closing}, child: nil})
	h.waitForSpace(p.Size / 4)
	h.write(child, "b", strings.Repeat("x", 1<<20))
	h.snap(child)
}

// fill takes all the space there is, in ever smaller pieces. ZFS allocates nothing before
// it is written.
func fill(h *storeHarness, path string) {
	h.Helper()
	f, err := os.Create(path)
	h.must(err)
	allocate := func(at, size int64) error { return unix.Fallocate(int(f.Fd()), 0, at, size) }
	if h.Caps().Kind == "zfs" {
		data := noise(1 << 20)
		allocate = func(at, size int64) error {
			_, err := f.WriteAt(data[:min(size, int64(len(data)))], at)
			return errors.Join(err, f.Sync())
		}
	}
	var size int64
	for step := int64(256 << 20); step >= 4096; {
		switch err := allocate(size, step); {
		case err == nil:
			size += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		default:
			h.must(err)
		}
	}
	h.must(f.Close())
}

// waitForSpace waits until what was destroyed has been given back, which btrfs and ZFS do
// in the background.
func (h *storeHarness) waitForSpace(want int64) {
	h.Helper()
	deadline := time.NewTimer(30 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		p, err := h.Pool(h.Context())
		h.must(err)
		if p.Free-p.Reserve >= want {
			return
		}
		select {
		case <-deadline.C:
			h.Fatalf("the space is not given back: %+v", p)
		case <-tick.C:
		}
	}
}
