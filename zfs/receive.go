//go:build linux

package zfs

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
	"dotmesh.io/dotmesh/internal/frame"
)

// Receive feeds the bodies of a stream to zfs receive, which builds each commit out of
// sight. The record that ends a body is held back until all of it was verified and its
// metadata are durable; then the kernel makes the snapshot, as one transaction. What has
// come of a body that broke off stays with the dataset, and another goes on from the last
// piece of a file's content in it.
func (s *Store) Receive(ctx context.Context, spec dotmesh.RecvSpec, r io.Reader) (dotmesh.Received, error) {
	const op = "zfs.Receive"
	rc := &receiver{s: s, spec: spec}
	err := s.detached(ctx, op, func() error { return rc.run(ctx, r) })
	if err != nil && ctx.Err() != nil { // it ends soon, or has
		err = dotmesh.Wrap(op, ctx.Err())
	}
	return rc.result(), err
}

// AbortReceive throws away what streams into a line have left.
func (s *Store) AbortReceive(ctx context.Context, line dotmesh.LineID) error {
	if err := s.incoming.settle(ctx, line); err != nil {
		return fault("zfs.AbortReceive", err)
	}
	return s.changing(ctx, "zfs.AbortReceive", line, func(ctx context.Context) error {
		if line.IsZero() {
			return nil
		}
		if err := s.incoming.free(line); err != nil {
			return err
		}
		l, err := s.look(ctx, line)
		if err != nil {
			return err
		}
		return s.forgetStream(ctx, l)
	})
}

// forgetStream throws away what a stream into a line has left. A dataset that was to be
// made by it goes with it.
func (s *Store) forgetStream(ctx context.Context, l *state) error {
	if l.dataset {
		err := s.run.run(ctx, abortReceive(s.line(l.id)))
		if err != nil && !errors.Is(err, notResumable) && !errors.Is(err, notExist) {
			return err
		}
		if len(l.commits) == 0 && (l.Incoming || l.Headless) {
			l.dataset = false
		}
	}
	unborn := l.Incoming && len(l.commits) == 0
	if !unborn && l.Partial == "" {
		return nil
	}
	l.Partial = ""
	if unborn {
		l.record = record{}
	}
	return s.update(l.id, func(r *record) {
		if r.Partial = ""; unborn {
			*r = record{}
		}
	})
}

// incoming knows the lines that streams are received into, and those that none has left
// anything in.
type incoming struct {
	mu    sync.Mutex // guards what follows
	lines map[dotmesh.LineID]*arrival
	whole map[dotmesh.LineID]bool
}

// setWhole notes whether it is certain that no stream has left anything in a line.
func (in *incoming) setWhole(line dotmesh.LineID, whole bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.whole == nil {
		in.whole = map[dotmesh.LineID]bool{}
	}
	if in.whole[line] = whole; !whole {
		delete(in.whole, line)
	}
}

func (in *incoming) isWhole(line dotmesh.LineID) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.whole[line]
}

// arrival is a Receive that runs. One whose caller has given up will soon have ended.
type arrival struct {
	caller context.Context //nolint:containedctx // as long as the call
	ended  chan struct{}
}

// enter begins a Receive. There is one at a time for each line.
func (in *incoming) enter(ctx context.Context, line dotmesh.LineID) (leave func(), err error) {
	if err := in.settle(ctx, line); err != nil {
		return nil, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.lines[line] != nil {
		return nil, receiving(line)
	}
	if in.lines == nil {
		in.lines = map[dotmesh.LineID]*arrival{}
	}
	a := &arrival{caller: ctx, ended: make(chan struct{})}
	in.lines[line] = a
	return func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		delete(in.lines, line)
		close(a.ended)
	}, nil
}

