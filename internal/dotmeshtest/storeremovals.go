package dotmeshtest

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"dotmesh.io/dotmesh"
)

// removalTests are about what is destroyed, and what is not.
func removalTests() []storeTest {
	return []storeTest{
		{"dropping commits leaves the others", nil, storeTestDrop},
		{"a line is destroyed whole, and once", nil, storeTestDestroy},
		{"an origin is neither dropped nor destroyed", nil, storeTestOriginBusy},
		{"nothing that is mounted in any mount namespace is destroyed", mountable, storeTestMountedBusy},
		{"what was destroyed stays so after a crash", durable, storeTestRemovalCrash},
	}
}

func storeTestDrop(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	var refs []dotmesh.Ref
	for _, content := range []string{"1", "2", "3"} {
		h.write(line, "a", content)
		refs = append(refs, h.snap(line))
	}
	for range 2 {
		h.must(h.Drop(h.Context(), line, []dotmesh.CommitID{refs[1].Commit, newCommit(), {}, refs[1].Commit}))
		h.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {refs[0], refs[2]}})
	}
	h.must(h.Drop(h.Context(), line, nil))
	h.wantFile(refs[0], "a", "1")
	h.wantFile(refs[2], "a", "3")
	h.wantFile(headOf(line), "a", "3")
	_, err := h.Meta(h.Context(), refs[1])
	h.wantKind(err, dotmesh.NotFound)
	if got := h.changes(refs[0], refs[2]); len(got) != 1 || got[0].Path != "a" {
		h.Errorf("changes across a dropped commit = %v", got)
	}
	h.must(h.Drop(h.Context(), line, []dotmesh.CommitID{refs[0].Commit, refs[2].Commit}))
	h.wantFile(headOf(line), "a", "3")
}

func storeTestDestroy(h *storeHarness) {
	line, other := h.fork(dotmesh.Origin{}), h.fork(dotmesh.Origin{})
	h.write(line, "a", "1")
	first := h.snap(line)
	for range 2 {
		h.must(h.Destroy(h.Context(), line))
		h.wantLines(map[dotmesh.LineID][]dotmesh.Ref{other: nil})
	}
	_, err := h.Meta(h.Context(), first)
	h.wantKind(err, dotmesh.NotFound)
	_, err = h.Live(h.Context(), line)
	h.wantKind(err, dotmesh.NotFound)
	h.must(h.Fork(h.Context(), line, dotmesh.Origin{})) // the id may be used again
	h.wantFile(headOf(line), "a", "")
	h.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: nil, other: nil})
}

func storeTestOriginBusy(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	h.write(line, "a", "1")
	first, second := h.snap(line), h.snap(line)
	child := h.fork(dotmesh.Origin(first))
	h.wantKind(h.Destroy(h.Context(), line), dotmesh.Busy)
	err := h.Drop(h.Context(), line, []dotmesh.CommitID{second.Commit, first.Commit})
	h.wantKind(err, dotmesh.Busy)
	if !strings.Contains(dotmesh.Text(err), child.String()) {
		h.Errorf("%q does not name the child", dotmesh.Text(err))
	}
	h.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {first, second}, child: nil})
	h.must(h.DropHead(h.Context(), line)) // an origin needs no head
	h.must(h.Drop(h.Context(), line, []dotmesh.CommitID{second.Commit}))
	h.wantFile(headOf(child), "a", "1")
	h.must(h.Destroy(h.Context(), child))
	h.must(h.Destroy(h.Context(), line))
	h.wantLines(nil)
}

func storeTestMountedBusy(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	h.write(line, "a", "1")
	first, second := h.snap(line), h.snap(line)
	_, unmountHead := h.live(line)
	_, unmountView := h.view(first)
	// Another process keeps a copy of our mounts, and then we have none of our own.
	sleeper := exec.Command("sleep", "600")
	sleeper.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	h.must(sleeper.Start())
	unmountHead()
	unmountView()
	refusals := map[string]error{
		"Destroy":  h.Destroy(h.Context(), line),
		"DropHead": h.DropHead(h.Context(), line),
		"Drop":     h.Drop(h.Context(), line, []dotmesh.CommitID{second.Commit, first.Commit}),
	}
	for verb, err := range refusals {
		h.wantKind(err, dotmesh.Busy)
		if !strings.Contains(dotmesh.Text(err), strconv.Itoa(sleeper.Process.Pid)) {
			h.Errorf("%s: %q does not name pid %d", verb, dotmesh.Text(err), sleeper.Process.Pid)
		}
	}
	h.must(h.Drop(h.Context(), line, []dotmesh.CommitID{second.Commit}))
	h.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {first}})
	h.must(sleeper.Process.Kill())
	if _, err := sleeper.Process.Wait(); err != nil {
		h.Error(err)
	}
	h.must(h.Destroy(h.Context(), line))
}

func storeTestRemovalCrash(h *storeHarness) {
	line, other := h.fork(dotmesh.Origin{}), h.fork(dotmesh.Origin{})
	h.write(line, "a", "1")
	first, second := h.snap(line), h.snap(line)
	h.must(h.Drop(h.Context(), line, []dotmesh.CommitID{first.Commit}))
	h.crash().wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {second}, other: nil})
	h.must(h.DropHead(h.Context(), line))
	crashed := h.crash()
	crashed.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: {second}, other: nil})
	if crashed.inventory()[line].Head {
		h.Error("a dropped head has come back")
	}
	_, unmount := h.live(line)
	unmount()
	if !h.crash().inventory()[line].Head {
		h.Error("the head that Live made was lost")
	}
	h.must(h.Destroy(h.Context(), line))
	h.crash().wantLines(map[dotmesh.LineID][]dotmesh.Ref{other: nil})
}
