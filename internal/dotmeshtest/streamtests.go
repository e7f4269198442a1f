package dotmeshtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/frame"
)

// streamTest is one promise of [dotmesh.Streams].
type streamTest struct {
	name  string
	needs func(dotmesh.Caps) bool // nil: every store keeps it
	run   func(*streamHarness)
}

func streamTests() []streamTest {
	return slices.Concat(travelTests(), refusalTests(), brokenTests())
}

// RunStreamTests checks all that [dotmesh.Streams] promises of commits that go from one
// store to another. It opens as many stores as a promise needs, as RunStoreTests does.
func RunStreamTests(t *testing.T, open func(*testing.T) dotmesh.Store) {
	for _, test := range streamTests() {
		t.Run(test.name, func(t *testing.T) {
			h := &streamHarness{&storeHarness{T: t, Store: open(t)}, open}
			if test.needs != nil && !test.needs(h.Caps()) {
				t.Logf("a %s store does not promise this: %+v", h.Caps().Kind, h.Caps())
				return
			}
			test.run(h)
		})
	}
}

// streamHarness is a store, and a way to more like it.
type streamHarness struct {
	*storeHarness
	open func(*testing.T) dotmesh.Store
}

// another opens a second store.
func (h *streamHarness) another() *streamHarness {
	h.Helper()
	return &streamHarness{&storeHarness{T: h.T, Store: h.open(h.T)}, h.open}
}

// crashed returns a harness for what a power cut at this moment leaves.
func (h *streamHarness) crashed() *streamHarness { return &streamHarness{h.crash(), h.open} }

// sending asks for commits of one line, as the difference to from.
func sending(from dotmesh.Ref, refs ...dotmesh.Ref) dotmesh.SendSpec {
	spec := dotmesh.SendSpec{Line: refs[0].Line, From: from}
	for _, r := range refs {
		spec.Commits = append(spec.Commits, r.Commit)
	}
	return spec
}

// sent returns a whole stream.
func (h *streamHarness) sent(spec dotmesh.SendSpec) []byte {
	h.Helper()
	stream, err := h.Send(h.Context(), spec)
	h.must(err)
	all, err := io.ReadAll(stream)
	h.must(errors.Join(err, stream.Close(), stream.Close())) // twice does nothing
	return all
}

// into says where a stream goes: to its line, which has no origin.
func into(line dotmesh.LineID) dotmesh.RecvSpec {
	return dotmesh.RecvSpec{Line: line, Trust: dotmesh.Member}
}

// receive takes a stream, of which the commits must come that are named.
func (h *streamHarness) receive(spec dotmesh.RecvSpec, stream []byte, want ...dotmesh.Ref) {
	h.Helper()
	got, err := h.Receive(h.Context(), spec, bytes.NewReader(stream))
	h.must(err)
	wantReceived(h, got, want...)
	if got.Resume != nil {
		h.Errorf("a stream that came whole is to be resumed: %s", got.Resume)
	}
}

func wantReceived(h *streamHarness, got dotmesh.Received, want ...dotmesh.Ref) {
	h.Helper()
	var ids, wanted []dotmesh.CommitID
	for _, c := range got.Commits {
		ids = append(ids, c.ID)
		if c.GUID == "" || string(c.Meta) != c.ID.String() {
			h.Errorf("commit %+v lacks its guid or meta", c)
		}
	}
	for _, r := range want {
		wanted = append(wanted, r.Commit)
	}
	if !slices.Equal(ids, wanted) {
		h.Errorf("received %v, want %v", ids, wanted)
	}
}

// refuses checks that a stream is refused for a reason, that users are told of it, and that
// nothing is changed.
func (h *streamHarness) refuses(spec dotmesh.RecvSpec, stream []byte, kind dotmesh.Kind) {
	h.Helper()
	before := h.inventory()
	got, err := h.Receive(h.Context(), spec, bytes.NewReader(stream))
	h.wantKind(err, kind)
	wantReceived(h, got)
	h.wantUnchanged(before)
}

