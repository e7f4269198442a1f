// Package kv is a node's small durable memory: a [dotmesh.KV] in one bbolt file.
//
// The file lies in the node's pool. It is given its whole size when it is made, written
// through with zeros, so that a full pool can still write it; where the file system can
// (btrfs), the directory above it has been marked nocow, and overwriting then needs no
// new space at all. Beyond that size the file grows like any other.
//
// Written in place, it has no checksums of the file system's, and bbolt has none but for its
// first two pages. So each value is kept with a sum (sum.go), and the file with the total
// of them: a bit that was flipped on the disk is reported, and neither believed nor taken
// for a value that was never there.
package kv

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// DefaultSize is how much room a new file is given.
const DefaultSize = 64 << 20

var _ dotmesh.KV = (*KV)(nil)

// KV is an open file. All its methods may be called from many goroutines.
type KV struct {
	db   *bbolt.DB
	path string
}

// Open opens the file at path, and makes it with size bytes if there is none. A file that
// a crash left half-made is made again. If another process has it open, Open waits for at
// most timeout and returns [dotmesh.Busy]. A damaged file is [dotmesh.Corrupt].
func Open(path string, size int64, timeout time.Duration) (*KV, error) {
	const op = "kv.Open"
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		if err := create(path, size, timeout); err != nil {
			return nil, dotmesh.Wrap(op, fmt.Errorf("make %s: %w", path, err))
		}
	}
	var db *bbolt.DB
	err := guarded(path, func() (err error) {
		if db, err = bbolt.Open(path, 0o600, options(timeout)); err != nil {
			return err
		}
		readAhead(path)
		return db.View(func(tx *bbolt.Tx) error { return newReader(tx, path).checkAll() })
	})
	if err == nil {
		return &KV{db: db, path: path}, nil
	}
	if db != nil {
		err = errors.Join(err, guarded(path, db.Close))
	}
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, dotmesh.E(op, dotmesh.Busy, "%s is in use; is another dotmesh-server running?", path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		err = damaged(path, err)
	case !errors.Is(err, dotmesh.Corrupt):
		err = fmt.Errorf("open %s: %w", path, err)
	}
	return nil, dotmesh.Wrap(op, err)
}

// readAhead has the kernel read the file in large pieces, of which Open looks at each page.
// Without it that is one small read after the other. It is a hint: what fails does not
// matter.
func readAhead(path string) {
	f, err := os.Open(path)
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // nothing was written
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_WILLNEED)
}

func options(timeout time.Duration) *bbolt.Options {
	o := *bbolt.DefaultOptions
	o.Timeout = timeout
	o.FreelistType = bbolt.FreelistMapType
	o.InitialMmapSize = DefaultSize
	return &o
}

// create makes an empty database under another name, gives it its space, and moves it
// into place when all of it is durable.
func create(path string, size int64, timeout time.Duration) error {
	half := path + ".new"
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	db, err := bbolt.Open(half, 0o600, options(timeout))
	if err != nil {
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	if err := fill(half, size); err != nil {
		return err
	}
	if err := os.Rename(half, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// fill writes zeros behind what is there, up to size. Writing rather than allocating
// makes later writes change nothing but the bytes.
func fill(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < size {
		_, err = io.CopyN(f, zeros{}, size-info.Size())
	}
	return errors.Join(err, f.Sync(), f.Close())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// View runs f on a consistent state. If f was handed less than there is because something
// is damaged, View returns [dotmesh.Corrupt] whatever f does.
func (kv *KV) View(f func(dotmesh.KVReader) error) error {
	return opened("kv.View", kv.db.View(func(tx *bbolt.Tx) error {
		r := newReader(tx, kv.path)
		return r.verdict(f(r))
	}))
}

// Update runs f and fsyncs what it wrote; if f or the fsync fails, or something that f read
// is damaged, nothing is changed.
func (kv *KV) Update(f func(dotmesh.KVWriter) error) error {
	return opened("kv.Update", kv.db.Update(func(tx *bbolt.Tx) error {
		w := writer{newReader(tx, kv.path)}
		return w.verdict(f(w))
	}))
}

// Close waits for running calls. Called twice it does nothing.
func (kv *KV) Close() error { return dotmesh.Wrap("kv.Close", kv.db.Close()) }

// opened says plainly that a closed file cannot be used; other errors are left alone.
func opened(op string, err error) error {
	if errors.Is(err, bolterrors.ErrDatabaseNotOpen) {
		return dotmesh.E(op, dotmesh.Unreachable, "the store is closed; restart dotmesh-server")
	}
	return err
}

type reader struct {
	tx    *bbolt.Tx
	path  string
	fault *error // the first damage that was seen
}

func newReader(tx *bbolt.Tx, path string) reader {
	return reader{tx: tx, path: path, fault: new(error)}
}

// Get returns a value, or nil.
func (r reader) Get(bucket, key string) []byte {
	b := r.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	kept := b.Get([]byte(key))
	if kept == nil {
		return nil
	}
	return r.open(bucket, key, kept)
}

// Scan yields a bucket in byte order of its keys. It ends where something is damaged.
func (r reader) Scan(bucket string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		b := r.tx.Bucket([]byte(bucket))
		if b == nil || bucket == sumBucket {
			return
		}
		for k, kept := range entries(b) {
			v := r.open(bucket, string(k), kept)
			if v == nil || !yield(string(k), v) {
				return
			}
		}
	}
}

func entries(b *bbolt.Bucket) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		c := b.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if !yield(k, v) {
				return
			}
		}
	}
}

type writer struct{ reader }

// Scan yields the bucket as it was when the scan began, so f may write while it scans.
func (w writer) Scan(bucket string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		var keys []string
		var values [][]byte
		for k, v := range w.reader.Scan(bucket) {
			keys, values = append(keys, k), append(values, append([]byte{}, v...))
		}
		for i, k := range keys {
			if !yield(k, values[i]) {
				return
			}
		}
	}
}

// Put stores a copy of value.
func (w writer) Put(bucket, key string, value []byte) error {
	if bucket == "" || key == "" || bucket == sumBucket {
		return dotmesh.E("kv.Put", dotmesh.Invalid, "a bucket and a key must not be empty")
	}
	b, err := w.tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return dotmesh.Wrap("kv.Put", err)
	}
	sum := sumOf(bucket, key, value)
	return dotmesh.Wrap("kv.Put", errors.Join(
		w.addTotal(sum-keptSum(b.Get([]byte(key)))),
		b.Put([]byte(key), seal(value, sum)),
	))
}

// Delete removes a key; one that is absent is no error.
func (w writer) Delete(bucket, key string) error {
	b := w.tx.Bucket([]byte(bucket))
	if b == nil || bucket == sumBucket {
		return nil
	}
	return dotmesh.Wrap("kv.Delete", errors.Join(w.addTotal(-keptSum(b.Get([]byte(key)))), b.Delete([]byte(key))))
}
