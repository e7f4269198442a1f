package dotmeshtest

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

var _ dotmesh.Store = (*Store)(nil)

// Store is the fake [dotmesh.Store]: heads and commits are plain directories, so a test
// may write into a head's Device.Source as a container would and read commits back; Diff
// and Usage tell the truth about it. Everything else is in memory. It does not look for
// mounts, and nothing stops a writer from changing a commit's directory.
type Store struct {
	*fakePool
	open *bool           // guarded by fakePool.mu; false after Close or Reopen
	life context.Context // ends when open becomes false
	end  context.CancelFunc
}

// fakePool is what outlives a crash of the process.
type fakePool struct {
	dir string
	kv  *memKV

	mu      sync.Mutex // guards what follows, and makes every call one step
	lines   map[dotmesh.LineID]*fakeLine
	streams fakeStreams
}

type fakeLine struct {
	origin  dotmesh.Origin
	head    bool
	commits []dotmesh.CommitInfo // oldest first
}

// NewStore returns an empty fake store in a directory that goes with the test.
func NewStore(t testing.TB) *Store {
	t.Helper()
	pool := &fakePool{dir: t.TempDir(), kv: newMemKV(), lines: map[dotmesh.LineID]*fakeLine{}}
	return pool.openStore()
}

func (p *fakePool) openStore() *Store {
	open := true
	p.streams = fakeStreams{
		sent:     map[dotmesh.Ref]int{},
		received: map[dotmesh.LineID]bool{},
		broken:   map[dotmesh.LineID]*fakeArrival{},
		origins:  map[dotmesh.LineID]dotmesh.Origin{},
	}
	s := &Store{fakePool: p, open: &open}
	s.life, s.end = context.WithCancel(context.Background())
	return s
}

// Reopen returns the store as a new process would find it after this one was killed. The
// old value only returns errors from then on.
func (s *Store) Reopen() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.open = false
	s.end()
	return s.openStore()
}

// Caps says that this is the fake.
func (s *Store) Caps() dotmesh.Caps {
	return dotmesh.Caps{Kind: "fake", Pool: "fake:" + s.dir}
}

// begin locks the store for one call, or says why there can be none.
func (s *Store) begin(ctx context.Context, op string) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, dotmesh.Wrap(op, err)
	}
	s.mu.Lock()
	if !*s.open {
		s.mu.Unlock()
		return nil, dotmesh.E(op, dotmesh.Unreachable, "the store is closed; restart dotmesh-server")
	}
	return s.mu.Unlock, nil
}

// Inventory yields the lines in no order.
func (s *Store) Inventory(ctx context.Context) iter.Seq2[dotmesh.LineInfo, error] {
	return func(yield func(dotmesh.LineInfo, error) bool) {
		lines, err := s.inventory(ctx)
		if err != nil {
			yield(dotmesh.LineInfo{}, err)
			return
		}
		for _, line := range lines {
			if !yield(line, nil) {
				return
			}
		}
	}
}

func (s *Store) inventory(ctx context.Context) ([]dotmesh.LineInfo, error) {
	end, err := s.begin(ctx, "fake.Inventory")
	if err != nil {
		return nil, err
	}
	defer end()
	var lines []dotmesh.LineInfo
	for id, l := range s.lines {
		lines = append(lines, l.info(id))
	}
	return lines, nil
}

// Line returns one line.
func (s *Store) Line(ctx context.Context, line dotmesh.LineID) (dotmesh.LineInfo, error) {
	end, err := s.begin(ctx, "fake.Line")
	if err != nil {
		return dotmesh.LineInfo{}, err
	}
	defer end()
	l, err := s.line("fake.Line", line)
	if err != nil {
		return dotmesh.LineInfo{}, err
	}
	return l.info(line), nil
}

// Fork copies the origin's commit.
func (s *Store) Fork(ctx context.Context, line dotmesh.LineID, origin dotmesh.Origin) error {
	const op = "fake.Fork"
	end, err := s.begin(ctx, op)
	if err != nil {
		return err
	}
	defer end()
	if line.IsZero() {
		return dotmesh.E(op, dotmesh.Invalid, "a line needs an id")
	}
	if l := s.lines[line]; l != nil {
		if l.origin != origin {
			return dotmesh.E(op, dotmesh.Exists, "line %s exists with another origin", line)
		}
		return nil
	}
	if err := s.unreceived(op, line); err != nil {
		return err
	}
	if !origin.IsZero() {
		if _, _, err := s.commit(op, dotmesh.Ref(origin)); err != nil {
			return err
		}
	}
	l := &fakeLine{origin: origin}
	if err := s.grow(line, l); err != nil {
		return dotmesh.Wrap(op, err)
	}
	s.lines[line] = l
	return nil
}

