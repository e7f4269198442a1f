//go:build linux

package btrfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/frame"
)

// Send has the kernel write each commit as the difference to the one before, without any
// other process. Inode attributes as chattr sets them, preallocated space and where a file
// has holes that its older state had not are not sent: what is read is the same.
func (s *Store) Send(ctx context.Context, spec dotmesh.SendSpec) (io.ReadCloser, error) {
	const op = "btrfs.Send"
	stream, err := reading(ctx, s, op, func() (*sender, error) {
		stream, err := s.send(ctx, spec)
		if err == nil && ctx.Err() != nil { // nobody may be waiting for it any more
			return nil, join(ctx.Err(), stream.Close())
		}
		return stream, err
	})
	if err != nil {
		return nil, err
	}
	return stream, nil
}

func (s *Store) send(ctx context.Context, spec dotmesh.SendSpec) (*sender, error) {
	steps, err := s.steps(ctx, spec)
	if err != nil {
		return nil, err
	}
	unpin, err := s.pinAll(steps)
	if err != nil {
		return nil, err
	}
	st := s.startSender(ctx, steps, unpin)
	if spec.Resume != nil {
		err = st.skip(spec.Resume)
	}
	if err != nil {
		return nil, join(err, st.Close())
	}
	return st, nil
}

// sendStep is a commit to be sent, and what it is the difference to.
type sendStep struct{ commit, from dotmesh.Ref }

// steps checks what is asked for against what is here.
func (s *Store) steps(ctx context.Context, spec dotmesh.SendSpec) ([]sendStep, error) {
	r, err := s.line(spec.Line)
	if err != nil {
		return nil, err
	}
	ids, err := s.commits(ctx, spec.Line)
	if err != nil {
		return nil, err
	}
	if len(spec.Commits) == 0 {
		return nil, dotmesh.E("", dotmesh.Invalid, "name the commits that are to be sent")
	}
	last := -1
	switch from := spec.From; {
	case from.IsZero():
	case from.Line == spec.Line && !from.Commit.IsZero():
		if last = slices.Index(ids, from.Commit); last < 0 {
			return nil, notHere(from)
		}
	case dotmesh.Origin(from) == r.Origin:
		if err := s.committed(from); err != nil {
			return nil, err
		}
	default:
		return nil, dotmesh.E("", dotmesh.Invalid, "line %s was not forked from commit %s of line %s", spec.Line, from.Commit, from.Line)
	}
	var steps []sendStep
	from := spec.From
	for _, id := range spec.Commits {
		commit := dotmesh.Ref{Line: spec.Line, Commit: id}
		at := slices.Index(ids, id)
		if at < 0 || id.IsZero() {
			return nil, notHere(commit)
		}
		if at <= last {
			return nil, dotmesh.E("", dotmesh.Invalid, "commit %s does not follow the one that it is to be sent after", id)
		}
		steps = append(steps, sendStep{commit, from})
		from, last = commit, at
	}
	return steps, nil
}

func notHere(r dotmesh.Ref) error {
	return dotmesh.E("", dotmesh.NotFound, "there is no commit %s of line %s in this pool", r.Commit, r.Line)
}

// pinAll keeps what is sent from being destroyed, and what it is the difference to.
func (s *Store) pinAll(steps []sendStep) (unpin func(), err error) {
	var unpins []func()
	unpin = func() {
		for _, f := range unpins {
			f()
		}
	}
	for _, step := range steps {
		for _, r := range []dotmesh.Ref{step.commit, step.from} {
			if r.IsZero() {
				continue
			}
			f, err := s.pins.pin(r)
			if err != nil {
				unpin()
				return nil, err
			}
			unpins = append(unpins, f)
		}
	}
	return unpin, nil
}

// sender is an open stream. One goroutine has the kernel write, a little ahead of who
// reads; everything else is done by Read.
type sender struct {
	ctx     context.Context
	kill    context.CancelFunc
	closing context.Context // ends with the store
	dumps   chan *dump      // closed when no more come
	gone    chan struct{}   // closed when nothing is held any more

	mu     sync.Mutex // guards what follows: one Read at a time
	frames *frame.Writer
	out    bytes.Buffer // framed, and not read yet
	buf    []byte
	now    *dump // being read; nil: the next one is to come
	err    error // what all further Reads return
}

