package frame_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/frame"
)

// step is a header with its body.
type step struct {
	frame.Header
	Body string
}

func newStep(body string) step {
	return step{Body: body, Header: frame.Header{
		Format: "test", Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()},
		GUID: "guid", Meta: []byte(`{"message":"` + body[:min(len(body), 9)] + `"}`),
		From:     dotmesh.Ref{Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}},
		FromGUID: "another", Offset: 4, Estimate: int64(len(body)),
	}}
}

// encode writes a whole stream.
func encode(t testing.TB, steps ...step) []byte {
	t.Helper()
	var b bytes.Buffer
	w := frame.NewWriter(&b)
	for _, s := range steps {
		if err := w.Begin(&s.Header); err != nil {
			t.Fatal(err)
		}
		if n, err := io.WriteString(w, s.Body); n != len(s.Body) || err != nil {
			t.Fatalf("wrote %d of %d bytes: %v", n, len(s.Body), err)
		}
		if err := w.End(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// decode returns the steps that came whole, and why it ended; nil: at the stream's end.
func decode(r io.Reader) (steps []step, err error) {
	reader := frame.NewReader(r)
	for {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return steps, nil
		}
		if err != nil {
			return steps, err
		}
		body, err := io.ReadAll(reader)
		if err != nil {
			return steps, err
		}
		steps = append(steps, step{*h, string(body)})
	}
}

func TestAStreamComesAsItWasSent(t *testing.T) {
	large := make([]byte, 3*frame.MaxChunk+17)
	for i := range large {
		large[i] = byte(rand.Uint32())
	}
	want := []step{newStep("one"), newStep(string(large)), newStep("")}
	got, err := decode(bytes.NewReader(encode(t, want...)))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("err = %v, differs: %s", err, diff)
	}
	if got, err := decode(bytes.NewReader(encode(t))); len(got) > 0 || err != nil {
		t.Errorf("a stream of nothing = %v, %v", got, err)
	}
}

func TestABodyThatIsNotReadIsChecked(t *testing.T) {
	stream := encode(t, newStep("first"), newStep("second"))
	r := frame.NewReader(bytes.NewReader(stream))
	for _, want := range []string{"first", "second"} {
		if h, err := r.Next(); err != nil || !bytes.Contains(h.Meta, []byte(want)) {
			t.Fatalf("Next = %+v, %v, want the header of %s", h, err, want)
		}
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("Next at the end = %v", err)
	}
	i := bytes.Index(stream, []byte("first"))
	i += 1 + bytes.Index(stream[i+1:], []byte("first")) // the header names it, too
	stream[i] ^= 1
	r = frame.NewReader(bytes.NewReader(stream))
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); !errors.Is(err, dotmesh.Corrupt) {
		t.Errorf("Next over a damaged body = %v, want corrupt", err)
	}
}

func TestAStreamThatBreaksOffIsNotWhole(t *testing.T) {
	stream := encode(t, newStep("one"), newStep("two"))
	for n := range stream {
		got, err := decode(bytes.NewReader(stream[:n]))
		if !errors.Is(err, dotmesh.Unreachable) || dotmesh.Text(err) == "" {
			t.Fatalf("cut at %d of %d: %d steps, err = %v", n, len(stream), len(got), err)
		}
	}
}

func TestNoChangedBitIsTakenForWhatWasSent(t *testing.T) {
	want := []step{newStep("one"), newStep("two")}
	stream := encode(t, want...)
	for bit := range 8 * len(stream) {
		changed := bytes.Clone(stream)
		changed[bit/8] ^= 1 << (bit % 8)
		got, err := decode(bytes.NewReader(changed))
		if err == nil || !slices.EqualFunc(want[:len(got)], got, func(a, b step) bool { return cmp.Equal(a, b) }) {
			t.Fatalf("bit %d: %d steps, err = %v", bit, len(got), err)
		}
	}
}

// TestStepsAreOfOnePiece puts the body of one commit under the header of another, each
// frame with a right CRC.
func TestStepsAreOfOnePiece(t *testing.T) {
	a, b := newStep("one"), newStep("two")
	b.Line, b.From = a.Line, a.From // headers of one length
	streams := [2][]byte{encode(t, a), encode(t, b)}
	body := bytes.Index(streams[0], []byte("B\x00\x00\x00\x03"))
	mixed := append(bytes.Clone(streams[0][:body]), streams[1][body:]...)
	if got, err := decode(bytes.NewReader(mixed)); !errors.Is(err, dotmesh.Corrupt) {
		t.Errorf("got %v, err = %v, want corrupt", got, err)
	}
}

func TestAFrameThatSaysItIsLargeGetsNoRoom(t *testing.T) {
	huge := append([]byte("dotmesh stream 1\n"), 'H', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)
	if _, err := decode(bytes.NewReader(huge)); !errors.Is(err, dotmesh.Corrupt) {
		t.Errorf("err = %v, want corrupt", err)
	}
	chunk := append([]byte("dotmesh stream 1\n"), 'B', 0x00, 0x0f, 0xff, 0xff, 0, 0, 0, 0) // 1 MiB less one, and nothing of it
	bytesPerRun := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = decode(bytes.NewReader(chunk))
		}
	}).AllocedBytesPerOp()
	if bytesPerRun > 512<<10 {
		t.Errorf("%d bytes were set aside for a chunk that never came", bytesPerRun)
	}
}

func TestAHeaderThatIsTooLargeIsNotSent(t *testing.T) {
	s := newStep("")
	s.Meta = make([]byte, frame.MaxHeader)
	if err := frame.NewWriter(io.Discard).Begin(&s.Header); !errors.Is(err, dotmesh.Invalid) {
		t.Errorf("err = %v, want invalid", err)
	}
}

// FuzzReader takes any bytes for a stream. What it accepts, it must write alike.
func FuzzReader(f *testing.F) {
	f.Add(encode(f, newStep("one"), newStep("two")))
	f.Add(encode(f))
	f.Fuzz(func(t *testing.T, stream []byte) {
		steps, err := decode(bytes.NewReader(stream))
		if err != nil {
			if dotmesh.Text(err) == "" {
				t.Errorf("%v says nothing to users", err)
			}
			return
		}
		again, err := decode(bytes.NewReader(encode(t, steps...)))
		if diff := cmp.Diff(steps, again); err != nil || diff != "" {
			t.Errorf("err = %v, differs: %s", err, diff)
		}
	})
}
