package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fastjson"
)

const (
	maxLine = 16 << 20 // a stream's longest line
	silence = 3 * heartbeat
)

// Dots lists the dots that the caller may see.
func (c *Client) Dots(ctx context.Context) ([]dotmesh.DotStatus, error) {
	return list[dotmesh.DotStatus](ctx, c, "Dotmesh.Dots", "/dots")
}

// EachDot yields the dots that Dots lists, as they come in: for whoever needs no list of
// all of them at once. What was cut off is not asked for again.
func (c *Client) EachDot(ctx context.Context) iter.Seq2[dotmesh.DotStatus, error] {
	return each[dotmesh.DotStatus](ctx, c, "Dotmesh.Dots", "/dots")
}

// Export returns the registry.
func (c *Client) Export(ctx context.Context) ([]dotmesh.Entry, error) {
	return list[dotmesh.Entry](ctx, c, "Dotmesh.Export", "/export")
}

// Diff yields the files that differ between two states.
func (c *Client) Diff(ctx context.Context, r dotmesh.DiffRequest) iter.Seq2[dotmesh.FileChange, error] {
	return func(yield func(dotmesh.FileChange, error) bool) {
		const op = "Dotmesh.Diff"
		body, err := json.Marshal(r)
		if err != nil {
			yield(dotmesh.FileChange{}, dotmesh.Wrap(op, err))
			return
		}
		for change, err := range lines[fileChange](ctx, c, op, http.MethodPost, "/diff", body) {
			if !yield(change.change(), err) {
				return
			}
		}
	}
}

// Check reads every commit of a dot that the node holds, or of all dots.
func (c *Client) Check(ctx context.Context, r dotmesh.CheckRequest) iter.Seq2[dotmesh.Checked, error] {
	return func(yield func(dotmesh.Checked, error) bool) {
		const op = "Dotmesh.Check"
		body, err := json.Marshal(r)
		if err != nil {
			yield(dotmesh.Checked{}, dotmesh.Wrap(op, err))
			return
		}
		for checked, err := range lines[dotmesh.Checked](ctx, c, op, http.MethodPost, "/checks", body) {
			if !yield(checked, err) {
				return
			}
		}
	}
}

// Events yields what happens from now on, or from cursor. A server that falls silent is
// [dotmesh.Unreachable]; whoever wants more goes on from the last event's cursor.
func (c *Client) Events(ctx context.Context, cursor string) iter.Seq2[dotmesh.Event, error] {
	return lines[dotmesh.Event](ctx, c, "Dotmesh.Events", http.MethodGet, "/events?"+url.Values{"cursor": {cursor}}.Encode(), nil)
}

// lines yields the values of a stream as they come.
func lines[T any](ctx context.Context, c *Client, op, method, path string, body []byte) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		watchdog := time.AfterFunc(silence, func() {
			cancel(dotmesh.E(op, dotmesh.Unreachable, "%s has fallen silent; try again", c.remote.URL))
		})
		defer watchdog.Stop()
		var none T
		response, err := c.open(ctx, method, path, body)
		if err != nil {
			yield(none, c.broken(ctx, op, read, err))
			return
		}
		defer func() { _ = response.Body.Close() }() // all that mattered has been read
		in := bufio.NewReaderSize(response.Body, 64<<10)
		for {
			watchdog.Reset(silence)
			v, err := nextValue[T](in, func() { watchdog.Reset(silence) })
			watchdog.Stop() // the caller may take its time
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(none, c.broken(ctx, op, read, err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
	}
}

// nextValue reads the next line that is not a heartbeat; it calls beat for each line.
func nextValue[T any](in *bufio.Reader, beat func()) (v T, err error) {
	for {
		line, err := readLine(in)
		if err != nil {
			return v, err
		}
		beat()
		if len(line) > 0 {
			return decodeLine[T](line)
		}
	}
}

// readLine returns the next line without its end; io.EOF only between two lines.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if err == nil {
		return line[:len(line)-1], nil
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) && len(long) < maxLine {
		line, err = in.ReadSlice('\n')
		long = append(long, line...)
	}
	switch {
	case errors.Is(err, io.EOF) && len(long) > 0:
		return nil, io.ErrUnexpectedEOF
	case err != nil:
		return nil, err
	}
	return long[:len(long)-1], nil
}

// decodeLine reads a line that is a value, or the error that ends the stream.
func decodeLine[T any](line []byte) (v T, err error) {
	if bytes.HasPrefix(line, []byte(`{"error":`)) {
		var last failed
		if err := json.Unmarshal(line, &last); err == nil && last.Error != nil {
			return v, last.Error.err("")
		}
	}
	return v, fastjson.Unmarshal(line, &v)
}

