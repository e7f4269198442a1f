//go:build linux

package zfs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
	"dotmesh.io/dotmesh/internal/frame"
)

// streamFormat is what the bodies are that this store sends: one stream of zfs send each.
const streamFormat = "zfs-1"

// sendBuffer is what is read from zfs send, and framed, in one go; and what a pipe holds,
// so that the program and who reads it work at the same time.
const (
	sendBuffer = 256 << 10
	pipeSize   = 1 << 20
)

// sendStep is one commit that is sent, and what it is sent as a difference to.
type sendStep struct {
	commit, from         dotmesh.Ref
	commitGUID, fromGUID string
}

// Send has zfs send write each commit when its turn comes. Until the stream ends, this store
// destroys nothing of what it sends. Where several commits are sent, a hold keeps everybody
// else from it; of a single one, the kernel does while it is read.
func (s *Store) Send(ctx context.Context, spec dotmesh.SendSpec) (io.ReadCloser, error) {
	const op = "zfs.Send"
	if err := s.replayed(ctx, op, spec.Line, false); err != nil {
		return nil, err
	}
	return reading(ctx, s, op, func(ctx context.Context) (io.ReadCloser, error) {
		steps, err := s.plan(ctx, spec)
		if err != nil {
			return nil, err
		}
		token, err := s.tokenOf(ctx, spec.Resume, steps[0])
		if err != nil {
			return nil, err
		}
		release, err := s.hold(ctx, steps)
		if err != nil {
			return nil, err
		}
		return s.startSender(ctx, steps, token, release), nil
	})
}

// plan checks what is asked for and returns it as steps.
func (s *Store) plan(ctx context.Context, spec dotmesh.SendSpec) ([]sendStep, error) {
	l, err := s.find(ctx, spec.Line)
	if err != nil {
		return nil, err
	}
	if len(spec.Commits) == 0 {
		return nil, dotmesh.E("", dotmesh.Invalid, "name the commits that are to be sent")
	}
	from, guid, last := spec.From, "", -1
	switch {
	case from.IsZero():
	case from.Line == spec.Line && !from.Commit.IsZero():
		if last = l.index(from.Commit); last < 0 {
			return nil, missing(from)
		}
		guid = l.commits[last].guid
	case dotmesh.Origin(from) == l.Origin:
		c, err := s.findCommit(ctx, from)
		if err != nil {
			return nil, err
		}
		guid = c.guid
	default:
		return nil, dotmesh.E("", dotmesh.Invalid, "line %s was not forked from commit %s of line %s", spec.Line, from.Commit, from.Line)
	}
	var steps []sendStep
	for _, id := range spec.Commits {
		commit := dotmesh.Ref{Line: spec.Line, Commit: id}
		at := l.index(id)
		if at < 0 {
			return nil, missing(commit)
		}
		if at <= last {
			return nil, dotmesh.E("", dotmesh.Invalid, "commit %s does not follow the one that it is to be sent after", id)
		}
		steps = append(steps, sendStep{commit, from, l.commits[at].guid, guid})
		from, guid, last = commit, l.commits[at].guid, at
	}
	return steps, nil
}

// tokenOf returns the token of a resumption, if it names just the step that is to be sent.
func (s *Store) tokenOf(ctx context.Context, resume []byte, step sendStep) (string, error) {
	if resume == nil {
		return "", nil
	}
	had, err := parseResumption(resume)
	if err != nil {
		return "", err
	}
	c, err := s.run.readToken(ctx, had.Token)
	if err != nil {
		return "", err
	}
	from := step.fromGUID
	if from == "" {
		from = "0"
	}
	if had.Commit != step.commit.Commit || c.name != s.at(step.commit) || fmt.Sprint(c.to) != step.commitGUID || fmt.Sprint(c.from) != from {
		return "", dotmesh.E("", dotmesh.Conflict, "what came of commit %s before is not what is to be sent; send from the beginning", had.Commit)
	}
	return had.Token, nil
}

// holdBucket holds the tags of holds, each with its commits: what the next Open releases
// if we do not. The pool may have another name then.
const holdBucket = "store/holds"

