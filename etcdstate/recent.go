package etcdstate

import (
	"strings"
	"sync"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/verbs"
)

var _ verbs.Guesser = (*table)(nil)

// recent remembers what this client has written last. It may be wrong, since others write
// too: a transaction that relies on it compares the revision. The zero value is ready.
type recent struct {
	mu    sync.Mutex // guards items
	items map[string]verbs.Item
}

// recentKept bounds the memory that is spent on that, at about 1 KiB for each.
const recentKept = 1000

func (r *recent) get(key string) (verbs.Item, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	item, ok := r.items[key]
	return item, ok
}

func (r *recent) put(key string, item verbs.Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.items == nil || len(r.items) >= recentKept {
		r.items = map[string]verbs.Item{}
	}
	r.items[key] = item
}

func (r *recent) forgetAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items = nil
}

// remember notes what a transaction has written: records that are written again and
// again, and where the logs end.
func (t *table) remember(cursor dotmesh.Cursor, writes []verbs.Write) {
	for _, w := range writes {
		dir := w.Key[:strings.LastIndexByte(w.Key, '/')+1]
		switch last := t.tails.get(dir); {
		case w.End != "":
			t.recent.forgetAll()
		case w.Value == nil:
			t.recent.put(w.Key, verbs.Item{})
		case last != "":
			t.tails.set(dir, max(last, w.Key))
		default:
			t.recent.put(w.Key, verbs.Item{Value: w.Value, Mod: cursor, Lease: w.Lease})
		}
	}
}

// Guess implements [verbs.Guesser].
func (t *table) Guess(wants verbs.Wants) *verbs.View {
	if len(wants.Prefixes) > 0 {
		return nil
	}
	view := &verbs.View{Items: map[string]verbs.Item{}, Tails: map[string]string{}}
	for _, key := range wants.Keys {
		item, ok := t.recent.get(key)
		if !ok {
			return nil
		}
		view.Items[key] = item
	}
	for _, prefix := range wants.Tails {
		last := t.tails.get(prefix)
		if last == "" {
			return nil
		}
		view.Tails[prefix] = last
	}
	return view
}
