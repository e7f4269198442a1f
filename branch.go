package dotmesh

import (
	"strconv"
	"time"
)

// Branch is a name and a pointer, as the registry has it. Its id outlives every change of
// the line it points at. A stash is a branch too: it keeps what a reset dropped or what
// diverged, and is never mounted for writing or moved.
type Branch struct {
	ID      BranchID  `json:"id"`
	Dot     DotID     `json:"dot"`
	Name    Name      `json:"name"`
	Pointer Pointer   `json:"pointer"`
	Stash   *Stash    `json:"stash,omitempty"` // nil for an ordinary branch
	Created time.Time `json:"created"`
}

// Pointer is the whole state of a branch. Every change of history compares all of it and
// replaces all of it in one step. Pointers are equal exactly if they are ==.
type Pointer struct {
	Line   LineID   `json:"line"`
	Tip    CommitID `json:"tip"`   // the newest registered commit of any kind
	Seq    uint64   `json:"seq"`   // the tip's place on the line; 0 while the line has no commit of its own
	Chain  Chain    `json:"chain"` // the tip's
	Head   CommitID `json:"head"`  // the newest visible commit at or before the tip
	Count  uint64   `json:"count"` // visible commits from the dot's beginning to the tip
	Master NodeID   `json:"master"`
	Epoch  uint64   `json:"epoch"` // raised by every Swing, Take, Abort and takeover
	State  State    `json:"state"`
}

// Phase is where a branch is on its way from one master to another.
type Phase string

const (
	// Held: the master has it; the only phase in which commits are registered.
	Held Phase = "held"
	// Moving: the master was asked to hand it over and still may write.
	Moving Phase = "moving"
	// Released: the master has let go of it and the target may take it.
	Released Phase = "released"
)

// State is a phase and what belongs to it.
type State struct {
	Phase    Phase         `json:"phase"`
	To       NodeID        `json:"to,omitempty"`       // moving, released: the target
	Move     UUID          `json:"move,omitzero"`      // moving, released: this move's id
	Deadline time.Duration `json:"deadline,omitempty"` // moving: who has watched it this long by its own clock may abort
	Commit   CommitID      `json:"commit,omitzero"`    // released: the commit that the target must hold
	GUID     string        `json:"guid,omitempty"`     // released: that commit's native id
}

// StashReason says why a stash exists.
type StashReason string

const (
	// StashReset keeps what a reset, discard or undo dropped.
	StashReset StashReason = "reset"
	// StashDiverged keeps what an old master wrote after it lost the branch, or whatever
	// else was found beside the registered history. It never expires by itself.
	StashDiverged StashReason = "diverged"
)

// Stash says where a stash branch comes from.
type Stash struct {
	Reason  StashReason `json:"reason"`
	Of      BranchID    `json:"of"` // the branch that dropped it
	Node    NodeID      `json:"node"`
	Epoch   uint64      `json:"epoch"` // the branch's epoch before
	At      time.Time   `json:"at"`
	Expires time.Time   `json:"expires,omitzero"` // zero: never
}

// StashName returns the name of a stash of branch made at time at: the branch's name cut
// to 36 bytes, the reason and the time in UTC; try 2 and above are appended, since two
// stashes may fall into one second. It cuts more where the number needs the room.
func StashName(branch Name, reason StashReason, at time.Time, try int) Name {
	word := "RESET"
	if reason == StashDiverged {
		word = "DIVERGED"
	}
	end := "-" + word + "-" + at.UTC().Format("20060102T150405Z")
	if try > 1 {
		end += "-" + strconv.Itoa(try)
	}
	return branch[:min(len(branch), 36, MaxName-len(end))] + Name(end)
}
