package dotmeshtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// diffTests are about what has changed, and how much.
func diffTests() []storeTest {
	return []storeTest{
		{"a diff names what was added, modified and removed", nil, storeTestDiff},
		{"a diff of any two states of a random history is what a walk finds", nil, storeTestDiffRandom},
		{"a diff follows names deeper than any path", mountable, storeTestDiffDeep},
		{"usage is nothing on a clean line, and grows with what is written", nil, storeTestUsage},
		{"usage counts from whichever commit is asked about", nil, storeTestUsageSince},
	}
}

func storeTestDiff(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	dir, _ := h.live(line)
	path := func(name string) string { return filepath.Join(dir, name) }
	h.must(errors.Join(
		os.MkdirAll(path("d/sub"), 0o755), os.WriteFile(path("d/sub/kept"), []byte("kept"), 0o644),
		os.WriteFile(path("changed"), []byte("old"), 0o644), os.WriteFile(path("gone"), []byte("gone!"), 0o644),
		os.WriteFile(path("swap"), nil, 0o644), os.Mkdir(path("d-dir"), 0o755),
		os.WriteFile(path("replaced"), []byte("before"), 0o644),
	))
	from := h.snap(line)
	if got := h.changes(from, from); len(got) != 0 {
		h.Errorf("a commit differs from itself: %v", got)
	}
	if got := h.changes(from, headOf(line)); len(got) != 0 {
		h.Errorf("a clean head differs: %v", got)
	}
	h.must(errors.Join(
		os.WriteFile(path("changed"), []byte("newer"), 0o644), os.Remove(path("gone")),
		os.Rename(path("d"), path("moved")), os.Remove(path("swap")), os.Mkdir(path("swap"), 0o755),
		os.WriteFile(path("swap/in"), []byte("12"), 0o644), os.Chmod(path("d-dir"), 0o700),
		os.WriteFile(path("tmp"), []byte("after"), 0o644), os.Rename(path("tmp"), path("replaced")),
		os.WriteFile(path("z\xff\n"), nil, 0o644),
	))
	want := []dotmesh.FileChange{
		{Path: "changed", Kind: dotmesh.Modified, Size: 5},
		{Path: "d", Kind: dotmesh.Removed},
		{Path: "d-dir", Kind: dotmesh.Modified},
		{Path: "d/sub", Kind: dotmesh.Removed},
		{Path: "d/sub/kept", Kind: dotmesh.Removed, Size: 4},
		{Path: "gone", Kind: dotmesh.Removed, Size: 5},
		{Path: "moved", Kind: dotmesh.Added},
		{Path: "moved/sub", Kind: dotmesh.Added},
		{Path: "moved/sub/kept", Kind: dotmesh.Added, Size: 4},
		{Path: "replaced", Kind: dotmesh.Modified, Size: 5},
		{Path: "swap", Kind: dotmesh.Modified},
		{Path: "swap/in", Kind: dotmesh.Added, Size: 2},
		{Path: "z\xff\n", Kind: dotmesh.Added},
	}
	wantChanges(h, h.changes(from, headOf(line)), want)
	to := h.snap(line)
	wantChanges(h, h.changes(from, to), want)
	for _, c := range h.changes(to, from) {
		i := slices.IndexFunc(want, func(w dotmesh.FileChange) bool { return w.Path == c.Path })
		if i < 0 || reverse(want[i].Kind) != c.Kind {
			h.Errorf("backwards: %+v", c)
		}
	}
	for range h.Diff(h.Context(), from, to) {
		break // stopping early is allowed
	}
}

func reverse(k dotmesh.ChangeKind) dotmesh.ChangeKind {
	switch k {
	case dotmesh.Added:
		return dotmesh.Removed
	case dotmesh.Removed:
		return dotmesh.Added
	}
	return k
}

func wantChanges(h *storeHarness, got, want []dotmesh.FileChange) {
	h.Helper()
	if slices.Equal(got, want) {
		return
	}
	for _, c := range got {
		if !slices.Contains(want, c) {
			h.Errorf("not wanted: %+v", c)
		}
	}
	for _, c := range want {
		if !slices.Contains(got, c) {
			h.Errorf("missing: %+v", c)
		}
	}
	if !h.Failed() {
		h.Errorf("wrong order: %+v", got)
	}
}

