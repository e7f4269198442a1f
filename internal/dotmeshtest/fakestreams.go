package dotmeshtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/frame"
)

// fakeFormat is what the fake's bodies are: whole trees, also where a commit is the
// difference to another one.
const fakeFormat = "fake-1"

// fakeStreams are the streams from and to a pool. The pool's lock guards them.
type fakeStreams struct {
	sent     map[dotmesh.Ref]int               // by how many open streams
	received map[dotmesh.LineID]bool           // a Receive runs
	broken   map[dotmesh.LineID]*fakeArrival   // what a broken stream has left
	origins  map[dotmesh.LineID]dotmesh.Origin // of the lines that are received into
}

// fakeArrival is a commit that came in part.
type fakeArrival struct {
	header frame.Header
	trust  dotmesh.Trust
	body   []byte
	digest *frame.Digest
}

// fakeToken is what Received.Resume is of the fake.
type fakeToken struct {
	Commit dotmesh.CommitID
	Offset int
	SHA256 string
}

// Send encodes the commits, so that the stream needs the pool no longer. They are not
// destroyed all the same.
func (s *Store) Send(ctx context.Context, spec dotmesh.SendSpec) (io.ReadCloser, error) {
	const op = "fake.Send"
	end, err := s.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer end()
	refs, err := s.checkSend(op, spec)
	if err != nil {
		return nil, err
	}
	out := &bytes.Buffer{}
	w := frame.NewWriter(out)
	for i, from := range refs[:len(refs)-1] {
		if err := s.encodeStep(w, refs[i+1], from, spec.Resume); err != nil {
			return nil, dotmesh.Wrap(op, err)
		}
		spec.Resume = nil
	}
	if err := w.Close(); err != nil {
		return nil, dotmesh.Wrap(op, err)
	}
	for _, r := range refs {
		s.streams.sent[r]++
	}
	stream := &fakeStream{s: s, ctx: ctx, out: out, refs: refs}
	stream.stop = context.AfterFunc(ctx, stream.unpin)
	return stream, nil
}

// checkSend returns what the first commit is the difference to, and the commits.
func (s *Store) checkSend(op string, spec dotmesh.SendSpec) ([]dotmesh.Ref, error) {
	l, err := s.line(op, spec.Line)
	if err != nil {
		return nil, err
	}
	last := -1
	if from := spec.From; !from.IsZero() {
		_, i, err := s.commit(op, from)
		switch {
		case err != nil:
			return nil, err
		case from.Line == spec.Line:
			last = i
		case dotmesh.Origin(from) != l.origin:
			return nil, dotmesh.E(op, dotmesh.Invalid, "line %s was not forked from commit %s", spec.Line, from.Commit)
		}
	}
	if len(spec.Commits) == 0 {
		return nil, dotmesh.E(op, dotmesh.Invalid, "name the commits that are to be sent")
	}
	refs := []dotmesh.Ref{spec.From}
	for _, id := range spec.Commits {
		r := dotmesh.Ref{Line: spec.Line, Commit: id}
		_, i, err := s.commit(op, r)
		if err != nil {
			return nil, err
		}
		if i <= last {
			return nil, dotmesh.E(op, dotmesh.Invalid, "commit %s does not follow the one before", id)
		}
		refs, last = append(refs, r), i
	}
	return refs, nil
}

func (s *Store) encodeStep(w *frame.Writer, r, from dotmesh.Ref, resume []byte) error {
	l, i, err := s.commit("", r)
	if err != nil {
		return err
	}
	h := frame.Header{Format: fakeFormat, Line: r.Line, Commit: r.Commit, GUID: l.commits[i].GUID, Meta: l.commits[i].Meta, From: from}
	if !from.IsZero() {
		l, i, err := s.commit("", from)
		if err != nil {
			return err
		}
		h.FromGUID = l.commits[i].GUID
	}
	body, err := encodeTree(s.path(r))
	if err != nil {
		return err
	}
	had, err := fakeHad(body, r.Commit, resume)
	if err != nil {
		return err
	}
	h.Estimate = int64(len(body))
	if err := w.Resume(&h, had); err != nil {
		return err
	}
	for chunk := range slices.Chunk(body[had.Size():], 16<<10) {
		if _, err := w.Write(chunk); err != nil {
			return err
		}
	}
	return w.End()
}

// fakeHad returns the digest of what a receiver has of a body.
func fakeHad(body []byte, id dotmesh.CommitID, resume []byte) (*frame.Digest, error) {
	had := frame.NewDigest()
	if resume == nil {
		return had, nil
	}
	var token fakeToken
	if json.Unmarshal(resume, &token) == nil && token.Commit == id && 0 < token.Offset && token.Offset <= len(body) {
		_, _ = had.Write(body[:token.Offset]) // never fails
	}
	if had.Size() == 0 || had.String() != token.SHA256 {
		return nil, dotmesh.E("", dotmesh.Conflict, "what came before is not what is here; send from the beginning")
	}
	return had, nil
}

// fakeStream is an open stream.
type fakeStream struct {
	s    *Store
	ctx  context.Context
	out  *bytes.Buffer
	refs []dotmesh.Ref // guarded by the pool's lock; nil once they may be destroyed
	stop func() bool
}

