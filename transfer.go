package dotmesh

import "time"

// TransferKind says why commits are on their way.
type TransferKind string

// The kinds of transfers.
const (
	TransferReplica TransferKind = "replica" // a node fetches what it lacks
	TransferMove    TransferKind = "move"    // a branch goes to another master
	TransferPush    TransferKind = "push"    // to a remote
	TransferPull    TransferKind = "pull"    // from a remote
	TransferClone   TransferKind = "clone"   // from a remote, into a new dot
)

// TransferState is how far a transfer has come.
type TransferState string

const (
	// TransferWaiting: nothing flows; Reason says what it waits for.
	TransferWaiting TransferState = "waiting"
	// TransferRunning: bytes flow, or what arrived is being verified and made durable.
	TransferRunning TransferState = "running"
	// TransferDone: all of it arrived, was verified and is durable.
	TransferDone TransferState = "done"
	// TransferFailed: it has given up; Reason says why and what to do. It can be retried.
	TransferFailed TransferState = "failed"
	// TransferCancelled: somebody ended it. What had arrived whole stays.
	TransferCancelled TransferState = "cancelled"
)

// Ended reports whether nothing more will happen by itself.
func (s TransferState) Ended() bool {
	return s == TransferDone || s == TransferFailed || s == TransferCancelled
}

// Transfer is commits of one branch on their way from a node or remote to another.
type Transfer struct {
	ID       UUID          `json:"id"`
	Kind     TransferKind  `json:"kind"`
	Dot      DotName       `json:"dot"`
	Branch   Name          `json:"branch"`
	BranchID BranchID      `json:"branch_id"`
	From     string        `json:"from"` // the name of a node or remote
	To       string        `json:"to"`
	State    TransferState `json:"state"`
	Step     string        `json:"step,omitempty"`   // move: begin, release, receive, take
	Commit   CommitID      `json:"commit,omitzero"`  // the one under way
	Commits  int           `json:"commits"`          // that have arrived
	Of       int           `json:"of"`               // that are to arrive; 0: not known yet
	Sent     int64         `json:"sent"`             // bytes
	Size     int64         `json:"size"`             // bytes in all, an estimate; 0: not known yet
	Rate     int64         `json:"rate"`             // bytes a second, over the last few seconds
	Try      int           `json:"try"`              // 1, 2, …
	Reason   string        `json:"reason,omitempty"` // what it waits for, or why it failed
	Started  time.Time     `json:"started"`
	Updated  time.Time     `json:"updated"`
	Retry    time.Time     `json:"retry,omitzero"` // when it is tried again; zero: not waiting for that
	Ended    time.Time     `json:"ended,omitzero"`
}

// Left estimates how much longer a transfer takes, from its size and rate. It is false
// where there is nothing to estimate from.
func (t *Transfer) Left() (time.Duration, bool) {
	if t.State != TransferRunning || t.Rate <= 0 || t.Size < t.Sent || t.Size == 0 {
		return 0, false
	}
	return time.Duration(float64(t.Size-t.Sent) / float64(t.Rate) * float64(time.Second)), true
}
