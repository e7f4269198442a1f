package etcdstate

import (
	"context"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/verbs"
)

// Ask implements [dotmesh.Registry]. The request has a lease of its own, which its response
// takes over; etcd grants none that is shorter than one and a half of its election timeout.
func (r *Registry) Ask(ctx context.Context, q dotmesh.Request) (dotmesh.Cursor, error) {
	ctx, done := r.begin(ctx)
	defer done()
	if err := verbs.CheckRequest(&q); err != nil {
		return 0, dotmesh.Wrap("registry.Ask", err)
	}
	ask, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	lease, err := r.client.Grant(ask, int64((q.Life+time.Second-1)/time.Second))
	if err != nil {
		return 0, dotmesh.Wrap("registry.Ask", r.explain(ctx, err))
	}
	cursor, err := r.do(ctx, "Ask", verbs.Ask(q, int64(lease.ID)))
	if err != nil && dotmesh.KindOf(err) != dotmesh.Unknown {
		r.revoke(ctx, lease.ID) // nothing has it
	}
	return cursor, err
}
