package dotmesh

import (
	"context"
	"iter"
	"time"
)

// Registry is what the nodes of a cluster agree on. Its verbs are the operations of the
// domain, each one transaction. Implementations: etcdstate, and the memory one in
// internal/dotmeshtest; both pass dotmeshtest.RunRegistryTests.
//
// A verb ends in one of three ways. It returned nil: it is done and every later read sees
// it. It failed: it had no effect and never will. It failed with [Unknown]: the answer was
// lost, and the caller finds out by watching, since whatever a verb makes has an id that
// the caller chose. The kinds of failure are [Conflict] where the record that the caller
// expected is no longer the one there, [Exists] for a name or id in use, [NotFound],
// [Unreachable] and [Timeout] without quorum, [NoSpace] when its quota is used up.
// A verb that finds its own earlier success (same ids, same content) returns nil.
//
// A Cursor that a verb returns says how far a watcher must have come to have seen it.
type Registry interface {
	// Confirm returns nil if the registry's quorum was heard from within the last second,
	// else reads from it, so that nothing is begun that could not be registered.
	Confirm(ctx context.Context) error

	// Latest asks the quorum how far the registry's history has come. Who has watched as
	// far as that has seen all that was done before the call. A registry that was wiped or
	// set back has come less far than it had.
	Latest(ctx context.Context) (Cursor, error)

	// Watch yields first what there is, unless from is a cursor that it still knows, and
	// then every change in order, for as long as ctx lives. An update with Reset begins a
	// new listing: whatever was known before and is not in it is gone. It is also what
	// follows a gap, after which the watch goes on by itself. Lost connections are
	// retried for as long as ctx lives and are told once each, as an update with Err; the
	// next update, which may hold no changes, says that the registry is back.
	Watch(ctx context.Context, from Cursor) iter.Seq[Update]

	// Found makes the cluster's record and the administrator's user, or returns the
	// record that is there already.
	Found(ctx context.Context, cluster Cluster) (Cluster, error)

	// PutNode writes a node's record. [Exists] if another node has its name.
	PutNode(ctx context.Context, node Node) (Cursor, error)

	// StayAlive keeps the node's Alive record for as long as ctx lives and removes it at
	// the end. The record goes by itself 15 s after the node stops refreshing it.
	StayAlive(ctx context.Context, node NodeID) error

	// Create makes a dot with its master branch, or a branch of an existing dot.
	Create(ctx context.Context, c Creation) (Cursor, error)

	// Register appends a commit to the branch whose pointer is Expect and is held.
	Register(ctx context.Context, r Registration) (Cursor, error)

	// Swing points a held branch at another line, with the epoch raised by one, and gives
	// the old line to the stash. It also makes a takeover, in any phase.
	Swing(ctx context.Context, s Swinging) (Cursor, error)

	// BeginMove, Release, Take and Abort are the steps of a move. Take and Abort compete
	// for the same pointer: exactly one of them succeeds.
	BeginMove(ctx context.Context, m Move) (Cursor, error)
	Release(ctx context.Context, m Move, closing *Commit) (Cursor, error)
	Take(ctx context.Context, m Move, position Position) (Cursor, error)
	Abort(ctx context.Context, m Move) (Cursor, error)

	// Bury deletes a dot, a branch or a commit: its name is free at once, and its
	// tombstone says what may be destroyed after Keep.
	Bury(ctx context.Context, b Burial) (Cursor, error)

	// Unbury undoes a Bury whose tombstone is still there. [Exists] if the name has been
	// given to something else, [Conflict] once the tombstone is sealed. A buried commit that
	// a sealed line may have lost is [Conflict] too.
	Unbury(ctx context.Context, tombstone UUID, op Op) (Cursor, error)

	// Seal ends the time in which Unbury can undo a Bury. Only one of the two succeeds.
	// Who has sealed a tombstone may destroy what it allows. [NotFound] if it was unburied.
	Seal(ctx context.Context, tombstone UUID) (Cursor, error)

	// Acknowledge records that node holds nothing any more of those lines, or of the buried
	// commit on them, which the sealed tombstone covers. A line goes when every member has
	// acknowledged it, and the tombstone, with the branches that it buried, when no line
	// is left, in small steps of which the tombstone is the last: while it is there,
	// another call goes on where one was cut off. [Conflict] for a line that is still the
	// origin of another one, and before the tombstone is sealed: such a line cannot have
	// been destroyed.
	Acknowledge(ctx context.Context, tombstone UUID, node NodeID, lines []LineID, members []NodeID) (Cursor, error)

	// PutDot changes a dot's settings, collaborators or current branch. Its name and id
	// stay. A non-zero op is written with it.
	PutDot(ctx context.Context, expect, next Dot, op Op, reply *Reply) (Cursor, error)

	// Ask puts a request where the node that it is for is told of it. It goes by itself when
	// its Life is over, and no later than 15 s after that; where the registry was out of reach
	// meanwhile, that time may begin anew. [Conflict] if Branch's pointer is not Expect,
	// [NotFound] if there is no such node. After [Unknown] it may still appear until its time
	// is over.
	Ask(ctx context.Context, r Request) (Cursor, error)

	// Answer ends a request that node was asked, and that is not to be done any more: node
	// says why, or the caller takes it back, with the kind [Canceled]. It returns the
	// response by which the request has ended, which is another one if that was there first.
	// [NotFound] if neither of them is there: the request's time was over, unless its Ask
	// ended in [Unknown].
	Answer(ctx context.Context, node NodeID, r Response) (Response, error)

	// PutTransfer writes how a transfer stands; expect is the record that it replaces, nil for
	// a new one. Its id, kind and branch stay. Of two who expect the same record one wins, so
	// finishing a transfer and cancelling it compete. [Exists] for an id that is in use.
	PutTransfer(ctx context.Context, expect *Transfer, next Transfer) (Cursor, error)

	// DropTransfer removes a transfer that has ended; [Conflict] for one that has not.
	DropTransfer(ctx context.Context, id UUID) (Cursor, error)

	// PutPosition records what a node durably holds. It never goes back.
	PutPosition(ctx context.Context, p Position) (Cursor, error)

	// Attach writes an attachment as a whole; Detach removes it.
	Attach(ctx context.Context, a Attachment) (Cursor, error)
	Detach(ctx context.Context, node NodeID, volume string) (Cursor, error)

	// PutUser writes a user; expect is the record that it replaces, nil for a new one.
	// [Exists] if the name belongs to another user.
	PutUser(ctx context.Context, expect *User, next User) (Cursor, error)

	// DropUser removes a user. The administrator stays.
	DropUser(ctx context.Context, id UserID) (Cursor, error)

	// Ops returns entries of a dot's operation log, newest first, numbered below before
	// (0: from the newest), at most limit. TrimOps removes those numbered below, but never
	// the newest, which carries the numbering.
	Ops(ctx context.Context, dot DotID, before uint64, limit int) ([]Op, error)
	TrimOps(ctx context.Context, dot DotID, below uint64) error

	// TrimCommits removes the records of a line's commits with a lower Seq. The commits
	// stay in the pools.
	TrimCommits(ctx context.Context, line LineID, below uint64) error

	// Export yields every entry at one moment. Import writes entries into a registry that
	// is empty or, with replace, instead of everything that is there, in as many
	// transactions as they need. The cluster's own record goes with the first and comes
	// with the last, so that a half-made registry is one without a cluster.
	Export(ctx context.Context) iter.Seq2[Entry, error]
	Import(ctx context.Context, entries []Entry, replace bool) (Cursor, error)

	// Rebuild replaces everything that is there by the given records and operation logs. It
	// is how a lost registry comes back from a pool, and makes nothing else possible than
	// that: they are written as they are, in steps as by Import. Each entry of a log keeps
	// its number, and the next one is numbered after the greatest of its dot.
	Rebuild(ctx context.Context, records []Record, ops []Op) (Cursor, error)

	// Close ends running calls and watches.
	Close() error
}

