//go:build linux

package btrfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/kv"
)

var _ dotmesh.Store = (*Store)(nil)

// DefaultSize is the size of a file that Open makes when the config names none.
const DefaultSize = 10 << 30

// Config says where a pool is: exactly one of Dir and File.
type Config struct {
	// Dir is a directory on a btrfs file system that is mounted already.
	Dir string
	// File is made, if need be, as a sparse file with a btrfs file system of its own.
	File string
	// Size is how large File is made, in bytes; 0 is DefaultSize. A file that is there
	// keeps its size.
	Size int64
}

func (c *Config) validate() error {
	if (c.Dir == "") == (c.File == "") {
		return dotmesh.E("", dotmesh.Invalid, "name either a directory or a file for the pool")
	}
	if c.Size == 0 {
		c.Size = DefaultSize
	}
	return nil
}

// Times that are kept by every call.
const (
	// patience is how long a call whose context has ended waits for the kernel, which
	// cannot be interrupted.
	patience = 800 * time.Millisecond
	// kvTimeout is how long Open waits for the KV of a process that is just ending.
	kvTimeout = 5 * time.Second
)

// Store keeps lines in one pool.
type Store struct {
	pool    *pool
	lines   *os.File // the directory and subvolume of that name
	kv      *kv.KV
	reserve *reserve
	name    string

	gate  gate
	life  context.Context // ends when the store is closed, and breaks off all streams
	end   context.CancelFunc
	turn  chan struct{} // holds one token: who has it may change lines
	queue queue         // snapshots that wait for their turn
	pins  pins
	sizes sizes

	incoming incoming
	children children // guarded by turn
	seen     *census  // guarded by turn: what Open has seen, until something changes
}

// Open opens the pool that c names, makes what is missing, and removes what an earlier
// process left half-done. [dotmesh.Busy] if another process has it open.
func Open(ctx context.Context, c Config) (*Store, error) {
	const op = "btrfs.Open"
	if err := c.validate(); err != nil {
		return nil, dotmesh.Wrap(op, err)
	}
	p, err := openPool(ctx, c)
	if err != nil {
		return nil, fault(op, err)
	}
	s := &Store{pool: p, name: "btrfs:" + c.Dir, turn: make(chan struct{}, 1)}
	s.life, s.end = context.WithCancel(context.WithoutCancel(ctx))
	if c.File != "" {
		s.name = "btrfs-file:" + c.File
	}
	if err := s.open(ctx); err != nil {
		return nil, fault(op, join(err, s.release()))
	}
	return s, nil
}

