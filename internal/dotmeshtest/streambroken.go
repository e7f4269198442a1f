package dotmeshtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/frame"
)

// brokenTests are about streams that break off, are damaged or are too much.
func brokenTests() []streamTest {
	return []streamTest{
		{"a stream that is cut anywhere shows whole commits only, and can be sent again", nil, streamTestCut},
		{"a changed bit is never shown", nil, streamTestFlipped},
		{"a body that is not the one whose digest came is never shown", nil, streamTestDigest},
		{"a broken stream goes on where it broke off", nil, streamTestResume},
		{"what goes on must be what broke off", nil, streamTestResumeOther},
		{"a receiver who gives up leaves nothing that is seen", nil, streamTestGivenUp},
		{"a crash while a commit is received leaves nothing of it", durable, streamTestCrash},
		{"a commit that does not fit is refused before anything is made", nil, streamTestTooLarge},
		{"a full pool refuses a stream and is usable again", mountable, streamTestStreamFull},
	}
}

// borders returns where each frame of a stream begins, and its end.
func borders(h *streamHarness, stream []byte) (at []int) {
	h.Helper()
	const preamble, head = len("dotmesh stream 1\n"), 9
	for i := preamble; i < len(stream); i += head + int(binary.BigEndian.Uint32(stream[i+1:])) {
		at = append(at, i)
	}
	return append(at, len(stream))
}

// smallHistory is a stream of a few commits with not much in it.
func smallHistory(h *streamHarness) (refs []dotmesh.Ref, stream []byte) {
	h.Helper()
	line := h.fork(dotmesh.Origin{})
	dir, unmount := h.live(line)
	defer unmount()
	for _, name := range []string{"a", "b", "c"} {
		content := make([]byte, 20<<10)
		for i := range content {
			content[i] = byte(rand.Uint32())
		}
		h.must(errors.Join(
			os.WriteFile(filepath.Join(dir, name), content, 0o644),
			os.Symlink(name, filepath.Join(dir, name+"-link")),
		))
		refs = append(refs, h.snap(line))
	}
	return refs, chopped(h, h.sent(sending(dotmesh.Ref{}, refs...)), h.size(4<<10, 16<<10))
}

func streamTestCut(h *streamHarness) {
	refs, stream := smallHistory(h)
	line := refs[0].Line
	places := []int{1, len(stream) - 1}
	for at := 0; at < len(stream); at += h.size(4096, 32<<10) {
		places = append(places, at)
	}
	for _, at := range borders(h, stream) {
		places = append(places, at-1, at, min(at+1, len(stream)-1))
	}
	b := h.another()
	for _, at := range places {
		if at == len(stream) {
			continue
		}
		got, err := b.Receive(h.Context(), into(line), bytes.NewReader(stream[:at]))
		if !errors.Is(err, dotmesh.Unreachable) {
			h.Errorf("cut at %d: %v, want Unreachable", at, err)
		}
		n := len(got.Commits)
		wantReceived(b, got, refs[:n]...)
		if n > 0 {
			b.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: refs[:n]})
			b.must(b.Destroy(h.Context(), line))
		}
		b.must(b.AbortReceive(h.Context(), line))
		b.wantLines(nil)
		if h.Failed() {
			return
		}
	}
	b.receive(into(line), stream, refs...)
	h.wantSame(b, refs...)
}

func streamTestFlipped(h *streamHarness) {
	refs, stream := smallHistory(h)
	line := refs[0].Line
	b := h.another()
	for i := range h.size(300, 30) {
		at := i // all of the beginning, and some of the rest
		if i >= h.size(150, 15) {
			at = rand.IntN(len(stream))
		}
		changed := bytes.Clone(stream)
		changed[at] ^= 1 << rand.IntN(8)
		got, err := b.Receive(h.Context(), into(line), bytes.NewReader(changed))
		if err == nil || dotmesh.Text(err) == "" {
			h.Errorf("a bit of byte %d changed: %v", at, err)
		}
		if n := len(got.Commits); n > 0 {
			wantReceived(b, got, refs[:n]...)
			h.wantSame(b, refs[:n]...)
			b.must(b.Destroy(h.Context(), line))
		}
		b.wantLines(nil)
		if h.Failed() {
			return
		}
	}
	b.receive(into(line), stream, refs...)
	h.wantSame(b, refs...)
}