// Cursor is a place in the registry's history; greater is later. 0 is before all of it.
type Cursor uint64

// Update is a step of a watch. A long listing comes as several updates: the first has
// Reset, only the last has a Cursor, and the watcher knows everything once it has that.
type Update struct {
	Cursor  Cursor   // where the watcher is when it has taken Changes in; 0: a listing goes on
	Reset   bool     // forget everything first
	Changes []Change // in the order they happened; those of one transaction in one update
	Err     error    // the registry is out of reach; nothing else is set
}

// Change is a record that was written, or one that was deleted: then only the fields that
// identify it are set.
type Change struct {
	Record  Record
	Deleted bool
}

// Record is what a registry holds: [*Cluster], [*Node], [*Alive], [*Dot], [*Branch],
// [*Line], [*Commit], [*Position], [*Attachment], [*Request], [*Response], [*Tombstone],
// [*Transfer], [*User]. A deleted Dot carries its Name; a deleted Branch, Line, Response,
// Tombstone, Transfer or User its ID; a deleted Commit its Line and Seq; a deleted Request
// its Node and ID.
type Record interface{ record() }

func (*Cluster) record()    {}
func (*Node) record()       {}
func (*Alive) record()      {}
func (*Dot) record()        {}
func (*Branch) record()     {}
func (*Line) record()       {}
func (*Commit) record()     {}
func (*Position) record()   {}
func (*Attachment) record() {}
func (*Request) record()    {}
func (*Response) record()   {}
func (*Tombstone) record()  {}
func (*Transfer) record()   {}
func (*User) record()       {}

