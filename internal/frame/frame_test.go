package frame_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
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
		FromGUID: "another", Estimate: int64(len(body)),
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

func TestChunksBelongToWhoAskedForThem(t *testing.T) {
	large := make([]byte, 3*frame.MaxChunk+17)
	for i := range large {
		large[i] = byte(rand.Uint32())
	}
	r := frame.NewReader(bytes.NewReader(encode(t, newStep("small"), newStep(string(large)))))
	for _, want := range []string{"small", string(large)} {
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		var chunks [][]byte
		for {
			chunk, err := r.Chunk(make([]byte, rand.IntN(frame.MaxChunk)))
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			chunks = append(chunks, chunk)
		}
		if got := string(bytes.Join(chunks, nil)); got != want {
			t.Errorf("got %d bytes in %d chunks, want %d", len(got), len(chunks), len(want))
		}
	}
}

// pumped is decode by a pump, which passes over every second commit.
func pumped(ctx context.Context, r io.Reader) (steps []step, err error) {
	p := frame.StartPump(ctx, r)
	for n := 0; ; n++ {
		h, err := p.Header()
		if errors.Is(err, io.EOF) {
			return steps, nil
		}
		if err == nil && n%2 == 1 {
			err = p.Skip(h)
		} else if err == nil {
			var body string
			if body, err = pumpBody(p); err == nil {
				steps = append(steps, step{*h, body})
			}
		}
		if err != nil {
			return steps, err
		}
	}
}

func pumpBody(p *frame.Pump) (body string, err error) {
	for {
		chunk, err := p.Chunk()
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return "", err
		}
		body += string(chunk.Data)
		p.Recycle(chunk.Data)
	}
}

func TestAPumpReadsWhatAReaderDoes(t *testing.T) {
	sent := []step{newStep("one"), newStep("two"), newStep(strings.Repeat("three", frame.MaxChunk)), newStep("four"), newStep("")}
	stream := encode(t, sent...)
	got, err := pumped(t.Context(), bytes.NewReader(stream))
	if diff := cmp.Diff([]step{sent[0], sent[2], sent[4]}, got); err != nil || diff != "" {
		t.Errorf("err = %v, differs: %s", err, diff)
	}
	for _, n := range []int{0, 5, 20, 300, len(stream) / 2, len(stream) - 1} {
		if _, err := pumped(t.Context(), bytes.NewReader(stream[:n])); !errors.Is(err, dotmesh.Unreachable) {
			t.Errorf("cut at %d: %v, want unreachable", n, err)
		}
	}
}

func TestAPumpEndsWithItsContext(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := pumped(ctx, r)
			done <- err
		}()
		if _, err := w.Write(encode(t, newStep("one"))[:40]); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("err = %v, want canceled", err)
		}
		if err := w.Close(); err != nil { // else the pump would be left over
			t.Error(err)
		}
	})
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

// digestOf returns the digest of what a receiver has.
func digestOf(t testing.TB, had string) *frame.Digest {
	t.Helper()
	d := frame.NewDigest()
	if _, err := io.WriteString(d, had); err != nil {
		t.Fatal(err)
	}
	return d
}

// resumed writes a stream of one step whose first bytes are left out.
func resumed(t testing.TB, s step, at int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := frame.NewWriter(&b)
	err := w.Resume(&s.Header, digestOf(t, s.Body[:at]))
	if err == nil {
		_, err = io.WriteString(w, s.Body[at:])
	}
	if err := errors.Join(err, w.End(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAStreamGoesOnWhereAnotherBrokeOff(t *testing.T) {
	s := newStep("one and two")
	for at := range len(s.Body) + 1 {
		r := frame.NewReader(bytes.NewReader(resumed(t, s, at)))
		h, err := r.Next()
		if err != nil || h.Offset != int64(at) {
			t.Fatalf("header = %+v, %v, want the offset %d", h, err, at)
		}
		if at > 0 {
			if err := r.Resume(digestOf(t, s.Body[:at])); err != nil {
				t.Fatal(err)
			}
		}
		rest, err := io.ReadAll(r)
		if err != nil || string(rest) != s.Body[at:] {
			t.Errorf("from %d: %q, %v", at, rest, err)
		}
		if got, want := r.Digest(), digestOf(t, s.Body); got.String() != want.String() || got.Size() != want.Size() {
			t.Errorf("from %d: digest = %s of %d bytes, want that of the whole body", at, got, got.Size())
		}
	}
}

func TestOneStreamDoesNotGoOnWithAnother(t *testing.T) {
	s := newStep("one and two")
	stream := resumed(t, s, 4)
	for name, test := range map[string]struct {
		had  string
		want dotmesh.Kind
	}{
		"other content": {"two ", dotmesh.Corrupt},
		"less of it":    {"one", dotmesh.Conflict},
		"more of it":    {"one a", dotmesh.Conflict},
		"nothing":       {"", dotmesh.Conflict},
	} {
		r := frame.NewReader(bytes.NewReader(stream))
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		err := r.Resume(digestOf(t, test.had))
		if err == nil {
			_, err = io.ReadAll(r)
		}
		if !errors.Is(err, test.want) || dotmesh.Text(err) == "" {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	if _, err := decode(bytes.NewReader(stream)); !errors.Is(err, dotmesh.Conflict) {
		t.Errorf("read without its beginning: %v, want conflict", err)
	}
	r := frame.NewReader(bytes.NewReader(stream))
	for range 2 { // passing over it needs no beginning
		if _, err := r.Next(); err != nil && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
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

func TestALargeBodyMustFit(t *testing.T) {
	unknown := errors.New("nobody knows")
	for name, c := range map[string]struct {
		header frame.Header
		free   int64 // -1: nobody knows
		want   error
	}{
		"it fits":                    {frame.Header{Estimate: 1 << 30}, 1 << 30, nil},
		"it does not":                {frame.Header{Estimate: 1<<30 + 1}, 1 << 30, dotmesh.NoSpace},
		"nobody knows what is free":  {frame.Header{Estimate: 1 << 30}, -1, unknown},
		"it is small":                {frame.Header{Estimate: 1 << 20}, -1, nil},
		"nobody knows how large":     {frame.Header{}, -1, nil},
		"some of it has come before": {frame.Header{Estimate: 1 << 30, Offset: 1}, -1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.header.Fits(t.Context(), func(context.Context) (dotmesh.PoolUsage, error) {
				if c.free < 0 {
					return dotmesh.PoolUsage{}, unknown
				}
				return dotmesh.PoolUsage{Size: 1 << 40, Free: c.free + 5, Reserve: 5}, nil
			})
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}
