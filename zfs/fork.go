//go:build linux

package zfs

import (
	"context"
	"errors"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
)

// Fork makes a line by one clone, whatever the size of the data.
func (s *Store) Fork(ctx context.Context, line dotmesh.LineID, origin dotmesh.Origin) error {
	if err := s.incoming.settle(ctx, line); err != nil {
		return fault("zfs.Fork", err)
	}
	return s.changing(ctx, "zfs.Fork", line, func(ctx context.Context) error {
		if line.IsZero() {
			return dotmesh.E("", dotmesh.Invalid, "a line needs an id")
		}
		if made, err := s.forkUnheardOf(ctx, line, origin); made || err != nil {
			return err
		}
		l, err := s.look(ctx, line)
		if err != nil {
			return err
		}
		if l.Doomed { // a Destroy was cut short
			if err := s.destroyLine(ctx, l); err != nil {
				return err
			}
			l = newState(line, nil, record{})
		}
		switch {
		case l.there() && l.Origin != origin:
			return dotmesh.E("", dotmesh.Exists, "line %s is there with another origin", line)
		case l.there():
			s.children.add(origin, line)
			return nil
		}
		if err := s.incoming.free(line); err != nil {
			return err
		}
		if err := s.forgetStream(ctx, l); err != nil { // which was to make the line, and broke off
			return err
		}
		return s.fork(ctx, line, origin)
	})
}

// forkUnheardOf makes a line of which nothing is known, as most are that are forked, without
// a look at whether it is there: then ZFS makes none. It reports whether it made the line;
// if that or its origin may be there or not, a look tells.
func (s *Store) forkUnheardOf(ctx context.Context, line dotmesh.LineID, origin dotmesh.Origin) (made bool, err error) {
	r, err := s.record(line)
	if err != nil || r != (record{}) || s.incoming.free(line) != nil {
		return false, err
	}
	err = s.fork(ctx, line, origin)
	if errors.Is(err, exists) || errors.Is(err, dotmesh.NotFound) {
		return false, nil
	}
	return err == nil, err
}

func (s *Store) fork(ctx context.Context, line dotmesh.LineID, origin dotmesh.Origin) error {
	if !origin.IsZero() && origin.Commit.IsZero() {
		return dotmesh.E("", dotmesh.Invalid, "a line is forked from a commit; name one")
	}
	if err := s.makeHead(ctx, line, dotmesh.Ref(origin)); err != nil {
		return err
	}
	s.children.add(origin, line)
	return nil
}

// makeHead makes a line's dataset from a commit, or empty. It is durable on return.
func (s *Store) makeHead(ctx context.Context, line dotmesh.LineID, from dotmesh.Ref) error {
	if err := fail.Point("zfs.head.before"); err != nil {
		return err
	}
	if from.IsZero() {
		if err := s.run.run(ctx, createDataset(s.line(line))); err != nil {
			return err
		}
		return fail.Point("zfs.head.after-create")
	}
	unpin, err := s.pins.pin(from)
	if err != nil {
		return err
	}
	defer unpin()
	if r, err := s.record(from.Line); err != nil || r.Doomed || r.Unchecked == from.Commit {
		return join(err, missing(from))
	}
	err = s.run.run(ctx, cloneSnapshot(s.at(from), s.line(line)))
	if errors.Is(err, notExist) {
		return missing(from)
	}
	if err != nil {
		return err
	}
	return fail.Point("zfs.head.after-clone")
}

// Live returns the head. From then on it may hold what was fsynced and is in its log only.
func (s *Store) Live(ctx context.Context, line dotmesh.LineID) (dotmesh.Device, error) {
	if err := s.incoming.settle(ctx, line); err != nil {
		return dotmesh.Device{}, fault("zfs.Live", err)
	}
	err := s.changing(ctx, "zfs.Live", line, func(ctx context.Context) error {
		r, err := s.record(line)
		if err != nil {
			return err
		}
		if err := s.incoming.free(line); err != nil {
			if r.Incoming { // it is not there yet, though its first commit may just be
				return missing(head(line))
			}
			return err
		}
		if r.Headless || r.Doomed || r.Incoming {
			if err := s.restoreHead(ctx, line); err != nil {
				return err
			}
		}
		s.handed.Store(line, true)
		if err := s.writable(ctx, line); err != nil || r.Mounted && !r.Headless {
			return err
		}
		if err := fail.Point("zfs.live.before-record"); err != nil {
			return err
		}
		return s.update(line, func(r *record) { r.Mounted = true })
	})
	if err != nil {
		return dotmesh.Device{}, err
	}
	return dotmesh.Device{FSType: "zfs", Source: s.line(line)}, nil
}

// writable lets a head be written to, unless it was fenced. Datasets begin read-only, by
// what they inherit.
func (s *Store) writable(ctx context.Context, line dotmesh.LineID) error {
	if line.IsZero() {
		return missing(head(line))
	}
	all, err := s.run.values(ctx, s.line(line), "readonly")
	if errors.Is(err, notExist) {
		return missing(head(line))
	}
	if err != nil || all[0].text == "off" || all[0].source == "local" {
		return err
	}
	return s.run.run(ctx, setReadOnly(s.line(line), false))
}

// restoreHead makes the head of a line that has none.
func (s *Store) restoreHead(ctx context.Context, line dotmesh.LineID) error {
	l, err := s.find(ctx, line)
	if err != nil {
		return err
	}
	if l.Rolling {
		if err := s.settle(ctx, l); err != nil {
			return err
		}
	}
	if !l.dataset || l.Rolling && len(l.commits) == 0 { // settle has destroyed it
		if err := s.makeHead(ctx, line, dotmesh.Ref(l.Origin)); err != nil && !errors.Is(err, exists) {
			return err
		}
	}
	return s.update(line, func(r *record) { *r = record{Mounted: r.Mounted} })
}

// View returns a commit, as a snapshot to mount.
func (s *Store) View(ctx context.Context, r dotmesh.Ref) (dotmesh.Device, error) {
	return reading(ctx, s, "zfs.View", func(ctx context.Context) (dotmesh.Device, error) {
		if r.Commit.IsZero() {
			return dotmesh.Device{}, dotmesh.E("", dotmesh.Invalid, "a head is not viewed; name a commit")
		}
		if _, err := s.findCommit(ctx, r); err != nil {
			return dotmesh.Device{}, err
		}
		return dotmesh.Device{FSType: "zfs", Source: s.at(r), ReadOnly: true}, nil
	})
}

// Fence makes the dataset read-only, which stops open descriptors, too.
func (s *Store) Fence(ctx context.Context, line dotmesh.LineID, on bool) (dotmesh.Fencing, error) {
	return dotmesh.HardFence, s.changing(ctx, "zfs.Fence", line, func(ctx context.Context) error {
		l, err := s.find(ctx, line)
		if err != nil || !l.dataset {
			return err
		}
		all, err := s.run.values(ctx, s.line(line), "readonly")
		if err != nil || all[0].text == onOff(on) && (!on || all[0].source == "local") {
			return err
		}
		return s.run.run(ctx, setReadOnly(s.line(line), on))
	})
}