// Creation is a new dot or branch. Line is new too and owned by Branch; where it has an
// origin, the origin line must exist, be of the same dot and still have that commit, and
// becomes Line's parent in the same transaction. Of a line whose branch is buried only what
// other lines keep can be forked: see [Line.Kept].
type Creation struct {
	Dot     *Dot // nil: Branch is of a dot that exists
	Branch  Branch
	Line    Line
	Commits []Commit // the line's first ones: the initial commit of a new dot
	Op      Op
	Holder  *Position // what the creating node holds of Line
	Reply   *Reply    // nil: nobody asked for it
}

// Registration is a commit to append. Commit.Parent must be Expect.Tip, Commit.Line
// Expect.Line, Commit.Seq Expect.Seq+1 and Commit.Chain follow from Expect.Chain; anything
// else is [Conflict] or [Invalid].
type Registration struct {
	Branch BranchID
	Expect Pointer
	Commit Commit
	Op     Op     // zero: none
	Reply  *Reply // nil: nobody asked for it
}

// Swinging is a change of the line that a branch points at. Next.Epoch must be
// Expect.Epoch+1 and Next.State held.
type Swinging struct {
	Branch BranchID
	Expect Pointer
	Next   Pointer
	Line   Line    // new, owned by the branch; its origin must still be there
	Stash  *Branch // owns the old line from now on; nil only when it is not worth keeping: nothing on it that the new line lacks
	Op     Op
	Reply  *Reply // nil: nobody asked for it
}

// Move is a branch on its way to another node. The step that is called with a Reply is the
// one that was asked for.
type Move struct {
	Branch   BranchID
	Expect   Pointer
	ID       UUID
	To       NodeID
	Deadline time.Duration
	Reply    *Reply // nil: nobody asked for it
}

// Burial is a deletion. Expect holds the pointers, as the caller saw them, of every branch
// that goes or, for a commit, whose history it is in; [Conflict] if one has moved on. Next
// holds those that change with it: the count, and the head if that was the commit. A
// commit that a line was forked from, a branch's tip and a dot's master branch alone are
// refused with [Conflict]. The tombstone of a dot or branch covers exactly the lines of the
// pointers in Expect.
//
// The records of a buried branch, and of a buried dot's branches, stay until the last
// [Registry.Acknowledge]; the names, and a buried commit's record, go at once.
type Burial struct {
	Tombstone Tombstone
	Expect    map[BranchID]Pointer
	Next      map[BranchID]Pointer
	Op        Op
	Reply     *Reply // nil: nobody asked for it
}

// Entry is a registry key and its value, without the prefix.
type Entry struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}
