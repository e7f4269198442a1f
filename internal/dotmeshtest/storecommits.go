package dotmeshtest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// commitTests are about commits: what they keep, and for how long.
func commitTests() []storeTest {
	return []storeTest{
		{"a commit keeps every kind of file as it is", nil, storeTestEveryKind},
		{"a commit that is asked for again is the one that is there", nil, storeTestSnapshotAgain},
		{"each commit of a batch is made or refused by itself", nil, storeTestBatch},
		{"commits that are asked for at once are all made", nil, storeTestSnapshotsAtOnce},
		{"a commit does not change", nil, storeTestImmutable},
		{"a commit cannot be written through its mount", mountable, storeTestReadOnly},
		{"a commit is durable with its data when it is returned", durable, storeTestSnapshotCrash},
		{"a line is durable when it is returned", durable, storeTestForkCrash},
		{"the memory is durable when Update returns", durable, storeTestKVCrash},
		{"what was fsynced before a crash is in the next commit", durable, storeTestFsyncCrash},
	}
}

func storeTestEveryKind(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	dir, _ := h.live(line)
	populate(h, dir)
	commit := h.snap(line)
	copied, _ := h.view(commit)
	child, _ := h.live(h.fork(dotmesh.Origin(commit)))
	for _, other := range []string{copied, child} {
		changes, err := DiffTrees(dir, other)
		h.must(err)
		if len(changes) != 0 {
			h.Errorf("differences: %+v", changes)
		}
		var a, b, sparse unix.Stat_t
		h.must(errors.Join(
			unix.Lstat(filepath.Join(other, "large"), &a),
			unix.Lstat(filepath.Join(other, "linked"), &b),
			unix.Lstat(filepath.Join(other, "sparse"), &sparse),
		))
		if a.Ino != b.Ino || a.Nlink != 2 {
			h.Error("a hard link has become a file of its own")
		}
		if sparse.Blocks > 8 {
			h.Errorf("a hole takes %d blocks", sparse.Blocks)
		}
	}
}

func storeTestSnapshotAgain(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	h.write(line, "a", "1")
	request := dotmesh.SnapRequest{Line: line, Commit: newCommit(), Meta: []byte("first")}
	first := h.Snapshot(h.Context(), []dotmesh.SnapRequest{request})[0]
	h.must(first.Err)
	h.write(line, "a", "2")
	request.Meta = []byte("second")
	twice := h.Snapshot(h.Context(), []dotmesh.SnapRequest{request, request})
	for _, again := range twice {
		if again != first {
			h.Errorf("again = %+v, want %+v", again, first)
		}
	}
	r := dotmesh.Ref{Line: line, Commit: request.Commit}
	meta, err := h.Meta(h.Context(), r)
	h.must(err)
	if string(meta) != "first" {
		h.Errorf("meta = %q, want the first", meta)
	}
	h.wantFile(r, "a", "1")
}

func storeTestBatch(h *storeHarness) {
	a, b := h.fork(dotmesh.Origin{}), h.fork(dotmesh.Origin{})
	h.write(a, "f", "a")
	h.write(b, "f", "b")
	requests := []dotmesh.SnapRequest{
		{Line: a, Commit: newCommit(), Meta: []byte("a")},
		{Line: newLine(), Commit: newCommit()},
		{Line: b, Commit: newCommit(), Meta: make([]byte, maxMeta+1)},
		{Line: b, Commit: dotmesh.CommitID{}},
		{Line: b, Commit: newCommit(), Meta: make([]byte, maxMeta)},
	}
	want := []dotmesh.Kind{"", dotmesh.NotFound, dotmesh.Invalid, dotmesh.Invalid, ""}
	got := h.Snapshot(h.Context(), requests)
	if len(got) != len(requests) {
		h.Fatalf("%d results for %d requests", len(got), len(requests))
	}
	for i, g := range got {
		if g.Line != requests[i].Line || g.Commit != requests[i].Commit {
			h.Errorf("result %d is for %v %v", i, g.Line, g.Commit)
		}
		if dotmesh.KindOf(g.Err) != want[i] || (g.GUID == "") != (want[i] != "") {
			h.Errorf("result %d = %q, %v, want kind %q", i, g.GUID, g.Err, want[i])
		}
	}
	h.wantFile(dotmesh.Ref{Line: a, Commit: requests[0].Commit}, "f", "a")
	h.wantFile(dotmesh.Ref{Line: b, Commit: requests[4].Commit}, "f", "b")
	meta, err := h.Meta(h.Context(), dotmesh.Ref{Line: b, Commit: requests[4].Commit})
	h.must(err)
	if len(meta) != maxMeta {
		h.Errorf("meta has %d bytes, want %d", len(meta), maxMeta)
	}
	if got := h.Snapshot(h.Context(), nil); len(got) != 0 {
		h.Errorf("no requests, %d results", len(got))
	}
}

