package dotmesh

import (
	"context"
	"iter"
	"time"
)

// Store keeps lines and commits on one node's disk. It knows ids only: nothing of names,
// users, etcd or HTTP. Implementations: btrfs, zfs, and the fake in internal/dotmeshtest;
// all pass dotmeshtest.RunStoreTests.
//
// Every method may be called from many goroutines; the store itself serializes what must
// not run at once. Methods are idempotent by id: called again with the same arguments
// after a success, a failure or a crash, they finish the work or find it done. After
// cancellation a method returns within a second and leaves either all of its effect or
// none. What a method made is durable when it returns, unless it says otherwise.
//
// Errors: [NotFound] for an unknown line or commit, [Exists] for an id that is there with
// other content, [Busy] with the holder's name for what is in use, [NoSpace], [Corrupt].
type Store interface {
	// Caps says what this store can do. It does not change while the store is open.
	Caps() Caps

	// Inventory yields every line in the pool, in no order, by one bulk scan. Half-made
	// forks and snapshots of an earlier run have been removed when the store was opened
	// and are not shown. It ends after the first error.
	Inventory(ctx context.Context) iter.Seq2[LineInfo, error]

	// Line returns one line as Inventory would.
	Line(ctx context.Context, line LineID) (LineInfo, error)

	// Fork makes a line whose head is a writable copy of the origin's commit, or empty for
	// the zero Origin. Cost and space do not depend on the size of the data. If the line
	// is there with the same origin, Fork does nothing; with another one it is [Exists].
	Fork(ctx context.Context, line LineID, origin Origin) error

	// Snapshot makes commits from the heads of lines, one for each request, and stores
	// Meta with each; Meta is durable before the commit is. The results are in the order
	// of the requests. Each is whole or absent, and one that failed carries its error and
	// does not stop the others. A commit that exists already on that line is returned as
	// it is, without taking a second one. What was fsynced on the line before a crash is
	// in the commit, also if the line was not mounted since. A head that cannot be
	// captured whole is refused: on btrfs [Invalid] names a nested subvolume.
	Snapshot(ctx context.Context, requests []SnapRequest) []Snapshot

	// Live returns how to mount a line's head for writing. A line that has commits and no
	// head, as a replica has, gets one from its newest commit, but not while a stream is
	// received into it: that is [Busy].
	Live(ctx context.Context, line LineID) (Device, error)

	// View returns how to mount a commit read-only.
	View(ctx context.Context, ref Ref) (Device, error)

	// Fence stops writes to a line's head, or allows them again. Called twice it does
	// nothing. The answer says whether the store did it alone (HardFence) or whether the
	// caller must also see to it that nobody holds the head open (NeedsHolders).
	Fence(ctx context.Context, line LineID, on bool) (Fencing, error)

	// Usage says how much of the line's head is not in the commit since, which may be of
	// the line's origin; zero means the line's newest commit, or its origin. With fresh,
	// buffered writes are flushed first and the figure is exact as of then; nobody may be
	// mounting the head meanwhile.
	Usage(ctx context.Context, line LineID, since Ref, fresh bool) (Usage, error)

	// Pool says how full the pool is.
	Pool(ctx context.Context) (PoolUsage, error)

	// Diff yields the files that differ between two states of one dot, by path in byte
	// order. A ref without a commit is the line's head, flushed first. Content is compared
	// by what was written, so a file rewritten with the same bytes may be yielded. It ends
	// after the first error.
	Diff(ctx context.Context, from, to Ref) iter.Seq2[FileChange, error]

	// Meta returns what Snapshot stored with a commit.
	Meta(ctx context.Context, ref Ref) ([]byte, error)

	// Drop destroys the named commits of a line. Ids that do not exist are no error. It is
	// told what to destroy and never what to keep, so that a caller who knows too little
	// destroys too little. [Busy], and nothing destroyed, if one of them is mounted
	// anywhere, is being sent or is the origin of another line.
	Drop(ctx context.Context, line LineID, commits []CommitID) error

	// DropHead gives up what the line's head holds beyond its newest commit: the line
	// stays only as the origin of others. [Busy] while the head is mounted anywhere.
	DropHead(ctx context.Context, line LineID) error

	// Destroy removes a line with its commits and their Meta. [Busy], and nothing
	// destroyed, while it is mounted in any mount namespace, is being sent, or is the
	// origin of another line. A line that does not exist is no error.
	Destroy(ctx context.Context, line LineID) error

	// KV returns the node's small durable memory in this pool.
	KV() KV

	// Close breaks off streams, waits for running calls and lets another process open the
	// store. Called twice it does nothing.
	Close() error

	// Streams carry commits from one store to another.
	Streams
}

