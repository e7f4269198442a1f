package dotmesh

import "time"

const (
	// MaxAsk is the longest that a request may wait.
	MaxAsk = time.Minute
	// MaxBody is how many bytes a request and its response may carry.
	MaxBody = 64 << 10
)

// Request is a call on its way to the node that can do it: as a rule the master of a branch,
// which sees it by watching. It is carried by the registry so that it ends once and for all
// in one of three ways, each of which takes it away: the transaction that does its work
// leaves a [Response], [Registry.Answer] leaves one that says why it was not done, or its
// time is over. What it asked for is done in the first case only, and then exactly once.
type Request struct {
	ID     UUID          `json:"id"`     // made by the caller
	Node   NodeID        `json:"node"`   // who is asked
	From   NodeID        `json:"from"`   // who asks
	Branch BranchID      `json:"branch"` // zero where the call is about none
	Expect Pointer       `json:"expect"` // Branch's, as the caller saw it
	Call   string        `json:"call"`   // what is asked, in a word that both nodes know
	Body   []byte        `json:"body,omitempty"`
	Life   time.Duration `json:"life"` // how long it may wait; at most MaxAsk
}

// Response is how a request ended. It goes when the request's time is over.
type Response struct {
	ID   UUID   `json:"id"`             // the request's
	Kind Kind   `json:"kind,omitempty"` // why it was not done; empty: it was
	Text string `json:"text,omitempty"` // for the user
	Body []byte `json:"body,omitempty"`
}

// Reply makes a verb end a request with the transaction that does its work. The verb is
// refused, and does nothing, if the request is not there any more: with [NotFound] if its
// time was over, with [Conflict] if it was answered or taken back. What the verb finds done
// already it answers, too.
type Reply struct {
	Node NodeID // who was asked
	ID   UUID   // the request's
	Body []byte // for the response
}