// open opens the KV while it looks through the trees: both wait for the disk.
func (s *Store) open(ctx context.Context) error {
	for _, name := range []string{linesName, nodeName} {
		if err := makeSubvol(s.pool.path(name)); err != nil {
			return err
		}
	}
	var err error
	if s.lines, err = openDir(s.pool.path(linesName)); err != nil {
		return err
	}
	var found layout
	g, looking := errgroup.WithContext(ctx)
	g.Go(s.openNode)
	g.Go(func() (err error) {
		found, err = s.look(looking)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if err := s.sweep(ctx, found); err != nil {
		return fmt.Errorf("remove what was left half-done: %w", err)
	}
	return s.pool.sync()
}

// makeSubvol makes a subvolume that only root may enter, unless it is there.
func makeSubvol(path string) error {
	_, err := subvolAt(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := createSubvol(path); err != nil {
		return err
	}
	return os.Chmod(path, 0o700)
}

// openNode opens the KV and the reserve. Both are sized by the pool, so that a small one
// has room for data.
func (s *Store) openNode() error {
	dir, err := openDir(s.pool.path(nodeName))
	if err != nil {
		return err
	}
	size, _, err := space(dir)
	if err == nil { // what is compressed is never written in place
		err = join(disinherit(s.pool.path(nodeName)), setNoCow(dir))
	}
	if err := join(err, dir.Close()); err != nil {
		return err
	}
	kvSize := min(max(size/64, 4<<20), kv.DefaultSize)
	if s.kv, err = kv.Open(s.pool.path(nodeName, "kv"), kvSize, kvTimeout); err != nil {
		return err
	}
	s.reserve = openReserve(s.pool.dir, s.pool.path(nodeName, "reserve"), size)
	return nil
}

// Close breaks off streams, waits for running calls and gives up the pool. Mounts that
// others made stay.
func (s *Store) Close() error {
	s.end()
	if !s.gate.close() {
		return nil
	}
	return fault("btrfs.Close", s.release())
}

func (s *Store) release() error {
	s.end()
	var err error
	if s.kv != nil {
		for _, a := range s.incoming.all() {
			err = join(err, s.discard(context.Background(), a))
		}
		err = join(err, s.kv.Close())
	}
	if s.lines != nil {
		err = join(err, s.lines.Close())
	}
	return join(err, s.pool.close())
}

// Caps says what btrfs can do: it cannot stop who has a file open.
func (s *Store) Caps() dotmesh.Caps {
	return dotmesh.Caps{Kind: "btrfs", Pool: s.name, Durable: true, Mountable: true}
}

// KV returns the memory in this pool. Its buckets "store/…" are the store's own.
func (s *Store) KV() dotmesh.KV { return s.kv }

// Pool says how full the file system is, and no more than the disk below a sparse file
// has room for. In a directory on somebody else's file system that is theirs and ours
// together.
func (s *Store) Pool(ctx context.Context) (dotmesh.PoolUsage, error) {
	return reading(ctx, s, "btrfs.Pool", func() (dotmesh.PoolUsage, error) {
		size, free, err := space(s.lines)
		if err != nil {
			return dotmesh.PoolUsage{}, err
		}
		reserve := s.reserve.amount()
		room, err := s.pool.room(size - free - reserve)
		free = min(free+reserve, max(room, 0))
		return dotmesh.PoolUsage{Size: size, Free: free, Reserve: min(reserve, free)}, err
	})
}

// reading runs f, which leaves nothing changed. A caller whose context ends waits for the
// disk no longer than a moment.
func reading[T any](ctx context.Context, s *Store, op string, f func() (T, error)) (T, error) {
	var got, none T
	err := s.detached(ctx, op, func() (err error) {
		got, err = f()
		return err
	})
	switch {
	case err == nil:
		return got, nil
	case ctx.Err() != nil && errors.Is(err, dotmesh.Unknown): // f may still be running
		return none, dotmesh.Wrap(op, ctx.Err())
	}
	return none, err
}

// changing runs f as the only one that changes lines. f must not give up half-way; a
// caller whose context ends while it runs waits for a moment, and is then told that the
// outcome is unknown: f goes on to its end, and Close waits for it.
func (s *Store) changing(ctx context.Context, op string, f func() error) error {
	return s.detached(ctx, op, func() error {
		if err := s.takeTurn(ctx); err != nil {
			return err
		}
		defer s.giveTurn()
		s.seen = nil
		return s.lending(f)
	})
}

func (s *Store) takeTurn(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) giveTurn() { <-s.turn }

// detached runs f so that a caller whose context ends need not wait for the kernel.
func (s *Store) detached(ctx context.Context, op string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return dotmesh.Wrap(op, err)
	}
	if !s.gate.enter() {
		return closed(op)
	}
	done := make(chan error, 1)
	go func() {
		defer s.gate.leave()
		done <- f()
	}()
	select {
	case err := <-done:
		return fault(op, err)
	case <-ctx.Done():
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-done:
		return fault(op, err)
	case <-timer.C:
		return dotmesh.E(op, dotmesh.Unknown, "the disk is slow; ask again to learn whether it was done")
	}
}

// lending runs f, and if the pool is full runs it again with some of the reserve. f may
// be run again after any failure, as the contract of every method of the store has it.
func (s *Store) lending(f func() error) error {
	err := f()
	for errors.Is(err, unix.ENOSPC) {
		lent, lendErr := s.reserve.lend()
		if lendErr != nil || !lent {
			return join(err, lendErr)
		}
		err = f()
	}
	s.reserve.take()
	return err
}

// gate counts the calls that run, and lets no more in once it is closed.
type gate struct {
	mu     sync.Mutex // guards closed, and keeps calls from entering while it is set
	closed bool
	calls  sync.WaitGroup
}

func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.calls.Add(1)
	}
	return !g.closed
}

func (g *gate) leave() { g.calls.Done() }

// close waits for running calls. It reports false if the gate was closed before.
func (g *gate) close() bool {
	g.mu.Lock()
	first := !g.closed
	g.closed = true
	g.mu.Unlock()
	g.calls.Wait()
	return first
}

func closed(op string) error {
	return dotmesh.E(op, dotmesh.Unreachable, "the store is closed; restart dotmesh-server")
}

// fault gives a kernel's error its kind, and says what to do about it.
func fault(op string, err error) error {
	if err == nil {
		return nil
	}
	if dotmesh.KindOf(err) != dotmesh.Internal {
		return dotmesh.Wrap(op, err)
	}
	e := &dotmesh.Error{Op: op, Kind: dotmesh.Internal, Err: err}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		e.Kind, e.Text = dotmesh.NoSpace, "the pool is full; delete files, branches or stashes, or make the pool larger"
	case errors.Is(err, unix.EIO), errors.Is(err, unix.EUCLEAN), errors.Is(err, errShort):
		e.Kind, e.Text = dotmesh.Corrupt, "the pool's disk returned damaged data; see the kernel's log"
	case errors.Is(err, unix.EROFS):
		e.Kind, e.Text = dotmesh.Corrupt, "the kernel has stopped writing to the pool; see its log"
	case errors.Is(err, fs.ErrPermission):
		e.Kind, e.Text = dotmesh.Denied, "the pool can be used by root only (CAP_SYS_ADMIN)"
	case errors.Is(err, fs.ErrNotExist):
		e.Kind = dotmesh.NotFound
	}
	return e
}

// join is errors.Join that leaves a single error as it is, so that its text still shows.
func join(errs ...error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// errNotEmpty is what removing a directory that holds something returns.
const errNotEmpty = unix.ENOTEMPTY
