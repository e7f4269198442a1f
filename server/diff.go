package server

import (
	"context"
	"iter"

	"dotmesh.io/dotmesh"
)

// Diff implements dotmesh.Service.
func (s *service) Diff(ctx context.Context, r dotmesh.DiffRequest) iter.Seq2[dotmesh.FileChange, error] {
	return func(yield func(dotmesh.FileChange, error) bool) {
		from, to, err := s.diffRefs(ctx, r)
		if err != nil {
			yield(dotmesh.FileChange{}, dotmesh.Wrap("server.Diff", err))
			return
		}
		for change, err := range s.node.store.Diff(ctx, from, to) {
			if !yield(change, dotmesh.Wrap("server.Diff", err)) || err != nil {
				return
			}
		}
	}
}

// diffRefs returns the two states to compare, as the store knows them.
func (s *service) diffRefs(ctx context.Context, r dotmesh.DiffRequest) (from, to dotmesh.Ref, err error) {
	b, c, err := s.resolve(ctx, dotmesh.CommitRef{Dot: r.Dot, Branch: r.Branch, Ref: r.From}, maySee)
	if err != nil {
		return from, to, err
	}
	from = dotmesh.Ref{Line: c.Line, Commit: c.ID}
	if r.To != "" {
		_, c, err = s.resolve(ctx, dotmesh.CommitRef{Dot: r.Dot, Branch: r.Branch, Ref: r.To}, maySee)
		return from, dotmesh.Ref{Line: c.Line, Commit: c.ID}, err
	}
	if b.Pointer.Master != s.node.ID() {
		return from, to, dotmesh.E("server.diffRefs", dotmesh.Unsupported,
			"data in no commit are only on node %s; ask there, or name two commits", s.node.nodeLabel(b.Pointer.Master))
	}
	return from, dotmesh.Ref{Line: b.Pointer.Line}, nil
}
