//go:build linux

package zfs

import (
	"context"
	"errors"
	"slices"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
)

// Drop destroys commits, all by one command.
func (s *Store) Drop(ctx context.Context, line dotmesh.LineID, commits []dotmesh.CommitID) error {
	if err := s.incoming.settle(ctx, line); err != nil {
		return fault("zfs.Drop", err)
	}
	return s.changing(ctx, "zfs.Drop", line, func(ctx context.Context) error {
		l, err := s.find(ctx, line)
		if err != nil {
			return err
		}
		var refs []dotmesh.Ref
		for _, c := range l.commits {
			if slices.Contains(commits, c.id) {
				refs = append(refs, dotmesh.Ref{Line: line, Commit: c.id})
			}
		}
		if len(refs) == 0 {
			return nil
		}
		if slices.Contains(refs, l.newest()) { // what a stream goes on from
			if err := s.incoming.free(line); err != nil {
				return err
			}
		}
		release, err := s.claim(ctx, refs...)
		if err != nil {
			return err
		}
		defer release()
		return s.drop(ctx, l, refs)
	})
}

// drop destroys commits that nobody uses. A head that was given up is the newest commit:
// when that goes, the head goes back to the one before.
func (s *Store) drop(ctx context.Context, l *state, refs []dotmesh.Ref) error {
	back := l.Headless && slices.Contains(refs, l.newest())
	if back {
		if err := s.giveUpHead(l); err != nil {
			return err
		}
	}
	if err := fail.Point("zfs.drop.before"); err != nil {
		return err
	}
	if err := s.destroyCommits(ctx, l, refs); err != nil {
		return err
	}
	if back {
		return s.settle(ctx, l)
	}
	return nil
}

// claim keeps refs from being read until the function that is returned is called. It
// refuses with Busy if one of them is mounted, read or an origin.
func (s *Store) claim(ctx context.Context, refs ...dotmesh.Ref) (release func(), err error) {
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = s.at(r)
	}
	if err := s.children.free(refs...); err != nil {
		return nil, err
	}
	release, err = s.pins.claim(refs...)
	if err != nil {
		return nil, err
	}
	if err := unmounted(ctx, names...); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// destroyCommits destroys commits and forgets their metadata.
func (s *Store) destroyCommits(ctx context.Context, l *state, refs []dotmesh.Ref) error {
	for some := range slices.Chunk(refs, maxAtOnce) {
		ids := make([]string, len(some))
		for i, r := range some {
			ids[i] = r.Commit.String()
		}
		err := s.destroyed(ctx, l, destroySnapshots(s.line(l.id), ids...))
		if err != nil && !errors.Is(err, notExist) {
			return err
		}
		if err := fail.Point("zfs.destroy.after-snapshots"); err != nil {
			return err
		}
		if err := s.dropMetas(some...); err != nil {
			return err
		}
		l.commits = slices.DeleteFunc(l.commits, func(c foundCommit) bool {
			return slices.Contains(some, dotmesh.Ref{Line: l.id, Commit: c.id})
		})
	}
	return nil
}

// destroyed runs a command that destroys something of a line. What a stream that broke off
// has left is in its way, and goes.
func (s *Store) destroyed(ctx context.Context, l *state, c command) error {
	err := s.run.run(ctx, c)
	if !errors.Is(err, hasClones) && !errors.Is(err, busy) && !errors.Is(err, resumable) {
		return err
	}
	if aborted := s.run.run(ctx, abortReceive(s.line(l.id))); aborted != nil {
		return err
	}
	return s.run.run(ctx, c)
}

// DropHead takes the dataset back to its newest commit, and says that there is no head.
func (s *Store) DropHead(ctx context.Context, line dotmesh.LineID) error {
	return s.changing(ctx, "zfs.DropHead", line, func(ctx context.Context) error {
		l, err := s.find(ctx, line)
		if err != nil {
			return err
		}
		if l.Headless && !l.Rolling {
			return nil
		}
		release, err := s.claim(ctx, head(line))
		if err != nil {
			return err
		}
		defer release()
		if err := s.giveUpHead(l); err != nil {
			return err
		}
		if err := fail.Point("zfs.drop-head.after-record"); err != nil {
			return err
		}
		return s.settle(ctx, l)
	})
}

