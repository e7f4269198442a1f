//go:build linux

package btrfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The trees and item types that this package reads.
const (
	ownTree  = 0 // the tree of the subvolume that is asked
	rootTree = 1 // the tree that lists the subvolumes

	uuidTree = 9 // the tree that finds subvolumes by uuid

	inodeItem   = 1
	inodeRef    = 12
	inodeExtref = 13
	xattrItem   = 24
	dirIndex    = 96
	extentData  = 108
	rootItem    = 132
	rootBackref = 144
	rootRef     = 156
	uuidKey     = 251
	receivedKey = 252

	firstFree = 256                  // the lowest inode or subvolume that users make
	lastFree  = math.MaxUint64 - 255 // the highest
)

// keys is a range of keys in a tree. A key is an object, a type and an offset, compared
// in this order; both ends belong to the range.
type keys struct {
	tree       uint64
	minObject  uint64
	maxObject  uint64
	minOffset  uint64
	maxOffset  uint64
	minTransid uint64 // only leaves that were written in this transaction or later
	maxTransid uint64
	minType    uint32
	maxType    uint32
	items      uint32
	_          uint32
	_          [4]uint64
}

// item is one thing in a tree. Its data is valid only while it is being yielded.
type item struct {
	transid uint64 // of the leaf
	object  uint64
	offset  uint64
	kind    uint32
	data    []byte
}

// all is every item of a tree in leaves written after transaction since.
func all(tree, since uint64) keys {
	return keys{
		tree: tree, minObject: firstFree, maxObject: lastFree, maxOffset: math.MaxUint64,
		minTransid: since + 1, maxTransid: math.MaxUint64, maxType: 255,
	}
}

// of is an object's items with types from low to high.
func of(tree, object uint64, low, high uint32) keys {
	return keys{
		tree: tree, minObject: object, maxObject: object, maxOffset: math.MaxUint64,
		maxTransid: math.MaxUint64, minType: low, maxType: high,
	}
}

// Sizes of the buffer that the kernel fills: one item alone may need 64 KiB.
const (
	smallSearch = 16 << 10
	largeSearch = 1 << 20
)

// finder searches the trees of one file system, with a buffer that it keeps. It serves one
// goroutine, and one search at a time.
type finder struct {
	dir *os.File // the tree 0 is that of the subvolume which this lies in
	buf []byte
}

func newFinder(dir *os.File, size int) *finder {
	return &finder{dir: dir, buf: make([]byte, searchHeader+size)}
}

const searchHeader = int(unsafe.Sizeof(keys{})) + 8

// search calls found with the items in range k, in order, until there are no more, found
// fails or ctx ends.
func (f *finder) search(ctx context.Context, k keys, found func(item) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		next, err := f.once(k, found)
		if err != nil || next == nil {
			return err
		}
		k.minObject, k.minType, k.minOffset = next.object, next.kind, next.offset
	}
}

// once does one ioctl and returns the key to go on from, nil at the end.
func (f *finder) once(k keys, found func(item) error) (*item, error) {
	k.items = math.MaxUint32
	if err := f.fill(k); err != nil {
		return nil, fmt.Errorf("search tree %d of %s: %w", k.tree, f.dir.Name(), err)
	}
	n := (*keys)(unsafe.Pointer(&f.buf[0])).items
	if n == 0 {
		return nil, nil
	}
	last, err := eachItem(f.buf[searchHeader:], n, found)
	if err != nil {
		return nil, err
	}
	return last.successor(k), nil
}

// fill asks the kernel, with a larger buffer if not even one item found room.
func (f *finder) fill(k keys) error {
	for {
		*(*keys)(unsafe.Pointer(&f.buf[0])) = k
		binary.NativeEndian.PutUint64(f.buf[searchHeader-8:], uint64(len(f.buf)-searchHeader))
		err := ioctl(f.dir, request(read|write, 17, uintptr(searchHeader)), unsafe.Pointer(&f.buf[0]))
		if !errors.Is(err, unix.EOVERFLOW) || len(f.buf) > largeSearch {
			return err
		}
		f.buf = make([]byte, searchHeader+largeSearch)
	}
}

// eachItem walks the n items that a search left in b and returns the last one.
func eachItem(b []byte, n uint32, f func(item) error) (last item, err error) {
	const header = 32
	for range n {
		if len(b) < header {
			return last, errShort
		}
		last = item{
			transid: binary.NativeEndian.Uint64(b),
			object:  binary.NativeEndian.Uint64(b[8:]),
			offset:  binary.NativeEndian.Uint64(b[16:]),
			kind:    binary.NativeEndian.Uint32(b[24:]),
		}
		size := binary.NativeEndian.Uint32(b[28:])
		if b = b[header:]; uint64(size) > uint64(len(b)) {
			return last, errShort
		}
		last.data, b = b[:size], b[size:]
		if err := f(last); err != nil {
			return last, err
		}
	}
	return last, nil
}

// successor returns the key after i, nil if that is beyond k.
func (i item) successor(k keys) *item {
	switch {
	case i.offset < math.MaxUint64:
		i.offset++
	case i.kind < 255:
		i.kind, i.offset = i.kind+1, 0
	case i.object < math.MaxUint64:
		i.object, i.kind, i.offset = i.object+1, 0, 0
	default:
		return nil
	}
	if i.object > k.maxObject || i.object == k.maxObject &&
		(i.kind > k.maxType || i.kind == k.maxType && i.offset > k.maxOffset) {
		return nil
	}
	return &i
}

