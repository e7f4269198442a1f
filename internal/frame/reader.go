package frame

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"dotmesh.io/dotmesh"
)

// Reader reads a stream: Next for each commit, and its body by Read. It reads from a
// source that may be hostile. Its errors are [dotmesh.Corrupt] for what was not sent so,
// and [dotmesh.Unreachable] for a stream that broke off; after one it goes on failing.
type Reader struct {
	r      *bufio.Reader
	header [sha256.Size]byte // SHA-256 of the present header
	body   *Digest           // of the present body so far; nil: its beginning was left out
	offset int64             // of the present header
	chunk  []byte            // what of the present chunk was not read yet
	buf    []byte            // for payloads; grows as frames do, up to the limits
	begun  bool              // the preamble was there
	in     bool              // in a body, whose trailer has not come yet
	err    error
}

// NewReader returns a reader of one stream.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 64<<10), body: NewDigest()}
}

// Next goes to the next step. What is left of the present body is read and checked first.
// After the last step it returns io.EOF.
func (r *Reader) Next() (*Header, error) {
	for r.in {
		if err := r.next(); err != nil {
			return nil, err
		}
	}
	if err := r.begin(); err != nil {
		return nil, r.fail(err)
	}
	kind, payload, err := r.frame()
	if err != nil {
		return nil, r.fail(err)
	}
	switch kind {
	case kindEnd:
		r.err = io.EOF
		return nil, io.EOF
	case kindHeader:
	default:
		return nil, r.fail(corrupt("a %q where a header was expected", kind))
	}
	h, err := decodeHeader(payload)
	if err != nil {
		return nil, r.fail(err)
	}
	r.header, r.body, r.offset, r.chunk, r.in = sha256.Sum256(payload), nil, h.Offset, nil, true
	if h.Offset == 0 {
		r.body = NewDigest()
	}
	return h, nil
}

// Resume says what of the present body is there already, where its header has an offset.
// It comes before the first Read.
func (r *Reader) Resume(had *Digest) error {
	if r.body != nil || had.Size() != r.offset {
		return dotmesh.E("frame.Resume", dotmesh.Conflict, "the stream goes on at byte %d, and %d are here; send it from the beginning", r.offset, had.Size())
	}
	r.body = had.Clone()
	return nil
}

// Digest returns that of the body as far as chunks of it came, with what was left out. A
// body of which that is not known has none.
func (r *Reader) Digest() *Digest {
	if r.body == nil {
		return nil
	}
	return r.body.Clone()
}

// Read reads the body of the present step. It returns io.EOF only when all of the body has
// come and is what was sent: whoever makes something of a body before that must not show
// it to anybody.
//
// A body whose beginning was left out cannot be read before Resume has said what that was.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.chunk) == 0 {
		if r.err == nil && r.in && r.body == nil {
			return 0, dotmesh.E("frame.Read", dotmesh.Conflict, "the stream begins in the middle of a commit; send it from the beginning")
		}
		if r.err != nil {
			return 0, r.err
		}
		if !r.in {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

// Chunk returns what Read would, as much as there is of the present chunk, without copying
// it: what it returns is the caller's. The reader goes on with spare, which may be nil, and
// need not be larger than what comes.
func (r *Reader) Chunk(spare []byte) ([]byte, error) {
	if _, err := r.Read(nil); err != nil {
		return nil, err
	}
	chunk := r.chunk
	r.chunk, r.buf = nil, spare[:0]
	return chunk, nil
}

// next is advance that goes on failing.
func (r *Reader) next() error {
	if r.err != nil {
		return r.err
	}
	if err := r.advance(); err != nil {
		return r.fail(err)
	}
	return nil
}

// advance reads the next chunk, or the trailer.
func (r *Reader) advance() error {
	kind, payload, err := r.frame()
	if err != nil {
		return err
	}
	switch kind {
	case kindChunk:
		if len(payload) == 0 {
			return corrupt("an empty chunk")
		}
		if r.body != nil {
			_, _ = r.body.Write(payload) // never fails
		}
		r.chunk = payload
		return nil
	case kindTrailer:
		if r.body != nil && !bytes.Equal(payload, r.body.trailer(r.header)) {
			return dotmesh.E("", dotmesh.Corrupt, "the stream is damaged: its content is not what was sent")
		}
		r.in = false
		return nil
	}
	return corrupt("a %q in a body", kind)
}

func (r *Reader) begin() error {
	if r.begun {
		return nil
	}
	var have [len(preamble)]byte
	if _, err := io.ReadFull(r.r, have[:]); err != nil {
		return err
	}
	if string(have[:]) != preamble {
		return dotmesh.E("", dotmesh.Corrupt, "this is not a stream of commits, or one of another version of Dotmesh")
	}
	r.begun = true
	return nil
}

// frame reads a frame. The payload is valid until the next call.
func (r *Reader) frame() (kind byte, payload []byte, err error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return 0, nil, err
	}
	length := int64(binary.BigEndian.Uint32(head[1:5]))
	if length > limit(head[0]) {
		return 0, nil, corrupt("a %q of %d bytes", head[0], length)
	}
	if payload, err = r.payload(int(length)); err != nil {
		return 0, nil, err
	}
	crc := crc32.Update(crc32.Update(0, castagnoli, head[:5]), castagnoli, payload)
	if crc != binary.BigEndian.Uint32(head[5:]) {
		return 0, nil, corrupt("a frame that was changed on its way")
	}
	return head[0], payload, nil
}

// payload reads what a frame carries. Room for more than there was before comes as the
// bytes do.
func (r *Reader) payload(length int) ([]byte, error) {
	const step = 128 << 10
	for at := 0; at < length; {
		upto := min(length, max(at+step, cap(r.buf)))
		if upto > cap(r.buf) {
			r.buf = append(r.buf[:at], make([]byte, upto-at)...)
		}
		if _, err := io.ReadFull(r.r, r.buf[at:upto]); err != nil {
			return nil, err
		}
		at = upto
	}
	return r.buf[:length], nil
}

// limit is the largest payload of a kind of frame.
func limit(kind byte) int64 {
	switch kind {
	case kindHeader:
		return MaxHeader
	case kindChunk:
		return MaxChunk
	case kindTrailer:
		return trailerSize
	}
	return 0
}

// fail keeps the first error, as one that says what a stream did.
func (r *Reader) fail(err error) error {
	if r.err != nil {
		return r.err
	}
	if kind := dotmesh.KindOf(err); kind == dotmesh.Internal {
		err = &dotmesh.Error{Kind: dotmesh.Unreachable, Text: "the stream broke off; what had arrived is kept", Err: cut(err)}
	}
	r.err = dotmesh.Wrap("frame.Read", err)
	return r.err
}

// cut makes of an end in the middle what it is.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func corrupt(format string, args ...any) error {
	return dotmesh.E("", dotmesh.Corrupt, "the stream is damaged: it has "+format, args...)
}
