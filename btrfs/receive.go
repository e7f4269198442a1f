//go:build linux

package btrfs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
	"dotmesh.io/dotmesh/internal/frame"
)

// Receive makes commits from a stream: each is applied to a hidden subvolume while it
// comes, and shown by one transaction of the file system when it was verified. A Read of r
// may still be running when it returns early; it ends when whoever has r closes it.
func (s *Store) Receive(ctx context.Context, spec dotmesh.RecvSpec, r io.Reader) (dotmesh.Received, error) {
	const op = "btrfs.Receive"
	rc := &receiver{s: s, spec: spec}
	err := s.detached(ctx, op, func() error { return rc.run(ctx, r) })
	return rc.result(), err
}

// AbortReceive removes what streams into a line have left.
func (s *Store) AbortReceive(ctx context.Context, line dotmesh.LineID) error {
	return s.changing(ctx, "btrfs.AbortReceive", func() error {
		return s.forgetStreams(context.WithoutCancel(ctx), line)
	})
}

// receiver is one call of Receive.
type receiver struct {
	s     *Store
	spec  dotmesh.RecvSpec
	in    *arrival
	pump  *frame.Pump
	ready bool        // the line is there, without a head, and is nobody else's
	base  dotmesh.Ref // what the next commit must be the difference to
	unpin func()      // lets go of base

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
	var err error
	if rc.in, err = rc.s.incoming.enter(rc.spec.Line); err != nil {
		return err
	}
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(rc.s.life, cancel)()
	rc.pump = frame.StartPump(working, r)
	err = rc.commits(working)
	if ctx.Err() == nil && rc.s.life.Err() != nil {
		err = closed("")
	}
	return join(err, rc.leave(context.WithoutCancel(ctx), err))
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

// leave ends the call. What cannot be of use to the next one goes.
func (rc *receiver) leave(ctx context.Context, failed error) error {
	s, a := rc.s, rc.in
	if rc.unpin != nil {
		rc.unpin()
	}
	var err error
	if st := a.staging; st != nil {
		st.tidy()
		if failed != nil && !st.spoiled {
			err = rc.tell(st.partial)
		}
	}
	if a.useless() {
		err = join(err, s.inTurn(ctx, func() error { return s.discard(ctx, a) }))
	}
	s.incoming.leave(a)
	_ = s.trim(ctx) // what stays is hidden, and goes with the next Open
	return err
}

// tidy forgets a body that nothing has come of, and keeps no more of another one open than
// it needs: there may be many, for a long time.
func (st *staging) tidy() {
	p := st.partial
	switch {
	case p == nil:
	case !st.spoiled && p.digest.Size() == 0:
		p.close()
		st.partial = nil
	default:
		p.applier.close()
	}
}

// useless reports whether nothing that a stream left is worth keeping.
func (a *arrival) useless() bool {
	st := a.staging
	return st != nil && st.spoiled || a.unborn && (st == nil || st.partial == nil)
}

// tell says how a stream goes on that broke off in the middle of a body.
func (rc *receiver) tell(p *partial) error {
	if p == nil {
		return nil
	}
	r := resumption{Commit: p.header.Commit, Offset: p.digest.Size(), SHA256: p.digest.String()}
	token, err := r.token()
	rc.note(func(got *dotmesh.Received) { got.Resume = token })
	return err
}

// Stagings are kept, so that the next commit of a line needs no new one, but not for ever
// so many lines; those that go do so some at a time.
const (
	keptStagings = 64
	trimmed      = 16
)

// trim removes the stagings that were not used for longest, if there are too many.
func (s *Store) trim(ctx context.Context) error {
	first := s.incoming.oldest(keptStagings)
	if first == nil {
		return nil
	}
	return s.inTurn(ctx, func() error {
		err := s.discard(ctx, first)
		for range trimmed {
			if err == nil {
				err = s.discard(ctx, s.incoming.oldest(keptStagings-trimmed))
			}
		}
		return err
	})
}

// inTurn runs f as the only one that changes lines.
func (s *Store) inTurn(ctx context.Context, f func() error) error {
	if err := s.takeTurn(ctx); err != nil {
		return err
	}
	defer s.giveTurn()
	s.seen = nil
	return f()
}

// commit takes one commit, or passes over it.
func (rc *receiver) commit(ctx context.Context, h *frame.Header) error {
	if err := rc.check(h); err != nil {
		return err
	}
	there, err := rc.there(h)
	if err != nil {
		return err
	}
	if there {
		return rc.pump.Skip(h)
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
	if err := rc.prepare(ctx, h); err != nil {
		return err
	}
	st, err := rc.stage(h)
	if err != nil {
		return err
	}
	if err := rc.apply(ctx, st); err != nil {
		return err
	}
	return rc.publish(ctx, st, info)
}

// check looks at what can be seen of a header by itself.
func (rc *receiver) check(h *frame.Header) error {
	guid, err := dotmesh.ParseUUID(h.GUID)
	switch {
	case h.Format != streamFormat:
		return dotmesh.E("", dotmesh.Invalid, "the stream is of the kind %q, and this store takes %q only", h.Format, streamFormat)
	case h.Line != rc.spec.Line:
		return dotmesh.E("", dotmesh.Invalid, "the stream is of line %s, and was to be one of line %s", h.Line, rc.spec.Line)
	case err != nil || guid.String() != h.GUID:
		return broken("the guid %q", h.GUID)
	case len(h.Meta) > maxMeta:
		return dotmesh.E("", dotmesh.Invalid, "the commit's metadata is larger than 64 KiB")
	}
	return nil
}

// there reports whether the commit is here already.
func (rc *receiver) there(h *frame.Header) (bool, error) {
	if _, err := rc.s.line(h.Line); errors.Is(err, dotmesh.NotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	v, err := rc.s.subvol(dotmesh.Ref{Line: h.Line, Commit: h.Commit})
	switch {
	case errors.Is(err, dotmesh.NotFound):
		return false, nil
	case err != nil:
		return false, err
	case v.guid() != h.GUID:
		return false, dotmesh.E("", dotmesh.Exists, "commit %s is here with other content", h.Commit)
	}
	return true, nil
}

// prepare sees to it that the commit can be the line's next one.
func (rc *receiver) prepare(ctx context.Context, h *frame.Header) error {
	if rc.ready {
		return rc.follows(h)
	}
	return rc.s.inTurn(ctx, func() error {
		return rc.s.lending(func() error { return rc.settle(context.WithoutCancel(ctx), h) })
	})
}

// settle makes the line, or takes its head away. From then on nobody changes which commit
// is its newest: that is pinned, and without a head there is no newer one.
func (rc *receiver) settle(ctx context.Context, h *frame.Header) error {
	s, line := rc.s, rc.spec.Line
	r, found, err := s.record(line)
	if err == nil && found && r.Doomed { // a Destroy was cut short
		err = s.destroyLine(ctx, line)
		r, found = record{}, false
	}
	if err != nil {
		return err
	}
	if rc.in.unborn && r.Origin != rc.spec.Origin {
		if err := s.discard(ctx, rc.in); err != nil {
			return err
		}
	}
	there, err := s.made(ctx, line, r)
	if err != nil {
		return err
	}
	if there && r.Origin != rc.spec.Origin {
		return dotmesh.E("", dotmesh.Exists, "line %s is here with another origin", line)
	}
	if rc.base, err = s.newest(ctx, line, record{Origin: rc.spec.Origin}); err != nil {
		return err
	}
	if err := rc.follows(h); err != nil {
		return err
	}
	if there {
		err = s.giveUpHead(ctx, line, r, rc.base)
	} else {
		err = s.conceive(rc.in, rc.spec.Origin)
	}
	if err == nil && !rc.base.IsZero() {
		rc.unpin, err = s.pins.pin(rc.base)
	}
	rc.ready = err == nil
	return err
}

// follows checks that the commit is the difference to the newest one here.
func (rc *receiver) follows(h *frame.Header) error {
	guid := ""
	if !rc.base.IsZero() {
		if err := rc.s.committed(rc.base); err != nil {
			return err
		}
		v, err := rc.s.subvol(rc.base)
		if err != nil {
			return err
		}
		guid = v.guid()
	}
	if h.From == rc.base && h.FromGUID == guid {
		return nil
	}
	return dotmesh.E("", dotmesh.Diverged, "commit %s goes on from %s, and the newest one here is %s; fork a line from what both have",
		h.Commit, nameOf(h.From), nameOf(rc.base))
}

func nameOf(r dotmesh.Ref) string {
	if r.IsZero() {
		return "nothing"
	}
	return r.Commit.String()
}

// giveUpHead destroys a line's head if it holds nothing that its newest commit does not.
func (s *Store) giveUpHead(ctx context.Context, line dotmesh.LineID, r record, base dotmesh.Ref) error {
	there, err := s.has(head(line))
	if err != nil || !there {
		return err
	}
	release, err := s.claim(ctx, head(line))
	if err != nil {
		return err
	}
	defer release()
	if err := s.pool.sync(); err != nil {
		return err
	}
	dirty, err := s.differs(ctx, head(line), base)
	if err != nil {
		return err
	}
	if dirty {
		return dotmesh.E("", dotmesh.Diverged, "line %s holds changes that are in no commit; commit them, or fork a line from what both have", line)
	}
	return s.dropHead(ctx, line, r)
}

// differs reports whether a head holds anything that was written after a commit.
func (s *Store) differs(ctx context.Context, state, base dotmesh.Ref) (bool, error) {
	dir, err := openDir(s.at(state))
	if err != nil {
		return false, err
	}
	defer dir.Close() //nolint:errcheck // only read
	v, err := subvolOf(dir)
	if err != nil {
		return false, err
	}
	transid, err := s.baseTransid(ctx, v, base)
	if err != nil {
		return false, err
	}
	bytes, err := written(ctx, newFinder(dir, smallSearch), transid)
	return bytes > 0, err
}

// conceive makes a line that is hidden until it has a commit, and is gone after a crash
// before that.
func (s *Store) conceive(a *arrival, origin dotmesh.Origin) error {
	if a.unborn { // by a stream that broke off
		return nil
	}
	err := s.kv.Update(func(tx dotmesh.KVWriter) error { return putRecord(tx, a.line, record{Origin: origin}) })
	if err == nil {
		s.incoming.setUnborn(a, true)
		err = fail.Point("btrfs.receive.after-record")
	}
	if err == nil {
		err = os.MkdirAll(s.commitsDir(a.line), 0o700)
	}
	if err != nil {
		return join(err, s.unmake(a))
	}
	s.children.add(origin, a.line)
	return nil
}

// stage returns a staging that holds what the commit's body is to be applied to: what the
// last stream left, if that fits, or a new one.
func (rc *receiver) stage(h *frame.Header) (*staging, error) {
	s, a := rc.s, rc.in
	if h.Offset > 0 {
		if st := a.staging; st != nil && st.partial.continues(h, rc.base, rc.spec.Trust) {
			return st, rc.pump.Resume(st.partial.digest)
		}
		return nil, dotmesh.E("", dotmesh.Conflict, "what had come of commit %s is gone; send it from the beginning", h.Commit)
	}
	if st := a.staging; st != nil && (st.partial != nil || st.spoiled || st.base != rc.base) {
		a.staging = nil
		if err := s.destroyStagings(context.Background(), st); err != nil {
			return nil, err
		}
	}
	if a.staging == nil {
		st, err := s.makeStaging(rc.spec.Line, rc.base)
		if err != nil {
			return nil, err
		}
		a.staging = st
		if err := fail.Point("btrfs.receive.after-staging"); err != nil {
			return nil, err
		}
	}
	return a.staging, rc.begin(a.staging, h)
}

// begin readies a staging for a new body.
func (rc *receiver) begin(st *staging, h *frame.Header) error {
	a := &applier{dst: newBeneath(st.dir), trust: rc.spec.Trust, guid: mustUUID(h.GUID)}
	if !rc.base.IsZero() {
		dir, err := openDir(rc.s.at(rc.base))
		if err != nil {
			return err
		}
		a.src, a.fromGUID = newBeneath(dir), mustUUID(h.FromGUID)
	}
	st.partial = &partial{header: *h, digest: frame.NewDigest(), applier: a}
	return nil
}

// mustUUID is for what was checked before.
func mustUUID(text string) dotmesh.UUID {
	u, err := dotmesh.ParseUUID(text)
	if err != nil {
		panic(err)
	}
	return u
}

// continues reports whether a header goes on where what has come of a commit ends.
func (p *partial) continues(h *frame.Header, base dotmesh.Ref, trust dotmesh.Trust) bool {
	return p != nil && p.header.Commit == h.Commit && p.header.GUID == h.GUID && bytes.Equal(p.header.Meta, h.Meta) &&
		p.header.From == base && p.digest.Size() == h.Offset && p.applier.trust == trust
}

// apply applies a body as it comes, until all of it has and was verified. It stops between
// chunks only, and what it has done then can be gone on with; but before a clone it stops
// anywhere, since a chunk of those may stand for terabytes.
func (rc *receiver) apply(ctx context.Context, st *staging) error {
	p := st.partial
	do := func(c *command) error {
		if c.kind == cmdClone && ctx.Err() != nil {
			return ctx.Err()
		}
		return p.applier.apply(c)
	}
	for {
		next, err := rc.pump.Chunk()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			st.spoiled = !resumable(err)
			return err
		}
		rc.note(func(got *dotmesh.Received) { got.Bytes += int64(len(next.Data)) })
		if err := p.parser.feed(next.Data, do); err != nil {
			st.spoiled = true
			return err
		}
		p.digest = next.Digest
		rc.pump.Recycle(next.Data)
	}
	if err := p.parser.finish(); err != nil {
		st.spoiled = true
		return err
	}
	p.applier.close()
	return fail.Point("btrfs.receive.after-apply")
}

// resumable reports whether a stream broke off in a way that another can go on from.
func resumable(err error) bool {
	kind := dotmesh.KindOf(err)
	return kind == dotmesh.Unreachable || kind == dotmesh.Canceled || kind == dotmesh.Timeout
}

// publish makes the commit. When the kernel has, it is durable with all that it holds.
func (rc *receiver) publish(ctx context.Context, st *staging, info dotmesh.CommitInfo) error {
	err := rc.show(ctx, st, info)
	st.spoiled = st.partial != nil && err != nil && !resumable(err)
	return err
}

func (rc *receiver) show(ctx context.Context, st *staging, info dotmesh.CommitInfo) error {
	s, r := rc.s, dotmesh.Ref{Line: rc.spec.Line, Commit: info.ID}
	if err := s.mayBeCalled(ctx, st.partial.applier.guid); err != nil {
		return err
	}
	if err := setReceived(st.dir, st.partial.applier.guid, st.partial.applier.transid); err != nil {
		return err
	}
	if err := fail.Point("btrfs.receive.after-guid"); err != nil {
		return err
	}
	if st.partial.digest.Size() > largeBody {
		if err := allTaken(st.dir); err != nil {
			return err
		}
	}
	return s.inTurn(ctx, func() error {
		err := s.putMeta(r, info.Meta)
		if err == nil {
			err = fail.Point("btrfs.receive.after-meta")
		}
		if err == nil {
			err = s.take(context.WithoutCancel(ctx), st, r)
		}
		if err != nil {
			return join(err, s.forget(r))
		}
		st.published(r)
		return join(rc.published(r, info), fail.Point("btrfs.receive.after-publish"))
	})
}

// take makes a commit of a staging.
func (s *Store) take(ctx context.Context, st *staging, r dotmesh.Ref) error {
	v, err := subvolOf(st.dir)
	if err != nil {
		return err
	}
	since, err := s.lastSnapshot(ctx, v)
	if err != nil {
		return err
	}
	if err := snapshotOf(st.dir, s.at(r), true); err != nil {
		return err
	}
	if err := s.filesTaken(ctx, r, v, since); err != nil {
		return join(err, s.destroyTree(ctx, s.at(r)), s.pool.sync())
	}
	return nil
}

// published notes that a staging is what a commit is now.
func (st *staging) published(r dotmesh.Ref) {
	st.partial.close()
	st.base, st.partial, st.parent = r, nil, true
}

func (rc *receiver) published(r dotmesh.Ref, info dotmesh.CommitInfo) error {
	rc.s.incoming.setUnborn(rc.in, false)
	rc.note(func(got *dotmesh.Received) { got.Commits = append(got.Commits, info) })
	unpin, err := rc.s.pins.pin(r)
	if rc.unpin != nil {
		rc.unpin()
	}
	rc.base, rc.unpin = r, unpin
	return err
}
