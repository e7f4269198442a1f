package dotmeshtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// lineTests are about lines, heads and the node's memory.
func lineTests() []storeTest {
	return []storeTest{
		{"a new line is empty and writable", nil, storeTestNewLine},
		{"a fork holds what its origin's commit holds and shares nothing with it", nil, storeTestFork},
		{"forking again does nothing, with another origin it is Exists", nil, storeTestForkAgain},
		{"a line or commit that is not there is NotFound", nil, storeTestNotFound},
		{"a head that was dropped comes back from the newest commit", nil, storeTestDropHead},
		{"a line without commits keeps its origin when its head is dropped", nil, storeTestDropHeadOfFork},
		{"a fence tells who must stop the writers", nil, storeTestFence},
		{"many lines are listed whole while others change", nil, storeTestManyLines},
		{"the memory keeps what was written, in order, or nothing of it", nil, storeTestKV},
		{"a closed store says so", nil, storeTestClosed},
	}
}

func storeTestNewLine(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	dir, _ := h.live(line)
	entries, err := os.ReadDir(dir)
	h.must(err)
	if len(entries) != 0 {
		h.Errorf("a new line holds %v", entries)
	}
	writeFile(h, filepath.Join(dir, "a"), "1")
	h.wantFile(headOf(line), "a", "1")
	h.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: nil})
	if info := h.inventory()[line]; !info.Head || !info.Origin.IsZero() {
		h.Errorf("info = %+v, want a head and no origin", info)
	}
}

func storeTestFork(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	h.write(line, "a", "1")
	first := h.snap(line)
	h.write(line, "a", "2")
	child := h.fork(dotmesh.Origin(first))
	h.write(child, "b", "child")
	h.wantFile(headOf(child), "a", "1")
	h.wantFile(headOf(line), "a", "2")
	h.wantFile(headOf(line), "b", "")
	h.wantFile(first, "b", "")
	grandchild := h.fork(dotmesh.Origin(h.snap(child)))
	h.wantFile(headOf(grandchild), "a", "1")
	h.wantFile(headOf(grandchild), "b", "child")
	if info := h.inventory()[child]; info.Origin != dotmesh.Origin(first) {
		h.Errorf("origin = %v, want %v", info.Origin, first)
	}
}

func storeTestForkAgain(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	first := h.snap(line)
	child := h.fork(dotmesh.Origin(first))
	h.write(child, "a", "1")
	h.must(h.Fork(h.Context(), child, dotmesh.Origin(first)))
	h.wantFile(headOf(child), "a", "1")
	h.wantKind(h.Fork(h.Context(), child, dotmesh.Origin{}), dotmesh.Exists)
	h.wantKind(h.Fork(h.Context(), child, dotmesh.Origin(h.snap(line))), dotmesh.Exists)
	h.wantKind(h.Fork(h.Context(), dotmesh.LineID{}, dotmesh.Origin{}), dotmesh.Invalid)
}

func storeTestNotFound(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	ctx, none := h.Context(), newLine()
	for _, r := range []dotmesh.Ref{{Line: none, Commit: newCommit()}, {Line: line, Commit: newCommit()}} {
		_, err := h.View(ctx, r)
		h.wantKind(err, dotmesh.NotFound)
		_, err = h.Meta(ctx, r)
		h.wantKind(err, dotmesh.NotFound)
		_, err = h.Usage(ctx, line, r, false)
		h.wantKind(err, dotmesh.NotFound)
		h.wantKind(h.Fork(ctx, newLine(), dotmesh.Origin(r)), dotmesh.NotFound)
		for _, err := range h.Diff(ctx, r, headOf(line)) {
			h.wantKind(err, dotmesh.NotFound)
		}
	}
	_, err := h.Live(ctx, none)
	h.wantKind(err, dotmesh.NotFound)
	_, err = h.Line(ctx, none)
	h.wantKind(err, dotmesh.NotFound)
	_, err = h.Fence(ctx, none, true)
	h.wantKind(err, dotmesh.NotFound)
	h.wantKind(h.DropHead(ctx, none), dotmesh.NotFound)
	h.wantKind(h.Drop(ctx, none, []dotmesh.CommitID{newCommit()}), dotmesh.NotFound)
	h.wantKind(h.Snapshot(ctx, []dotmesh.SnapRequest{{Line: none, Commit: newCommit()}})[0].Err, dotmesh.NotFound)
	h.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: nil}) // the forks left nothing
}