// Snapshot copies heads.
func (s *Store) Snapshot(ctx context.Context, requests []dotmesh.SnapRequest) []dotmesh.Snapshot {
	results := make([]dotmesh.Snapshot, len(requests))
	for i, r := range requests {
		results[i] = dotmesh.Snapshot{Line: r.Line, Commit: r.Commit}
		results[i].GUID, results[i].Err = s.snapshot(ctx, r)
	}
	return results
}

func (s *Store) snapshot(ctx context.Context, r dotmesh.SnapRequest) (guid string, err error) {
	const op = "fake.Snapshot"
	end, err := s.begin(ctx, op)
	if err != nil {
		return "", err
	}
	defer end()
	l, err := s.line(op, r.Line)
	switch {
	case err != nil:
		return "", err
	case r.Commit.IsZero():
		return "", dotmesh.E(op, dotmesh.Invalid, "a commit needs an id")
	case len(r.Meta) > maxMeta:
		return "", dotmesh.E(op, dotmesh.Invalid, "the commit's metadata is larger than 64 KiB")
	}
	if i := l.index(r.Commit); i >= 0 {
		return l.commits[i].GUID, nil
	}
	if !l.head {
		return "", dotmesh.E(op, dotmesh.NotFound, "line %s has no head on this node", r.Line)
	}
	if err := copyTree(s.head(r.Line), s.path(dotmesh.Ref{Line: r.Line, Commit: r.Commit})); err != nil {
		return "", dotmesh.Wrap(op, err)
	}
	guid = dotmesh.NewUUID().String()
	l.commits = append(l.commits, dotmesh.CommitInfo{ID: r.Commit, GUID: guid, Meta: slices.Clone(r.Meta)})
	return guid, nil
}

// Live returns the head's directory.
func (s *Store) Live(ctx context.Context, line dotmesh.LineID) (dotmesh.Device, error) {
	const op = "fake.Live"
	end, err := s.begin(ctx, op)
	if err != nil {
		return dotmesh.Device{}, err
	}
	defer end()
	l, err := s.line(op, line)
	if err != nil {
		return dotmesh.Device{}, err
	}
	if !l.head {
		err := s.unreceived(op, line)
		if err == nil {
			err = s.grow(line, l)
		}
		if err != nil {
			return dotmesh.Device{}, dotmesh.Wrap(op, err)
		}
	}
	return dotmesh.Device{FSType: "none", Source: s.head(line)}, nil
}

// View returns the commit's directory.
func (s *Store) View(ctx context.Context, ref dotmesh.Ref) (dotmesh.Device, error) {
	const op = "fake.View"
	end, err := s.begin(ctx, op)
	if err != nil {
		return dotmesh.Device{}, err
	}
	defer end()
	if _, _, err := s.commit(op, ref); err != nil {
		return dotmesh.Device{}, err
	}
	return dotmesh.Device{FSType: "none", Source: s.path(ref), ReadOnly: true}, nil
}

// Fence stops nobody: whoever has the directory can write.
func (s *Store) Fence(ctx context.Context, line dotmesh.LineID, _ bool) (dotmesh.Fencing, error) {
	end, err := s.begin(ctx, "fake.Fence")
	if err != nil {
		return dotmesh.NeedsHolders, err
	}
	defer end()
	_, err = s.line("fake.Fence", line)
	return dotmesh.NeedsHolders, err
}

// Usage counts the bytes of the files that differ, and a little for each, so that a
// change without data counts too. It is always exact.
func (s *Store) Usage(ctx context.Context, line dotmesh.LineID, since dotmesh.Ref, _ bool) (dotmesh.Usage, error) {
	const op = "fake.Usage"
	end, err := s.begin(ctx, op)
	if err != nil {
		return dotmesh.Usage{}, err
	}
	defer end()
	l, err := s.line(op, line)
	if err != nil {
		return dotmesh.Usage{}, err
	}
	if since.IsZero() {
		since = l.newest(line)
	} else if _, _, err := s.commit(op, since); err != nil {
		return dotmesh.Usage{}, err
	}
	head := dotmesh.Ref{Line: line}
	if !l.head {
		head = l.newest(line)
	}
	dirty, err1 := s.written(since, head)
	size, err2 := treeSize(s.path(head))
	if err := errors.Join(err1, err2); err != nil {
		return dotmesh.Usage{}, dotmesh.Wrap(op, err)
	}
	return dotmesh.Usage{
		Dirty:      dotmesh.Bytes{Bytes: dirty, AsOf: time.Now(), Exact: true},
		Referenced: size,
	}, nil
}

