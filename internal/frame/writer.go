package frame

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// Kinds of frames.
const (
	kindHeader  = 'H'
	kindChunk   = 'B'
	kindTrailer = 'T'
	kindEnd     = 'E'
)

const (
	headSize    = 9 // kind, length, CRC
	trailerSize = 8 + sha256.Size
)

// Writer writes a stream: Begin, Write …, End for each commit, and Close after the last.
// A writer that has failed goes on failing.
type Writer struct {
	w      *bufio.Writer
	header [sha256.Size]byte // SHA-256 of the present header
	body   *Digest
	begun  bool // the preamble is written
	err    error
}

// NewWriter returns a writer of one stream to w.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: bufio.NewWriterSize(w, 64<<10), body: NewDigest()}
}

// Begin begins a step whose body is written from its beginning.
func (w *Writer) Begin(h *Header) error { return w.Resume(h, NewDigest()) }

// Resume begins a step whose receiver has the first bytes of the body, with that digest.
// They are not written again, and are a part of what the trailer vouches for.
func (w *Writer) Resume(h *Header, had *Digest) error {
	h.Offset = had.Size()
	payload, err := h.encode()
	if err != nil {
		return err
	}
	if !w.begun {
		w.begun = true
		w.put([]byte(preamble))
	}
	w.header, w.body = sha256.Sum256(payload), had.Clone()
	w.frame(kindHeader, payload)
	return w.err
}

// Write adds to the body of the step. What one call brings is one chunk, or several if it
// is larger than that, so calls should bring some 100 KiB.
func (w *Writer) Write(p []byte) (n int, err error) {
	for n < len(p) && w.err == nil {
		chunk := p[n:min(n+MaxChunk, len(p))]
		_, _ = w.body.Write(chunk) // never fails
		w.frame(kindChunk, chunk)
		n += len(chunk)
	}
	return n, w.err
}

// End ends a step, and sends what is still buffered.
func (w *Writer) End() error {
	w.frame(kindTrailer, w.body.trailer(w.header))
	return w.flush()
}

// Close ends the stream. It does not close what the stream is written to.
func (w *Writer) Close() error {
	if !w.begun {
		w.begun = true
		w.put([]byte(preamble))
	}
	w.frame(kindEnd, nil)
	return w.flush()
}

func (w *Writer) frame(kind byte, payload []byte) {
	head := frameHead(kind, len(payload))
	crc := crc32.Update(crc32.Update(0, castagnoli, head[:5]), castagnoli, payload)
	binary.BigEndian.PutUint32(head[5:], crc)
	w.put(head[:])
	w.put(payload)
}

func frameHead(kind byte, length int) (head [headSize]byte) {
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(length))
	return head
}

func (w *Writer) put(p []byte) {
	if w.err == nil {
		_, w.err = w.w.Write(p)
	}
}

func (w *Writer) flush() error {
	if w.err == nil {
		w.err = w.w.Flush()
	}
	return w.err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)