// sendBuffer is what is read from the kernel, and framed, in one go.
const sendBuffer = 256 << 10

func (s *Store) startSender(ctx context.Context, steps []sendStep, unpin func()) *sender {
	st := &sender{closing: s.life, dumps: make(chan *dump, 2), gone: make(chan struct{}), buf: make([]byte, sendBuffer)}
	st.frames = frame.NewWriter(&st.out)
	st.ctx, st.kill = context.WithCancel(ctx)
	free := context.AfterFunc(s.life, st.kill)
	s.gate.calls.Add(1) // we are in a call, so that the gate is open
	go func() {
		defer s.gate.leave()
		defer close(st.gone)
		defer unpin()
		defer free()
		s.dumpAll(st, steps)
		<-st.ctx.Done()
	}()
	return st
}

// dumpAll has the kernel write one commit after the other.
func (s *Store) dumpAll(st *sender, steps []sendStep) {
	defer close(st.dumps)
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked, so that the thread ends with its goroutine. A signal would make
		// the kernel begin the commit anew, in the middle of the stream.
		runtime.LockOSThread()
		unix.PthreadSigmask(unix.SIG_BLOCK, allSignals(), nil) //nolint:errcheck // it cannot fail
		for _, step := range steps {
			if !s.dump(st, step) {
				return
			}
		}
	}()
	<-done
}

func allSignals() *unix.Sigset_t {
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	return &all
}

// dump is one commit as the kernel sends it.
type dump struct {
	header frame.Header
	out    *os.File
	read   atomic.Int64  // bytes of out
	done   chan struct{} // closed when the kernel is
	err    error         // of the kernel, once done
}

// dump has the kernel write one commit. It reports whether the next one may follow.
func (s *Store) dump(st *sender, step sendStep) bool {
	d := &dump{done: make(chan struct{})}
	defer close(d.done)
	run, err := s.prepareDump(st.ctx, d, step)
	if err != nil {
		d.err = err
		st.offer(d)
		return false
	}
	if !st.offer(d) {
		d.err = join(run(nil), d.out.Close())
		return false
	}
	stop := context.AfterFunc(st.ctx, func() { _ = d.out.Close() }) // the kernel notices
	defer stop()
	d.err = run(st.ctx)
	return d.err == nil
}

// offer hands a dump to whoever reads.
func (st *sender) offer(d *dump) bool {
	select {
	case st.dumps <- d:
		return true
	case <-st.ctx.Done():
		return false
	}
}

// prepareDump opens what a dump needs. run sends, unless it is called without a context,
// and closes all but the end that is read.
func (s *Store) prepareDump(ctx context.Context, d *dump, step sendStep) (run func(context.Context) error, err error) {
	commit, header, err := s.openCommit(step.commit)
	if err != nil {
		return nil, err
	}
	d.header = frame.Header{Format: streamFormat, Line: step.commit.Line, Commit: step.commit.Commit, GUID: header.guid()}
	var parent, since uint64
	if d.header.Meta, err = s.meta(step.commit); err == nil && !step.from.IsZero() {
		var from *subvol
		if from, err = s.subvol(step.from); err == nil {
			parent, d.header.From, d.header.FromGUID = from.id, step.from, from.guid()
			since, err = s.since(ctx, header, from)
		}
	}
	if err == nil && (since > 0 || parent == 0) { // else all of it may be in the other one, too
		d.header.Estimate, err = written(ctx, newFinder(commit, smallSearch), since)
	}
	var in int
	if err == nil {
		d.out, in, err = sendPipe()
	}
	if err != nil {
		return nil, join(err, commit.Close())
	}
	return func(ctx context.Context) error {
		var err error
		if ctx != nil {
			stop := (&ahead{commit: commit, of: header, since: since, sent: &d.read}).start(ctx)
			err = sendSubvol(commit, parent, in)
			stop()
		}
		return join(err, unix.Close(in), commit.Close())
	}, nil
}

func (s *Store) openCommit(r dotmesh.Ref) (*os.File, *subvol, error) {
	dir, err := openDir(s.at(r))
	if err != nil {
		return nil, nil, err
	}
	v, err := subvolOf(dir)
	if err != nil {
		return nil, nil, join(err, dir.Close())
	}
	return dir, v, nil
}

