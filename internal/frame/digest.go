package frame

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
)

// Digest is the SHA-256 of a body as far as it has come.
type Digest struct {
	sum  hash.Cloner
	size int64
}

// NewDigest returns the digest of nothing.
func NewDigest() *Digest { return &Digest{sum: sha256.New().(hash.Cloner)} }

// Write adds what comes next. It never fails.
func (d *Digest) Write(p []byte) (int, error) {
	d.size += int64(len(p))
	return d.sum.Write(p)
}

// Size returns of how many bytes it is.
func (d *Digest) Size() int64 { return d.size }

// String returns the digest in hexadecimal.
func (d *Digest) String() string { return hex.EncodeToString(d.sum.Sum(nil)) }

// Clone returns a digest that goes on by itself.
func (d *Digest) Clone() *Digest {
	sum, err := d.sum.Clone()
	if err != nil {
		panic(err) // crypto/sha256 documents that it can
	}
	return &Digest{sum: sum, size: d.size}
}

// trailer is the payload that ends a step: it binds the body to the header it came under.
func (d *Digest) trailer(header [sha256.Size]byte) []byte {
	both := sha256.Sum256(d.sum.Sum(header[:]))
	return append(binary.BigEndian.AppendUint64(nil, uint64(d.size)), both[:]...)
}
