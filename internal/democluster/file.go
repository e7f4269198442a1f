package democluster

import (
	"cmp"
	"context"
	"io/fs"
	"iter"
	"path"
	"strings"

	"dotmesh.io/dotmesh"
)

const (
	defaultPart = 64 << 10
	maxPart     = 1 << 20
)

// Diff implements dotmesh.Service.
func (s *service) Diff(ctx context.Context, r dotmesh.DiffRequest) iter.Seq2[dotmesh.FileChange, error] {
	return func(yield func(dotmesh.FileChange, error) bool) {
		changes, err := ask(ctx, s, func() ([]dotmesh.FileChange, error) { return s.diff(r) })
		for _, change := range changes {
			if ctx.Err() != nil {
				err = dotmesh.Wrap("democluster.Diff", ctx.Err())
				break
			}
			if !yield(change, nil) {
				return
			}
		}
		if err != nil {
			yield(dotmesh.FileChange{}, err)
		}
	}
}

func (s *service) diff(r dotmesh.DiffRequest) ([]dotmesh.FileChange, error) {
	b, from, err := s.resolve(dotmesh.CommitRef{Dot: r.Dot, Branch: r.Branch, Ref: r.From}, maySee)
	if err != nil {
		return nil, err
	}
	to := b.data
	if r.To != "" {
		_, m, err := s.resolve(dotmesh.CommitRef{Dot: r.Dot, Branch: r.Branch, Ref: r.To}, maySee)
		if err != nil {
			return nil, err
		}
		to = m.data
	} else if err := s.c.reachable(s.c.node(b.Pointer.Master), b.Name); err != nil {
		return nil, err
	}
	return from.data.changes(to), nil
}

// ReadFile implements dotmesh.Service.
func (s *service) ReadFile(ctx context.Context, r dotmesh.FileRequest) (dotmesh.FilePart, error) {
	return ask(ctx, s, func() (dotmesh.FilePart, error) {
		const op = "democluster.ReadFile"
		_, m, err := s.resolve(r.CommitRef, maySee)
		if err != nil {
			return dotmesh.FilePart{}, err
		}
		if r.Offset < 0 || r.Limit < 0 {
			return dotmesh.FilePart{}, dotmesh.E(op, dotmesh.Invalid, "neither offset nor limit can be negative")
		}
		f, err := m.data.regular(r.Path)
		if err != nil {
			return dotmesh.FilePart{}, err
		}
		return dotmesh.FilePart{Data: f.read(r.Offset, min(cmp.Or(r.Limit, defaultPart), maxPart)), Size: f.size}, nil
	})
}

// regular returns the regular file at a path.
func (t *tree) regular(name string) (*file, error) {
	const op = "democluster.ReadFile"
	if name == "" || path.IsAbs(name) || path.Clean(name) != name || strings.HasPrefix(name+"/", "../") || strings.ContainsRune(name, 0) {
		return nil, dotmesh.E(op, dotmesh.Invalid, "invalid path %q: give it from the top of the branch, as a diff shows it", name)
	}
	f := t.find(name)
	switch {
	case f == nil && (name == "." || t.isDir(name)):
		return nil, dotmesh.E(op, dotmesh.Invalid, "%q is a directory, and no regular file", name)
	case f == nil:
		return nil, dotmesh.E(op, dotmesh.NotFound, "there is no file %q", name)
	case f.mode&fs.ModeSymlink != 0:
		return nil, dotmesh.E(op, dotmesh.Invalid, "%q is a symbolic link, and no regular file", name)
	}
	return f, nil
}

// Check implements dotmesh.Service. All commits are sound.
func (s *service) Check(ctx context.Context, r dotmesh.CheckRequest) iter.Seq2[dotmesh.Checked, error] {
	return func(yield func(dotmesh.Checked, error) bool) {
		lines, err := ask(ctx, s, func() ([]*branch, error) { return s.toCheck(r) })
		for _, b := range lines {
			var found []dotmesh.Checked
			if found, err = ask(ctx, s, func() ([]dotmesh.Checked, error) { return s.check(b), nil }); err != nil {
				break
			}
			for _, checked := range found {
				if !yield(checked, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(dotmesh.Checked{}, dotmesh.Wrap("democluster.Check", err))
		}
	}
}

// toCheck returns the branches and stashes of one dot, or of all.
func (s *service) toCheck(r dotmesh.CheckRequest) (all []*branch, err error) {
	dots := s.c.order
	if r.Dot.IsZero() {
		err = s.adminOnly()
	} else {
		var d *dot
		d, err = s.dot(r.Dot, mayOwn)
		dots = []*dot{d}
	}
	if err != nil {
		return nil, err
	}
	for _, d := range dots {
		all = append(all, d.branches...)
	}
	return all, nil
}

// check reads the commits of a branch's own line that the node holds.
func (s *service) check(b *branch) (all []dotmesh.Checked) {
	for _, m := range b.line.commits {
		if m.buried || !m.on(s.at) {
			continue
		}
		checked := dotmesh.Checked{
			Dot: b.dot.Name, Branch: b.Name, Commit: m.ID, State: dotmesh.CheckSame, Tree: m.data.hash(), Bytes: m.data.bytes(),
		}
		if s.c.trees[m.ID] == "" {
			s.c.trees[m.ID], checked.State = checked.Tree, dotmesh.CheckNew
		}
		all = append(all, checked)
	}
	return all
}
