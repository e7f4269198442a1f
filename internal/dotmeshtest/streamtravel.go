package dotmeshtest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// travelTests are about commits that arrive.
func travelTests() []streamTest {
	return []streamTest{
		{"commits arrive as they were, whole or as differences, and on the way back", nil, streamTestTravel},
		{"a forked line arrives after the commit that it was forked from", nil, streamTestForked},
		{"a random history arrives as it was", nil, streamTestRandom},
		{"many commits come in one stream", nil, streamTestMany},
		{"what is there already is passed over", nil, streamTestPassedOver},
		{"a line that was received is like one that was made here", nil, streamTestLikeAnyOther},
		{"a head without changes makes way", nil, streamTestCleanHead},
		{"a commit that was received is durable", durable, streamTestDurable},
		{"lines go both ways at once", nil, streamTestAtOnce},
	}
}

// rearrange changes a populated tree in all ways that a difference can have trouble with.
func rearrange(h *streamHarness, dir string) {
	h.Helper()
	path := func(name string) string { return filepath.Join(dir, name) }
	h.must(errors.Join(
		os.Mkdir(path("swap"), 0o755), os.WriteFile(path("swap/in"), []byte("swapped"), 0o600),
		os.Rename(path("swap"), path("tmp")), os.Rename(path("deep"), path("swap")), os.Rename(path("tmp"), path("deep")),
		os.Remove(path("empty")), os.WriteFile(path("empty"), []byte("made again"), 0o640),
		os.Remove(path("case")), os.Mkdir(path("case"), 0o711), os.Rename(path("Case"), path("case/moved in")),
		os.Remove(path("linked")), os.Link(path("large"), path("case/linked again")),
		os.Truncate(path("large"), 12345), os.Truncate(path("sparse"), 5<<30),
		os.Chown(path("setuid"), 12, 34), os.Chmod(path("setuid"), 0o755|os.ModeSetuid),
		unix.Setxattr(path("crowd"), "user.new", []byte("1"), 0), unix.Removexattr(path("swap"), "trusted.name"),
		unix.Setxattr(path("case"), defaultACL, acl(), 0), os.WriteFile(path("case/inherits"), []byte("x"), 0o666),
		os.Remove(path("symlink")), os.Symlink("elsewhere", path("symlink")),
		os.Remove(path("fifo")), os.RemoveAll(path("swap/er")), os.Chmod(dir, 0o751),
	))
	f, err := os.OpenFile(path("sparse"), os.O_RDWR, 0)
	h.must(err)
	_, err1 := f.WriteAt([]byte("an island"), 3<<30)
	_, err2 := f.WriteAt(bytes.Repeat([]byte("block"), 1<<14), 4<<30)
	h.must(errors.Join(err1, err2, f.Close()))
	crowd := h.size(300, 60)
	for i := range crowd {
		h.must(os.Rename(path(fmt.Sprintf("crowd/%d", i)), path(fmt.Sprintf("crowd/%d", crowd-1-i)+"-")))
	}
}

const defaultACL = "system.posix_acl_default"

// eventful makes a line with four commits: all kinds of files, all kinds of changes, nothing
// changed, and nothing left but an empty file.
func eventful(h *streamHarness) []dotmesh.Ref {
	h.Helper()
	line := h.fork(dotmesh.Origin{})
	dir, unmount := h.live(line)
	defer unmount()
	populate(h.storeHarness, dir)
	refs := []dotmesh.Ref{h.snap(line)}
	rearrange(h, dir)
	refs = append(refs, h.snap(line), h.snap(line))
	entries, err := os.ReadDir(dir)
	h.must(err)
	for _, e := range entries {
		h.must(os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	h.must(os.WriteFile(filepath.Join(dir, "zero"), nil, 0o400))
	return append(refs, h.snap(line))
}

func streamTestTravel(h *streamHarness) {
	refs := eventful(h)
	line := refs[0].Line
	all, single, back := h.another(), h.another(), h.another()

	all.receive(into(line), h.sent(sending(dotmesh.Ref{}, refs...)), refs...)
	h.wantSame(all, refs...)
	before := dotmesh.Ref{}
	for _, r := range refs {
		single.receive(into(line), all.sent(sending(before, r)), r)
		before = r
	}
	h.wantSame(single, refs...)
	back.receive(into(line), single.sent(sending(dotmesh.Ref{}, refs[1:]...)), refs[1:]...) // begins with the second
	h.wantSame(back, refs[1:]...)

	single.write(line, "zero", "and one")
	next := single.snap(line)
	h.must(h.DropHead(h.Context(), line))
	for _, other := range []*streamHarness{h, all, back} {
		other.receive(into(line), single.sent(sending(refs[3], next)), next)
		single.wantSame(other, next)
	}
	h.write(line, "one", "more")
	last := h.snap(line)
	single.must(single.DropHead(h.Context(), line))
	single.receive(into(line), h.sent(sending(refs[3], next, last)), last)
	h.wantSame(single, append(refs, next, last)...)
	single.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: append(refs, next, last)})
}