// settle waits for the end of a Receive into a line whose caller has given up.
func (in *incoming) settle(ctx context.Context, line dotmesh.LineID) error {
	in.mu.Lock()
	a := in.lines[line]
	in.mu.Unlock()
	if a == nil || a.caller.Err() == nil {
		return ctx.Err()
	}
	timer := time.NewTimer(kvTimeout)
	defer timer.Stop()
	select {
	case <-a.ended:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// free refuses with Busy while a stream is received into a line.
func (in *incoming) free(line dotmesh.LineID) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.lines[line] != nil {
		return receiving(line)
	}
	return nil
}

func receiving(line dotmesh.LineID) error {
	return dotmesh.E("", dotmesh.Busy, "a stream is being received into line %s; wait for its end, or end it", line)
}

// receiver is one call of Receive.
type receiver struct {
	s     *Store
	spec  dotmesh.RecvSpec
	pump  *frame.Pump
	ready bool        // the line is there, without a head, and is nobody else's
	born  bool        // it has a dataset
	made  bool        // base was made by this call
	base  dotmesh.Ref // what the next commit must be the difference to
	guid  string      // of base
	unpin func()      // lets go of base
	seen  *state      // the line, as it was when so many changes were counted; nil: look at it
	since uint64

	mu  sync.Mutex // guards got, which is asked for while the receiver may still run
	got dotmesh.Received
}

func (rc *receiver) result() dotmesh.Received {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	got := rc.got
	got.Commits = slices.Clone(got.Commits)
	return got
}

func (rc *receiver) note(f func(*dotmesh.Received)) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	f(&rc.got)
}

func (rc *receiver) run(ctx context.Context, r io.Reader) error {
	if rc.spec.Line.IsZero() {
		return dotmesh.E("", dotmesh.Invalid, "a line needs an id")
	}
	leave, err := rc.s.incoming.enter(ctx, rc.spec.Line)
	if err != nil {
		return err
	}
	defer leave()
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(rc.s.life, cancel)()
	rc.pump = frame.StartPump(working, r)
	err = rc.commits(working)
	if rc.unpin != nil {
		rc.unpin()
	}
	if ctx.Err() == nil && rc.s.life.Err() != nil {
		err = closed("")
	}
	return err
}

