package dotmesh

import "time"

// Verb names what an operation did.
type Verb string

// The verbs of the operation log.
const (
	VerbInit         Verb = "init"
	VerbCommit       Verb = "commit"
	VerbBranch       Verb = "branch"
	VerbCheckout     Verb = "checkout"
	VerbReset        Verb = "reset"
	VerbDiscard      Verb = "discard"
	VerbDeleteDot    Verb = "delete-dot"
	VerbDeleteBranch Verb = "delete-branch"
	VerbDeleteCommit Verb = "delete-commit"
	VerbTakeover     Verb = "takeover"
	VerbUndo         Verb = "undo"
)

// Op is an entry of a dot's operation log. It holds what Undo needs: the pointer's history
// before and after, or the name that was dropped.
type Op struct {
	N       uint64    `json:"n"` // 1, 2, … in the dot; given by the registry
	Dot     DotID     `json:"dot"`
	Branch  BranchID  `json:"branch,omitzero"`
	Name    Name      `json:"name,omitempty"` // the branch's name then
	Verb    Verb      `json:"verb"`
	Old     Tip       `json:"old,omitzero"`
	New     Tip       `json:"new,omitzero"`
	Before  BranchID  `json:"before,omitzero"`  // checkout: the current branch before
	Stash   BranchID  `json:"stash,omitzero"`   // the stash that keeps what was dropped
	Undoes  uint64    `json:"undoes,omitempty"` // undo: the entry that it undid
	By      string    `json:"by"`
	Why     string    `json:"why,omitempty"`
	Time    time.Time `json:"time"`
	Request UUID      `json:"request,omitzero"` // the call's own id, if it gave one
}

// Tip is a place in history: a commit and the line that it is reached on.
type Tip struct {
	Line   LineID   `json:"line"`
	Commit CommitID `json:"commit"`
}

// IsZero reports whether no place is named.
func (t Tip) IsZero() bool { return t == Tip{} }

// TombstoneKind says what a tombstone buried.
type TombstoneKind string

// What can be buried.
const (
	BuriedDot    TombstoneKind = "dot"
	BuriedBranch TombstoneKind = "branch"
	BuriedCommit TombstoneKind = "commit"
)

// Tombstone is the only thing that ever allows data to be destroyed. It names what may go
// and lists what it covers: a node whose line holds anything else keeps that as a stash
// first. Once Keep has passed somebody seals it. Until then the deletion can be undone and
// nothing is destroyed; a clock says when to seal it and decides nothing else.
type Tombstone struct {
	ID     UUID          `json:"id"` // the dot's, branch's or commit's id
	Kind   TombstoneKind `json:"kind"`
	Dot    Dot           `json:"dot"`              // the dot as it was, for every kind
	Branch *Branch       `json:"branch,omitempty"` // the branch as it was
	Commit *Commit       `json:"commit,omitempty"` // the commit as it was
	Covers []Cover       `json:"covers"`
	By     string        `json:"by"`
	At     time.Time     `json:"at"`
	Keep   time.Time     `json:"keep"`
	Sealed bool          `json:"sealed,omitempty"` // it cannot be undone any more; only then is anything destroyed
}

// Cover is a line's registered history up to its tip; for a buried commit that commit.
type Cover struct {
	Line   LineID   `json:"line"`
	Commit CommitID `json:"commit"`
	Chain  Chain    `json:"chain"`
	Acked  []NodeID `json:"acked,omitempty"` // nodes that hold nothing of it any more
}