// hold keeps what is sent from being destroyed. What it returns lets go of it.
func (s *Store) hold(ctx context.Context, steps []sendStep) (release func(), err error) {
	var refs []dotmesh.Ref
	for _, step := range steps {
		for _, r := range []dotmesh.Ref{step.from, step.commit} {
			if !r.IsZero() && !slices.Contains(refs, r) {
				refs = append(refs, r)
			}
		}
	}
	unpin, err := s.pins.pin(refs...)
	if err != nil {
		return nil, err
	}
	if len(steps) == 1 { // a hold takes two processes, and two transaction groups
		return unpin, nil
	}
	names := s.allAt(refs)
	tag := "dotmesh-" + dotmesh.NewUUID().String()
	err = s.kv.Update(func(tx dotmesh.KVWriter) error {
		value, err := json.Marshal(refs)
		return join(err, tx.Put(holdBucket, tag, value))
	})
	if err == nil {
		err = s.run.run(ctx, holdSnapshots(tag, names...))
	}
	if err == nil {
		err = fail.Point("zfs.send.after-hold")
	}
	if err != nil {
		err = join(err, s.letGo(context.WithoutCancel(ctx), tag, names))
		unpin()
		return nil, err
	}
	return func() {
		_ = s.letGo(context.WithoutCancel(ctx), tag, names) // what is left, the next Open releases
		unpin()
	}, nil
}

func (s *Store) allAt(refs []dotmesh.Ref) []string {
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = s.at(r)
	}
	return names
}

// letGo releases holds, and forgets that they were taken.
func (s *Store) letGo(ctx context.Context, tag string, names []string) error {
	err := s.run.run(ctx, releaseSnapshots(tag, names...))
	if errors.Is(err, notExist) && len(names) > 1 { // some may be held all the same
		err = nil
		for _, name := range names {
			if one := s.run.run(ctx, releaseSnapshots(tag, name)); !errors.Is(one, notExist) {
				err = join(err, one)
			}
		}
	}
	if err != nil && !errors.Is(err, notExist) {
		return err
	}
	return s.kv.Update(func(tx dotmesh.KVWriter) error { return tx.Delete(holdBucket, tag) })
}

// sweepHolds releases what an earlier process held while it sent.
func (s *Store) sweepHolds(ctx context.Context) error {
	held := map[string][]string{}
	err := s.kv.View(func(tx dotmesh.KVReader) error {
		for tag, value := range tx.Scan(holdBucket) {
			var refs []dotmesh.Ref
			if json.Unmarshal(value, &refs) == nil && len(refs) > 0 && strings.HasPrefix(tag, "dotmesh-") {
				held[tag] = s.allAt(refs)
			}
		}
		return nil
	})
	for tag, names := range held {
		if err == nil {
			err = s.letGo(ctx, tag, names)
		}
	}
	return err
}

// sender is an open stream. Everything is done by Read, but for what the program writes
// ahead into the pipe.
type sender struct {
	s      *Store
	caller context.Context
	ctx    context.Context // ends with the caller's, with the store, and by Close
	kill   context.CancelFunc
	free   func() // lets go of what is sent, once

	mu     sync.Mutex // guards what follows: one Read at a time
	token  string     // of the first step
	steps  []sendStep // that were not begun
	frames *frame.Writer
	out    bytes.Buffer // framed, and not read yet
	buf    []byte
	now    *process // nil: the next step is to come
	pipe   *os.File // what it writes
	unhang func() bool
	err    error // what all further Reads return
}

func (s *Store) startSender(ctx context.Context, steps []sendStep, token string, release func()) *sender {
	st := &sender{s: s, caller: ctx, steps: steps, token: token, buf: make([]byte, sendBuffer)}
	st.frames = frame.NewWriter(&st.out)
	st.ctx, st.kill = context.WithCancel(ctx)
	s.gate.calls.Add(1) // we are in a call, so that the gate is open
	st.free = sync.OnceFunc(func() {
		release()
		s.gate.leave()
	})
	endWithStore := context.AfterFunc(s.life, st.kill)
	context.AfterFunc(st.ctx, func() {
		endWithStore()
		_ = st.end()
	})
	return st
}

