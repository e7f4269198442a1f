package frame

import (
	"context"
	"errors"
	"io"
)

// Pump reads a stream a little ahead of who takes its commits, and checks it meanwhile: for
// each commit Header, and then Chunk until io.EOF, or Skip. It ends with its context, or when
// the Read that it is in then returns.
type Pump struct {
	ctx   context.Context
	out   chan piece
	had   chan *Digest // answers a header with an offset; nil: the commit is passed over
	spare chan []byte
}

// piece is a part of a stream: a header, a chunk of a body, the end of a body, or why
// nothing follows.
type piece struct {
	header *Header
	chunk  Chunk
	err    error // io.EOF: the stream is whole
}

// Chunk is a part of a body.
type Chunk struct {
	Data   []byte
	Digest *Digest // of the body to the end of this chunk
}

// ahead is how many pieces wait to be applied, at most.
const ahead = 4

// StartPump begins to read a stream.
func StartPump(ctx context.Context, r io.Reader) *Pump {
	p := &Pump{ctx: ctx, out: make(chan piece, ahead), had: make(chan *Digest), spare: make(chan []byte, ahead)}
	go p.run(NewReader(r))
	return p
}

func (p *Pump) run(r *Reader) {
	for {
		h, err := r.Next()
		if !p.put(piece{header: h, err: err}) || err != nil || !p.body(r, h) {
			return
		}
	}
}

// body hands out one body. It reports whether anything may follow.
func (p *Pump) body(r *Reader, h *Header) bool {
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
		if !p.put(piece{chunk: Chunk{data, r.Digest()}, err: err}) || err != nil {
			return false
		}
	}
}

func (p *Pump) put(next piece) bool {
	select {
	case p.out <- next:
		return true
	case <-p.ctx.Done():
		return false
	}
}

func (p *Pump) get() (piece, error) {
	select {
	case next := <-p.out:
		return next, next.err
	case <-p.ctx.Done():
		return piece{}, p.ctx.Err()
	}
}

// Header returns the next header, io.EOF after the last commit.
func (p *Pump) Header() (*Header, error) {
	next, err := p.get()
	return next.header, err
}

// Chunk returns the next chunk of a body; io.EOF when all of it has come and is what was
// sent. Its room is to be given back.
func (p *Pump) Chunk() (Chunk, error) {
	next, err := p.get()
	if err == nil && next.chunk.Data == nil {
		err = io.EOF
	}
	return next.chunk, err
}

// Recycle takes back the room of a chunk.
func (p *Pump) Recycle(data []byte) {
	select {
	case p.spare <- data:
	default:
	}
}

// Resume says what is here of a body whose header has an offset, before its first chunk.
func (p *Pump) Resume(had *Digest) error {
	select {
	case p.had <- had:
		return nil
	case <-p.ctx.Done():
		return p.ctx.Err()
	}
}

// Skip passes over the body of a header.
func (p *Pump) Skip(h *Header) error {
	if h.Offset > 0 {
		return p.Resume(nil)
	}
	for {
		chunk, err := p.Chunk()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		p.Recycle(chunk.Data)
	}
}
