package dotmesh

import "time"

// EventKind says what an event is about.
type EventKind string

// The kinds of events.
const (
	EventGap      EventKind = "gap"      // some events were missed: list again, then go on
	EventDot      EventKind = "dot"      // Dot was made, changed or deleted
	EventBranch   EventKind = "branch"   // Branch was made, changed or deleted
	EventCommit   EventKind = "commit"   // Commit was registered or deleted
	EventNode     EventKind = "node"     // Node joined, changed, came or went
	EventStats    EventKind = "stats"    // Branch's figures changed
	EventTransfer EventKind = "transfer" // Transfer began, went on or ended
	EventLog      EventKind = "log"      // something an operator should read
)

// Event is one thing that happened. Exactly the field that its kind names is set. Clients
// skip kinds that they do not know.
type Event struct {
	Cursor   string     `json:"cursor"` // where to go on after this event
	Kind     EventKind  `json:"kind"`
	Time     time.Time  `json:"time"`
	Deleted  bool       `json:"deleted,omitempty"`
	Dot      *Dot       `json:"dot,omitempty"`
	Branch   *Branch    `json:"branch,omitempty"`
	Commit   *Commit    `json:"commit,omitempty"`
	Node     *Node      `json:"node,omitempty"`
	Stats    *Stats     `json:"stats,omitempty"`
	Transfer *Transfer  `json:"transfer,omitempty"`
	Log      *LogRecord `json:"log,omitempty"`
}

// Stats are a branch's figures as its master last measured them.
type Stats struct {
	Branch BranchID `json:"branch"`
	Size   int64    `json:"size"`
	Dirty  Bytes    `json:"dirty"`
}

// LogRecord is one line of a node's log that concerns its users.
type LogRecord struct {
	Node  NodeID `json:"node"`
	Level string `json:"level"`
	Text  string `json:"text"`
}