// Read returns the next bytes of the stream.
func (st *sender) Read(p []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.err == nil && st.ctx.Err() != nil { // what was read ahead is of no use
		st.err = st.ended()
		st.out.Reset()
	}
	for st.out.Len() == 0 {
		if st.err != nil {
			return 0, st.err
		}
		st.err = st.fill()
	}
	return st.out.Read(p)
}

// fill frames what comes next.
func (st *sender) fill() error {
	err := st.advance()
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if ctxErr := st.ctx.Err(); ctxErr != nil {
		return st.ended()
	}
	return fault("zfs.Send", err)
}

// ended is why the stream was ended from outside.
func (st *sender) ended() error {
	switch {
	case st.caller.Err() != nil:
		return fault("zfs.Send", st.caller.Err())
	case st.s.life.Err() != nil:
		return closed("zfs.Send")
	}
	return fmt.Errorf("zfs.Send: %w", os.ErrClosed)
}

func (st *sender) advance() error {
	if st.now == nil {
		if len(st.steps) == 0 {
			return join(st.frames.Close(), io.EOF)
		}
		return st.next()
	}
	n, err := io.ReadFull(st.pipe, st.buf)
	if n > 0 {
		_, err = st.frames.Write(st.buf[:n])
		return err
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if err := st.endStep(); err != nil {
		return err
	}
	return st.frames.End()
}

// next begins the next step.
func (st *sender) next() error {
	step := st.steps[0]
	c := sendWhole(st.s.at(step.commit))
	switch {
	case st.token != "":
		c = sendRest(st.token)
	case !step.from.IsZero():
		c = sendDifference(st.s.at(step.from), st.s.at(step.commit))
	}
	meta, _, err := st.s.meta(step.commit)
	if err != nil {
		return err
	}
	var estimate int64
	if step.from.IsZero() && st.token == "" {
		if estimate, err = st.s.size(st.ctx, step.commit); err != nil {
			return err
		}
	}
	pipe, out, err := pipe()
	if err != nil {
		return err
	}
	p, err := st.s.run.start(st.ctx, c, nil, out)
	if err := join(err, out.Close()); err != nil {
		return join(err, pipe.Close())
	}
	st.now, st.pipe, st.token, st.steps = p, pipe, "", st.steps[1:]
	st.unhang = context.AfterFunc(st.ctx, func() { _ = pipe.Close() }) // should the kernel hold it
	return st.frames.Begin(&frame.Header{
		Format: streamFormat, Line: step.commit.Line, Commit: step.commit.Commit, GUID: step.commitGUID, Meta: meta,
		From: step.from, FromGUID: step.fromGUID, Estimate: estimate,
	})
}

// size returns how much space a commit takes with all that it shares. It is asked for when a
// commit is sent whole; of a difference it would be one process more of five.
func (s *Store) size(ctx context.Context, r dotmesh.Ref) (int64, error) {
	all, err := s.run.values(ctx, s.at(r), "referenced")
	if err != nil {
		return 0, err
	}
	return all[0].number()
}

// pipe returns a pipe that holds much. It is slower if it stays small. Fd would make its end
// one that blocks, and closing that would not end a write.
func pipe() (in, out *os.File, err error) {
	in, out, err = os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	if c, err := out.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
	}
	return in, out, nil
}

// endStep returns what the program said in the end. It is killed, and our end of the pipe
// closed, before it is waited for: a zfs send whose reader is gone may not end by itself.
func (st *sender) endStep() error {
	p := st.now
	st.now = nil
	if !st.unhang() {
		p.kill()
		return join(p.wait(), st.ctx.Err())
	}
	return join(st.pipe.Close(), p.wait())
}

// Close ends the stream, whatever is left of it, and returns when what it sent is free. It
// may be called while a Read runs, and more than once.
func (st *sender) Close() error {
	st.kill()
	return st.end()
}

// end ends the stream once it was killed.
func (st *sender) end() error {
	st.mu.Lock() // a Read returns soon, since the program was killed
	defer st.mu.Unlock()
	if st.now != nil {
		_ = st.endStep() // it was killed
	}
	if st.err == nil {
		st.err = st.ended()
	}
	st.out.Reset()
	st.free()
	return nil
}
