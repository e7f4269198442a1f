package dotmesh

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kind says what sort of failure an error is. It is what programs decide on, it crosses
// the wire unchanged as its text, and it is an error itself, so that
// errors.Is(err, dotmesh.NotFound) asks for it. New kinds are only ever added.
type Kind string

const (
	// Invalid: the request makes no sense as it stands; nothing was done.
	Invalid Kind = "invalid"
	// NotFound: there is no such thing, or the caller may not know of it.
	NotFound Kind = "not_found"
	// Exists: a thing of that name or id is there already.
	Exists Kind = "exists"
	// Conflict: the state that the request was based on has changed; nothing was done.
	Conflict Kind = "conflict"
	// Dirty: data that is in no commit stands in the way.
	Dirty Kind = "dirty"
	// Busy: something uses it now; the text names what.
	Busy Kind = "busy"
	// Diverged: two histories differ, neither is an extension of the other.
	Diverged Kind = "diverged"
	// Denied: the caller is known and may not do this.
	Denied Kind = "denied"
	// Unauthenticated: the caller's user name, key or password is not right.
	Unauthenticated Kind = "unauthenticated"
	// Unreachable: a node, server or registry did not answer; nothing was done.
	Unreachable Kind = "unreachable"
	// Timeout: the deadline passed before the work was done; nothing was done.
	Timeout Kind = "timeout"
	// Unknown: the answer was lost; the work may have been done, or may yet be.
	Unknown Kind = "unknown"
	// NoSpace: the pool or the registry is full.
	NoSpace Kind = "no_space"
	// TooMany: the caller asks too often or for too much at once; it may try again later.
	TooMany Kind = "too_many"
	// Unsupported: this server cannot do it, and says what could.
	Unsupported Kind = "unsupported"
	// Corrupt: bytes are not what they were when they were written.
	Corrupt Kind = "corrupt"
	// Canceled: the caller gave up; nothing was done.
	Canceled Kind = "canceled"
	// Internal: Dotmesh itself is wrong.
	Internal Kind = "internal"
)

// Error makes a Kind usable as the target of errors.Is.
func (k Kind) Error() string { return strings.ReplaceAll(string(k), "_", " ") }

// Error is the error of every Dotmesh interface. It speaks to three readers: the program
// reads Kind, the user reads Text, the operator reads Op and the chain below it.
type Error struct {
	Op   string // what was being done, such as "server.Commit"
	Kind Kind
	Text string // one line for the user: what is wrong and what to do next
	Err  error  // the cause, for the log; nil where Text says it all
}

// E makes an error without a cause. Its text is one line for the user.
func E(op string, kind Kind, format string, args ...any) *Error {
	return &Error{Op: op, Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Wrap says what was being done when err happened. It keeps err's kind and text; an
// error that has none gets the kind of its context error, or [Internal]. Wrap(op, nil)
// is nil.
func Wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Kind: KindOf(err), Err: err}
}

// Error returns the operator's line: the trail of operations, the text and the cause.
func (e *Error) Error() string {
	parts := make([]string, 0, 3)
	for _, p := range []string{e.Op, e.Text} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	switch {
	case e.Err != nil:
		parts = append(parts, e.Err.Error())
	case e.Text == "":
		parts = append(parts, e.Kind.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is this error's kind.
func (e *Error) Is(target error) bool {
	kind, ok := target.(Kind)
	return ok && kind == e.Kind
}

// KindOf returns the kind of the outermost [Error] in err's chain. A Kind by itself is its
// own, a context's errors are [Canceled] and [Timeout]; any other error is [Internal], and
// nil has no kind.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Kind != "" {
		return e.Kind
	}
	if kind, ok := errors.AsType[Kind](err); ok {
		return kind
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	}
	return Internal
}

// Text returns what a user is told of err: the texts of its chain, outermost first, those of
// joined errors too, or the whole error where nobody wrote one.
func Text(err error) string {
	if err == nil {
		return ""
	}
	if all := texts(err); len(all) > 0 {
		return strings.Join(all, ": ")
	}
	return err.Error()
}

func texts(err error) (all []string) {
	if e, ok := err.(*Error); ok && e.Text != "" {
		all = append(all, e.Text)
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return append(all, texts(e.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			all = append(all, texts(one)...)
		}
	}
	return all
}
