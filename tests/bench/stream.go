package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
	"dotmesh.io/dotmesh/internal/mounts"
)

// Musts and aims where commits are carried to a second store.
const (
	tinyMust, tinyAim       = 1.5, 0.7
	wholeMust               = 1.1
	fileAim, filesAim       = 0.65, 0.5
	changeMust, changeAim   = 20, 60
	manyMust, manyAim       = 0.6, 0.2
	resumeMust, resumeAim   = 0.6, 0.51
	streamPool              = 12 << 30 // sparse
	manyCommits, manyRounds = 1000, 3
)

// benchStream carries commits from one pool to another as we do it, in this process and
// without a network between, and as plain tools do. Each is over when the second pool has
// all of it durably. Ours has also been verified then.
func benchStream(ctx context.Context, l *lab) (rows []row, err error) {
	p, err := l.newPair(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	for _, part := range []func(context.Context, *lab, *pair) ([]row, error){
		tinyRow, wholeRows, changeRows, manyRow, resumeRow,
	} {
		more, err := part(ctx, l, p)
		if rows = append(rows, more...); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// pair is two pools, each open as a store and mounted for those with whom we compare
// ourselves.
type pair struct {
	dir   string
	pools [2]*btrfs.Store
	tops  [2]string // the pools from their top
	undo  []func() error
}

func (l *lab) newPair(ctx context.Context) (p *pair, err error) {
	place, err := l.newPlace()
	if err != nil {
		return nil, err
	}
	p = &pair{dir: place.Dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
		}
	}()
	for i := range p.pools {
		file := filepath.Join(p.dir, fmt.Sprintf("pool%d", i))
		store, err := btrfs.Open(ctx, btrfs.Config{File: file, Size: streamPool})
		if err != nil {
			return nil, err
		}
		p.pools[i] = store
		p.undo = append(p.undo, store.Close)
		line, err := p.newLine(ctx, i)
		if err != nil {
			return nil, err
		}
		device, err := store.Live(ctx, line)
		if err != nil {
			return nil, err
		}
		p.tops[i] = filepath.Join(p.dir, fmt.Sprintf("top%d", i))
		if err := mountDevice(device.Source, p.tops[i]); err != nil {
			return nil, err
		}
		p.undo = append(p.undo, func() error { return mounts.Unmount(context.Background(), p.tops[i]) })
		if err := os.MkdirAll(p.theirs(i), 0o700); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *pair) close() (err error) {
	for i := len(p.undo) - 1; i >= 0; i-- {
		err = errors.Join(err, p.undo[i]())
	}
	return err
}

// theirs is a folder for the others in pool i. The store leaves it alone.
func (p *pair) theirs(i int) string { return filepath.Join(p.tops[i], ".bench") }

func (p *pair) newLine(ctx context.Context, i int) (dotmesh.LineID, error) {
	line := dotmesh.LineID{UUID: dotmesh.NewUUID()}
	return line, p.pools[i].Fork(ctx, line, dotmesh.Origin{})
}

// source is a line of the first pool that is written to, and a subvolume beside it with
// which the others do the same.
type source struct {
	*pair
	line    dotmesh.LineID
	commits []dotmesh.CommitID
	theirs  string   // their subvolume
	snaps   []string // of it
	files   [2]*os.File
	live    string
}

// newSource makes both, filled by fill.
func (p *pair) newSource(ctx context.Context, name string, fill func(dir string) error) (*source, error) {
	line, err := p.newLine(ctx, 0)
	if err != nil {
		return nil, err
	}
	s := &source{
		pair: p, line: line, theirs: filepath.Join(p.theirs(0), name),
		live: filepath.Join(p.tops[0], "lines", line.String(), "live"),
	}
	if err := quietly(ctx, "btrfs", "subvolume", "create", s.theirs); err != nil {
		return nil, err
	}
	for i, dir := range []string{s.live, s.theirs} {
		if err := fill(dir); err != nil {
			return nil, err
		}
		if s.files[i], err = os.OpenFile(filepath.Join(dir, changing), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return nil, err
		}
	}
	return s, errors.Join(s.change(), s.commit(ctx), s.snapshot(ctx))
}

func (s *source) close() error { return errors.Join(s.files[0].Close(), s.files[1].Close()) }

// change writes the same 4 KiB to both.
func (s *source) change() error {
	var block [4096]byte
	rand.Read(block[:])
	var errs []error
	for _, f := range s.files {
		_, err := f.WriteAt(block[:], 0)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// commit makes a commit of our line.
func (s *source) commit(ctx context.Context) error {
	id := dotmesh.CommitID{UUID: dotmesh.NewUUID()}
	s.commits = append(s.commits, id)
	return s.pools[0].Snapshot(ctx, []dotmesh.SnapRequest{{Line: s.line, Commit: id, Meta: []byte("{}")}})[0].Err
}

// snapshot makes a read-only snapshot of their subvolume.
func (s *source) snapshot(ctx context.Context) error {
	path := fmt.Sprintf("%s.%d", s.theirs, len(s.snaps))
	s.snaps = append(s.snaps, path)
	return quietly(ctx, "btrfs", "subvolume", "snapshot", "-r", s.theirs, path)
}

// carry sends commits n and later to the same line of the second pool.
func (s *source) carry(ctx context.Context, n int) error {
	stream, err := s.send(ctx, n, nil)
	if err != nil {
		return err
	}
	got, err := s.receive(ctx, stream)
	if err == nil && len(got.Commits) != len(s.commits)-n {
		err = fmt.Errorf("%d commits arrived and not %d", len(got.Commits), len(s.commits)-n)
	}
	return errors.Join(err, stream.Close())
}

func (s *source) send(ctx context.Context, n int, resume []byte) (io.ReadCloser, error) {
	spec := dotmesh.SendSpec{Line: s.line, Commits: s.commits[n:], Resume: resume}
	if n > 0 {
		spec.From = dotmesh.Ref{Line: s.line, Commit: s.commits[n-1]}
	}
	return s.pools[0].Send(ctx, spec)
}

func (s *source) receive(ctx context.Context, stream io.Reader) (dotmesh.Received, error) {
	return s.pools[1].Receive(ctx, dotmesh.RecvSpec{Line: s.line, Trust: dotmesh.Member}, stream)
}

// pipe is the shell's way for snapshot n: btrfs send | btrfs receive.
func (s *source) pipe(ctx context.Context, n int) error {
	args := []string{"send", "-q", s.snaps[n]}
	if n > 0 {
		args = []string{"send", "-q", "-p", s.snaps[n-1], s.snaps[n]}
	}
	return piped(ctx, append([]string{"btrfs"}, args...), []string{"btrfs", "receive", s.pair.theirs(1)})
}

// piped has one program read what another one writes, as a shell does.
func piped(ctx context.Context, from, to []string) error {
	send := exec.CommandContext(ctx, from[0], from[1:]...)
	receive := exec.CommandContext(ctx, to[0], to[1:]...)
	var said bytes.Buffer
	send.Stderr, receive.Stderr, receive.Stdout = &said, &said, &said
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	send.Stdout, receive.Stdin = in, out
	err = errors.Join(send.Start(), receive.Start(), in.Close(), out.Close())
	if err == nil {
		err = errors.Join(send.Wait(), receive.Wait())
	}
	if err != nil {
		return fmt.Errorf("%s | %s: %w: %s", from[0], to[0], err, said.String())
	}
	return nil
}

// sync is the shell's way to have the second pool durable.
func (p *pair) sync(ctx context.Context) error { return quietly(ctx, "sync", "-f", p.theirs(1)) }

// settle writes out what either pool has still to write.
func (p *pair) settle() error {
	var errs []error
	for _, top := range p.tops {
		f, err := os.Open(top)
		if err == nil {
			err = errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// timed adds how long f takes.
func timed(times *series, f func() error) error {
	began := time.Now()
	err := f()
	times.add(time.Since(began))
	return err
}

func tinyRow(ctx context.Context, l *lab, p *pair) ([]row, error) {
	s, err := p.newSource(ctx, "tiny", func(string) error { return nil })
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := errors.Join(s.carry(ctx, 0), s.pipe(ctx, 0), s.settle()); err != nil {
		return nil, err
	}
	var ours, theirs series
	for range l.rounds(100) {
		if err := errors.Join(s.change(), s.commit(ctx), s.snapshot(ctx)); err != nil {
			return nil, err
		}
		err := errors.Join(
			timed(&ours, func() error { return s.carry(ctx, len(s.commits)-1) }),
			timed(&theirs, func() error { return errors.Join(s.pipe(ctx, len(s.snaps)-1), s.sync(ctx)) }),
		)
		if err != nil {
			return nil, err
		}
	}
	return []row{compare("commit of 4 KiB, in a second pool", "`btrfs send -p \\| btrfs receive`, then sync", ours, theirs, false, tinyMust, tinyAim)}, nil
}

func wholeRows(ctx context.Context, l *lab, p *pair) (rows []row, err error) {
	for _, what := range []struct {
		name, text string
		fill       func(dir string) error
		aim        float64
	}{
		{"file", "1 GiB in one file, in a second pool", func(dir string) error { return tree{files: 1, size: 1 << 30}.write(ctx, dir) }, fileAim},
		{"files", "10,000 files of 4 KiB, in a second pool", func(dir string) error { return tree{files: 10_000, size: 4 << 10}.write(ctx, dir) }, filesAim},
	} {
		s, err := p.newSource(ctx, what.name, what.fill)
		if err != nil {
			return rows, err
		}
		var ours, theirs series
		for range l.rounds(7) {
			if err := p.settle(); err != nil {
				return rows, err
			}
			err := errors.Join(
				timed(&ours, func() error { return s.carry(ctx, 0) }),
				timed(&theirs, func() error { return errors.Join(s.pipe(ctx, 0), s.sync(ctx)) }),
				p.pools[1].Destroy(ctx, s.line),
				quietly(ctx, "btrfs", "subvolume", "delete", "--commit-after", filepath.Join(p.theirs(1), filepath.Base(s.snaps[0]))),
			)
			if err != nil {
				return rows, err
			}
		}
		rows = append(rows, compare(what.text, "`btrfs send \\| btrfs receive`, then sync", ours, theirs, false, wholeMust, what.aim))
		if err := s.close(); err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// changeRows change 4 KiB of a GiB. Ours is a commit and its way to the second pool.
func changeRows(ctx context.Context, l *lab, p *pair) (rows []row, err error) {
	for _, of := range []struct {
		name, text string
		fill       func(dir string) error
		must, aim  float64
	}{
		{"one", "4 KiB changed in one file of 1 GiB, committed and in a second pool", writeLarge, changeMust, changeAim},
		{
			"large", "for comparison: 4 KiB changed in 1 GiB in 10,000 files",
			func(dir string) error { return largeTree.write(ctx, dir) }, 0, 0,
		},
	} {
		s, err := p.newSource(ctx, of.name, of.fill)
		if err != nil {
			return rows, err
		}
		ours, rsyncs, restics, err := s.changes(ctx, l.rounds(15))
		if err := errors.Join(err, s.close()); err != nil {
			return rows, err
		}
		rows = append(rows,
			compare(of.text, "`rsync -a --delete`, then sync", ours, rsyncs, true, of.must, of.aim),
			compare("the same", "`restic backup`, then sync", ours, restics, true, of.must, 0))
	}
	return rows, nil
}

// writeLarge makes the file that changes one of 1 GiB.
func writeLarge(dir string) error {
	f, err := os.Create(filepath.Join(dir, changing))
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.Reader, 1<<30)
	return errors.Join(err, f.Close())
}

// changes changes the source so many times, and has each carry that to the second pool.
func (s *source) changes(ctx context.Context, rounds int) (ours, rsyncs, restics series, err error) {
	p := s.pair
	beside := filepath.Join(p.theirs(1), filepath.Base(s.theirs))
	copied, repository, password := beside+".copy", beside+".restic", filepath.Join(p.dir, "password")
	if err := os.WriteFile(password, []byte("bench"), 0o600); err != nil {
		return nil, nil, nil, err
	}
	restic := func(args ...string) error {
		args = append([]string{"--repo", repository, "--password-file", password, "--no-cache", "--quiet"}, args...)
		return quietly(ctx, "restic", args...)
	}
	rsync := func() error {
		return errors.Join(quietly(ctx, "rsync", "-a", "--delete", s.theirs+"/", copied), p.sync(ctx))
	}
	if err := errors.Join(s.carry(ctx, 0), rsync(), restic("init"), restic("backup", s.theirs), p.settle()); err != nil {
		return nil, nil, nil, err
	}
	for range rounds {
		if err := s.change(); err != nil {
			return nil, nil, nil, err
		}
		err := errors.Join(
			timed(&ours, func() error { return errors.Join(s.commit(ctx), s.carry(ctx, len(s.commits)-1)) }),
			timed(&rsyncs, rsync),
			timed(&restics, func() error { return errors.Join(restic("backup", s.theirs), p.sync(ctx)) }),
		)
		if err != nil {
			return nil, nil, nil, err
		}
	}
	return ours, rsyncs, restics, nil
}

func manyRow(ctx context.Context, l *lab, p *pair) ([]row, error) {
	s, err := p.newSource(ctx, "many", func(string) error { return nil })
	if err != nil {
		return nil, err
	}
	defer s.close()
	if err := errors.Join(s.carry(ctx, 0), s.pipe(ctx, 0)); err != nil {
		return nil, err
	}
	var ours, theirs series
	for range l.rounds(manyRounds) {
		first := len(s.commits)
		for range l.rounds(manyCommits) {
			if err := errors.Join(s.change(), s.commit(ctx), s.snapshot(ctx)); err != nil {
				return nil, err
			}
		}
		err := errors.Join(p.settle(),
			timed(&ours, func() error { return s.carry(ctx, first) }),
			timed(&theirs, func() error {
				for n := first; n < len(s.snaps); n++ {
					if err := s.pipe(ctx, n); err != nil {
						return err
					}
				}
				return p.sync(ctx)
			}),
		)
		if err != nil {
			return nil, err
		}
	}
	what := fmt.Sprintf("%s commits of 4 KiB, in a second pool", thousands(l.rounds(manyCommits)))
	return []row{compare(what, "a loop of `btrfs send -p \\| btrfs receive`, then sync", ours, theirs, false, manyMust, manyAim)}, nil
}

// resumeRow cuts a stream in the middle and counts the bytes of the one that goes on.
func resumeRow(ctx context.Context, l *lab, p *pair) ([]row, error) {
	s, err := p.newSource(ctx, "cut", func(dir string) error { return tree{files: 1, size: 1 << 30}.write(ctx, dir) })
	if err != nil {
		return nil, err
	}
	defer s.close()
	whole, err := s.count(ctx)
	if err != nil {
		return nil, err
	}
	stream, err := s.send(ctx, 0, nil)
	if err != nil {
		return nil, err
	}
	got, err := s.receive(ctx, io.LimitReader(stream, whole/2))
	if !errors.Is(err, dotmesh.Unreachable) || got.Resume == nil {
		return nil, errors.Join(fmt.Errorf("a stream that was cut off left %d bytes to resume from: %w", len(got.Resume), err), stream.Close())
	}
	if err := stream.Close(); err != nil {
		return nil, err
	}
	var rest counter
	if stream, err = s.send(ctx, 0, got.Resume); err != nil {
		return nil, err
	}
	got, err = s.receive(ctx, io.TeeReader(stream, &rest))
	if err == nil && len(got.Commits) != 1 {
		err = errors.New("the resumed stream brought no commit")
	}
	r := alone("bytes of 1 GiB that are sent again after a cut at half", "x", series{float64(rest) / float64(whole)}, resumeMust)
	r.Aim = resumeAim
	return []row{r}, errors.Join(err, stream.Close())
}

// count returns how many bytes a whole stream has.
func (s *source) count(ctx context.Context) (int64, error) {
	stream, err := s.send(ctx, 0, nil)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, stream)
	return n, errors.Join(err, stream.Close())
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