func streamTestForked(h *streamHarness) {
	refs := eventful(h)
	line := refs[0].Line
	child := h.fork(dotmesh.Origin(refs[1]))
	h.write(child, "mine", "1")
	first := h.snap(child)
	h.write(child, "mine", "2")
	second := h.snap(child)

	b := h.another()
	spec := into(child)
	spec.Origin = dotmesh.Origin(refs[1])
	stream := h.sent(sending(refs[1], first, second))
	b.refuses(spec, stream, dotmesh.NotFound)
	b.receive(into(line), h.sent(sending(dotmesh.Ref{}, refs[0], refs[1])), refs[0], refs[1])
	b.receive(spec, stream, first, second)
	h.wantSame(b, refs[0], refs[1], first, second)
	if got := b.inventory()[child]; got.Origin != dotmesh.Origin(refs[1]) || got.Head {
		h.Errorf("the forked line is %+v", got)
	}
	b.wantKind(b.Drop(h.Context(), line, []dotmesh.CommitID{refs[1].Commit}), dotmesh.Busy)
	b.receive(into(line), h.sent(sending(refs[1], refs[2:]...)), refs[2:]...) // the origin's line goes on
}

// streamTestRandom sends each commit of a random history to one store as a difference, and
// some of them whole to others.
func streamTestRandom(h *streamHarness) {
	seed := rand.Uint64()
	h.Logf("seed %d", seed)
	w := &writer{storeHarness: h.storeHarness, Rand: rand.New(rand.NewPCG(seed, 0))}
	line := h.fork(dotmesh.Origin{})
	b := h.another()
	before := dotmesh.Ref{}
	for round := range h.size(12, 4) {
		dir, unmount := h.live(line)
		for range w.IntN(60) {
			w.change(dir)
		}
		unmount()
		r := h.snap(line)
		b.receive(into(line), h.sent(sending(before, r)), r)
		h.wantSame(b, r)
		if round%4 == 3 {
			c := h.another()
			c.receive(into(line), b.sent(sending(dotmesh.Ref{}, r)), r)
			h.wantSame(c, r)
		}
		before = r
	}
}

func streamTestMany(h *streamHarness) {
	count := h.size(150, 10)
	line := h.fork(dotmesh.Origin{})
	dir, unmount := h.live(line)
	var refs []dotmesh.Ref
	for i := range count {
		h.must(os.WriteFile(filepath.Join(dir, fmt.Sprint(i%10)), []byte(strings.Repeat(fmt.Sprint(i), 1000)), 0o644))
		refs = append(refs, h.snap(line))
	}
	unmount()
	b := h.another()
	b.receive(into(line), h.sent(sending(dotmesh.Ref{}, refs...)), refs...)
	b.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: refs})
	h.wantSame(b, refs[0], refs[count/2], refs[count-1])
}

func streamTestPassedOver(h *streamHarness) {
	refs := eventful(h)
	line := refs[0].Line
	b := h.another()
	stream := h.sent(sending(dotmesh.Ref{}, refs...))
	b.receive(into(line), h.sent(sending(dotmesh.Ref{}, refs[0])), refs[0])
	spec, asked := into(line), 0
	spec.Accept = func(c dotmesh.CommitInfo) error {
		if asked++; c.ID == refs[0].Commit {
			h.Error("asked for a commit that is there")
		}
		return nil
	}
	b.receive(spec, stream, refs[1:]...)
	if asked != 3 {
		h.Errorf("asked for %d commits, want 3", asked)
	}
	b.write(line, "mine", "1") // it has changes now, which nobody touches
	b.receive(spec, stream)
	b.wantFile(headOf(line), "mine", "1")
}