// wantUnchanged checks that the pool has what it had.
func (h *streamHarness) wantUnchanged(before map[dotmesh.LineID]dotmesh.LineInfo) {
	h.Helper()
	after := h.inventory()
	if len(after) != len(before) {
		h.Errorf("%d lines, and %d before", len(after), len(before))
	}
	for line, info := range before {
		if !sameLine(after[line], info) {
			h.Errorf("line = %+v, want %+v", after[line], info)
		}
	}
}

// wantSame checks that commits are in both stores, and are the same to the last bit that can
// be read of them.
func (h *streamHarness) wantSame(other *streamHarness, refs ...dotmesh.Ref) {
	h.Helper()
	for _, r := range refs {
		a, b := h.info(r), other.info(r)
		if a.GUID != b.GUID || !bytes.Equal(a.Meta, b.Meta) {
			h.Errorf("commit %s is %+v here and %+v there", r.Commit, a, b)
		}
		here, unmountHere := h.view(r)
		there, unmountThere := other.view(r)
		differences, err := compareTrees(here, there)
		h.must(err)
		for _, d := range differences {
			h.Errorf("commit %s: %s", r.Commit, d)
		}
		unmountHere()
		unmountThere()
	}
}

// info returns what a store says of a commit.
func (h *streamHarness) info(r dotmesh.Ref) dotmesh.CommitInfo {
	h.Helper()
	line, err := h.Line(h.Context(), r.Line)
	h.must(err)
	i := slices.IndexFunc(line.Commits, func(c dotmesh.CommitInfo) bool { return c.ID == r.Commit })
	if i < 0 {
		h.Fatalf("commit %s is missing", r.Commit)
	}
	return line.Commits[i]
}

// chopped returns a stream in small chunks, so that it can break off in many places.
func chopped(h *streamHarness, stream []byte, chunk int) []byte {
	h.Helper()
	return reframed(h, stream, chunk, func(*frame.Header) {})
}

// edited returns a stream with other headers.
func edited(h *streamHarness, stream []byte, edit func(*frame.Header)) []byte {
	h.Helper()
	return reframed(h, stream, 1<<20, edit)
}

func reframed(h *streamHarness, stream []byte, chunk int, edit func(*frame.Header)) []byte {
	h.Helper()
	var out bytes.Buffer
	r, w := frame.NewReader(bytes.NewReader(stream)), frame.NewWriter(&out)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			h.must(w.Close())
			return out.Bytes()
		}
		h.must(err)
		edit(header)
		h.must(w.Begin(header))
		_, err = io.CopyBuffer(w, r, make([]byte, chunk))
		h.must(errors.Join(err, w.End()))
	}
}

// halfway is a stream that is being received and does not come to its end by itself.
type halfway struct {
	h      *streamHarness
	cancel context.CancelFunc
	w      *io.PipeWriter
	done   chan arrived
}

type arrived struct {
	dotmesh.Received
	err error
}

// receiveHalf has so many bytes of a stream received, and then nothing. Where that is more
// than some chunks, those have been applied.
func (h *streamHarness) receiveHalf(spec dotmesh.RecvSpec, stream []byte, bytes int) *halfway {
	h.Helper()
	ctx, cancel := context.WithCancel(h.Context())
	r, w := io.Pipe()
	half := &halfway{h: h, cancel: cancel, w: w, done: make(chan arrived, 1)}
	go func() {
		got, err := h.Receive(ctx, spec, r)
		half.done <- arrived{got, err}
	}()
	if _, err := w.Write(stream[:bytes]); err != nil {
		h.Fatal(err)
	}
	return half
}

// end lets the stream break off, and returns what Receive did.
func (f *halfway) end() arrived {
	f.h.Helper()
	f.h.must(f.w.Close())
	defer f.cancel()
	return <-f.done
}

// giveUp has the caller give up, who then closes the connection.
func (f *halfway) giveUp() arrived {
	f.h.Helper()
	f.cancel()
	got := <-f.done
	f.h.must(f.w.Close())
	return got
}
