package dotmeshtest

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/verbs"
)

const (
	// lease is how long an Alive record outlives its node.
	lease = 15 * time.Second
	// memory is how many revisions a watcher may lie behind.
	memory = 10_000
	// page is how many records one update of a listing holds.
	page = 1000
)

// Registry is a registry in memory. Unlike a real one it can be told to fail.
type Registry struct {
	verbs.Calls
	mu      sync.Mutex
	items   map[string]verbs.Item
	keys    []string // of items, sorted
	cursor  dotmesh.Cursor
	log     []revision // the newest, without a gap
	down    bool
	closed  bool
	faults  map[string][]fault // by verb, in the order in which they strike
	leases  []*time.Timer      // each ends what was written with its number, from 1 on
	changed chan struct{}      // closed, and made anew, by everything that happens
}

var _ dotmesh.Registry = (*Registry)(nil)

type revision struct {
	cursor dotmesh.Cursor
	writes []verbs.Write // of one key each
}

type fault struct {
	kind   dotmesh.Kind
	effect bool
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	r := &Registry{
		items:   map[string]verbs.Item{},
		cursor:  1,
		faults:  map[string][]fault{},
		changed: make(chan struct{}),
	}
	r.Calls = r.do
	return r
}

// SetDown takes the quorum away or gives it back. While it is away every verb fails with
// [dotmesh.Unreachable], watches tell so, and Alive records go when their time is over.
func (r *Registry) SetDown(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
	r.wake()
}

// FailNext makes the next call of a verb, by its name in the interface, fail with kind
// and without effect. Calls add up. An [dotmesh.Unknown] is an answer lost before
// anything was done; see LoseNext for the other half.
func (r *Registry) FailNext(verb string, kind dotmesh.Kind) { r.arm(verb, fault{kind: kind}) }

// LoseNext makes the next call of a verb do its work and fail with [dotmesh.Unknown].
func (r *Registry) LoseNext(verb string) {
	r.arm(verb, fault{kind: dotmesh.Unknown, effect: true})
}

func (r *Registry) arm(verb string, f fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[verb] = append(r.faults[verb], f)
}

// Compact forgets all history: who watches from an older cursor is told everything anew.
func (r *Registry) Compact() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = nil
}

// Poke writes a raw value, or deletes it if nil, past all verbs: what another release or
// a broken program might do.
func (r *Registry) Poke(key string, value []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.write([]verbs.Write{{Key: key, Value: value}})
}

// Peek returns the raw value of a key.
func (r *Registry) Peek(key string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.items[key].Value)
}

// Close ends running calls and watches.
func (r *Registry) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, lease := range r.leases {
		lease.Stop()
	}
	r.wake()
	return nil
}

// Confirm fails while the registry is down.
func (r *Registry) Confirm(ctx context.Context) error {
	_, err := r.do(ctx, "Confirm", func(*verbs.Tx) error { return nil })
	return err
}

// Latest implements [dotmesh.Registry].
func (r *Registry) Latest(ctx context.Context) (dotmesh.Cursor, error) {
	return r.strike(ctx, "Latest", func() (dotmesh.Cursor, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.cursor, nil
	})
}

// Ops implements [dotmesh.Registry].
func (r *Registry) Ops(ctx context.Context, dot dotmesh.DotID, before uint64, limit int) ([]dotmesh.Op, error) {
	if _, err := r.do(ctx, "Ops", func(*verbs.Tx) error { return nil }); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var ops []dotmesh.Op
	keys := r.below(verbs.OpsPrefix(dot))
	for _, key := range slices.Backward(keys) {
		if len(ops) >= limit {
			break
		}
		op, err := verbs.DecodeOp(key, r.items[key].Value)
		if err != nil {
			return nil, dotmesh.Wrap("registry.Ops", err)
		}
		if before == 0 || op.N < before {
			ops = append(ops, op)
		}
	}
	return ops, nil
}

// Export implements [dotmesh.Registry].
func (r *Registry) Export(ctx context.Context) iter.Seq2[dotmesh.Entry, error] {
	return func(yield func(dotmesh.Entry, error) bool) {
		if _, err := r.do(ctx, "Export", func(*verbs.Tx) error { return nil }); err != nil {
			yield(dotmesh.Entry{}, err)
			return
		}
		r.mu.Lock()
		items := maps.Clone(r.items)
		r.mu.Unlock()
		for _, key := range slices.Sorted(maps.Keys(items)) {
			if verbs.Lasting(key) && !yield(dotmesh.Entry{Key: key, Value: items[key].Value}, nil) {
				return
			}
		}
	}
}

// Import implements [dotmesh.Registry].
func (r *Registry) Import(ctx context.Context, entries []dotmesh.Entry, replace bool) (dotmesh.Cursor, error) {
	return r.load(ctx, "Import", entries, replace)
}

// Rebuild implements [dotmesh.Registry].
func (r *Registry) Rebuild(ctx context.Context, records []dotmesh.Record, ops []dotmesh.Op) (dotmesh.Cursor, error) {
	entries, err := verbs.Entries(records, ops)
	if err != nil {
		return 0, dotmesh.Wrap("registry.Rebuild", err)
	}
	return r.load(ctx, "Rebuild", entries, true)
}

// load writes in steps, as a registry does whose transactions are bounded.
func (r *Registry) load(ctx context.Context, verb string, entries []dotmesh.Entry, replace bool) (dotmesh.Cursor, error) {
	entries, err := verbs.CheckEntries(entries)
	if err != nil {
		return 0, dotmesh.Wrap("registry."+verb, err)
	}
	return r.strike(ctx, verb, func() (dotmesh.Cursor, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		var old []verbs.Write
		for _, key := range r.keys {
			if verbs.Lasting(key) {
				old = append(old, verbs.Write{Key: key})
			}
		}
		if len(old) > 0 && !replace {
			return 0, dotmesh.E("registry."+verb, dotmesh.Exists, "the registry is not empty")
		}
		r.write(old)
		var writes []verbs.Write
		for _, e := range entries {
			writes = append(writes, verbs.Write{Key: e.Key, Value: e.Value})
		}
		last := max(len(writes)-1, 0) // the cluster's
		r.write(writes[:last])
		r.write(writes[last:])
		return r.cursor, nil
	})
}