// written adds up the files of to whose content is not that in from, and [inodeSize] for
// every change.
func (s *Store) written(from, to dotmesh.Ref) (bytes int64, err error) {
	changes, err := s.changes(from, to)
	for _, c := range changes {
		same := c.Kind == dotmesh.Removed
		if c.Kind == dotmesh.Modified && err == nil {
			same, err = sameData(filepath.Join(s.path(from), c.Path), filepath.Join(s.path(to), c.Path))
		}
		bytes += inodeSize
		if !same {
			bytes += c.Size
		}
	}
	return bytes, err
}

// inodeSize is what a changed inode counts besides its data, as in the btrfs store.
const inodeSize = 160

// Pool reports a pool of 1 GiB that never fills.
func (s *Store) Pool(ctx context.Context) (dotmesh.PoolUsage, error) {
	end, err := s.begin(ctx, "fake.Pool")
	if err != nil {
		return dotmesh.PoolUsage{}, err
	}
	defer end()
	used, err := treeSize(s.dir)
	const size = 1 << 30
	return dotmesh.PoolUsage{Size: size, Free: max(0, size-used), Reserve: size / 20}, dotmesh.Wrap("fake.Pool", err)
}

// Diff walks both trees.
func (s *Store) Diff(ctx context.Context, from, to dotmesh.Ref) iter.Seq2[dotmesh.FileChange, error] {
	return func(yield func(dotmesh.FileChange, error) bool) {
		changes, err := s.diff(ctx, from, to)
		for _, c := range changes {
			if !yield(c, nil) {
				return
			}
		}
		if err != nil {
			yield(dotmesh.FileChange{}, err)
		}
	}
}

func (s *Store) diff(ctx context.Context, from, to dotmesh.Ref) ([]dotmesh.FileChange, error) {
	const op = "fake.Diff"
	end, err := s.begin(ctx, op)
	if err != nil {
		return nil, err
	}
	defer end()
	for _, ref := range []dotmesh.Ref{from, to} {
		if err := s.readable(op, ref); err != nil {
			return nil, err
		}
	}
	changes, err := s.changes(from, to)
	return changes, dotmesh.Wrap(op, err)
}

// changes compares two trees; the zero ref is an empty one.
func (s *Store) changes(from, to dotmesh.Ref) ([]dotmesh.FileChange, error) {
	return DiffTrees(s.path(from), s.path(to))
}

// Meta returns a commit's meta.
func (s *Store) Meta(ctx context.Context, ref dotmesh.Ref) ([]byte, error) {
	end, err := s.begin(ctx, "fake.Meta")
	if err != nil {
		return nil, err
	}
	defer end()
	l, i, err := s.commit("fake.Meta", ref)
	if err != nil {
		return nil, err
	}
	return slices.Clone(l.commits[i].Meta), nil
}

// Drop removes the commits' directories.
func (s *Store) Drop(ctx context.Context, line dotmesh.LineID, commits []dotmesh.CommitID) error {
	const op = "fake.Drop"
	end, err := s.begin(ctx, op)
	if err != nil {
		return err
	}
	defer end()
	l, err := s.line(op, line)
	if err != nil {
		return err
	}
	for _, c := range commits {
		if err := s.unused(op, line, l, c); err != nil {
			return err
		}
	}
	for _, c := range commits {
		if l.index(c) < 0 {
			continue
		}
		if err := os.RemoveAll(s.path(dotmesh.Ref{Line: line, Commit: c})); err != nil {
			return dotmesh.Wrap(op, err)
		}
		l.commits = slices.Delete(l.commits, l.index(c), l.index(c)+1)
	}
	return nil
}

// DropHead removes the head's directory.
func (s *Store) DropHead(ctx context.Context, line dotmesh.LineID) error {
	const op = "fake.DropHead"
	end, err := s.begin(ctx, op)
	if err != nil {
		return err
	}
	defer end()
	l, err := s.line(op, line)
	if err != nil {
		return err
	}
	l.head = false
	return dotmesh.Wrap(op, os.RemoveAll(s.head(line)))
}

// Destroy removes a line's directories.
func (s *Store) Destroy(ctx context.Context, line dotmesh.LineID) error {
	const op = "fake.Destroy"
	end, err := s.begin(ctx, op)
	if err != nil {
		return err
	}
	defer end()
	if err := s.unreceived(op, line); err != nil {
		return err
	}
	l := s.lines[line]
	if l == nil {
		return nil
	}
	for _, c := range l.commits {
		if err := s.unused(op, line, l, c.ID); err != nil {
			return err
		}
	}
	delete(s.lines, line)
	return dotmesh.Wrap(op, os.RemoveAll(filepath.Join(s.dir, line.String())))
}

