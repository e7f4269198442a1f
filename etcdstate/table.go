package etcdstate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/v3"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/verbs"
)

// batch is how many operations go into one request where the number is ours to choose;
// etcd's own limit is 128 unless it was raised.
const batch = 100

// table is the registry as the verbs see it.
type table Registry

// Load implements [verbs.Backend], in one round trip for up to 100 wants.
func (t *table) Load(ctx context.Context, wants verbs.Wants) (*verbs.View, error) {
	view := &verbs.View{
		Items: map[string]verbs.Item{},
		Lists: map[string]map[string]verbs.Item{},
		Tails: map[string]string{},
	}
	for part := range slices.Chunk(t.questions(wants), batch) {
		if err := t.ask(ctx, view, part); err != nil {
			return nil, err
		}
	}
	for _, prefix := range wants.Tails {
		if view.Tails[prefix] != "" || !t.tails.doubted(prefix) {
			continue
		}
		if err := t.ask(ctx, view, []question{t.tailQuestion(prefix)}); err != nil {
			return nil, err
		}
	}
	return view, nil
}

// question is one range to read and what its answer says of the view.
type question struct {
	key     string
	options []clientv3.OpOption
	answer  func(view *verbs.View, resp *pb.RangeResponse)
}

func (t *table) questions(wants verbs.Wants) []question {
	var all []question
	for _, key := range wants.Keys {
		all = append(all, question{key: t.prefix + key, answer: func(view *verbs.View, resp *pb.RangeResponse) {
			view.Items[key] = verbs.Item{}
			for _, kv := range resp.Kvs {
				view.Items[key] = verbs.Item{Value: kv.Value, Mod: dotmesh.Cursor(kv.ModRevision), Lease: kv.Lease}
			}
		}})
	}
	for _, prefix := range wants.Prefixes {
		below := []clientv3.OpOption{clientv3.WithPrefix()}
		all = append(all, question{key: t.prefix + prefix, options: below, answer: func(view *verbs.View, resp *pb.RangeResponse) {
			items := make(map[string]verbs.Item, len(resp.Kvs))
			for _, kv := range resp.Kvs {
				items[strings.TrimPrefix(string(kv.Key), t.prefix)] = verbs.Item{Value: kv.Value, Mod: dotmesh.Cursor(kv.ModRevision)}
			}
			view.Lists[prefix] = items
		}})
	}
	for _, prefix := range wants.Tails {
		all = append(all, t.tailQuestion(prefix))
	}
	return all
}

// tailQuestion asks for the last key below a prefix. etcd reads a whole range to sort it
// backwards, so where a late key is known the question is what comes from there on.
func (t *table) tailQuestion(prefix string) question {
	q := question{key: t.prefix + prefix, options: clientv3.WithLastKey()}
	if known := t.tails.get(prefix); known != "" {
		q.key = t.prefix + known
		q.options = []clientv3.OpOption{clientv3.WithRange(t.prefix + verbs.PrefixEnd(prefix))}
	}
	q.options = append(q.options, clientv3.WithKeysOnly())
	q.answer = func(view *verbs.View, resp *pb.RangeResponse) {
		last := ""
		for _, kv := range resp.Kvs {
			last = strings.TrimPrefix(string(kv.Key), t.prefix)
		}
		view.Tails[prefix] = last
		t.tails.set(prefix, last)
	}
	return q
}

// ask puts questions in one transaction, at the view's moment if it has one.
func (t *table) ask(ctx context.Context, view *verbs.View, questions []question) error {
	gets := make([]clientv3.Op, 0, len(questions))
	for _, q := range questions {
		options := q.options
		if view.Cursor > 0 {
			options = append(slices.Clone(options), clientv3.WithRev(int64(view.Cursor)))
		}
		gets = append(gets, clientv3.OpGet(q.key, options...))
	}
	r := (*Registry)(t)
	ask, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	start := r.now()
	resp, err := t.client.Txn(ask).Then(gets...).Commit()
	if err != nil {
		return r.explain(ctx, err)
	}
	r.hear(start)
	if view.Cursor == 0 {
		view.Cursor = dotmesh.Cursor(resp.Header.Revision)
	}
	for i, q := range questions {
		q.answer(view, resp.Responses[i].GetResponseRange())
	}
	return nil
}