// do carries out a verb, unless it was told to fail.
func (r *Registry) do(ctx context.Context, name string, verb verbs.Verb) (dotmesh.Cursor, error) {
	return r.strike(ctx, name, func() (dotmesh.Cursor, error) {
		return verbs.Do(ctx, (*table)(r), "registry."+name, verb)
	})
}

// strike calls a verb under the next fault that was armed for it.
func (r *Registry) strike(ctx context.Context, name string, call func() (dotmesh.Cursor, error)) (dotmesh.Cursor, error) {
	if err := ctx.Err(); err != nil {
		return 0, dotmesh.Wrap("registry."+name, err)
	}
	next, err := r.next(name)
	if err != nil {
		return 0, dotmesh.Wrap("registry."+name, err)
	}
	if next.kind != "" && !next.effect {
		return 0, dotmesh.E("registry."+name, next.kind, "the test wanted this to fail")
	}
	cursor, err := call()
	if err == nil && next.effect {
		return 0, dotmesh.E("registry."+name, next.kind, "the test wanted this answer to be lost")
	}
	return cursor, err
}

func (r *Registry) next(name string) (fault, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.unusable(); err != nil {
		return fault{}, err
	}
	armed := r.faults[name]
	if len(armed) == 0 {
		return fault{}, nil
	}
	r.faults[name] = armed[1:]
	return armed[0], nil
}

// unusable is called with mu held.
func (r *Registry) unusable() error {
	switch {
	case r.closed:
		return dotmesh.E("", dotmesh.Canceled, "the registry is closed")
	case r.down:
		return dotmesh.E("", dotmesh.Unreachable, "the registry does not answer")
	}
	return nil
}

// wake is called with mu held after every change of anything.
func (r *Registry) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// below returns the keys that begin with prefix, sorted. It is called with mu held.
func (r *Registry) below(prefix string) []string {
	if prefix == "" {
		return r.keys
	}
	first, _ := slices.BinarySearch(r.keys, prefix)
	end, _ := slices.BinarySearch(r.keys, verbs.PrefixEnd(prefix))
	return r.keys[first:end]
}

// write applies writes as one revision, unless they change nothing. It is called with mu
// held.
func (r *Registry) write(writes []verbs.Write) {
	writes = r.single(writes)
	if len(writes) == 0 {
		return
	}
	r.cursor++
	for _, w := range writes {
		at, there := slices.BinarySearch(r.keys, w.Key)
		switch {
		case w.Value == nil:
			r.keys = slices.Delete(r.keys, at, at+1)
			delete(r.items, w.Key)
			continue
		case !there:
			r.keys = slices.Insert(r.keys, at, w.Key)
		}
		r.items[w.Key] = verbs.Item{Value: w.Value, Mod: r.cursor, Lease: w.Lease}
	}
	r.log = append(r.log, revision{r.cursor, writes})
	if len(r.log) > 2*memory {
		r.log = slices.Clone(r.log[memory:])
	}
	r.wake()
}

// single returns the writes with each key by itself and without deletions of nothing.
func (r *Registry) single(writes []verbs.Write) []verbs.Write {
	var all []verbs.Write
	for _, w := range writes {
		switch _, there := r.items[w.Key]; {
		case w.End != "":
			first, _ := slices.BinarySearch(r.keys, w.Key)
			end, _ := slices.BinarySearch(r.keys, w.End)
			for _, key := range r.keys[first:end] {
				all = append(all, verbs.Write{Key: key})
			}
		case w.Value != nil || there:
			all = append(all, w)
		}
	}
	return all
}

// table is the registry as the verbs see it.
type table Registry

// Load implements [verbs.Backend].
func (t *table) Load(ctx context.Context, wants verbs.Wants) (*verbs.View, error) {
	r := (*Registry)(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.unusable(); err != nil {
		return nil, err
	}
	view := &verbs.View{
		Cursor: r.cursor,
		Items:  map[string]verbs.Item{},
		Lists:  map[string]map[string]verbs.Item{},
		Tails:  map[string]string{},
	}
	for _, key := range wants.Keys {
		view.Items[key] = r.items[key]
	}
	for _, prefix := range wants.Prefixes {
		view.Lists[prefix] = map[string]verbs.Item{}
		for _, key := range r.below(prefix) {
			view.Lists[prefix][key] = r.items[key]
		}
	}
	for _, prefix := range wants.Tails {
		view.Tails[prefix] = ""
		if keys := r.below(prefix); len(keys) > 0 {
			view.Tails[prefix] = keys[len(keys)-1]
		}
	}
	return view, nil
}

// Commit implements [verbs.Backend].
func (t *table) Commit(ctx context.Context, txn verbs.Txn) (dotmesh.Cursor, bool, error) {
	r := (*Registry)(t)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.unusable(); err != nil {
		return 0, false, err
	}
	for _, c := range txn.Conditions {
		if !r.holds(c) {
			return 0, false, nil
		}
	}
	r.write(txn.Writes)
	return r.cursor, true, nil
}

func (r *Registry) holds(c verbs.Condition) bool {
	if !c.Prefix {
		return r.items[c.Key].Mod == c.Mod
	}
	for _, key := range r.below(c.Key) {
		if r.items[key].Mod > c.Mod {
			return false
		}
	}
	return true
}
