package frame

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"io"

	"dotmesh.io/dotmesh"
)

// Reader reads a stream: Next for each commit, and its body by Read. It reads from a
// source that may be hostile. Its errors are [dotmesh.Corrupt] for what was not sent so,
// and [dotmesh.Unreachable] for a stream that broke off; after one it goes on failing.
type Reader struct {
	r      *bufio.Reader
	digest hash.Hash
	chunk  []byte // what of the present chunk was not read yet
	buf    []byte // for payloads; grows as frames do, up to the limits
	size   uint64 // of the body so far
	begun  bool   // the preamble was there
	in     bool   // in a body, whose trailer has not come yet
	err    error
}

// NewReader returns a reader of one stream.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 64<<10), digest: sha256.New()}
}

// Next goes to the next step. What is left of the present body is read and checked first.
// After the last step it returns io.EOF.
func (r *Reader) Next() (*Header, error) {
	if _, err := io.Copy(io.Discard, bodyOnly{r}); err != nil {
		return nil, err
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
	r.digest.Reset()
	r.digest.Write(payload)
	r.size, r.in = 0, true
	return h, nil
}

// bodyOnly hides what io.Copy would use instead of Read.
type bodyOnly struct{ io.Reader }

// Read reads the body of the present step. It returns io.EOF only when all of the body has
// come and is what was sent: whoever makes something of a body before that must not show
// it to anybody.
func (r *Reader) Read(p []byte) (int, error) {
	for len(r.chunk) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		if !r.in {
			return 0, io.EOF
		}
		if err := r.advance(); err != nil {
			return 0, r.fail(err)
		}
	}
	n := copy(p, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
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
		r.digest.Write(payload)
		r.size += uint64(len(payload))
		r.chunk = payload
		return nil
	case kindTrailer:
		want := r.digest.Sum(binary.BigEndian.AppendUint64(nil, r.size))
		if !bytes.Equal(payload, want) {
			return corrupt("its content is not what was sent")
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
