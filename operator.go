package dotmesh

import (
	"context"
	"iter"
)

// Operator changes a cluster where no server runs yet, or while none does: init, join,
// upgrade and reset. There is one in memory in internal/democluster; docker/cluster will be
// the real one.
type Operator interface {
	// Plan says what would be done, in order, and changes nothing. A plan is good only for
	// the state that it was made from: Run checks that first.
	Plan(ctx context.Context, job Job) (Plan, error)
	// Run does the steps of a plan and yields what happens. It ends after the first error,
	// or after the last step. A step that was done before is found done, so a run that was
	// cut off is repeated whole. [Conflict], and nothing done, if the plan no longer fits.
	Run(ctx context.Context, plan Plan) iter.Seq2[StepEvent, error]
}

// JobKind says what an operator is to do.
type JobKind string

// The jobs.
const (
	JobInit    JobKind = "init"
	JobJoin    JobKind = "join"
	JobUpgrade JobKind = "upgrade"
	JobReset   JobKind = "reset"
)

// Job is what an operator is asked for.
type Job struct {
	Kind    JobKind           `json:"kind"`
	Options map[string]string `json:"options,omitempty"` // the command's flags by name
}

// Plan is what an operator would do.
type Plan struct {
	Job   Job    `json:"job"`
	Steps []Step `json:"steps"`
	State string `json:"state"` // a digest of what was found
}

// Step is one step of a plan.
type Step struct {
	ID       string `json:"id"`
	Text     string `json:"text"` // one line, in the imperative
	Destroys bool   `json:"destroys,omitempty"`
	Done     bool   `json:"done,omitempty"` // found done already
}

// StepEvent is progress of a run.
type StepEvent struct {
	Step string `json:"step"`
	Text string `json:"text,omitempty"` // a line of progress
	Done bool   `json:"done,omitempty"`
}