func streamTestLikeAnyOther(h *streamHarness) {
	line := h.fork(dotmesh.Origin{})
	h.write(line, "a", "1")
	first := h.snap(line)
	h.write(line, "a", "2")
	second := h.snap(line)
	b := h.another()
	b.receive(into(line), h.sent(sending(dotmesh.Ref{}, first, second)), first, second)
	if b.inventory()[line].Head {
		h.Error("it has a head")
	}
	if got := b.changes(first, second); len(got) != 1 || got[0].Path != "a" {
		h.Errorf("changes = %v", got)
	}
	child := b.fork(dotmesh.Origin(first))
	b.wantFile(headOf(child), "a", "1")
	b.must(b.Drop(h.Context(), line, []dotmesh.CommitID{second.Commit}))
	b.wantFile(headOf(line), "a", "1")
	b.write(line, "b", "3")
	third := b.snap(line)
	if got := b.changes(first, third); len(got) != 1 || got[0].Path != "b" {
		h.Errorf("changes = %v", got)
	}
	b.must(b.DropHead(h.Context(), line))
	b.must(b.Destroy(h.Context(), child))
	b.must(b.Drop(h.Context(), line, []dotmesh.CommitID{first.Commit, third.Commit}))
	b.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: nil}) // it stays, having nothing
	b.receive(into(line), h.sent(sending(dotmesh.Ref{}, second)), second)
	h.wantSame(b, second)
	b.must(b.Destroy(h.Context(), line))
	b.wantLines(nil)
	b.receive(into(line), h.sent(sending(dotmesh.Ref{}, first)), first) // the id is free again
}

func streamTestCleanHead(h *streamHarness) {
	line := h.fork(dotmesh.Origin{})
	h.write(line, "a", "1")
	first := h.snap(line)
	b := h.another()
	b.must(b.Fork(h.Context(), line, dotmesh.Origin{})) // empty, with a head
	b.receive(into(line), h.sent(sending(dotmesh.Ref{}, first)), first)
	_, unmount := b.live(line)
	unmount()
	h.write(line, "a", "2")
	second := h.snap(line)
	b.receive(into(line), h.sent(sending(first, second)), second)
	if b.inventory()[line].Head {
		h.Error("the old head is still there")
	}
	b.wantFile(headOf(line), "a", "2")
}

func streamTestDurable(h *streamHarness) {
	refs := eventful(h)
	line := refs[0].Line
	b := h.another()
	before := dotmesh.Ref{}
	for i, r := range refs {
		b.receive(into(line), h.sent(sending(before, r)), r)
		crashed := b.crashed()
		crashed.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: refs[:i+1]})
		h.wantSame(crashed, r)
		before = r
	}
	child := h.fork(dotmesh.Origin(refs[0]))
	h.write(child, "a", "1")
	first := h.snap(child)
	spec := into(child)
	spec.Origin = dotmesh.Origin(refs[0])
	b.receive(spec, h.sent(sending(refs[0], first)), first)
	crashed := b.crashed()
	h.wantSame(crashed, first)
	crashed.wantKind(crashed.Destroy(h.Context(), line), dotmesh.Busy) // it is the child's origin
}

// streamTestAtOnce exchanges lines between two stores while both commit.
func streamTestAtOnce(h *streamHarness) {
	b := h.another()
	stores := []*streamHarness{h, b}
	var group sync.WaitGroup
	var mu sync.Mutex // guards want
	want := map[dotmesh.LineID][]dotmesh.Ref{}
	for i := range h.size(8, 4) {
		from, to := stores[i%2], stores[1-i%2]
		group.Go(func() {
			refs, err := exchange(from, to)
			if err != nil {
				h.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			want[refs[0].Line] = refs
		})
	}
	group.Wait()
	h.wantLines(want)
	b.wantLines(want)
	for _, refs := range want {
		h.wantSame(b, refs...)
	}
}

// exchange makes a line with commits, and sends each when it is made.
func exchange(from, to *streamHarness) (refs []dotmesh.Ref, err error) {
	ctx, line := from.Context(), newLine()
	err = from.Fork(ctx, line, dotmesh.Origin{})
	before := dotmesh.Ref{}
	for range from.size(5, 2) {
		if err != nil {
			return nil, err
		}
		r := dotmesh.Ref{Line: line, Commit: newCommit()}
		err = from.Snapshot(ctx, []dotmesh.SnapRequest{{Line: line, Commit: r.Commit, Meta: []byte(r.Commit.String())}})[0].Err
		if err != nil {
			return nil, err
		}
		stream, err := from.Send(ctx, sending(before, r))
		if err != nil {
			return nil, err
		}
		_, err = to.Receive(ctx, into(line), stream)
		if err := errors.Join(err, stream.Close()); err != nil {
			return nil, err
		}
		refs, before = append(refs, r), r
	}
	return refs, nil
}