func storeTestDropHead(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	h.write(line, "a", "1")
	first := h.snap(line)
	h.write(line, "a", "2")
	for range 2 { // again does nothing
		h.must(h.DropHead(h.Context(), line))
		if h.inventory()[line].Head {
			h.Error("the head is still there")
		}
	}
	u, err := h.Usage(h.Context(), line, dotmesh.Ref{}, false)
	h.must(err)
	if u.Dirty.Bytes != 0 {
		h.Errorf("dirty = %d without a head", u.Dirty.Bytes)
	}
	h.wantKind(h.Snapshot(h.Context(), []dotmesh.SnapRequest{{Line: line, Commit: newCommit()}})[0].Err, dotmesh.NotFound)
	h.wantFile(headOf(line), "a", "1")
	if !h.inventory()[line].Head {
		h.Error("Live made no head")
	}
	h.write(line, "b", "3")
	second := h.snap(line)
	h.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {first, second}})
	if got := h.changes(first, second); len(got) != 1 || got[0].Path != "b" {
		h.Errorf("changes across a dropped head = %v", got)
	}
}

func storeTestDropHeadOfFork(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	h.write(line, "a", "1")
	child := h.fork(dotmesh.Origin(h.snap(line)))
	h.write(child, "a", "2")
	h.must(h.DropHead(h.Context(), child))
	h.must(h.Fork(h.Context(), child, h.inventory()[child].Origin))
	h.wantFile(headOf(child), "a", "1")
}

func storeTestFence(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	want := dotmesh.NeedsHolders
	if h.Caps().HardFence {
		want = dotmesh.HardFence
	}
	for _, on := range []bool{true, true, false, false} {
		got, err := h.Fence(h.Context(), line, on)
		h.must(err)
		if got != want {
			h.Errorf("fencing = %v, want %v", got, want)
		}
	}
	h.write(line, "a", "1")
}

func storeTestManyLines(h *storeHarness) {
	workers, each := 8, h.size(25, 3)
	var mu sync.Mutex
	want := map[dotmesh.LineID][]dotmesh.Ref{}
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range each {
				line := newLine()
				first := dotmesh.Ref{Line: line, Commit: newCommit()}
				second := dotmesh.Ref{Line: line, Commit: newCommit()}
				err := h.Fork(h.Context(), line, dotmesh.Origin{})
				for _, r := range []dotmesh.Ref{first, second} {
					got := h.Snapshot(h.Context(), []dotmesh.SnapRequest{{Line: line, Commit: r.Commit, Meta: []byte(r.Commit.String())}})
					err = errors.Join(err, got[0].Err)
				}
				doomed := newLine()
				err = errors.Join(err, h.Fork(h.Context(), doomed, dotmesh.Origin(first)), h.Destroy(h.Context(), doomed))
				if err != nil {
					h.Error(err)
					return
				}
				mu.Lock()
				want[line] = []dotmesh.Ref{first, second}
				mu.Unlock()
			}
		})
	}
	for range 3 {
		for info, err := range h.Inventory(h.Context()) {
			if err != nil || !info.Head {
				h.Errorf("while others change: %+v, %v", info, err)
			}
		}
	}
	group.Wait()
	h.wantLines(want)
}

func storeTestKV(h *storeHarness) {
	kv := h.KV()
	h.must(kv.Update(func(w dotmesh.KVWriter) error {
		return errors.Join(w.Put("b", "2", []byte("two")), w.Put("b", "1", []byte{}), w.Put("other", "x", []byte("y")))
	}))
	stop := errors.New("stop")
	err := kv.Update(func(w dotmesh.KVWriter) error {
		return errors.Join(w.Put("b", "2", []byte("changed")), w.Delete("b", "1"), w.Put("b", "3", nil), stop)
	})
	if !errors.Is(err, stop) {
		h.Errorf("err = %v, want that of the function", err)
	}
	wantKV(h, kv, "b", "1=", "2=two")
	h.must(kv.Update(func(w dotmesh.KVWriter) error {
		for key := range w.Scan("b") { // deleting while scanning skips nothing
			if err := w.Delete("b", key); err != nil {
				return err
			}
		}
		return errors.Join(w.Delete("b", "absent"), w.Delete("absent", "x"))
	}))
	wantKV(h, kv, "b")
	wantKV(h, kv, "absent")
	wantKV(h, kv, "other", "x=y")
	h.wantKind(kv.Update(func(w dotmesh.KVWriter) error { return w.Put("b", "", nil) }), dotmesh.Invalid)
}