// giveUpHead writes down that the head is given up: what [Store.settle] then does.
func (s *Store) giveUpHead(l *state) error {
	change := func(r *record) { r.Headless, r.Rolling, r.Origin = true, true, l.Origin }
	if err := s.update(l.id, change); err != nil {
		return err
	}
	change(&l.record)
	return nil
}

// settle takes the head of a line whose record says so back to the newest commit: the one
// place where what a dataset holds is given up. Without a commit there is nothing to keep,
// and what it was forked from is in the record.
func (s *Store) settle(ctx context.Context, l *state) error {
	if !l.Rolling || !l.Headless {
		return dotmesh.E("", dotmesh.Internal, "line %s is to be rolled back, and its record does not say so", l.id)
	}
	if err := s.removeScratch(ctx, l); err != nil {
		return err
	}
	if err := s.destroyCommits(ctx, l, l.hidden); err != nil {
		return err
	}
	if l.dataset {
		c := destroyDataset(s.line(l.id))
		if len(l.commits) > 0 {
			c = rollBack(s.at(l.newest()))
		}
		if err := s.destroyed(ctx, l, c); err != nil && !errors.Is(err, notExist) {
			return err
		}
		l.dataset = len(l.commits) > 0
	}
	if err := fail.Point("zfs.settle.after"); err != nil {
		return err
	}
	l.Rolling, l.Mounted = false, false
	return s.update(l.id, func(r *record) { r.Rolling, r.Mounted = false, false })
}

// removeScratch destroys snapshots that the store took for itself and then forgot.
func (s *Store) removeScratch(ctx context.Context, l *state) error {
	for _, name := range l.scratch {
		if err := s.destroyScratch(ctx, name); err != nil {
			return err
		}
	}
	l.scratch = nil
	return nil
}

// Destroy hides a line and then removes it; a crash between is made good by the next Open.
func (s *Store) Destroy(ctx context.Context, line dotmesh.LineID) error {
	if err := s.incoming.settle(ctx, line); err != nil {
		return fault("zfs.Destroy", err)
	}
	return s.changing(ctx, "zfs.Destroy", line, func(ctx context.Context) error {
		if line.IsZero() {
			return nil
		}
		l, err := s.look(ctx, line)
		if err != nil {
			return err
		}
		if !l.there() && !l.dataset && l.record == (record{}) {
			return nil
		}
		if err := s.incoming.free(line); err != nil {
			return err
		}
		release, err := s.claim(ctx, append(l.refs(), head(line))...)
		if err != nil {
			return err
		}
		defer release()
		s.leaving.add(line)
		if !l.Doomed {
			if err := s.update(line, func(r *record) { r.Doomed, r.Origin = true, l.Origin }); err != nil {
				return err
			}
		}
		if err := fail.Point("zfs.destroy.after-mark"); err != nil {
			return err
		}
		return s.destroyLine(ctx, l)
	})
}

// destroyLine removes whatever is left of a line, and then what the KV knows of it.
func (s *Store) destroyLine(ctx context.Context, l *state) error {
	if err := s.removeScratch(ctx, l); err != nil {
		return err
	}
	if err := s.destroyCommits(ctx, l, append(l.refs(), l.hidden...)); err != nil {
		return err
	}
	if l.dataset {
		err := s.destroyed(ctx, l, destroyDataset(s.line(l.id)))
		if err != nil && !errors.Is(err, notExist) {
			return err
		}
	}
	if err := fail.Point("zfs.destroy.after"); err != nil {
		return err
	}
	if err := s.update(l.id, func(r *record) { *r = record{} }); err != nil {
		return err
	}
	s.children.remove(l.Origin, l.id)
	s.handed.Delete(l.id)
	s.incoming.setWhole(l.id, false)
	return nil
}