func (rc *receiver) commits(ctx context.Context) error {
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

// commit takes one commit, or passes over it.
func (rc *receiver) commit(ctx context.Context, h *frame.Header) error {
	if err := rc.check(h); err != nil {
		return err
	}
	if !rc.follows(h) {
		rc.since = rc.s.glances.counted()
		l, err := rc.s.look(ctx, h.Line)
		if err != nil {
			return err
		}
		rc.seen = l
		if c := l.commit(h.Commit); c != nil && l.there() {
			if c.guid != h.GUID {
				return dotmesh.E("", dotmesh.Exists, "commit %s is here with other content", h.Commit)
			}
			return rc.pump.Skip(h)
		}
	}
	info := dotmesh.CommitInfo{ID: h.Commit, GUID: h.GUID, Meta: h.Meta}
	if rc.spec.Accept != nil {
		if err := rc.spec.Accept(info); err != nil {
			return err
		}
	}
	if err := h.Fits(ctx, rc.s.Pool); err != nil {
		return err
	}
	return rc.take(ctx, h, info)
}

// follows reports whether a commit goes on from the one that this call has just made. Then
// nothing about the line has changed that would have to be looked at again: that commit is
// the newest, since it is pinned and there is no head, and what comes after it is not here.
func (rc *receiver) follows(h *frame.Header) bool {
	return rc.made && h.From == rc.base && h.FromGUID == rc.guid
}

// check looks at what can be seen of a header by itself.
func (rc *receiver) check(h *frame.Header) error {
	switch {
	case h.Format != streamFormat:
		return dotmesh.E("", dotmesh.Invalid, "the stream is of the kind %q, and this store takes %q only", h.Format, streamFormat)
	case h.Line != rc.spec.Line:
		return dotmesh.E("", dotmesh.Invalid, "the stream is of line %s, and was to be one of line %s", h.Line, rc.spec.Line)
	case len(h.Meta) > maxMeta:
		return dotmesh.E("", dotmesh.Invalid, "the commit's metadata is larger than 64 KiB")
	case h.Offset != 0:
		return dotmesh.E("", dotmesh.Conflict, "the stream begins in the middle of a commit; send it from the beginning")
	}
	return nil
}

// take has the kernel build a commit.
func (rc *receiver) take(ctx context.Context, h *frame.Header, info dotmesh.CommitInfo) error {
	f := &feeder{rc: rc, ctx: ctx, header: h}
	f.records = records{begin: f.begin, emit: f.emit}
	err := f.body()
	if err == nil {
		err = rc.publish(ctx, f, info)
	}
	if err != nil {
		return rc.breakOff(context.WithoutCancel(ctx), f, err)
	}
	rc.note(func(got *dotmesh.Received) { got.Commits = append(got.Commits, info) })
	unpin, err := rc.s.pins.pin(dotmesh.Ref{Line: h.Line, Commit: h.Commit})
	if rc.unpin != nil {
		rc.unpin()
	}
	rc.made = true
	rc.base, rc.guid, rc.unpin = dotmesh.Ref{Line: h.Line, Commit: h.Commit}, h.GUID, unpin
	return join(err, fail.Point("zfs.receive.after-publish"))
}

// feeder hands one body to zfs receive.
type feeder struct {
	rc      *receiver
	ctx     context.Context //nolint:containedctx // lives as long as one body
	header  *frame.Header
	records records
	process *process
	in      *os.File // its standard input
	unhang  func() bool
}

// body feeds all of a body but its last record, as it comes. When it returns nil all of it
// has come and is what was sent.
func (f *feeder) body() error {
	for {
		next, err := f.rc.pump.Chunk()
		if errors.Is(err, io.EOF) {
			_, err := f.records.finish()
			return err
		}
		if err != nil {
			return err
		}
		f.rc.note(func(got *dotmesh.Received) { got.Bytes += int64(len(next.Data)) })
		if err := f.records.feed(next.Data); err != nil {
			return err
		}
		f.rc.pump.Recycle(next.Data)
	}
}

// begin starts zfs receive, if the line can take the stream and it is what its header says.
func (f *feeder) begin(b beginning) error {
	h := f.header
	err := f.rc.s.inTurn(f.ctx, h.Line, func(ctx context.Context) error {
		return f.rc.s.lending(ctx, func() error { return f.rc.prepare(ctx, h, b.resuming) })
	})
	if err != nil {
		return err
	}
	from := h.FromGUID
	if from == "" {
		from = "0"
	}
	if strconv.FormatUint(b.to, 10) != h.GUID || strconv.FormatUint(b.from, 10) != from ||
		(b.flags&isClone != 0) != (!h.From.IsZero() && h.From.Line != h.Line) {
		return spoilt("a body that is not what its header says")
	}
	in, out, err := pipe()
	if err != nil {
		return err
	}
	s := f.rc.s
	c := receiveNext(s.at(dotmesh.Ref{Line: h.Line, Commit: h.Commit}))
	if !f.rc.born {
		origin := ""
		if !h.From.IsZero() {
			origin = s.at(h.From)
		}
		c = receiveFirst(s.at(dotmesh.Ref{Line: h.Line, Commit: h.Commit}), origin)
	}
	s.incoming.setWhole(h.Line, false)
	f.process, err = s.run.start(context.WithoutCancel(f.ctx), c, in, nil)
	if err := join(err, in.Close()); err != nil {
		return join(err, out.Close())
	}
	f.in = out
	f.unhang = context.AfterFunc(f.ctx, func() { _ = out.Close() })
	return fail.Point("zfs.receive.after-begin")
}

// emit writes to zfs receive. It waits no longer than the call does.
func (f *feeder) emit(p []byte) error {
	_, err := f.in.Write(p)
	if ctxErr := f.ctx.Err(); ctxErr != nil {
		return ctxErr
	}
	if err != nil { // it has ended, and says why
		if ended := f.wait(); ended != nil {
			return ended
		}
	}
	return err
}

// wait waits for zfs receive, whose input is closed. It ends by itself, or is killed.
func (f *feeder) wait() error {
	if f.process == nil {
		return nil
	}
	p := f.process
	f.process = nil
	f.unhang()
	_ = f.in.Close() // perhaps a second time
	stop := time.AfterFunc(longest, p.kill)
	defer stop.Stop()
	return p.wait()
}

// inTurn runs f, which is not to be cut short, as the only one that changes a line.
func (s *Store) inTurn(ctx context.Context, line dotmesh.LineID, f func(context.Context) error) error {
	give, err := s.turns.take(ctx, line)
	if err != nil {
		return err
	}
	defer give()
	defer s.glances.forget(line)
	return f(context.WithoutCancel(ctx))
}

// prepare sees to it that the commit can be the line's next one. From then on nobody
// changes which commit is its newest: that is pinned, and without a head there is no newer
// one.
func (rc *receiver) prepare(ctx context.Context, h *frame.Header, resuming bool) error {
	if rc.follows(h) && !resuming {
		rc.born = true
		return nil
	}
	s := rc.s
	if err := s.replay(ctx, h.Line); err != nil {
		return err
	}
	l, err := rc.look(ctx)
	if err != nil {
		return err
	}
	if l.Doomed { // a Destroy was cut short
		if err := s.destroyLine(ctx, l); err != nil {
			return err
		}
		l = newState(h.Line, nil, record{})
	}
	if !l.Unchecked.IsZero() { // a look at a stranger's files was cut short
		if err := s.reject(ctx, l); err != nil {
			return err
		}
	}
	if l.there() && l.Origin != rc.spec.Origin {
		return dotmesh.E("", dotmesh.Exists, "line %s is here with another origin", h.Line)
	}
	if !rc.ready {
		if err := rc.setBase(ctx, l); err != nil {
			return err
		}
	}
	if h.From != rc.base || h.FromGUID != rc.guid {
		return dotmesh.E("", dotmesh.Diverged, "commit %s goes on from %s, and the newest one here is %s; fork a line from what both have",
			h.Commit, nameOf(h.From), nameOf(rc.base))
	}
	what := ""
	if resuming {
		what = rc.fingerprint(h)
	}
	if err := s.makeWay(ctx, l, rc.spec.Origin, what); err != nil {
		return err
	}
	rc.born = l.dataset
	if !rc.ready && !rc.base.IsZero() {
		if rc.unpin, err = s.pins.pin(rc.base); err != nil {
			return err
		}
	}
	rc.ready = true
	return nil
}

// look looks at the line, unless it is as it was: nobody has changed a line since, and nobody
// else does now.
func (rc *receiver) look(ctx context.Context) (*state, error) {
	l := rc.seen
	rc.seen = nil
	if l != nil && !l.Mounted && rc.since == rc.s.glances.counted() {
		return l, nil
	}
	return rc.s.look(ctx, rc.spec.Line)
}

func nameOf(r dotmesh.Ref) string {
	if r.IsZero() {
		return "nothing"
	}
	return r.Commit.String()
}

// setBase learns what the next commit must be the difference to.
func (rc *receiver) setBase(ctx context.Context, l *state) error {
	rc.base, rc.guid = dotmesh.Ref(rc.spec.Origin), ""
	if n := len(l.commits); n > 0 {
		rc.base, rc.guid = l.newest(), l.commits[n-1].guid
		return nil
	}
	if rc.base.IsZero() {
		return nil
	}
	c, err := rc.s.findCommit(ctx, rc.base)
	if err == nil {
		rc.guid = c.guid
	}
	return err
}

// fingerprint is what a stream that goes on must have in common with the one that broke off.
func (rc *receiver) fingerprint(h *frame.Header) string {
	same := *h
	same.Estimate = 0 // of the rest nobody says it
	text, err := json.Marshal(struct {
		frame.Header
		Trust dotmesh.Trust
	}{same, rc.spec.Trust})
	if err != nil {
		panic(err) // a header came as JSON
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// makeWay gets a line ready for a stream: without a head, and with what is left of another
// stream only where this one goes on with it. resuming is that one's fingerprint, or empty.
func (s *Store) makeWay(ctx context.Context, l *state, origin dotmesh.Origin, resuming string) error {
	if l.Incoming && len(l.commits) == 0 && l.Origin != origin {
		if err := s.forgetStream(ctx, l); err != nil {
			return err
		}
	}
	if l.there() && l.head() {
		if err := s.giveUpCleanHead(ctx, l); err != nil {
			return err
		}
	}
	left, err := s.leftover(ctx, l)
	if err != nil {
		return err
	}
	switch {
	case resuming != "" && (left == "" || l.Partial != resuming):
		return dotmesh.E("", dotmesh.Conflict, "what had come of the commit is gone; send it from the beginning")
	case resuming == "" && left != "":
		if err := s.forgetStream(ctx, l); err != nil {
			return err
		}
	}
	if l.there() || l.Incoming {
		return nil
	}
	err = s.update(l.id, func(r *record) { *r = record{Headless: true, Incoming: true, Origin: origin} })
	return join(err, fail.Point("zfs.receive.after-record"))
}

// giveUpCleanHead gives up a head that holds nothing that its newest commit does not.
func (s *Store) giveUpCleanHead(ctx context.Context, l *state) error {
	release, err := s.claim(ctx, head(l.id))
	if err != nil {
		return err
	}
	defer release()
	if err := s.removeScratch(ctx, l); err != nil {
		return err
	}
	if err := s.run.run(ctx, syncPool(s.pool)); err != nil {
		return err
	}
	u, err := s.measure(ctx, l.id, l.newest(), true)
	if err != nil {
		return err
	}
	if u.Dirty.Bytes > 0 {
		return dotmesh.E("", dotmesh.Diverged, "line %s holds changes that are in no commit; commit them, or fork a line from what both have", l.id)
	}
	if err := s.giveUpHead(l); err != nil {
		return err
	}
	return s.settle(ctx, l)
}

// leftover returns the token of what a stream into a line has left, or nothing.
func (s *Store) leftover(ctx context.Context, l *state) (token string, err error) {
	if !l.dataset || s.incoming.isWhole(l.id) {
		return "", nil
	}
	all, err := s.run.values(ctx, s.line(l.id), "receive_resume_token")
	if errors.Is(err, notExist) {
		return "", nil
	}
	if err != nil || !validToken(all[0].text) {
		return "", err
	}
	return all[0].text, nil
}

// publish makes the commit: the kernel is given the last record. What a stranger sent is
// hidden at first.
func (rc *receiver) publish(ctx context.Context, f *feeder, info dotmesh.CommitInfo) error {
	s, r := rc.s, dotmesh.Ref{Line: rc.spec.Line, Commit: info.ID}
	err := s.kv.Update(func(tx dotmesh.KVWriter) error {
		if err := tx.Put(metaBucket, metaKey(r), info.Meta); err != nil || rc.spec.Trust == dotmesh.Member {
			return err
		}
		return updateRecord(tx, r.Line, func(known *record) { known.Headless, known.Unchecked = true, r.Commit })
	})
	if err == nil {
		err = fail.Point("zfs.receive.after-meta")
	}
	if err == nil {
		err = f.emit(f.records.end)
	}
	if err != nil {
		return err
	}
	if err := f.wait(); err != nil {
		return err
	}
	s.incoming.setWhole(r.Line, true)
	ctx = context.WithoutCancel(ctx) // it is there, and is to be said so
	if err := fail.Point("zfs.receive.after-end"); err != nil {
		return err
	}
	if rc.spec.Trust != dotmesh.Member {
		if err := judge(ctx, s.at(r)); err != nil {
			return err
		}
	}
	s.children.add(rc.spec.Origin, r.Line)
	return s.inTurn(ctx, r.Line, func(context.Context) error {
		if known, err := s.record(r.Line); err != nil || known == (record{Headless: true}) {
			return err
		}
		return s.update(r.Line, func(known *record) { *known = record{Headless: true} })
	})
}

// reject takes back a commit of a stranger's that was not found to be harmless. Nobody has
// seen it.
func (s *Store) reject(ctx context.Context, l *state) error {
	if err := s.giveUpHead(l); err != nil {
		return err
	}
	if err := s.settle(ctx, l); err != nil {
		return err
	}
	l.Unchecked = dotmesh.CommitID{}
	return s.update(l.id, func(r *record) {
		if r.Unchecked = (dotmesh.CommitID{}); r.Incoming && len(l.commits) == 0 {
			*r = record{}
		}
	})
}

// breakOff ends a body that does not go on, and says how another stream can.
func (rc *receiver) breakOff(ctx context.Context, f *feeder, failed error) error {
	ended := f.wait()
	if errors.Is(failed, os.ErrClosed) && ended != nil {
		failed = ended
	}
	return rc.s.inTurn(ctx, rc.spec.Line, func(ctx context.Context) error {
		l, err := rc.s.look(ctx, rc.spec.Line)
		if err != nil {
			return join(failed, err)
		}
		if !f.records.begun {
			return failed
		}
		r := dotmesh.Ref{Line: l.id, Commit: f.header.Commit}
		if l.commit(r.Commit) == nil {
			failed = join(failed, rc.s.dropMetas(r))
		}
		if !l.Unchecked.IsZero() {
			failed = join(failed, rc.s.reject(ctx, l))
		}
		if !canGoOn(failed) {
			return join(failed, rc.s.forgetStream(ctx, l))
		}
		return join(failed, rc.tell(ctx, l, f.header))
	})
}

// canGoOn reports whether a stream broke off in a way that another can go on from.
func canGoOn(err error) bool {
	kind := dotmesh.KindOf(fault("", err))
	return kind == dotmesh.Unreachable || kind == dotmesh.Canceled || kind == dotmesh.Timeout
}

// tell says how a stream goes on that broke off in the middle of a body.
func (rc *receiver) tell(ctx context.Context, l *state, h *frame.Header) error {
	token, err := rc.s.leftover(ctx, l)
	if err != nil {
		return err
	}
	if token == "" { // nothing has come that is worth keeping
		return rc.s.forgetStream(ctx, l)
	}
	what := rc.fingerprint(h)
	if err := rc.s.update(l.id, func(r *record) { r.Partial = what }); err != nil {
		return err
	}
	text, err := json.Marshal(resumption{Commit: h.Commit, Token: token})
	rc.note(func(got *dotmesh.Received) { got.Resume = text })
	return err
}
