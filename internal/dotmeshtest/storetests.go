package dotmeshtest

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
)

// Crasher is what a store's test adds to it where Caps says Durable: Crash returns the
// store that is found after the power was cut at this moment. The original goes on.
type Crasher interface {
	dotmesh.Store
	Crash(t *testing.T) dotmesh.Store
}

// storeTest is one promise of [dotmesh.Store].
type storeTest struct {
	name  string
	needs func(dotmesh.Caps) bool // nil: every store keeps it
	run   func(*storeHarness)
}

func mountable(c dotmesh.Caps) bool { return c.Mountable }
func durable(c dotmesh.Caps) bool   { return c.Durable }

func storeTests() []storeTest {
	return slices.Concat(lineTests(), commitTests(), diffTests(), removalTests(), faultTests())
}

// RunStoreTests checks all that [dotmesh.Store] promises of lines and commits on a new and
// empty store for each promise; open closes it, and what it lies in, with the test. A
// Durable store must be a [Crasher]. Promises that a store's Caps rule out are not run.
func RunStoreTests(t *testing.T, open func(*testing.T) dotmesh.Store) {
	for _, test := range storeTests() {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			if test.needs != nil && !test.needs(s.Caps()) {
				t.Logf("a %s store does not promise this: %+v", s.Caps().Kind, s.Caps())
				return
			}
			test.run(&storeHarness{T: t, Store: s})
		})
	}
}

// storeHarness is a store under test, with helpers that end the test when they fail.
type storeHarness struct {
	*testing.T
	dotmesh.Store
}

// size is how much a test does of something: less on ZFS, whose tests mostly run on an
// emulated processor, unless TEST_ZFS_FULL is set.
func (h *storeHarness) size(usual, onZFS int) int {
	if h.Caps().Kind == "zfs" && os.Getenv("TEST_ZFS_FULL") == "" {
		return onZFS
	}
	return usual
}

// noise returns bytes that no file system makes smaller.
func noise(size int) []byte {
	b := make([]byte, size)
	rand.Read(b) // never fails, as crypto/rand documents
	return b
}

func (h *storeHarness) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// wantKind checks that err is of a kind, and tells users something.
func (h *storeHarness) wantKind(err error, kind dotmesh.Kind) {
	h.Helper()
	if !errors.Is(err, kind) {
		h.Errorf("err = %v, want %s", err, kind)
	} else if dotmesh.Text(err) == "" {
		h.Errorf("err = %v has no text for users", err)
	}
}

func newLine() dotmesh.LineID     { return dotmesh.LineID{UUID: dotmesh.NewUUID()} }
func newCommit() dotmesh.CommitID { return dotmesh.CommitID{UUID: dotmesh.NewUUID()} }

// fork makes a line.
func (h *storeHarness) fork(origin dotmesh.Origin) dotmesh.LineID {
	h.Helper()
	line := newLine()
	h.must(h.Fork(h.Context(), line, origin))
	return line
}

// snap makes a commit with some meta.
func (h *storeHarness) snap(line dotmesh.LineID) dotmesh.Ref {
	h.Helper()
	r := dotmesh.Ref{Line: line, Commit: newCommit()}
	got := h.Snapshot(h.Context(), []dotmesh.SnapRequest{{Line: line, Commit: r.Commit, Meta: []byte(r.Commit.String())}})
	if len(got) != 1 {
		h.Fatalf("%d results for one request", len(got))
	}
	h.must(got[0].Err)
	return r
}

// live returns a directory that is the line's head until the test ends, or until the
// function that comes with it is called.
func (h *storeHarness) live(line dotmesh.LineID) (dir string, unmount func()) {
	h.Helper()
	d, err := h.Live(h.Context(), line)
	h.must(err)
	return h.mount(d)
}

// view returns a directory that is a commit.
func (h *storeHarness) view(r dotmesh.Ref) (dir string, unmount func()) {
	h.Helper()
	d, err := h.View(h.Context(), r)
	h.must(err)
	if !d.ReadOnly {
		h.Errorf("View of %v is not read-only", r)
	}
	return h.mount(d)
}

