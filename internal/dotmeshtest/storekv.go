package dotmeshtest

import (
	"iter"
	"maps"
	"slices"
	"sync"

	"dotmesh.io/dotmesh"
)

// memKV is a [dotmesh.KV] in memory. It lasts as long as its fake store's pool.
type memKV struct {
	mu      sync.RWMutex // guards buckets; held through View and Update
	buckets map[string]map[string][]byte
}

func newMemKV() *memKV { return &memKV{buckets: map[string]map[string][]byte{}} }

// View runs f while nobody writes.
func (kv *memKV) View(f func(dotmesh.KVReader) error) error {
	kv.mu.RLock()
	defer kv.mu.RUnlock()
	return f(&memTx{buckets: kv.buckets})
}

// Update runs f on a copy, which replaces the original if f succeeds.
func (kv *memKV) Update(f func(dotmesh.KVWriter) error) error {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	tx := &memTx{buckets: maps.Clone(kv.buckets), own: map[string]bool{}}
	if err := f(tx); err != nil {
		return err
	}
	kv.buckets = tx.buckets
	return nil
}

type memTx struct {
	buckets map[string]map[string][]byte
	own     map[string]bool // buckets that were copied for this Update
}

// Get returns a value, or nil.
func (tx *memTx) Get(bucket, key string) []byte { return tx.buckets[bucket][key] }

// Scan yields a bucket in byte order of its keys, as it was when the scan began.
func (tx *memTx) Scan(bucket string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		b := tx.buckets[bucket]
		if tx.own[bucket] {
			b = maps.Clone(b) // f may write while it scans
		}
		for _, key := range slices.Sorted(maps.Keys(b)) {
			if !yield(key, b[key]) {
				return
			}
		}
	}
}

// Put stores a copy of value.
func (tx *memTx) Put(bucket, key string, value []byte) error {
	if bucket == "" || key == "" {
		return dotmesh.E("kv.Put", dotmesh.Invalid, "a bucket and a key must not be empty")
	}
	tx.writable(bucket)[key] = append([]byte{}, value...)
	return nil
}

// Delete removes a key; one that is absent is no error.
func (tx *memTx) Delete(bucket, key string) error {
	delete(tx.writable(bucket), key)
	return nil
}

func (tx *memTx) writable(bucket string) map[string][]byte {
	if !tx.own[bucket] {
		b := maps.Clone(tx.buckets[bucket])
		if b == nil {
			b = map[string][]byte{}
		}
		tx.buckets[bucket], tx.own[bucket] = b, true
	}
	return tx.buckets[bucket]
}
