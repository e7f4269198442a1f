//go:build linux

package btrfs

import (
	"context"
	"errors"
	"io"

	"dotmesh.io/dotmesh/internal/frame"
)

// pump reads a stream a little ahead of who applies it, and checks it meanwhile. It ends
// with its context, or when the Read that it is in returns.
type pump struct {
	ctx   context.Context
	out   chan piece
	had   chan *frame.Digest // answers a header with an offset; nil: the commit is passed over
	spare chan []byte
}

// piece is a part of a stream: a header, a chunk of a body, the end of a body, or why
// nothing follows.
type piece struct {
	header *frame.Header
	data   []byte
	digest *frame.Digest // of the body up to here
	err    error         // io.EOF: the stream is whole
}

// ahead is how many pieces wait to be applied, at most.
const ahead = 4

func startPump(ctx context.Context, r io.Reader) *pump {
	p := &pump{ctx: ctx, out: make(chan piece, ahead), had: make(chan *frame.Digest), spare: make(chan []byte, ahead)}
	go p.run(frame.NewReader(r))
	return p
}

func (p *pump) run(r *frame.Reader) {
	for {
		h, err := r.Next()
		if !p.put(piece{header: h, err: err}) || err != nil || !p.body(r, h) {
			return
		}
	}
}

// body hands out one body. It reports whether anything may follow.
func (p *pump) body(r *frame.Reader, h *frame.Header) bool {
	if h.Offset > 0 {
		select {
		case had := <-p.had:
			if had == nil {
				return true
			}
			if err := r.Resume(had); err != nil {
				p.put(piece{err: err})
				return false
			}
		case <-p.ctx.Done():
			return false
		}
	}
	for {
		var spare []byte
		select {
		case spare = <-p.spare:
		default:
		}
		data, err := r.Chunk(spare)
		if errors.Is(err, io.EOF) {
			return p.put(piece{})
		}
		if !p.put(piece{data: data, digest: r.Digest(), err: err}) || err != nil {
			return false
		}
	}
}

func (p *pump) put(next piece) bool {
	select {
	case p.out <- next:
		return true
	case <-p.ctx.Done():
		return false
	}
}

func (p *pump) get() (piece, error) {
	select {
	case next := <-p.out:
		return next, next.err
	case <-p.ctx.Done():
		return piece{}, p.ctx.Err()
	}
}

// header returns the next header, io.EOF after the last commit.
func (p *pump) header() (*frame.Header, error) {
	next, err := p.get()
	return next.header, err
}

// chunk returns the next chunk of a body; io.EOF when all of it has come and is what was
// sent. It is to be given back.
func (p *pump) chunk() (piece, error) {
	next, err := p.get()
	if err == nil && next.data == nil {
		err = io.EOF
	}
	return next, err
}

// recycle takes back the room of a chunk.
func (p *pump) recycle(data []byte) {
	select {
	case p.spare <- data:
	default:
	}
}

// resume says what is here of a body whose header has an offset.
func (p *pump) resume(had *frame.Digest) error {
	select {
	case p.had <- had:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// skip passes over the body of a header.
func (p *pump) skip(h *frame.Header) error {
	if h.Offset > 0 {
		return p.resume(nil)
	}
	for {
		next, err := p.chunk()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p.recycle(next.data)
	}
}