// Caps is what a store can do.
type Caps struct {
	Kind      string // "btrfs", "zfs", "fake"
	Pool      string // what and where, as shown to users: "btrfs-file:/var/lib/dotmesh/dotmesh_data"
	HardFence bool   // Fence alone stops open descriptors
	Durable   bool   // survives a crash: false only for the fake
	Mountable bool   // Live and View return real devices: false only for the fake
}

// LineInfo is a line as the pool has it.
type LineInfo struct {
	ID      LineID
	Origin  Origin
	Head    bool         // it has a writable head
	Commits []CommitInfo // oldest first
}

// CommitInfo is a commit as the pool has it.
type CommitInfo struct {
	ID   CommitID
	GUID string
	Meta []byte
}

// SnapRequest asks for one commit.
type SnapRequest struct {
	Line   LineID
	Commit CommitID
	Meta   []byte // opaque to the store; at most 64 KiB
}

// Snapshot is the outcome of one SnapRequest.
type Snapshot struct {
	Line   LineID
	Commit CommitID
	GUID   string // the store's own name for it, the same on every node
	Err    error
}

// Ref names a commit of a line, or with the zero CommitID the line's head.
type Ref struct {
	Line   LineID
	Commit CommitID
}

// IsZero reports whether nothing is named.
func (r Ref) IsZero() bool { return r == Ref{} }

// Device is what to mount and how, as mount(2) takes it. The mounting itself is the
// caller's; it adds nosuid, nodev and noatime.
type Device struct {
	FSType   string
	Source   string
	Data     string // file-system specific options
	ReadOnly bool
}

// Fencing says who must stop the writers.
type Fencing int

const (
	// HardFence: the store has; writes to open descriptors fail.
	HardFence Fencing = iota
	// NeedsHolders: whoever holds the head open can still write, so the caller proves that
	// nobody does.
	NeedsHolders
)

// Bytes is a figure with its age.
type Bytes struct {
	Bytes int64     `json:"bytes"`
	AsOf  time.Time `json:"as_of"` // zero: not known yet
	Exact bool      `json:"exact"` // false: buffered writes may be missing
}

// Usage is how much a line holds.
type Usage struct {
	Dirty      Bytes // newly allocated since the commit asked about
	Referenced int64 // reached from the head, shared with commits or not
}

// PoolUsage is how full a pool is, in bytes.
type PoolUsage struct {
	Size    int64 `json:"size"`
	Free    int64 `json:"free"`
	Reserve int64 `json:"reserve"` // of Free: kept for resetting, moving away and deleting
}

// ChangeKind says how a file differs. The wire numbers of the original's diff are 1, 2, 3.
type ChangeKind string

// How a file can differ.
const (
	Added    ChangeKind = "added"
	Modified ChangeKind = "modified"
	Removed  ChangeKind = "removed"
)

// FileChange is one difference between two states of a dot.
type FileChange struct {
	Path string     `json:"path"` // from the file system's root, without a leading slash; any bytes but NUL
	Kind ChangeKind `json:"kind"`
	Size int64      `json:"size"` // in the newer state; for a removed file in the older one
}

// KV is a node's small durable memory, kept in its pool with space of its own, so that a
// full pool can still write it. Keys are grouped in buckets, which come into being when
// written to.
type KV interface {
	// View runs f on a consistent state. What f is handed is valid only inside f.
	View(f func(KVReader) error) error
	// Update runs f and makes all that it wrote durable as one, or nothing if f fails.
	// Calls run one after another.
	Update(f func(KVWriter) error) error
}

// KVReader reads inside [KV.View] and [KV.Update].
type KVReader interface {
	Get(bucket, key string) []byte // nil: absent
	Scan(bucket string) iter.Seq2[string, []byte]
}

// KVWriter also writes, inside [KV.Update].
type KVWriter interface {
	KVReader
	Put(bucket, key string, value []byte) error
	Delete(bucket, key string) error
}