// storeTestDiffRandom makes lines that fork from each other, lose heads and commits, and are
// written to at random, and compares every state with every other.
func storeTestDiffRandom(h *storeHarness) {
	seed := rand.Uint64()
	h.Logf("seed %d", seed)
	w := &writer{storeHarness: h, Rand: rand.New(rand.NewPCG(seed, 0))}
	lines := []dotmesh.LineID{h.fork(dotmesh.Origin{})}
	var refs []dotmesh.Ref
	for range h.size(14, 5) {
		line := lines[w.IntN(len(lines))]
		dir, unmount := h.live(line)
		for range w.IntN(25) {
			w.change(dir)
		}
		unmount()
		refs = append(refs, h.snap(line))
		switch w.IntN(6) {
		case 0, 1:
			lines = append(lines, h.fork(dotmesh.Origin(refs[w.IntN(len(refs))])))
		case 2:
			h.must(h.DropHead(h.Context(), line))
		case 3:
			i := w.IntN(len(refs))
			if h.Drop(h.Context(), refs[i].Line, []dotmesh.CommitID{refs[i].Commit}) == nil { // else it is an origin
				refs = slices.Delete(refs, i, i+1)
			}
		}
	}
	for _, line := range lines {
		dir, unmount := h.live(line)
		w.change(dir)
		unmount()
		refs = append(refs, headOf(line))
	}
	for _, from := range refs {
		for _, to := range refs {
			want, err := DiffTrees(w.dir(from), w.dir(to))
			h.must(err)
			wantChanges(h, withoutRewritten(want, h.changes(from, to)), append([]dotmesh.FileChange{}, want...))
			if h.Failed() {
				h.Fatalf("seed %d, from %v to %v", seed, from, to)
			}
		}
	}
}

// withoutRewritten leaves out what a store may take for modified: it was written to, and
// is as it was.
func withoutRewritten(want, got []dotmesh.FileChange) []dotmesh.FileChange {
	return slices.DeleteFunc(got, func(c dotmesh.FileChange) bool {
		return c.Kind == dotmesh.Modified && c.Size > 0 && !slices.Contains(want, c)
	})
}

// writer changes files at random.
type writer struct {
	*storeHarness
	*rand.Rand
	clock int64
	dirs  map[dotmesh.Ref]string
}

// dir returns where a state is mounted for the rest of the test.
func (w *writer) dir(r dotmesh.Ref) string {
	if w.dirs == nil {
		w.dirs = map[dotmesh.Ref]string{}
	}
	if w.dirs[r] == "" && r.Commit.IsZero() {
		w.dirs[r], _ = w.live(r.Line)
	} else if w.dirs[r] == "" {
		w.dirs[r], _ = w.view(r)
	}
	return w.dirs[r]
}

// change does one thing to a tree. Few names make collisions likely; what the tree does
// not allow just then, such as renaming a directory into itself, is left out.
func (w *writer) change(root string) {
	pick := func() string {
		path := root
		for range 1 + w.IntN(3) {
			path = filepath.Join(path, []string{"a", "a-", "b", "c", "d\xff"}[w.IntN(5)])
		}
		return path
	}
	path, other := pick(), pick()
	switch w.IntN(18) {
	case 0, 1:
		os.MkdirAll(path, 0o755) //nolint:errcheck // see above
	case 2, 3, 4:
		os.WriteFile(path, []byte(strings.Repeat(fmt.Sprint(w.IntN(10)), w.IntN(3)*w.IntN(5000))), 0o644) //nolint:errcheck // see above
	case 5:
		os.Rename(path, other) //nolint:errcheck // see above
	case 6:
		os.Link(path, other) //nolint:errcheck // see above
	case 7:
		os.RemoveAll(path) //nolint:errcheck // see above
	case 8:
		os.Symlink(fmt.Sprint(w.IntN(3)), path) //nolint:errcheck // see above
	case 9:
		os.Chmod(path, os.FileMode(0o700+w.IntN(2)*0o55)) //nolint:errcheck // see above
	case 10:
		unix.Lsetxattr(path, "user.x", []byte(fmt.Sprint(w.IntN(3))), 0) //nolint:errcheck // see above
	case 11:
		os.Truncate(path, int64(w.IntN(1<<14))) //nolint:errcheck // see above
	case 12, 13, 14:
		w.edit(path, other)
	case 15:
		unix.Lremovexattr(path, "user.x")                         //nolint:errcheck // see above
		unix.Lsetxattr(path, "system.posix_acl_access", acl(), 0) //nolint:errcheck // see above
	case 16:
		for i := range 40 {
			os.WriteFile(filepath.Join(path, fmt.Sprint("crowd", i)), nil, 0o644) //nolint:errcheck // see above
		}
	case 17:
		if before, err := os.Stat(path); err == nil && before.Mode().IsRegular() {
			w.overwrite(path, before.Size())
			os.Chtimes(path, time.Time{}, before.ModTime()) //nolint:errcheck // see above
			return
		}
	}
	w.clock++                                                                // every write has a time of its own, also on a coarse clock
	os.Chtimes(path, time.Time{}, time.Unix(w.clock, int64(w.Uint32()%1e9))) //nolint:errcheck // see above
}