// streamTestDigest sends each commit with another digest than its own, in a frame that is
// whole.
func streamTestDigest(h *streamHarness) {
	refs, stream := smallHistory(h)
	line := refs[0].Line
	b := h.another()
	at, n := borders(h, stream), 0
	for i, from := range at[:len(at)-1] {
		if stream[from] != 'T' {
			continue
		}
		changed := bytes.Clone(stream)
		changed[at[i+1]-1] ^= 1
		seal(changed[from:at[i+1]])
		got, err := b.Receive(h.Context(), into(line), bytes.NewReader(changed))
		h.wantKind(err, dotmesh.Corrupt)
		wantReceived(b, got, refs[:n]...)
		if n > 0 {
			b.must(b.Destroy(h.Context(), line))
		}
		b.wantLines(nil)
		n++
	}
	if n != len(refs) {
		h.Errorf("the stream has %d trailers, want %d", n, len(refs))
	}
	b.receive(into(line), stream, refs...)
}

// seal gives a frame the checksum of what it holds.
func seal(frame []byte) {
	const before = 5 // the checksum: what kind it is, and how long
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(crc32.Update(0, castagnoli, frame[:before]), castagnoli, frame[before+4:])
	binary.BigEndian.PutUint32(frame[before:], sum)
}

// streamTestResume cuts a stream at each tenth, and goes on each time.
func streamTestResume(h *streamHarness) {
	refs := eventful(h)
	line := refs[0].Line
	stream := chopped(h, h.sent(sending(dotmesh.Ref{}, refs[:2]...)), 4<<10)
	for tenths := 1; tenths < 10; tenths += h.size(1, 4) {
		b := h.another()
		cut := len(stream) * tenths / 10
		got, err := b.Receive(h.Context(), into(line), bytes.NewReader(stream[:cut]))
		h.wantKind(err, dotmesh.Unreachable)
		if got.Resume == nil {
			h.Fatalf("cut at %d tenths: nothing is said of how to go on", tenths)
		}
		rest := goneOn(h, refs[:2], got)
		// ZFS goes on from a piece of content, and of many files here it has none.
		if sum := cut + len(rest); sum > len(stream)+64<<10 && h.Caps().Kind != "zfs" {
			h.Errorf("cut at %d of %d, another %d were sent", cut, len(stream), len(rest))
		}
		again, err := b.Receive(h.Context(), into(line), bytes.NewReader(rest[:len(rest)/2]))
		h.wantKind(err, dotmesh.Unreachable)
		again.Commits = append(got.Commits, again.Commits...)
		b.receive(into(line), goneOn(h, refs[:2], again), refs[len(again.Commits):2]...)
		h.wantSame(b, refs[:2]...)
		b.must(b.Close())
	}
}

// goneOn returns what is sent to somebody who received a part of commits.
func goneOn(h *streamHarness, refs []dotmesh.Ref, got dotmesh.Received) []byte {
	h.Helper()
	n, from := len(got.Commits), dotmesh.Ref{}
	if n > 0 {
		from = refs[n-1]
	}
	spec := sending(from, refs[n:]...)
	spec.Resume = got.Resume
	return h.sent(spec)
}