func wantKV(h *storeHarness, kv dotmesh.KV, bucket string, want ...string) {
	h.Helper()
	h.must(kv.View(func(r dotmesh.KVReader) error {
		got := []string{}
		for key, value := range r.Scan(bucket) {
			got = append(got, key+"="+string(value))
			if !bytes.Equal(r.Get(bucket, key), value) || r.Get(bucket, key) == nil {
				h.Errorf("Get(%s, %s) = %q", bucket, key, r.Get(bucket, key))
			}
		}
		if !slices.Equal(got, want) && len(got)+len(want) > 0 {
			h.Errorf("bucket %s = %q, want %q", bucket, got, want)
		}
		if r.Get(bucket, "nothing") != nil {
			h.Error("an absent key has a value")
		}
		return nil
	}))
}

func storeTestClosed(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	h.must(h.Close())
	h.must(h.Close())
	_, err := h.Live(h.Context(), line)
	h.wantKind(err, dotmesh.Unreachable)
	h.wantKind(h.Fork(h.Context(), newLine(), dotmesh.Origin{}), dotmesh.Unreachable)
	h.wantKind(h.Snapshot(h.Context(), []dotmesh.SnapRequest{{Line: line, Commit: newCommit()}})[0].Err, dotmesh.Unreachable)
	for _, err := range h.Inventory(h.Context()) {
		h.wantKind(err, dotmesh.Unreachable)
	}
}

// populate fills a directory with one of everything that a file system can hold.
func populate(h *storeHarness, dir string) {
	h.Helper()
	path := func(name string) string { return filepath.Join(dir, name) }
	steps := []error{
		os.WriteFile(path("empty"), nil, 0o644),
		os.WriteFile(path("setuid"), []byte("x"), 0o755), os.Chmod(path("setuid"), 0o755|os.ModeSetuid),
		os.WriteFile(path("large"), bytes.Repeat([]byte("0123456789abcdef"), 64<<10), 0o600),
		os.Link(path("large"), path("linked")),
		os.Symlink("symlink", path("symlink")), os.Symlink("../../../etc/passwd", path("outside")),
		os.Symlink(strings.Repeat("x", 3000), path("long")),
		unix.Mkfifo(path("fifo"), 0o640),
		unix.Mknod(path("socket"), unix.S_IFSOCK|0o600, 0),
		unix.Mknod(path("device"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))),
		unix.Mknod(path("block"), unix.S_IFBLK|0o600, int(unix.Mkdev(7, 200))),
		os.WriteFile(path("sparse"), nil, 0o644), os.Truncate(path("sparse"), 1<<40),
		os.WriteFile(path(strings.Repeat("n", 255)), []byte("longest name"), 0o644),
		os.WriteFile(path("not\xffutf8\xfe"), nil, 0o644),
		os.WriteFile(path("new\nline\x1b[31m"), nil, 0o644),
		os.WriteFile(path("-rf"), nil, 0o644), os.WriteFile(path("case"), nil, 0o644), os.WriteFile(path("Case"), nil, 0o644),
		os.MkdirAll(path("deep/er/est"), 0o711), os.WriteFile(path("deep/er/est/file"), []byte("x"), 0o644),
		unix.Setxattr(path("empty"), "user.name", []byte("value\x00with nul"), 0),
		unix.Setxattr(path("empty"), "user.large", bytes.Repeat([]byte("v"), 3000), 0),
		unix.Setxattr(path("deep"), "trusted.name", []byte("root's"), 0),
		unix.Setxattr(path("large"), "system.posix_acl_access", acl(), 0),
		os.Lchown(path("symlink"), 1234, 5678), os.Chown(path("deep/er"), 1, 2),
		os.Mkdir(path("crowd"), 0o755),
	}
	for i := range h.size(1000, 60) {
		steps = append(steps, os.WriteFile(path(fmt.Sprintf("crowd/%d", i)), nil, 0o644))
	}
	past := []unix.Timespec{{Sec: 1, Nsec: 123456789}, {Sec: 1e9, Nsec: 987654321}}
	steps = append(steps, unix.UtimesNanoAt(unix.AT_FDCWD, path("empty"), past, 0))
	h.must(errors.Join(steps...))
}

// acl is the extended attribute of "user::rw-, user:1:r--, group::r--, mask::r--, other::---".
func acl() []byte {
	b := []byte{2, 0, 0, 0}
	for _, e := range [][3]uint32{{1, 6, ^uint32(0)}, {2, 4, 1}, {4, 4, ^uint32(0)}, {16, 4, ^uint32(0)}, {32, 0, ^uint32(0)}} {
		b = append(b, byte(e[0]), 0, byte(e[1]), 0, byte(e[2]), byte(e[2]>>8), byte(e[2]>>16), byte(e[2]>>24))
	}
	return b
}
