package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"time"

	"dotmesh.io/dotmesh"
)

// A stream is one JSON value a line. An empty line says that the server still lives. One
// that breaks says so in its last line, {"error": …}; one that is cut off does not end
// as HTTP demands, which the client notices.

// source yields the values of a stream, or the error that ends it. A [block] is many of them.
type source func(r *http.Request) iter.Seq2[any, error]

func streamDots() source {
	return inBlocks(func(r *http.Request) ([]dotmesh.DotStatus, error) { return serviceOf(r).Dots(r.Context()) })
}

func streamEntries() source {
	return inBlocks(func(r *http.Request) ([]dotmesh.Entry, error) { return serviceOf(r).Export(r.Context()) })
}

func streamEvents(r *http.Request) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		for e, err := range serviceOf(r).Events(r.Context(), r.URL.Query().Get("cursor")) {
			if !yield(&e, err) {
				return
			}
		}
	}
}

func streamDiff(r *http.Request) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		var in dotmesh.DiffRequest
		if err := readBody(r, &in); err != nil {
			yield(nil, err)
			return
		}
		for change, err := range serviceOf(r).Diff(r.Context(), in) {
			if !yield(wireChange(change), err) {
				return
			}
		}
	}
}

func streamChecks(r *http.Request) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		var in dotmesh.CheckRequest
		if err := readBody(r, &in); err != nil {
			yield(nil, err)
			return
		}
		for c, err := range serviceOf(r).Check(r.Context(), in) {
			if !yield(&c, err) {
				return
			}
		}
	}
}

// readBody decodes the one value that a request's body holds.
func readBody(r *http.Request, v any) error {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = checkJSON(body)
	}
	if err == nil {
		err = strictly(body, v)
	}
	if err != nil {
		return dotmesh.E("api.read", dotmesh.Invalid, "invalid request: %s", reason(err))
	}
	return nil
}

// stream answers with the values of a source until it ends, the caller goes away or the
// server stops. How many streams a caller may have open is limited as calls are, apart
// from them: a watcher must not stand in the way of its own calls.
func (h *handler) stream(door Door, from source) http.Handler {
	watchers := newTurns()
	return h.admit(door, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		waiting, enough := context.WithTimeout(ctx, lineTimeout)
		defer enough()
		done, err := watchers.wait(waiting, callOf(ctx).principal)
		if err != nil {
			refuse(w, err, false)
			return
		}
		defer done()
		began := time.Now()
		lines := newLineWriter(w)
		err = h.copy(lines, from(r.WithContext(ctx)), cancel)
		if err == nil { // a source that was cut off must not look like one that ended
			err = dotmesh.Wrap("api.stream", r.Context().Err())
		}
		h.Observe(r.Pattern, dotmesh.KindOf(err), time.Since(began))
		lines.end(err, callOf(ctx).principal.Admin)
	})
}

// item is what a source yielded.
type item struct {
	value any
	err   error
}

// copy writes values as they come and heartbeats while none do. The source runs beside
// it and has ended when copy returns.
func (h *handler) copy(lines *lineWriter, values iter.Seq2[any, error], cancel context.CancelFunc) error {
	items := make(chan item, 16)
	quit := make(chan struct{})
	go func() {
		defer close(items)
		for v, err := range values {
			select {
			case items <- item{v, err}:
			case <-quit:
				return
			}
		}
	}()
	err := h.drain(lines, items)
	cancel()
	close(quit)
	for range items { // what is left until the source has ended
	}
	return err
}

func (h *handler) drain(lines *lineWriter, items <-chan item) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case next, ok := <-items:
			if !ok {
				return nil
			}
			if next.err != nil {
				return next.err
			}
			if err = lines.write(next.value); err == nil && len(items) == 0 {
				err = lines.flush()
			}
		case <-beat.C:
			err = lines.beat()
		case <-h.stopping:
			return dotmesh.E("api.stream", dotmesh.Unreachable, "the server is stopping")
		}
		if err != nil {
			return err
		}
	}
}

// lineWriter writes the lines of one answer.
type lineWriter struct {
	patient
	buffer *bufio.Writer
	begun  bool
}

func newLineWriter(w http.ResponseWriter) *lineWriter {
	p := patient{w: w, out: http.NewResponseController(w)}
	return &lineWriter{patient: p, buffer: bufio.NewWriterSize(p, 64<<10)}
}

// patient gives the caller lineTimeout to take each write.
type patient struct {
	w   http.ResponseWriter
	out *http.ResponseController
}

// Write implements io.Writer.
func (p patient) Write(b []byte) (int, error) {
	if err := p.out.SetWriteDeadline(time.Now().Add(lineTimeout)); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}

// errGone is what writing to a caller that went away ends in.
var errGone = errors.New("the caller is gone")

func (l *lineWriter) begin() {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
	}
}

func (l *lineWriter) write(v any) error {
	l.begin()
	if b, ok := v.(block); ok {
		return l.putAll(b)
	}
	line, err := json.Marshal(v)
	if err != nil {
		return dotmesh.Wrap("api.stream", err)
	}
	return l.put(line)
}

func (l *lineWriter) put(line []byte) error { return l.putAll(append(line, '\n')) }

func (l *lineWriter) putAll(lines []byte) error {
	if _, err := l.buffer.Write(lines); err != nil {
		return errors.Join(errGone, err)
	}
	return nil
}

func (l *lineWriter) flush() error {
	if err := l.buffer.Flush(); err != nil {
		return errors.Join(errGone, err)
	}
	if err := l.out.Flush(); err != nil {
		return errors.Join(errGone, err)
	}
	return nil
}

func (l *lineWriter) beat() error {
	l.begin()
	if err := l.put(nil); err != nil {
		return err
	}
	return l.flush()
}

// end writes why the stream ended, if it is not simply over. Nobody is told who is gone.
func (l *lineWriter) end(err error, admin bool) {
	switch {
	case errors.Is(err, errGone):
		return
	case err != nil && !l.begun:
		refuse(l.w, err, admin)
		return
	case err != nil:
		line, _ := json.Marshal(failed{faultOf(err, admin)}) // strings and a number always marshal
		err = l.put(line)
	}
	l.begin()
	if err == nil {
		_ = l.flush() // the caller is gone: nobody is left to tell
	}
}