// KV returns the store's key-value memory, which [Store.Reopen] keeps.
func (s *Store) KV() dotmesh.KV { return s.kv }

// Close ends the use of this value; the directories go with the test.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.open = false
	s.end()
	return nil
}

// grow makes a line's head from its newest commit, its origin, or nothing.
func (s *Store) grow(line dotmesh.LineID, l *fakeLine) error {
	if err := os.RemoveAll(s.head(line)); err != nil {
		return err
	}
	if from := l.newest(line); !from.IsZero() {
		l.head = true
		return copyTree(s.path(from), s.head(line))
	}
	l.head = true
	return os.MkdirAll(s.head(line), 0o755)
}

func (s *Store) line(op string, id dotmesh.LineID) (*fakeLine, error) {
	if l := s.lines[id]; l != nil {
		return l, nil
	}
	return nil, dotmesh.E(op, dotmesh.NotFound, "no line %s in this pool", id)
}

func (s *Store) commit(op string, ref dotmesh.Ref) (*fakeLine, int, error) {
	l, err := s.line(op, ref.Line)
	if err != nil {
		return nil, 0, err
	}
	i := l.index(ref.Commit)
	if i < 0 {
		return nil, 0, dotmesh.E(op, dotmesh.NotFound, "no commit %s on line %s in this pool", ref.Commit, ref.Line)
	}
	return l, i, nil
}

// readable reports whether a commit, or a head, is there to be read.
func (s *Store) readable(op string, ref dotmesh.Ref) error {
	if !ref.Commit.IsZero() {
		_, _, err := s.commit(op, ref)
		return err
	}
	l, err := s.line(op, ref.Line)
	if err == nil && !l.head {
		return dotmesh.E(op, dotmesh.NotFound, "line %s has no head on this node", ref.Line)
	}
	return err
}

// unused refuses a commit that is the origin of another line, is being sent, or is what a
// stream goes on from.
func (s *Store) unused(op string, line dotmesh.LineID, l *fakeLine, id dotmesh.CommitID) error {
	r := dotmesh.Ref{Line: line, Commit: id}
	if s.streams.received[line] && l.newest(line) == r {
		return dotmesh.E(op, dotmesh.Busy, "commit %s is being received after; try again when that is done", id)
	}
	if err := s.unforked(op, r); err != nil {
		return err
	}
	return s.unsent(op, r)
}

// unforked refuses a commit that is the origin of another line.
func (s *Store) unforked(op string, ref dotmesh.Ref) error {
	for id, l := range s.lines {
		if l.origin == dotmesh.Origin(ref) {
			return dotmesh.E(op, dotmesh.Busy, "commit %s is the origin of line %s; destroy that line first", ref.Commit, id)
		}
	}
	for id, origin := range s.streams.origins {
		if origin == dotmesh.Origin(ref) && !origin.IsZero() {
			return dotmesh.E(op, dotmesh.Busy, "commit %s is the origin of line %s, which is being received; end that first", ref.Commit, id)
		}
	}
	return nil
}

func (l *fakeLine) info(id dotmesh.LineID) dotmesh.LineInfo {
	return dotmesh.LineInfo{ID: id, Origin: l.origin, Head: l.head, Commits: slices.Clone(l.commits)}
}

func (l *fakeLine) index(id dotmesh.CommitID) int {
	return slices.IndexFunc(l.commits, func(c dotmesh.CommitInfo) bool { return c.ID == id })
}

// newest returns the line's newest commit, or its origin; zero: it began empty.
func (l *fakeLine) newest(line dotmesh.LineID) dotmesh.Ref {
	if n := len(l.commits); n > 0 {
		return dotmesh.Ref{Line: line, Commit: l.commits[n-1].ID}
	}
	return dotmesh.Ref(l.origin)
}

// path returns a tree's directory, or "" for the zero ref.
func (s *Store) path(ref dotmesh.Ref) string {
	switch {
	case ref.IsZero():
		return ""
	case ref.Commit.IsZero():
		return s.head(ref.Line)
	}
	return filepath.Join(s.dir, ref.Line.String(), ref.Commit.String())
}

func (s *Store) head(line dotmesh.LineID) string {
	return filepath.Join(s.dir, line.String(), "live")
}

// maxMeta is the largest Meta of a commit, as the contract of [dotmesh.SnapRequest] says.
const maxMeta = 64 << 10
