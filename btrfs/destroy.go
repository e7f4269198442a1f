//go:build linux

package btrfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
)

// Drop destroys commits. It cannot be cut short once it has begun; after a crash some may
// be gone and others not, and the next call goes on.
func (s *Store) Drop(ctx context.Context, line dotmesh.LineID, commits []dotmesh.CommitID) error {
	return s.changing(ctx, "btrfs.Drop", func() error {
		r, err := s.line(line)
		if err != nil {
			return err
		}
		refs, err := s.present(line, commits)
		if err != nil {
			return err
		}
		release, err := s.claim(ctx, refs...)
		if err != nil {
			return err
		}
		defer release()
		if err := s.keepHeadless(line, r); err != nil {
			return err
		}
		if err := s.discard(context.WithoutCancel(ctx), s.incoming.basedOn(line, refs)); err != nil {
			return err
		}
		return s.drop(context.WithoutCancel(ctx), refs)
	})
}

// keepHeadless notes of a line that it is whole without a head, where its commits may all
// go: one that was received has not said so yet.
func (s *Store) keepHeadless(line dotmesh.LineID, r record) error {
	there, err := s.has(head(line))
	if err != nil || there || r.Headless {
		return err
	}
	r.Headless = true
	return s.kv.Update(func(tx dotmesh.KVWriter) error { return putRecord(tx, line, r) })
}

// present returns the commits that are there.
func (s *Store) present(line dotmesh.LineID, commits []dotmesh.CommitID) ([]dotmesh.Ref, error) {
	var refs []dotmesh.Ref
	for _, id := range commits {
		r := dotmesh.Ref{Line: line, Commit: id}
		there, err := s.has(r)
		if err != nil {
			return nil, err
		}
		if there && !id.IsZero() && !slices.Contains(refs, r) {
			refs = append(refs, r)
		}
	}
	return refs, nil
}