func streamTestResumeOther(h *streamHarness) {
	first, second := twoCommits(h)
	line := first.Line
	whole := chopped(h, h.sent(sending(dotmesh.Ref{}, first)), 4<<10)
	b := h.another()
	broken := func() []byte {
		h.Helper()
		got, err := b.Receive(h.Context(), into(line), bytes.NewReader(whole[:len(whole)-20]))
		h.wantKind(err, dotmesh.Unreachable)
		return got.Resume
	}
	resumed := func(token []byte) []byte {
		h.Helper()
		spec := sending(dotmesh.Ref{}, first)
		spec.Resume = token
		return h.sent(spec)
	}
	rest := resumed(broken())
	b.must(b.AbortReceive(h.Context(), line))
	b.refuses(into(line), rest, dotmesh.Conflict) // it goes on with nothing
	if again := resumed(broken()); !bytes.Equal(again, rest) {
		h.Error("the same commit is sent otherwise")
	}
	for name, edit := range map[string]func(*frame.Header){
		"other meta":   func(f *frame.Header) { f.Meta = []byte("other") },
		"another guid": func(f *frame.Header) { f.GUID = dotmesh.NewUUID().String() },
		"another id":   func(f *frame.Header) { f.Commit = newCommit() },
	} {
		broken()
		forged := reheaded(h, rest, edit)
		if _, err := b.Receive(h.Context(), into(line), bytes.NewReader(forged)); !errors.Is(err, dotmesh.Conflict) {
			h.Errorf("%s: %v, want Conflict", name, err)
		}
		b.wantLines(nil)
	}
	broken()
	spec := into(line)
	spec.Trust = dotmesh.Stranger // who might go on with what a member began
	b.refuses(spec, rest, dotmesh.Conflict)
	broken()
	damaged := bytes.Clone(rest)
	damaged[len(damaged)-1-9-1] ^= 1 // of the digest
	b.refuses(into(line), damaged, dotmesh.Corrupt)

	token := broken()
	for _, spec := range []dotmesh.SendSpec{
		{Line: line, Commits: []dotmesh.CommitID{second.Commit}, Resume: token},
		{Line: line, From: first, Commits: []dotmesh.CommitID{second.Commit}, Resume: token},
		{Line: line, Commits: []dotmesh.CommitID{first.Commit}, Resume: bytes.Replace(token, []byte("0"), []byte("1"), 1)},
	} {
		_, err := h.Send(h.Context(), spec)
		h.wantKind(err, dotmesh.Conflict)
	}
	b.receive(into(line), resumed(token), first)
	h.wantSame(b, first)
}

// reheaded changes the header of a stream that begins in the middle of a commit.
func reheaded(h *streamHarness, stream []byte, edit func(*frame.Header)) []byte {
	h.Helper()
	header, err := frame.NewReader(bytes.NewReader(stream)).Next()
	h.must(err)
	edit(header)
	var out bytes.Buffer
	w := frame.NewWriter(&out)
	had := frame.NewDigest()
	_, err = had.Write(make([]byte, header.Offset))
	h.must(errors.Join(err, w.Resume(header, had), w.End()))
	return append(out.Bytes()[:borders(h, out.Bytes())[1]], stream[borders(h, stream)[1]:]...)
}

func streamTestGivenUp(h *streamHarness) {
	first, second := twoCommits(h)
	line, both := first.Line, []dotmesh.Ref{first, second}
	stream := chopped(h, h.sent(sending(dotmesh.Ref{}, both...)), 4<<10)
	b := h.another()
	for _, part := range []int{0, 5, len(stream) / 3, len(stream) / 2, len(stream) - 1} {
		half := b.receiveHalf(into(line), stream, part)
		start := time.Now()
		got := half.giveUp()
		if took := time.Since(start); took > time.Second+100*time.Millisecond {
			h.Errorf("it took %v", took)
		}
		h.wantKind(got.err, dotmesh.Canceled)
		if n := len(got.Commits); n > 0 {
			b.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: both[:n]})
			b.must(b.Destroy(h.Context(), line))
		}
		b.must(b.AbortReceive(h.Context(), line))
		b.wantLines(nil)
	}
	ctx, cancel := context.WithCancel(h.Context())
	cancel()
	_, err := b.Receive(ctx, into(line), bytes.NewReader(stream))
	h.wantKind(err, dotmesh.Canceled)
	h.wantKind(b.AbortReceive(ctx, line), dotmesh.Canceled)
	b.receive(into(line), stream, first, second)
}