// sendPipe returns a pipe that holds much, so that the kernel and who reads it work at
// the same time. The kernel's end is a descriptor that blocks, as it needs it.
func sendPipe() (out *os.File, in int, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, -1, os.NewSyscallError("pipe2", err)
	}
	const size = 1 << 20
	unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, size) //nolint:errcheck // it is slower if it stays small
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, -1, join(os.NewSyscallError("fcntl", err), unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "send"), fds[1], nil
}

// sendSubvol writes a read-only subvolume to a pipe, as the difference to another one, whose
// extents may also be cloned; 0 is none. It must not be interrupted.
func sendSubvol(subvol *os.File, parent uint64, to int) error {
	a := struct {
		fd      int64
		sources uint64
		source  *uint64
		parent  uint64
		flags   uint64
		version uint32
		_       [28]byte
	}{fd: int64(to), parent: parent}
	if parent != 0 {
		a.sources, a.source = 1, &parent
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, subvol.Fd(), request(write, 38, unsafe.Sizeof(a)), uintptr(unsafe.Pointer(&a)))
	switch errno {
	case 0:
		return nil
	case unix.ENAMETOOLONG:
		return dotmesh.E("", dotmesh.Unsupported, "the commit has a path of more than %d bytes, which btrfs cannot send", unix.PathMax)
	}
	return os.NewSyscallError("send", errno)
}

// Read returns the next bytes of the stream.
func (st *sender) Read(p []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for st.out.Len() == 0 {
		if st.err == nil {
			st.err = st.fill()
		} else {
			return 0, st.err
		}
	}
	return st.out.Read(p)
}

// fill frames what comes next.
func (st *sender) fill() error {
	err := st.advance()
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case st.closing.Err() != nil:
		return closed("btrfs.Send")
	case st.ctx.Err() != nil:
		err = st.ctx.Err()
	}
	return fault("btrfs.Send", err)
}

func (st *sender) advance() error {
	if err := st.ctx.Err(); err != nil {
		return err
	}
	if st.now == nil {
		more, err := st.nextDump()
		if err == nil && more {
			return st.frames.Begin(&st.now.header)
		}
		if err != nil {
			return err
		}
		return join(st.frames.Close(), io.EOF)
	}
	n, err := io.ReadFull(st.now.out, st.buf)
	st.now.read.Add(int64(n))
	if n > 0 {
		_, err = st.frames.Write(st.buf[:n])
		return err
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	if err := st.endDump(); err != nil {
		return err
	}
	return st.frames.End()
}

// nextDump waits for what the kernel sends next. It reports false at the end.
func (st *sender) nextDump() (more bool, err error) {
	select {
	case d, more := <-st.dumps:
		if !more {
			return false, st.ctx.Err()
		}
		if d.out == nil { // it could not be sent
			<-d.done
			return false, d.err
		}
		st.now = d
		return true, nil
	case <-st.ctx.Done():
		return false, st.ctx.Err()
	}
}

// endDump returns what the kernel said in the end.
func (st *sender) endDump() error {
	d := st.now
	st.now = nil
	<-d.done
	return join(d.err, d.out.Close())
}

// skip has the first bytes of the first commit left out, which the receiver has.
func (st *sender) skip(token []byte) error {
	had, err := parseResumption(token)
	if err != nil {
		return err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if _, err := st.nextDump(); err != nil {
		return err
	}
	digest := frame.NewDigest()
	if had.Commit == st.now.header.Commit {
		if _, err := io.CopyBuffer(digest, io.LimitReader(st.now.out, had.Offset), st.buf); err != nil {
			return err
		}
	}
	if err := had.fits(digest); err != nil {
		return err
	}
	return st.frames.Resume(&st.now.header, digest)
}

// Close ends the stream, whatever is left of it, and returns when the kernel has let go of
// the commits. It may be called while a Read runs, and more than once.
func (st *sender) Close() error {
	st.kill()
	for d := range st.dumps {
		d.abandon()
	}
	<-st.gone
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.now != nil {
		st.now.abandon()
		st.now = nil
	}
	if st.err == nil {
		st.err = fmt.Errorf("btrfs.Send: %w", os.ErrClosed)
	}
	st.out.Reset()
	return nil
}

// abandon closes the end that is read, and with that ends the sending.
func (d *dump) abandon() {
	if d.out != nil {
		_ = d.out.Close() // perhaps a second time
	}
	<-d.done
}