// list returns all values of a stream that ends by itself. Decoding is the costly part of
// a long list, so all processors do it while the rest still comes in.
func list[T any](ctx context.Context, c *Client, op, path string) ([]T, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	var all []T
	err := c.exchange(ctx, op, read, http.MethodGet, path, nil, func(r io.Reader) (err error) {
		all, err = decodeAll[T](r)
		return err
	})
	return all, err
}

// each yields the values of a stream that ends by itself.
func each[T any](ctx context.Context, c *Client, op, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := withDeadline(ctx)
		defer cancel()
		var none T
		response, err := c.open(ctx, http.MethodGet, path, nil)
		if err != nil {
			yield(none, c.broken(ctx, op, read, err))
			return
		}
		defer func() { _ = response.Body.Close() }() // all that mattered has been read
		for part, err := range decoded[T](response.Body, cancel) {
			if err != nil {
				yield(none, c.broken(ctx, op, read, err))
				return
			}
			for i := range part {
				if !yield(part[i], nil) {
					return
				}
			}
		}
	}
}

const blockSize = 256 << 10

// decodeAll decodes the lines of a whole stream, in their order.
func decodeAll[T any](r io.Reader) ([]T, error) {
	var parts [][]T
	total := 0
	for part, err := range decoded[T](r, func() {}) {
		if err != nil {
			return nil, err
		}
		parts, total = append(parts, part), total+len(part)
	}
	all := make([]T, 0, total)
	for _, part := range parts {
		all = append(all, part...)
	}
	return all, nil
}

// decoding is a block whose values are on their way.
type decoding[T any] struct {
	values []T
	err    error
	done   chan struct{}
}

func (d *decoding[T]) decode(block []byte) {
	defer close(d.done)
	d.values, d.err = decodeBlock[T](block)
}

// decoded yields the values of a stream, block by block in their order, or the error that
// ends it. Some blocks are decoded ahead, and no more than that. Whoever wants no more has
// stop called, which ends a read that waits.
func decoded[T any](r io.Reader, stop func()) iter.Seq2[[]T, error] {
	return func(yield func([]T, error) bool) {
		ahead := make(chan *decoding[T], runtime.GOMAXPROCS(0))
		enough := make(chan struct{})
		var running sync.WaitGroup
		defer running.Wait()
		defer stop()
		defer close(enough)
		next := func(err error) (d *decoding[T], wanted bool) {
			d = &decoding[T]{err: err, done: make(chan struct{})}
			select {
			case ahead <- d:
				return d, true
			case <-enough:
				return d, false
			}
		}
		running.Go(func() {
			defer close(ahead)
			err := blocks(r, func(block []byte) (wanted bool) {
				d, wanted := next(nil)
				if wanted {
					running.Go(func() { d.decode(block) })
				}
				return wanted
			})
			if err != nil {
				d, _ := next(err)
				close(d.done)
			}
		})
		for d := range ahead {
			<-d.done
			if !yield(d.values, d.err) || d.err != nil {
				return
			}
		}
	}
}

// blocks cuts what r holds into blocks of whole lines, for as long as they are wanted.
func blocks(r io.Reader, use func([]byte) (wanted bool)) error {
	var rest []byte
	for {
		block := make([]byte, max(blockSize, 2*len(rest)))
		n, err := fill(r, block, copy(block, rest))
		end := bytes.LastIndexByte(block[:n], '\n') + 1
		rest = bytes.Clone(block[end:n])
		if end > 0 && !use(block[:end]) {
			return nil
		}
		switch {
		case errors.Is(err, io.EOF) && len(rest) > 0:
			return io.ErrUnexpectedEOF
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case len(rest) > maxLine:
			return errors.New("a line of the answer is too long")
		}
	}
}

// fill reads into block from n on until it is full, and returns how far it came. Unlike
// io.ReadFull it leaves the reader's error as it is: an end and a cut are not the same.
func fill(r io.Reader, block []byte, n int) (int, error) {
	for n < len(block) {
		more, err := r.Read(block[n:])
		n += more
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func decodeBlock[T any](block []byte) ([]T, error) {
	values := make([]T, 0, bytes.Count(block, []byte{'\n'}))
	for len(block) > 0 {
		line, after, _ := bytes.Cut(block, []byte{'\n'})
		block = after
		if len(line) == 0 {
			continue
		}
		v, err := decodeLine[T](line)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