// streamTestCrash cuts the power while a stream stands still at each tenth.
func streamTestCrash(h *streamHarness) {
	refs := eventful(h)
	line := refs[0].Line
	stream := chopped(h, h.sent(sending(dotmesh.Ref{}, refs...)), 4<<10)
	for tenths := 1; tenths < 10; tenths += h.size(2, 4) {
		b := h.another()
		half := b.receiveHalf(into(line), stream, len(stream)*tenths/10)
		crashed := b.crashed()
		n := len(crashed.inventory()[line].Commits)
		if n > 0 {
			crashed.wantLines(map[dotmesh.LineID][]dotmesh.Ref{line: refs[:n]})
			h.wantSame(crashed, refs[:n]...)
		} else {
			crashed.wantLines(nil)
		}
		crashed.receive(into(line), stream, refs[n:]...)
		h.wantSame(crashed, refs...)
		half.giveUp()
		crashed.must(crashed.Close())
		b.must(b.Close())
	}
}

func streamTestStreamFull(h *streamHarness) {
	line := h.fork(dotmesh.Origin{})
	dir, unmount := h.live(line)
	small := h.snap(line)
	p, err := h.Pool(h.Context())
	h.must(err)
	f, err := os.Create(filepath.Join(dir, "large"))
	h.must(err)
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{}), p.Size/3)
	h.must(errors.Join(err, f.Close()))
	large := h.snap(line)
	unmount()
	stream := h.sent(sending(small, large))

	b := h.another()
	b.receive(into(line), h.sent(sending(dotmesh.Ref{}, small)), small)
	other := b.fork(dotmesh.Origin{})
	b.write(other, "a", "1")
	tip := b.snap(other)
	mounted, unmountOther := b.live(other)
	fill(b.storeHarness, filepath.Join(mounted, "full"))
	b.refuses(into(line), stream, dotmesh.NoSpace)
	b.refuses(into(line), edited(h, stream, func(f *frame.Header) { f.Estimate = 0 }), dotmesh.NoSpace) // in the middle
	b.wantFile(tip, "a", "1")
	b.must(os.Remove(filepath.Join(mounted, "full")))
	unmountOther()
	b.waitForSpace(p.Size / 2)
	b.write(other, "a", strings.Repeat("2", 1<<20))
	b.snap(other)
	b.receive(into(line), stream, large)
	h.wantSame(b, large)
}

func streamTestTooLarge(h *streamHarness) {
	line := h.fork(dotmesh.Origin{})
	content := make([]byte, 8<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content) // never fails
	h.write(line, "large", string(content))
	large := h.snap(line)
	stream := h.sent(sending(dotmesh.Ref{}, large))
	header, err := frame.NewReader(bytes.NewReader(stream)).Next()
	h.must(err)
	if e := header.Estimate; e < 8<<20 || e > 12<<20 {
		h.Errorf("a commit with 8 MiB is said to take %d bytes", e)
	}

	b := h.another()
	p, err := b.Pool(h.Context())
	h.must(err)
	spec := into(line)
	asked := 0
	spec.Accept = func(dotmesh.CommitInfo) error {
		asked++
		return nil
	}
	larger := edited(h, stream, func(f *frame.Header) { f.Estimate = p.Free })
	got, err := b.Receive(h.Context(), spec, bytes.NewReader(larger))
	h.wantKind(err, dotmesh.NoSpace)
	if got.Bytes != 0 || asked != 1 {
		h.Errorf("%d bytes were taken, and %d commits looked at", got.Bytes, asked)
	}
	b.wantLines(nil)
	b.receive(spec, stream, large)
	b.receive(into(line), larger) // it is here already
}
