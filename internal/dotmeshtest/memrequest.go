package dotmeshtest

import (
	"context"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/verbs"
)

// Ask implements [dotmesh.Registry].
func (r *Registry) Ask(ctx context.Context, q dotmesh.Request) (dotmesh.Cursor, error) {
	lease := r.grant(q.Life)
	cursor, err := r.do(ctx, "Ask", verbs.Ask(q, lease))
	if err != nil && dotmesh.KindOf(err) != dotmesh.Unknown {
		r.expire(lease)
	}
	return cursor, err
}

// grant returns a lease that ends after life.
func (r *Registry) grant(life time.Duration) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	lease := int64(len(r.leases) + 1)
	r.leases = append(r.leases, time.AfterFunc(life, func() { r.expire(lease) }))
	return lease
}

// expire ends a lease and what was written with it.
func (r *Registry) expire(lease int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leases[lease-1].Stop()
	var gone []verbs.Write
	for _, key := range r.keys {
		if r.items[key].Lease == lease {
			gone = append(gone, verbs.Write{Key: key})
		}
	}
	r.write(gone)
}