func (f *fakeStream) Read(p []byte) (int, error) {
	end, err := f.s.begin(f.ctx, "fake.Send")
	if err != nil {
		return 0, err
	}
	defer end()
	if f.refs == nil {
		return 0, dotmesh.Wrap("fake.Send", os.ErrClosed)
	}
	return f.out.Read(p)
}

func (f *fakeStream) Close() error {
	f.stop()
	f.unpin()
	return nil
}

func (f *fakeStream) unpin() {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	for _, r := range f.refs {
		if f.s.streams.sent[r]--; f.s.streams.sent[r] == 0 {
			delete(f.s.streams.sent, r)
		}
	}
	f.refs = nil
}

// unsent refuses a commit that is being sent.
func (s *Store) unsent(op string, r dotmesh.Ref) error {
	if s.streams.sent[r] > 0 {
		return dotmesh.E(op, dotmesh.Busy, "commit %s is being sent; try again when that is done", r.Commit)
	}
	return nil
}

// unreceived refuses a line that is received into, and forgets what broken streams left.
func (s *Store) unreceived(op string, line dotmesh.LineID) error {
	if s.streams.received[line] {
		return dotmesh.E(op, dotmesh.Busy, "a stream is being received into line %s; wait for its end, or end it", line)
	}
	delete(s.streams.broken, line)
	return nil
}

// Receive keeps bodies in memory until they are whole.
func (s *Store) Receive(ctx context.Context, spec dotmesh.RecvSpec, r io.Reader) (dotmesh.Received, error) {
	const op = "fake.Receive"
	rc := &fakeReceiver{s: s, spec: spec}
	err := rc.run(ctx, r)
	return rc.got, dotmesh.Wrap(op, err)
}

// AbortReceive forgets what a broken stream has left.
func (s *Store) AbortReceive(ctx context.Context, line dotmesh.LineID) error {
	const op = "fake.AbortReceive"
	end, err := s.begin(ctx, op)
	if err != nil {
		return err
	}
	defer end()
	return s.unreceived(op, line)
}

// fakeReceiver is one call of Receive.
type fakeReceiver struct {
	s    *Store
	spec dotmesh.RecvSpec
	pump *frame.Pump
	got  dotmesh.Received
}

func (rc *fakeReceiver) run(ctx context.Context, r io.Reader) error {
	if err := rc.locked(ctx, rc.enter); err != nil {
		return err
	}
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(rc.s.life, cancel)()
	rc.pump = frame.StartPump(working, r)
	err := rc.commits(working)
	if ctx.Err() == nil && rc.s.life.Err() != nil {
		err = dotmesh.E("", dotmesh.Unreachable, "the store is closed; restart dotmesh-server")
	}
	return errors.Join(err, rc.leave(err))
}

// locked runs f as one step of the store.
func (rc *fakeReceiver) locked(ctx context.Context, f func() error) error {
	end, err := rc.s.begin(ctx, "")
	if err != nil {
		return err
	}
	defer end()
	return f()
}

func (rc *fakeReceiver) enter() error {
	line, streams := rc.spec.Line, &rc.s.streams
	if line.IsZero() {
		return dotmesh.E("", dotmesh.Invalid, "a line needs an id")
	}
	if streams.received[line] {
		return dotmesh.E("", dotmesh.Busy, "a stream is being received into line %s; wait for its end, or end it", line)
	}
	streams.received[line], streams.origins[line] = true, rc.spec.Origin
	return nil
}

func (rc *fakeReceiver) leave(failed error) error {
	rc.s.mu.Lock()
	defer rc.s.mu.Unlock()
	line, streams := rc.spec.Line, &rc.s.streams
	delete(streams.received, line)
	delete(streams.origins, line)
	a := streams.broken[line]
	if failed == nil || a == nil {
		return nil
	}
	var err error
	rc.got.Resume, err = json.Marshal(fakeToken{a.header.Commit, len(a.body), a.digest.String()})
	return err
}

func (rc *fakeReceiver) commits(ctx context.Context) error {
	for {
		h, err := rc.pump.Header()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = rc.commit(ctx, h)
		}
		if err != nil {
			return err
		}
	}
}

func (rc *fakeReceiver) commit(ctx context.Context, h *frame.Header) error {
	there := false
	err := rc.locked(ctx, func() (err error) {
		there, err = rc.check(h)
		return err
	})
	if err != nil {
		return err
	}
	if there {
		return rc.pump.Skip(h)
	}
	if err := h.Fits(ctx, rc.s.Pool); err != nil {
		return err
	}
	a := &fakeArrival{header: *h, trust: rc.spec.Trust, digest: frame.NewDigest()}
	if h.Offset > 0 {
		if a, err = rc.resume(h); err != nil {
			return err
		}
	}
	if err := rc.body(a); err != nil {
		rc.s.mu.Lock()
		defer rc.s.mu.Unlock()
		delete(rc.s.streams.broken, rc.spec.Line)
		kind := dotmesh.KindOf(err)
		if len(a.body) > 0 && (kind == dotmesh.Unreachable || kind == dotmesh.Canceled || kind == dotmesh.Timeout) {
			rc.s.streams.broken[rc.spec.Line] = a
		}
		return err
	}
	return rc.locked(ctx, func() error { return rc.publish(a) })
}

