package kv

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"

	"dotmesh.io/dotmesh"
)

// sumSize is how many bytes a sum takes behind its value.
const sumSize = 8

// sumBucket holds the total of all sums, modulo 2^64, under totalKey. An entry that was
// lost or made up by a flipped bit shows there.
const (
	sumBucket = "sum"
	totalKey  = "total"
)

// sumOf is the beginning of a SHA-256 over where a value lies and the value.
func sumOf(bucket, key string, value []byte) uint64 {
	h := sha256.New()
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(bucket))))
	h.Write([]byte(bucket))
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(key))))
	h.Write([]byte(key))
	h.Write(value)
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// seal returns a copy of a value with its sum behind it.
func seal(value []byte, sum uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, len(value)+sumSize), value...), sum)
}

// keptSum returns the sum behind a value; 0 if there is none.
func keptSum(kept []byte) uint64 {
	if len(kept) < sumSize {
		return 0
	}
	return binary.BigEndian.Uint64(kept[len(kept)-sumSize:])
}

// open returns a value whose sum is right; else it notes the fault and returns nil.
func (r reader) open(bucket, key string, kept []byte) []byte {
	if len(kept) >= sumSize {
		value := kept[: len(kept)-sumSize : len(kept)-sumSize]
		if sumOf(bucket, key, value) == keptSum(kept) {
			return value
		}
	}
	if *r.fault == nil {
		*r.fault = damaged(r.path, fmt.Errorf("%q in %q is not what was written", key, bucket))
	}
	return nil
}

// verdict is the damage that was seen, or else err.
func (r reader) verdict(err error) error {
	if *r.fault != nil {
		return *r.fault
	}
	return err
}

func (r reader) total() uint64 {
	if b := r.tx.Bucket([]byte(sumBucket)); b != nil {
		return keptSum(b.Get([]byte(totalKey)))
	}
	return 0
}

func (w writer) addTotal(sum uint64) error {
	b, err := w.tx.CreateBucketIfNotExists([]byte(sumBucket))
	if err != nil {
		return err
	}
	return b.Put([]byte(totalKey), binary.BigEndian.AppendUint64(nil, w.total()+sum))
}

// checkAll looks at every value, and whether one is missing or there are too many.
func (r reader) checkAll() error {
	var total uint64
	c := r.tx.Cursor()
	for name, _ := c.First(); name != nil; name, _ = c.Next() {
		b := r.tx.Bucket(name)
		if b == nil {
			return damaged(r.path, fmt.Errorf("%q is no bucket", name))
		}
		if string(name) == sumBucket {
			continue
		}
		for k, kept := range entries(b) {
			if r.open(string(name), string(k), kept) == nil {
				return *r.fault
			}
			total += keptSum(kept)
		}
	}
	if total != r.total() {
		return damaged(r.path, errors.New("a value is missing, or one too many is there"))
	}
	return nil
}

// guarded runs f and makes a [dotmesh.Corrupt] of what bbolt does when it meets a damaged
// page: it panics, or follows a pointer out of the file. Once a file has been looked
// through, a panic is a fault of the program.
func guarded(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = damaged(path, fmt.Errorf("%v", p))
		}
	}()
	return f()
}

func damaged(path string, cause error) error {
	e := dotmesh.E("", dotmesh.Corrupt, "%s is damaged; move it away and run: dm cluster recover", path)
	e.Err = cause
	return e
}