// claim keeps refs from being read until the function that is returned is called. It
// refuses with Busy if one of them is mounted, read or an origin.
func (s *Store) claim(ctx context.Context, refs ...dotmesh.Ref) (release func(), err error) {
	paths := make([]string, len(refs))
	for i, r := range refs {
		paths[i] = inPool(r)
	}
	if err := s.children.free(refs...); err != nil {
		return nil, err
	}
	release, err = s.pins.claim(refs...)
	if err != nil {
		return nil, err
	}
	if err := s.pool.unmounted(ctx, paths...); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

func (s *Store) drop(ctx context.Context, refs []dotmesh.Ref) error {
	if err := s.rememberAll(refs); err != nil {
		return err
	}
	for _, r := range refs {
		if err := fail.Point("btrfs.drop.before-ioctl"); err != nil {
			return err
		}
		if err := s.destroyTree(ctx, s.at(r)); err != nil {
			return err
		}
		if err := s.dropMeta(r); err != nil {
			return err
		}
	}
	if err := fail.Point("btrfs.drop.before-sync"); err != nil {
		return err
	}
	return s.pool.sync()
}

// rememberAll keeps the lineage of what is about to be destroyed, so that Diff and Usage
// still find what its descendants have in common.
func (s *Store) rememberAll(refs []dotmesh.Ref) error {
	var lost []lineage
	for _, r := range refs {
		v, err := s.subvol(r)
		if err != nil {
			return err
		}
		lost = append(lost, v.lineage())
	}
	return s.rememberLineages(lost)
}

func (s *Store) rememberLineages(lost []lineage) error {
	if len(lost) == 0 {
		return nil
	}
	return s.kv.Update(func(tx dotmesh.KVWriter) error {
		for _, l := range lost {
			if err := remember(tx, l); err != nil {
				return err
			}
		}
		return nil
	})
}

// DropHead destroys the head. Live would make a new one from the newest commit.
func (s *Store) DropHead(ctx context.Context, line dotmesh.LineID) error {
	return s.changing(ctx, "btrfs.DropHead", func() error {
		r, err := s.line(line)
		if err != nil {
			return err
		}
		there, err := s.has(head(line))
		if err != nil {
			return err
		}
		if !there { // perhaps destroyed by a call that failed after that
			return s.pool.sync()
		}
		release, err := s.claim(ctx, head(line))
		if err != nil {
			return err
		}
		defer release()
		return s.dropHead(context.WithoutCancel(ctx), line, r)
	})
}

// dropHead destroys a head that was claimed.
func (s *Store) dropHead(ctx context.Context, line dotmesh.LineID, r record) error {
	if err := s.rememberAll([]dotmesh.Ref{head(line)}); err != nil {
		return err
	}
	r.Headless = true
	if err := s.kv.Update(func(tx dotmesh.KVWriter) error { return putRecord(tx, line, r) }); err != nil {
		return err
	}
	if err := fail.Point("btrfs.drop-head.before-ioctl"); err != nil {
		return err
	}
	if err := s.destroyTree(ctx, s.at(head(line))); err != nil {
		return err
	}
	if err := fail.Point("btrfs.drop-head.before-sync"); err != nil {
		return err
	}
	return s.pool.sync()
}

// Destroy hides a line and then removes it; a crash between is made good by the next Open.
func (s *Store) Destroy(ctx context.Context, line dotmesh.LineID) error {
	return s.changing(ctx, "btrfs.Destroy", func() error {
		if err := s.forgetStreams(context.WithoutCancel(ctx), line); err != nil {
			return err
		}
		r, err := s.line(line)
		if errors.Is(err, dotmesh.NotFound) && !r.Doomed {
			return nil
		}
		if err != nil && !r.Doomed {
			return err
		}
		if r.Doomed {
			return s.destroyLine(context.WithoutCancel(ctx), line)
		}
		return s.doom(ctx, line, r)
	})
}

// forgetStreams removes what streams into a line have left. It refuses with Busy while
// there is one.
func (s *Store) forgetStreams(ctx context.Context, line dotmesh.LineID) error {
	a, err := s.incoming.claim(line)
	if err != nil {
		return err
	}
	return s.discard(ctx, a)
}

// doom hides a line that nothing uses, and then destroys it.
func (s *Store) doom(ctx context.Context, line dotmesh.LineID, r record) error {
	ids, err := s.commits(ctx, line)
	if err != nil {
		return err
	}
	refs := []dotmesh.Ref{head(line)}
	for _, id := range ids {
		refs = append(refs, dotmesh.Ref{Line: line, Commit: id})
	}
	release, err := s.claim(ctx, refs...)
	if err != nil {
		return err
	}
	defer release()
	r.Doomed = true
	if err := s.kv.Update(func(tx dotmesh.KVWriter) error { return putRecord(tx, line, r) }); err != nil {
		return err
	}
	if err := fail.Point("btrfs.destroy.after-mark"); err != nil {
		return err
	}
	return s.destroyLine(context.WithoutCancel(ctx), line)
}

// destroyLine removes whatever is left of a line: its files first, and when those are
// durably gone what the KV knows of it.
func (s *Store) destroyLine(ctx context.Context, line dotmesh.LineID) error {
	r, _, err := s.record(line)
	if err != nil {
		return err
	}
	dir := s.lineDir(line)
	for _, d := range []string{filepath.Join(dir, commitsName), dir} {
		if err := s.destroyAllIn(ctx, d); err != nil {
			return err
		}
	}
	if err := removeDirs(filepath.Join(dir, commitsName), dir); err != nil {
		return err
	}
	if err := fail.Point("btrfs.destroy.before-sync"); err != nil {
		return err
	}
	if err := s.pool.sync(); err != nil {
		return err
	}
	err = s.kv.Update(func(tx dotmesh.KVWriter) error { return tx.Delete(lineBucket, line.String()) })
	if err != nil {
		return err
	}
	s.children.remove(r.Origin, line)
	s.sizes.forget(line)
	return nil
}

// destroyAllIn destroys the subvolumes in a directory, if there is one.
func (s *Store) destroyAllIn(ctx context.Context, dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if err == nil && e.Name() != commitsName {
			err = s.destroyTree(ctx, filepath.Join(dir, e.Name()))
		}
	}
	return err
}

// destroyTree destroys a subvolume and those that lie in it, innermost first. One that is
// not there is no error.
func (s *Store) destroyTree(ctx context.Context, path string) error {
	v, err := subvolAt(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.destroyID(ctx, v.id)
}

func (s *Store) destroyID(ctx context.Context, id uint64) error {
	nested, err := s.nested(ctx, id)
	for _, n := range nested {
		if err == nil {
			err = s.destroyID(ctx, n.id)
		}
	}
	if err == nil {
		err = s.destroyAnyway(ctx, id)
	}
	return err
}

// removeDirs removes empty directories; one that is not there is no error.
func removeDirs(dirs ...string) error {
	for _, d := range dirs {
		if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