// edit changes a file within, and shares parts of it with another: what a file system may
// keep as holes, preallocated, inline, written in place or twice in one place.
func (w *writer) edit(path, other string) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // see change
	const block, blocks = 4096, 8
	fd, at := int(f.Fd()), int64(w.IntN(blocks)*block)
	switch w.IntN(7) {
	case 0:
		unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, at, 2*block) //nolint:errcheck // see change
	case 1:
		unix.Fallocate(fd, 0, at, 2*block) //nolint:errcheck // see change
	case 2:
		unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, at, block) //nolint:errcheck // see change
	case 3:
		f.WriteAt([]byte(fmt.Sprint(w.Uint32())), at+int64(w.IntN(block))) //nolint:errcheck // see change
	case 4:
		const noCow = 0x00800000                                                          // FS_NOCOW_FL, for what is empty
		unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, noCow)                          //nolint:errcheck // see change
		f.WriteAt([]byte(strings.Repeat(fmt.Sprint(w.IntN(10)), blocks*block)), int64(0)) //nolint:errcheck // see change
	case 5, 6:
		if src, err := os.Open(other); err == nil {
			unix.IoctlFileCloneRange(fd, &unix.FileCloneRange{ //nolint:errcheck // see change
				Src_fd: int64(src.Fd()), Src_offset: uint64(w.IntN(2) * block), Src_length: block, Dest_offset: uint64(at),
			})
			src.Close() //nolint:errcheck // see change
		}
	}
}

// overwrite changes some bytes of a file and not its size.
func (w *writer) overwrite(path string, size int64) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	f.WriteAt([]byte{byte(w.Uint32())}, w.Int64N(size+1)/2) //nolint:errcheck // see change
	f.Close()                                               //nolint:errcheck // see change
}

// storeTestDiffDeep makes a path of 4,096 directories, 80 KiB long; or of a quarter of that,
// which still is longer than any path may be.
func storeTestDiffDeep(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	from := h.snap(line)
	dir, unmount := h.live(line)
	defer unmount()
	const name = "a-rather-long-name.d"
	depth := h.size(4096, 1100)
	fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	h.must(err)
	for range depth {
		h.must(unix.Mkdirat(fd, name, 0o755))
		next, err := unix.Openat(fd, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		h.must(errors.Join(err, unix.Close(fd)))
		fd = next
	}
	h.must(unix.Close(fd))
	got := h.changes(from, headOf(line))
	if len(got) != depth || got[depth-1].Path != strings.TrimSuffix(strings.Repeat(name+"/", depth), "/") {
		h.Errorf("%d changes, want %d with the deepest last", len(got), depth)
	}
}

func storeTestUsage(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	usage := func() dotmesh.Usage {
		h.Helper()
		before := time.Now()
		u, err := h.Usage(h.Context(), line, dotmesh.Ref{}, true)
		h.must(err)
		if !u.Dirty.Exact || u.Dirty.AsOf.Before(before) {
			h.Errorf("dirty = %+v, want it exact as of now", u.Dirty)
		}
		return u
	}
	if got := usage(); got.Dirty.Bytes != 0 || got.Referenced != 0 {
		h.Errorf("a new line: %+v", got)
	}
	const size = 1 << 20
	h.write(line, "large", string(noise(size)))
	h.write(line, "small", "x")
	if got := usage(); got.Dirty.Bytes < size || got.Dirty.Bytes > size*3/2 || got.Referenced < size || got.Referenced > size*3/2 {
		h.Errorf("after writing 1 MiB: %+v", got)
	}
	h.snap(line)
	if got := usage(); got.Dirty.Bytes != 0 || got.Referenced < size {
		h.Errorf("after a commit: %+v", got)
	}
	dir, _ := h.live(line)
	for what, change := range map[string]func() error{
		"chmod":  func() error { return os.Chmod(filepath.Join(dir, "large"), 0o600) },
		"remove": func() error { return os.Remove(filepath.Join(dir, "small")) },
		"create": func() error { return os.WriteFile(filepath.Join(dir, "empty"), nil, 0o644) },
	} {
		h.must(change())
		if got := usage(); got.Dirty.Bytes == 0 || got.Dirty.Bytes > 1<<16 {
			h.Errorf("after %s: %+v", what, got)
		}
		h.snap(line)
	}
	if _, err := h.Usage(h.Context(), line, dotmesh.Ref{}, false); err != nil {
		h.Error(err)
	}
	p, err := h.Pool(h.Context())
	h.must(err)
	if p.Size <= 0 || p.Free <= 0 || p.Free > p.Size || p.Reserve <= 0 || p.Reserve > p.Free {
		h.Errorf("pool = %+v", p)
	}
}

func storeTestUsageSince(h *storeHarness) {
	line := h.fork(dotmesh.Origin{})
	first := h.snap(line)
	const size = 256 << 10
	var refs []dotmesh.Ref
	for i := range 3 {
		h.write(line, fmt.Sprint(i), string(noise(size)))
		refs = append(refs, h.snap(line))
	}
	child := h.fork(dotmesh.Origin(refs[1]))
	h.write(child, "mine", string(noise(size)))
	for _, test := range []struct {
		line  dotmesh.LineID
		since dotmesh.Ref
		files int64
	}{
		{line, first, 3},
		{line, refs[0], 2},
		{line, refs[2], 0},
		{child, dotmesh.Ref{}, 1},
		{child, refs[1], 1},
		{child, refs[0], 2},
		{child, first, 3},
	} {
		u, err := h.Usage(h.Context(), test.line, test.since, true)
		h.must(err)
		if got := u.Dirty.Bytes / size; got != test.files {
			h.Errorf("since %v: %d bytes, want those of %d files", test.since, u.Dirty.Bytes, test.files)
		}
	}
}