// errShort is what a parser says of an item that ends too early.
var errShort = errors.New("a tree item is shorter than it says")

// inode is the part of struct btrfs_inode_item that is looked at.
type inode struct {
	generation uint64 // the transaction that made the file
	transid    uint64 // the transaction that last touched it
	size       int64
	nbytes     int64
	mode       uint32
}

func parseInode(b []byte) (inode, error) {
	if len(b) < inodeSize {
		return inode{}, errShort
	}
	return inode{
		generation: binary.LittleEndian.Uint64(b),
		transid:    binary.LittleEndian.Uint64(b[8:]),
		size:       int64(binary.LittleEndian.Uint64(b[16:])),
		nbytes:     int64(binary.LittleEndian.Uint64(b[24:])),
		mode:       binary.LittleEndian.Uint32(b[52:]),
	}, nil
}

const inodeSize = 160 // of struct btrfs_inode_item

func (i *inode) isDir() bool { return i.mode&unix.S_IFMT == unix.S_IFDIR }

// ref is a name that an inode has in a directory.
type ref struct {
	dir  uint64
	name string
}

// parseRefs reads the names in an INODE_REF or INODE_EXTREF item.
func parseRefs(i item) (refs []ref, err error) {
	for b := i.data; len(b) > 0; {
		r, header := ref{dir: i.offset}, 10
		if i.kind == inodeExtref {
			header = 18
		}
		if len(b) < header {
			return nil, errShort
		}
		if i.kind == inodeExtref {
			r.dir = binary.LittleEndian.Uint64(b)
		}
		n := int(binary.LittleEndian.Uint16(b[header-2:]))
		if b = b[header:]; len(b) < n {
			return nil, errShort
		}
		r.name, b = string(b[:n]), b[n:]
		refs = append(refs, r)
	}
	return refs, nil
}

// entry is a name in a directory.
type entry struct {
	name   string
	inode  uint64
	subvol bool // inode is the id of a subvolume
}

// parseEntry reads a DIR_INDEX item.
func parseEntry(b []byte) (entry, error) {
	const header = 30
	if len(b) < header {
		return entry{}, errShort
	}
	n := int(binary.LittleEndian.Uint16(b[27:]))
	if len(b) < header+n {
		return entry{}, errShort
	}
	return entry{
		name:   string(b[header : header+n]),
		inode:  binary.LittleEndian.Uint64(b),
		subvol: b[8] == rootItem,
	}, nil
}

// extent is what a file's EXTENT_DATA item says of where its bytes lie.
type extent struct {
	generation uint64 // the transaction that wrote it
	at         uint64 // where on the disk; 0: a hole, or the bytes are in the item
	bytes      int64  // what it takes there
}

func parseExtent(b []byte) (extent, error) {
	const inline, header, full = 0, 21, 53
	if len(b) < header {
		return extent{}, errShort
	}
	e := extent{generation: binary.LittleEndian.Uint64(b)}
	if b[20] == inline {
		e.bytes = int64(len(b) - header)
		return e, nil
	}
	if len(b) < full {
		return extent{}, errShort
	}
	e.at = binary.LittleEndian.Uint64(b[21:])
	if e.at != 0 {
		e.bytes = int64(binary.LittleEndian.Uint64(b[29:]))
	}
	return e, nil
}

// root is the part of struct btrfs_root_item that is looked at.
type root struct {
	generation uint64
	snapshot   uint64 // the transaction of the newest snapshot of it, or that made it
	flags      uint64
	refs       uint32 // 0: it was destroyed, and its blocks are being given back
	lineage    lineage
	received   [16]byte
}

// parseRoot reads a ROOT_ITEM. One made before uuids were known has none.
func parseRoot(b []byte) (root, error) {
	const old, full = 239, 239 + 8 + 3*16 + 2*8
	if len(b) < old {
		return root{}, errShort
	}
	r := root{
		generation: binary.LittleEndian.Uint64(b[160:]),
		snapshot:   binary.LittleEndian.Uint64(b[200:]),
		flags:      binary.LittleEndian.Uint64(b[208:]),
		refs:       binary.LittleEndian.Uint32(b[216:]),
	}
	if len(b) >= full {
		r.lineage.uuid = [16]byte(b[247:])
		r.lineage.parent = [16]byte(b[263:])
		r.received = [16]byte(b[279:])
		r.lineage.transid = binary.LittleEndian.Uint64(b[303:])
	}
	return r, nil
}

// parseRootRef reads a ROOT_REF or ROOT_BACKREF: where in its parent a subvolume lies.
func parseRootRef(b []byte) (ref, error) {
	const header = 18
	if len(b) < header {
		return ref{}, errShort
	}
	n := int(binary.LittleEndian.Uint16(b[16:]))
	if len(b) < header+n {
		return ref{}, errShort
	}
	return ref{dir: binary.LittleEndian.Uint64(b), name: string(b[header : header+n])}, nil
}

// stable returns an item's data without the transaction that wrote them.
func stable(i item) []byte {
	data := slices.Clone(i.data)
	switch {
	case i.kind == xattrItem && len(data) >= 25:
		clear(data[17:25])
	case i.kind == extentData && len(data) >= 8:
		clear(data[:8])
	}
	return data
}

func byteOrder(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
