//go:build linux

package btrfs

import (
	"context"
	"errors"
	"fmt"
	"os"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
)

// Fork makes a line by one writable snapshot, whatever the size of the data.
func (s *Store) Fork(ctx context.Context, line dotmesh.LineID, origin dotmesh.Origin) error {
	return s.changing(ctx, "btrfs.Fork", func() error {
		if line.IsZero() {
			return dotmesh.E("", dotmesh.Invalid, "a line needs an id")
		}
		ctx := context.WithoutCancel(ctx)
		if err := s.forgetUnborn(ctx, line); err != nil {
			return err
		}
		r, found, err := s.record(line)
		if err != nil {
			return err
		}
		if found && r.Doomed { // a Destroy was cut short
			if err := s.destroyLine(ctx, line); err != nil {
				return err
			}
			r, found = record{}, false
		}
		there, err := s.made(ctx, line, r)
		if err != nil {
			return err
		}
		if there && (!found || r.Origin != origin) {
			return dotmesh.E("", dotmesh.Exists, "line %s is there with another origin", line)
		}
		if there { // perhaps made by a call that failed after that
			s.children.add(origin, line)
			return s.pool.sync()
		}
		return s.fork(line, origin)
	})
}

// forgetUnborn makes room for a line that a stream was to make, if that has broken off.
func (s *Store) forgetUnborn(ctx context.Context, line dotmesh.LineID) error {
	if !s.incoming.unborn(line) {
		return nil
	}
	return s.forgetStreams(ctx, line)
}

// made reports whether a line is whole.
func (s *Store) made(ctx context.Context, line dotmesh.LineID, r record) (bool, error) {
	there, err := s.has(head(line))
	if err != nil || there || r.Headless {
		return true, err
	}
	ids, err := s.commits(ctx, line)
	return len(ids) > 0, err
}

func (s *Store) fork(line dotmesh.LineID, origin dotmesh.Origin) error {
	if !origin.IsZero() {
		if origin.Commit.IsZero() {
			return dotmesh.E("", dotmesh.Invalid, "a line is forked from a commit; name one")
		}
		if err := s.committed(dotmesh.Ref(origin)); err != nil {
			return err
		}
	}
	err := s.kv.Update(func(tx dotmesh.KVWriter) error { return putRecord(tx, line, record{Origin: origin}) })
	if err == nil {
		err = fail.Point("btrfs.fork.after-record")
	}
	if err == nil {
		err = os.MkdirAll(s.commitsDir(line), 0o700)
	}
	if err == nil {
		err = s.makeHead(line, dotmesh.Ref(origin))
	}
	if err != nil {
		return join(err, s.unfork(line))
	}
	s.children.add(origin, line)
	return nil
}

// unfork takes back what a fork that failed has made.
func (s *Store) unfork(line dotmesh.LineID) error {
	if there, err := s.has(head(line)); there || err != nil {
		return err
	}
	return join(
		removeDirs(s.commitsDir(line), s.lineDir(line)),
		s.kv.Update(func(tx dotmesh.KVWriter) error { return tx.Delete(lineBucket, line.String()) }),
	)
}

// makeHead makes a line's head from a commit, or empty. It is durable on return.
func (s *Store) makeHead(line dotmesh.LineID, from dotmesh.Ref) error {
	if err := fail.Point("btrfs.head.before-ioctl"); err != nil {
		return err
	}
	path := s.at(head(line))
	if !from.IsZero() {
		if err := snapshot(s.at(from), path, false); err != nil {
			return err
		}
		return fail.Point("btrfs.head.after-ioctl")
	}
	if err := createSubvol(path); err != nil {
		return err
	}
	if err := fail.Point("btrfs.head.before-sync"); err != nil {
		return err
	}
	if err := makeEnterable(path); err != nil {
		return err
	}
	return s.pool.sync()
}

// makeEnterable gives an empty head the mode that everybody may enter, if the umask did not
// leave it that: a change in a later transaction than the one that made the head would be
// taken for one by a user.
func makeEnterable(path string) error {
	const mode = 0o755
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() == mode {
		return err
	}
	return os.Chmod(path, mode)
}

// Live returns the head as a subvolume of the pool's device.
func (s *Store) Live(ctx context.Context, line dotmesh.LineID) (dotmesh.Device, error) {
	const op = "btrfs.Live"
	ready := func() (dotmesh.Device, error) {
		if _, err := s.line(line); err != nil {
			return dotmesh.Device{}, err
		}
		return s.device(head(line))
	}
	d, err := reading(ctx, s, op, ready)
	if !errors.Is(err, dotmesh.NotFound) {
		return d, err
	}
	if err := s.changing(ctx, op, func() error { return s.restoreHead(context.WithoutCancel(ctx), line) }); err != nil {
		return dotmesh.Device{}, err
	}
	return reading(ctx, s, op, ready)
}

// restoreHead makes the head of a line that has none.
func (s *Store) restoreHead(ctx context.Context, line dotmesh.LineID) error {
	r, err := s.line(line)
	if err != nil {
		return err
	}
	if there, err := s.has(head(line)); there || err != nil {
		return err
	}
	if s.incoming.busy(line) { // with a head, it could not be received into
		return receiving(line)
	}
	from, err := s.newest(ctx, line, r)
	if err != nil {
		return err
	}
	return s.makeHead(line, from)
}

// View returns a commit as a subvolume of the pool's device.
func (s *Store) View(ctx context.Context, r dotmesh.Ref) (dotmesh.Device, error) {
	return reading(ctx, s, "btrfs.View", func() (dotmesh.Device, error) {
		if r.Commit.IsZero() {
			return dotmesh.Device{}, dotmesh.E("", dotmesh.Invalid, "a head is not viewed; name a commit")
		}
		if err := s.committed(r); err != nil {
			return dotmesh.Device{}, err
		}
		d, err := s.device(r)
		d.ReadOnly = true
		return d, err
	})
}

func (s *Store) device(r dotmesh.Ref) (dotmesh.Device, error) {
	v, err := s.subvol(r)
	if err != nil {
		return dotmesh.Device{}, err
	}
	devices, err := devicePaths(s.pool.dir) // asked for each time: an administrator may replace them
	if err != nil {
		return dotmesh.Device{}, err
	}
	return dotmesh.Device{FSType: "btrfs", Source: devices[0], Data: fmt.Sprintf("subvolid=%d", v.id)}, nil
}

// Fence changes nothing: btrfs cannot stop who has a file open, so proving that nobody
// has is all of it.
func (s *Store) Fence(ctx context.Context, line dotmesh.LineID, _ bool) (dotmesh.Fencing, error) {
	_, err := reading(ctx, s, "btrfs.Fence", func() (record, error) { return s.line(line) })
	return dotmesh.NeedsHolders, err
}