// check reports whether the commit is there, or says why it cannot be taken.
func (rc *fakeReceiver) check(h *frame.Header) (there bool, err error) {
	info := dotmesh.CommitInfo{ID: h.Commit, GUID: h.GUID, Meta: h.Meta}
	switch {
	case h.Format != fakeFormat:
		return false, dotmesh.E("", dotmesh.Invalid, "the stream is of the kind %q, and the fake takes its own", h.Format)
	case h.Line != rc.spec.Line:
		return false, dotmesh.E("", dotmesh.Invalid, "the stream is of line %s, and was to be one of line %s", h.Line, rc.spec.Line)
	case len(h.Meta) > maxMeta:
		return false, dotmesh.E("", dotmesh.Invalid, "the commit's metadata is larger than 64 KiB")
	}
	l := rc.s.lines[rc.spec.Line]
	if l != nil && l.index(h.Commit) >= 0 {
		if l.commits[l.index(h.Commit)].GUID != h.GUID {
			return false, dotmesh.E("", dotmesh.Exists, "commit %s is here with other content", h.Commit)
		}
		return true, nil
	}
	if rc.spec.Accept != nil {
		if err := rc.spec.Accept(info); err != nil {
			return false, err
		}
	}
	return false, rc.fits(l, h)
}

// fits checks that a commit can be the line's next one, and takes its head away.
func (rc *fakeReceiver) fits(l *fakeLine, h *frame.Header) error {
	s, line := rc.s, rc.spec.Line
	if l == nil {
		l = &fakeLine{origin: rc.spec.Origin}
	}
	if l.origin != rc.spec.Origin {
		return dotmesh.E("", dotmesh.Exists, "line %s is here with another origin", line)
	}
	base, guid := l.newest(line), ""
	if !base.IsZero() {
		of, i, err := s.commit("", base)
		if err != nil {
			return err
		}
		guid = of.commits[i].GUID
	}
	if h.From != base || h.FromGUID != guid {
		return dotmesh.E("", dotmesh.Diverged, "commit %s does not go on from the newest one here; fork a line from what both have", h.Commit)
	}
	if !l.head {
		return nil
	}
	dirty, err := s.differs(line, base)
	if err != nil {
		return err
	}
	if dirty {
		return dotmesh.E("", dotmesh.Diverged, "line %s holds changes that are in no commit; commit them, or fork a line from what both have", line)
	}
	l.head = false
	return os.RemoveAll(s.head(line))
}

// differs reports whether a head is anything but what a commit is; zero: empty.
func (s *Store) differs(line dotmesh.LineID, base dotmesh.Ref) (bool, error) {
	if base.IsZero() {
		entries, err := os.ReadDir(s.head(line))
		return len(entries) > 0, err
	}
	differences, err := compareTrees(s.path(base), s.head(line))
	return len(differences) > 0, err
}

// resume returns what is here of a body whose header has an offset.
func (rc *fakeReceiver) resume(h *frame.Header) (*fakeArrival, error) {
	rc.s.mu.Lock()
	a := rc.s.streams.broken[rc.spec.Line]
	rc.s.mu.Unlock()
	if a == nil || a.header.Commit != h.Commit || a.header.GUID != h.GUID || a.header.From != h.From ||
		!bytes.Equal(a.header.Meta, h.Meta) || a.trust != rc.spec.Trust || a.digest.Size() != h.Offset {
		return nil, dotmesh.E("", dotmesh.Conflict, "what had come of commit %s is gone; send it from the beginning", h.Commit)
	}
	return a, rc.pump.Resume(a.digest)
}

func (rc *fakeReceiver) body(a *fakeArrival) error {
	for {
		chunk, err := rc.pump.Chunk()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		a.body, a.digest = append(a.body, chunk.Data...), chunk.Digest
		rc.got.Bytes += int64(len(chunk.Data))
		rc.pump.Recycle(chunk.Data)
	}
}

// publish decodes a body that is whole, and shows it.
func (rc *fakeReceiver) publish(a *fakeArrival) error {
	s, h := rc.s, &a.header
	delete(s.streams.broken, rc.spec.Line)
	r := dotmesh.Ref{Line: rc.spec.Line, Commit: h.Commit}
	staging := filepath.Join(s.dir, "receiving-"+dotmesh.NewUUID().String())
	err := decodeTree(a.body, staging, a.trust)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(s.path(r)), 0o700)
	}
	if err == nil {
		err = os.Rename(staging, s.path(r))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(staging))
	}
	l := s.lines[rc.spec.Line]
	if l == nil {
		l = &fakeLine{origin: rc.spec.Origin}
		s.lines[rc.spec.Line] = l
	}
	info := dotmesh.CommitInfo{ID: h.Commit, GUID: h.GUID, Meta: slices.Clone(h.Meta)}
	l.commits = append(l.commits, info)
	rc.got.Commits = append(rc.got.Commits, info)
	return nil
}