func (h *storeHarness) mount(d dotmesh.Device) (dir string, unmount func()) {
	h.Helper()
	if !h.Caps().Mountable {
		return d.Source, func() {}
	}
	dir = h.TempDir()
	h.must(mounts.Mount(h.Context(), d, dir))
	unmount = func() {
		if err := mounts.Unmount(context.WithoutCancel(h.Context()), dir); err != nil {
			h.Error(err)
		}
	}
	h.Cleanup(unmount) // twice does nothing
	return dir, unmount
}

// write makes or replaces a file in a line's head.
func (h *storeHarness) write(line dotmesh.LineID, name, content string) {
	h.Helper()
	dir, unmount := h.live(line)
	defer unmount()
	writeFile(h, filepath.Join(dir, name), content)
}

// writeFile makes or replaces a file and fsyncs it.
func writeFile(t testing.TB, path, content string) {
	t.Helper()
	f, err := os.Create(path)
	if err == nil {
		_, err = f.WriteString(content)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wantFile checks what a file in a commit or head holds; "" means that it is absent.
func (h *storeHarness) wantFile(r dotmesh.Ref, name, want string) {
	h.Helper()
	open := func() (string, func()) { return h.view(r) }
	if r.Commit.IsZero() {
		open = func() (string, func()) { return h.live(r.Line) }
	}
	dir, unmount := open()
	defer unmount()
	got, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	h.must(err)
	if string(got) != want {
		h.Errorf("%s of %v = %q, want %q", name, r, got, want)
	}
}

// inventory returns the lines by id, checked against Line.
func (h *storeHarness) inventory() map[dotmesh.LineID]dotmesh.LineInfo {
	h.Helper()
	all := map[dotmesh.LineID]dotmesh.LineInfo{}
	for info, err := range h.Inventory(h.Context()) {
		h.must(err)
		if _, twice := all[info.ID]; twice {
			h.Errorf("line %s is listed twice", info.ID)
		}
		all[info.ID] = info
		one, err := h.Line(h.Context(), info.ID)
		h.must(err)
		if !sameLine(one, info) {
			h.Errorf("Line = %+v, Inventory = %+v", one, info)
		}
	}
	return all
}

func sameLine(a, b dotmesh.LineInfo) bool {
	return a.ID == b.ID && a.Origin == b.Origin && a.Head == b.Head &&
		slices.EqualFunc(a.Commits, b.Commits, func(a, b dotmesh.CommitInfo) bool {
			return a.ID == b.ID && a.GUID == b.GUID && string(a.Meta) == string(b.Meta)
		})
}

// wantLines checks the inventory: lines by id, each with its commits, oldest first.
func (h *storeHarness) wantLines(want map[dotmesh.LineID][]dotmesh.Ref) {
	h.Helper()
	got := h.inventory()
	if len(got) != len(want) {
		h.Errorf("%d lines, want %d: %v", len(got), len(want), slices.Collect(maps.Keys(got)))
	}
	for line, refs := range want {
		info, ok := got[line]
		if !ok {
			h.Errorf("line %s is missing", line)
			continue
		}
		ids := []dotmesh.CommitID{}
		for _, r := range refs {
			ids = append(ids, r.Commit)
		}
		have := []dotmesh.CommitID{}
		for _, c := range info.Commits {
			have = append(have, c.ID)
			if c.GUID == "" || string(c.Meta) != c.ID.String() {
				h.Errorf("commit %+v lacks its guid or meta", c)
			}
		}
		if !slices.Equal(have, ids) {
			h.Errorf("commits of %s = %v, want %v", line, have, ids)
		}
	}
}

// crash returns a harness for what a power cut at this moment leaves.
func (h *storeHarness) crash() *storeHarness {
	h.Helper()
	c, ok := h.Store.(Crasher)
	if !ok {
		h.Fatal("a Durable store must be tested as a Crasher")
	}
	return &storeHarness{T: h.T, Store: c.Crash(h.T)}
}

// changes collects a diff.
func (h *storeHarness) changes(from, to dotmesh.Ref) []dotmesh.FileChange {
	h.Helper()
	list := []dotmesh.FileChange{}
	for c, err := range h.Diff(h.Context(), from, to) {
		h.must(err)
		list = append(list, c)
	}
	return list
}

func headOf(line dotmesh.LineID) dotmesh.Ref { return dotmesh.Ref{Line: line} }