func storeTestSnapshotsAtOnce(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	ids := make([]dotmesh.CommitID, 20)
	guids := make([][2]string, len(ids))
	var group sync.WaitGroup
	for i := range ids {
		ids[i] = newCommit()
		for try := range 2 { // each is asked for by two
			group.Go(func() {
				got := h.Snapshot(h.Context(), []dotmesh.SnapRequest{{Line: line, Commit: ids[i], Meta: []byte(ids[i].String())}})
				if got[0].Err != nil {
					h.Error(got[0].Err)
				}
				guids[i][try] = got[0].GUID
			})
		}
	}
	group.Wait()
	seen := map[string]bool{}
	for _, g := range guids {
		if g[0] == "" || g[0] != g[1] || seen[g[0]] {
			h.Errorf("guids = %q, want two that are the same and nobody else's", g)
		}
		seen[g[0]] = true
	}
	if got := len(h.inventory()[line].Commits); got != len(ids) {
		h.Errorf("%d commits, want %d", got, len(ids))
	}
}

func storeTestImmutable(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	dir, _ := h.live(line)
	writeFile(h, filepath.Join(dir, "a"), strings.Repeat("1", 1<<16))
	h.must(os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")))
	commit := h.snap(line)
	before, _ := h.view(commit)
	reference := h.TempDir()
	kept := filepath.Join(reference, "kept")
	h.must(copyTree(before, kept))

	childDir, _ := h.live(h.fork(dotmesh.Origin(commit)))
	for _, d := range []string{dir, childDir} {
		f, err := os.OpenFile(filepath.Join(d, "a"), os.O_RDWR, 0)
		h.must(err)
		_, err = f.WriteAt([]byte("changed in place"), 4096)
		h.must(errors.Join(err, f.Sync(), f.Close(), os.Remove(filepath.Join(d, "b")), os.Chmod(d, 0o700)))
	}
	changes, err := DiffTrees(kept, before)
	h.must(err)
	if len(changes) != 0 {
		h.Errorf("the commit has changed: %+v", changes)
	}
}

func storeTestReadOnly(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	h.write(line, "a", "1")
	commit := h.snap(line)
	d, err := h.View(h.Context(), commit)
	h.must(err)
	d.ReadOnly = false // somebody mounts it for writing all the same
	dir, _ := h.mount(d)
	for what, err := range map[string]error{
		"write":  os.WriteFile(filepath.Join(dir, "a"), []byte("2"), 0o644),
		"create": os.WriteFile(filepath.Join(dir, "b"), nil, 0o644),
		"chmod":  os.Chmod(filepath.Join(dir, "a"), 0o600),
		"remove": os.Remove(filepath.Join(dir, "a")),
	} {
		if !errors.Is(err, unix.EROFS) {
			h.Errorf("%s: %v, want EROFS", what, err)
		}
	}
}

func storeTestSnapshotCrash(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	dir, unmount := h.live(line)
	h.must(os.WriteFile(filepath.Join(dir, "a"), []byte(strings.Repeat("1", 1<<20)), 0o644)) // not fsynced
	first := h.snap(line)
	crashed := h.crash()
	crashed.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {first}})
	crashed.wantFile(first, "a", strings.Repeat("1", 1<<20))
	h.must(os.WriteFile(filepath.Join(dir, "a"), []byte("2"), 0o644))
	unmount()
	second := h.snap(line)
	crashed = h.crash()
	crashed.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {first, second}})
	crashed.wantFile(second, "a", "2")
	again := crashed.Snapshot(h.Context(), []dotmesh.SnapRequest{{Line: line, Commit: second.Commit}})[0]
	h.must(again.Err)
}

func storeTestForkCrash(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	h.crash().wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: nil})
	h.write(line, "a", "1")
	first := h.snap(line)
	child := h.fork(dotmesh.Origin(first))
	crashed := h.crash()
	crashed.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {first}, child: nil})
	crashed.wantFile(headOf(child), "a", "1")
	crashed.must(crashed.Fork(h.Context(), child, dotmesh.Origin(first)))
	crashed.wantKind(crashed.Destroy(h.Context(), line), dotmesh.Busy)
}

func storeTestKVCrash(h *storeHarness) {
	h.must(h.KV().Update(func(w dotmesh.KVWriter) error { return w.Put("b", "k", []byte("v")) }))
	crashed := h.crash()
	wantKV(crashed, crashed.KV(), "b", "k=v")
}

func storeTestFsyncCrash(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	dir, _ := h.live(line)
	writeFile(h, filepath.Join(dir, "a"), "fsynced")
	d, err := os.Open(dir)
	h.must(err)
	h.must(errors.Join(d.Sync(), d.Close()))
	crashed := h.crash()
	crashed.wantFile(crashed.snap(line), "a", "fsynced")
}
