//go:build linux

package zfs

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	gozfs "github.com/mistifyio/go-zfs/v4"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/kv"
)

var _ dotmesh.Store = (*Store)(nil)

const (
	// DefaultPool is the name of a zpool that is made in a file.
	DefaultPool = "pool"
	// DefaultSize is the size of a file that Open makes when the config names none.
	DefaultSize = 10 << 30
)

// Config says where a pool is: in a zpool that is there, or in a file.
type Config struct {
	// Pool is the name of the zpool; empty is DefaultPool, which needs File.
	Pool string
	// File is made, if need be, as a sparse file with a zpool of its own in it.
	File string
	// Size is how large File is made, in bytes; 0 is DefaultSize. A file that is there
	// keeps its size.
	Size int64
}

func (c *Config) validate() error {
	if c.Pool == "" && c.File != "" {
		c.Pool = DefaultPool
	}
	if !ValidPool(c.Pool) {
		return dotmesh.E("", dotmesh.Invalid, "%q cannot be a zpool: its name begins with a letter, followed by letters, digits and _.-", c.Pool)
	}
	if c.Size == 0 {
		c.Size = DefaultSize
	}
	if c.File == "" {
		return nil
	}
	if !filepath.IsAbs(c.File) {
		return dotmesh.E("", dotmesh.Invalid, "%q must be an absolute path", c.File)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(c.File)) // as the kernel will name it
	c.File = filepath.Join(dir, filepath.Base(c.File))
	return err
}

// Times that are kept by every call.
const (
	// patience is how long a call whose context has ended waits for the kernel, which
	// cannot be interrupted.
	patience = 800 * time.Millisecond
	// kvTimeout is how long Open waits for the KV of a process that is just ending.
	kvTimeout = 5 * time.Second
)

// Store keeps lines in one zpool.
type Store struct {
	names
	run     *runner
	lock    *os.File // the pool's file, flocked; nil where there is none
	nodeDir *os.File // where the KV lies
	kv      *kv.KV
	kvSize  int64
	reserve *reserve
	title   string
	empty   int64 // bytes that a dataset takes in which nothing was ever written

	life     context.Context // ends when the store is closed, and with it all streams
	end      context.CancelFunc
	gate     gate
	turns    turns
	queue    queue
	pins     pins
	glances  glances
	handed   sync.Map // the lines that Live has returned, as keys, until their log was replayed
	incoming incoming
	children children
	leaving  leaving
}

// Open opens the pool that c names, makes what is missing, and finishes or removes what
// an earlier process left half-done. [dotmesh.Busy] if another process has it open.
func Open(ctx context.Context, c Config) (*Store, error) {
	const op = "zfs.Open"
	if err := c.validate(); err != nil {
		return nil, fault(op, err)
	}
	run, err := findPrograms()
	if err != nil {
		return nil, fault(op, err)
	}
	gozfs.SetRunner(&gozfs.Runner{Timeout: longest, Grace: reapWithin})
	s := &Store{names: names{c.Pool}, run: run, title: "zfs:" + c.Pool}
	if c.File != "" {
		s.title = "zfs-file:" + c.File
	}
	s.life, s.end = context.WithCancel(context.Background())
	if s.lock, err = openPool(ctx, run, c); err != nil {
		return nil, fault(op, err)
	}
	if err := s.open(ctx); err != nil {
		return nil, fault(op, join(err, s.release()))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	size, _, err := s.space(ctx)
	if err != nil {
		return err
	}
	if err := s.layout(ctx, size); err != nil {
		return err
	}
	if err := s.openNode(ctx); err != nil {
		return err
	}
	all, err := s.run.values(ctx, s.names.reserve(), "reservation", "referenced")
	if err != nil {
		return err
	}
	reserved, err1 := all[0].number()
	empty, err2 := all[1].number()
	if err := join(err1, err2); err != nil {
		return err
	}
	s.empty = empty // nothing was ever written into this one
	if s.reserve, err = openReserve(ctx, s.run, s.names.reserve(), size, reserved); err != nil {
		return err
	}
	if err := s.sweep(ctx); err != nil {
		return fmt.Errorf("finish what was left half-done: %w", err)
	}
	return nil
}

// openNode opens the KV, and waits for what an earlier process has started.
func (s *Store) openNode(ctx context.Context) (err error) {
	if s.nodeDir, err = mountPrivately(ctx, s.node(), true); err != nil {
		return err
	}
	path := filepath.Join("/proc/self/fd", strconv.Itoa(int(s.nodeDir.Fd())), "kv")
	if s.kv, err = kv.Open(path, s.kvSize, kvTimeout); err != nil {
		return err
	}
	if err := lockPrograms(ctx, s.nodeDir); err != nil {
		return err
	}
	s.run.lock = s.nodeDir
	return nil
}

// Close breaks off streams, waits for running calls and gives up the pool, which stays
// imported. Mounts that
// others made stay.
func (s *Store) Close() error {
	s.end()
	if !s.gate.close() {
		return nil
	}
	return fault("zfs.Close", s.release())
}

func (s *Store) release() error {
	var err error
	if s.kv != nil {
		err = s.kv.Close()
	}
	for _, f := range []*os.File{s.nodeDir, s.lock} {
		if f != nil {
			err = join(err, f.Close())
		}
	}
	return err
}

// Caps says what ZFS can do: it stops writers by itself.
func (s *Store) Caps() dotmesh.Caps {
	return dotmesh.Caps{Kind: "zfs", Pool: s.title, HardFence: true, Durable: true, Mountable: true}
}

// KV returns the memory in this pool. Its buckets "store/…" are the store's own.
func (s *Store) KV() dotmesh.KV { return s.kv }

// reading runs f, which leaves nothing changed and ends soon after its context does. A
// caller whose context ends waits for it no longer than a moment.
func reading[T any](ctx context.Context, s *Store, op string, f func(context.Context) (T, error)) (T, error) {
	var got, none T
	err := s.detached(ctx, op, func() (err error) {
		got, err = f(ctx)
		return err
	})
	switch {
	case err == nil:
		return got, nil
	case ctx.Err() != nil: // f may still be running, or was cut short
		return none, dotmesh.Wrap(op, ctx.Err())
	}
	return none, err
}

// changing runs f as the only one that changes the line. f runs to its end: a caller whose
// context ends meanwhile waits for a moment, and is then told that the outcome is unknown.
func (s *Store) changing(ctx context.Context, op string, line dotmesh.LineID, f func(context.Context) error) error {
	return s.detached(ctx, op, func() error {
		give, err := s.turns.take(ctx, line)
		if err != nil {
			return err
		}
		defer give()
		defer s.glances.forget(line)
		ctx := context.WithoutCancel(ctx)
		return s.lending(ctx, func() error { return f(ctx) })
	})
}

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
		return dotmesh.E(op, dotmesh.Unknown, "the pool is slow; ask again to learn whether it was done")
	}
}

// lending runs f, and if the pool is full runs it again with some of the reserve. f may
// be run again after any failure, as the contract of every method of the store has it.
func (s *Store) lending(ctx context.Context, f func() error) error {
	err := f()
	for full(err) {
		lent, lendErr := s.reserve.lend(ctx)
		if lendErr != nil || !lent {
			return join(err, lendErr)
		}
		err = f()
	}
	s.reserve.take(ctx, func() (int64, error) {
		_, free, err := s.space(ctx)
		return free, err
	})
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