// Commit implements [verbs.Backend].
func (t *table) Commit(ctx context.Context, txn verbs.Txn) (dotmesh.Cursor, bool, error) {
	r := (*Registry)(t)
	if ctx.Err() != nil {
		return 0, false, r.explain(ctx, ctx.Err())
	}
	ask, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	start := r.now()
	resp, err := t.client.Txn(ask).If(t.compares(txn.Conditions)...).Then(t.ops(txn.Writes)...).Commit()
	switch {
	case err == nil:
		r.hear(start)
		cursor := dotmesh.Cursor(resp.Header.Revision)
		if resp.Succeeded {
			t.remember(cursor, txn.Writes)
		}
		return cursor, resp.Succeeded, nil
	case refused(err):
		return 0, false, r.explain(ctx, err)
	}
	return 0, false, &dotmesh.Error{Op: "etcd", Kind: dotmesh.Unknown, Err: err}
}

func (t *table) compares(conditions []verbs.Condition) []clientv3.Cmp {
	all := make([]clientv3.Cmp, 0, len(conditions))
	for _, c := range conditions {
		if c.Prefix {
			all = append(all, clientv3.Compare(clientv3.ModRevision(t.prefix+c.Key).WithPrefix(), "<", int64(c.Mod)+1))
		} else {
			all = append(all, clientv3.Compare(clientv3.ModRevision(t.prefix+c.Key), "=", int64(c.Mod)))
		}
	}
	return all
}

func (t *table) ops(writes []verbs.Write) []clientv3.Op {
	all := make([]clientv3.Op, 0, len(writes))
	for _, w := range writes {
		switch {
		case w.End != "":
			all = append(all, clientv3.OpDelete(t.prefix+w.Key, clientv3.WithRange(t.prefix+w.End)))
		case w.Value == nil:
			all = append(all, clientv3.OpDelete(t.prefix+w.Key))
		default:
			all = append(all, clientv3.OpPut(t.prefix+w.Key, string(w.Value), clientv3.WithLease(clientv3.LeaseID(w.Lease))))
		}
	}
	return all
}

// tails remembers the last key seen below a prefix. It may be wrong: what it says is
// where to begin reading. The zero value is ready.
type tails struct {
	mu   sync.Mutex
	keys map[string]string
}

// tailsKept bounds the memory that is spent on that.
const tailsKept = 10_000

func (t *tails) get(prefix string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keys[prefix]
}

// doubted reports whether what was known of a prefix turned out to be gone, so that the
// whole range has to be read.
func (t *tails) doubted(prefix string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	key, known := t.keys[prefix]
	return known && key == ""
}

func (t *tails) set(prefix, last string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if last == "" {
		if t.keys[prefix] != "" {
			t.keys[prefix] = "" // doubted
		} else {
			delete(t.keys, prefix)
		}
		return
	}
	if t.keys == nil || len(t.keys) >= tailsKept {
		t.keys = map[string]string{}
	}
	t.keys[prefix] = last
}

// Ops implements [dotmesh.Registry].
func (r *Registry) Ops(ctx context.Context, dot dotmesh.DotID, before uint64, limit int) ([]dotmesh.Op, error) {
	ctx, done := r.begin(ctx)
	defer done()
	var ops []dotmesh.Op
	prefix := verbs.OpsPrefix(dot)
	if before == 0 {
		last, err := r.last(ctx, prefix)
		if err != nil {
			return nil, dotmesh.Wrap("registry.Ops", err)
		}
		if last == 0 {
			return nil, nil
		}
		before = last + 1
	}
	if limit <= 0 {
		return nil, nil
	}
	first := before - min(before, uint64(limit)) // entries have no gaps between them
	resp, err := r.client.Get(ctx, r.prefix+verbs.OpKey(dot, first), clientv3.WithRange(r.prefix+verbs.OpKey(dot, before)))
	if err != nil {
		return nil, dotmesh.Wrap("registry.Ops", r.explain(ctx, err))
	}
	for _, kv := range slices.Backward(resp.Kvs) {
		op, err := verbs.DecodeOp(strings.TrimPrefix(string(kv.Key), r.prefix), kv.Value)
		if err != nil {
			return nil, dotmesh.Wrap("registry.Ops", err)
		}
		ops = append(ops, op)
	}
	return ops, nil
}

// last returns the number of the last key below a prefix, 0 if there is none.
func (r *Registry) last(ctx context.Context, prefix string) (uint64, error) {
	view, err := (*table)(r).Load(ctx, verbs.Wants{Tails: []string{prefix}})
	if err != nil || view.Tails[prefix] == "" {
		return 0, err
	}
	var n uint64
	if _, err := fmt.Sscanf(strings.TrimPrefix(view.Tails[prefix], prefix), "%d", &n); err != nil {
		return 0, dotmesh.E("etcd", dotmesh.Corrupt, "the registry holds a key %q that no Dotmesh wrote", view.Tails[prefix])
	}
	return n, nil
}
