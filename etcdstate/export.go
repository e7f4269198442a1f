package etcdstate

import (
	"context"
	"iter"
	"strings"

	"go.etcd.io/etcd/client/v3"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
	"dotmesh.io/dotmesh/internal/verbs"
)

// importBytes bounds one transaction of an import; etcd takes 1.5 MiB.
const importBytes = 512 << 10

// Export implements [dotmesh.Registry].
func (r *Registry) Export(ctx context.Context) iter.Seq2[dotmesh.Entry, error] {
	return func(yield func(dotmesh.Entry, error) bool) {
		ctx, done := r.join(ctx)
		defer done()
		now, err := r.head(ctx)
		for first := r.prefix; first != "" && err == nil; {
			var entries []dotmesh.Entry
			if entries, first, err = r.exportPage(ctx, first, now.revision); err != nil {
				break
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(dotmesh.Entry{}, dotmesh.Wrap("registry.Export", err))
		}
	}
}

func (r *Registry) exportPage(ctx context.Context, first string, revision int64) ([]dotmesh.Entry, string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	resp, err := r.client.Get(ctx, first, clientv3.WithRange(clientv3.GetPrefixRangeEnd(r.prefix)),
		clientv3.WithLimit(page), clientv3.WithRev(revision))
	if err != nil {
		return nil, "", r.explain(ctx, err)
	}
	var entries []dotmesh.Entry
	for _, kv := range resp.Kvs {
		if key := strings.TrimPrefix(string(kv.Key), r.prefix); verbs.Lasting(key) {
			entries = append(entries, dotmesh.Entry{Key: key, Value: kv.Value})
		}
	}
	if !resp.More {
		return entries, "", nil
	}
	return entries, string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00", nil
}

// Import implements [dotmesh.Registry].
func (r *Registry) Import(ctx context.Context, entries []dotmesh.Entry, replace bool) (dotmesh.Cursor, error) {
	cursor, err := r.load(ctx, entries, replace)
	return cursor, dotmesh.Wrap("registry.Import", err)
}

// Rebuild implements [dotmesh.Registry].
func (r *Registry) Rebuild(ctx context.Context, records []dotmesh.Record, ops []dotmesh.Op) (dotmesh.Cursor, error) {
	entries, err := verbs.Entries(records, ops)
	if err != nil {
		return 0, dotmesh.Wrap("registry.Rebuild", err)
	}
	cursor, err := r.load(ctx, entries, true)
	return cursor, dotmesh.Wrap("registry.Rebuild", err)
}

// load writes entries in as many transactions as they need, the cluster's own last.
func (r *Registry) load(ctx context.Context, entries []dotmesh.Entry, replace bool) (dotmesh.Cursor, error) {
	ctx, done := r.join(ctx)
	defer done()
	entries, err := verbs.CheckEntries(entries)
	if err != nil {
		return 0, err
	}
	cursor, err := r.clear(ctx, replace)
	if err != nil {
		return 0, err
	}
	for len(entries) > 0 {
		n := chunk(entries)
		puts := make([]clientv3.Op, 0, n)
		for _, e := range entries[:n] {
			puts = append(puts, clientv3.OpPut(r.prefix+e.Key, string(e.Value)))
		}
		if err := fail.Point("registry.before-load"); err != nil {
			return 0, halfWritten(err)
		}
		if cursor, err = r.write(ctx, puts); err != nil {
			return 0, halfWritten(err)
		}
		entries = entries[n:]
	}
	return cursor, nil
}

// chunk returns how many of the entries go into the next transaction. The last entry,
// the cluster's, goes alone.
func chunk(entries []dotmesh.Entry) int {
	n, size := 0, 0
	for n < len(entries)-1 && n < batch && size < importBytes {
		size += len(entries[n].Key) + len(entries[n].Value)
		n++
	}
	return max(n, 1)
}

// clear empties the registry, or checks that it is empty. Leases stay: they belong to
// nodes that live now.
func (r *Registry) clear(ctx context.Context, replace bool) (dotmesh.Cursor, error) {
	if replace {
		return r.write(ctx, []clientv3.Op{
			clientv3.OpDelete(r.prefix, clientv3.WithRange(r.prefix+"alive/")),
			clientv3.OpDelete(r.prefix+"alive0", clientv3.WithRange(r.prefix+"requests/")),
			clientv3.OpDelete(r.prefix+"requests0", clientv3.WithRange(r.prefix+"responses/")),
			clientv3.OpDelete(r.prefix+"responses0", clientv3.WithRange(clientv3.GetPrefixRangeEnd(r.prefix))),
		})
	}
	for _, err := range r.Export(ctx) {
		if err != nil {
			return 0, err
		}
		return 0, dotmesh.E("", dotmesh.Exists, "the registry is not empty")
	}
	return 0, nil
}

// write does operations that may be done twice, and so tries again until it knows.
func (r *Registry) write(ctx context.Context, ops []clientv3.Op) (dotmesh.Cursor, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	for {
		resp, err := r.client.Txn(ctx).Then(ops...).Commit()
		if err == nil {
			return dotmesh.Cursor(resp.Header.Revision), nil
		}
		if refused(err) || wait(ctx, retryTime) != nil {
			return 0, r.explain(ctx, err)
		}
	}
}

func halfWritten(err error) error {
	return &dotmesh.Error{
		Kind: dotmesh.Unknown, Err: err,
		Text: "the registry was written in part; do it again, replacing what is there (" + dotmesh.Text(err) + ")",
	}
}
