package dotmesh

import (
	"context"
	"io"
)

// Streams is the part of Store that sends commits to another store of its kind and takes
// them from there. A stream is framed (internal/frame): it carries commits one after the
// other, each with its digest, so that what was cut, damaged or mixed up on its way is
// noticed before it is shown.
type Streams interface {
	// Send returns commits of a line as one stream. It reads from the pool as the stream is
	// read. What is being sent, and what it is sent as a difference to, cannot be destroyed
	// before the stream is closed or ctx ends. [NotFound] for a commit that is not here,
	// [Invalid] for commits that do not follow each other, [Conflict] for a Resume that
	// does not fit what is here: send from the beginning. Errors that come later are those
	// of Read; the stream is then closed like any other.
	Send(ctx context.Context, spec SendSpec) (io.ReadCloser, error)

	// Receive takes the commits of a stream into a line, which it makes if there is none,
	// without a head. Each becomes visible when all of it has come, was verified and is
	// durable: whatever happens before that, nobody ever sees a part of it, and no other
	// commit is harmed.
	//
	// A commit that is there already with the same GUID is passed over. Each other one must
	// be sent as the difference to the newest commit there, or whole to a line that is empty:
	// anything else is [Diverged], as is a head that holds what no commit does. [Exists] for
	// an id that is there with another GUID, and for a line that is there with another
	// origin. [Corrupt] for a stream that is not what was sent, [Invalid] for one that does
	// what spec.Trust forbids, [Unreachable] for one that broke off, [Conflict] for one that
	// goes on where nothing is kept to go on from: send from the beginning. [NoSpace], and
	// [Busy] while another stream is received into the line or its head is mounted. The line
	// stays as the last whole commit left it.
	//
	// A head without changes is given up for the first commit that is taken. As long as the
	// stream lasts, no other can be made, and the commit that it goes on from cannot be
	// dropped: both are [Busy]. A line that was made for a stream is seen by nobody before
	// it has a commit.
	//
	// What was received is said also where an error is. A Read of r may then still run,
	// until whoever has r closes it.
	Receive(ctx context.Context, spec RecvSpec, r io.Reader) (Received, error)

	// AbortReceive throws away what streams into a line have left to go on from, and gives
	// its space back. Without any it does nothing. [Busy] while a stream is received.
	AbortReceive(ctx context.Context, line LineID) error
}

// SendSpec asks for commits of one line.
type SendSpec struct {
	Line LineID
	// From is what the receiver has: a commit of Line or the one that Line was forked from.
	// Zero: the first commit is sent whole.
	From Ref
	// Commits are sent in this order, each as the difference to the one before.
	Commits []CommitID
	// Resume is what [Received] says of the stream that broke off; nil: there was none. It
	// comes from the receiver, and is believed only where it agrees with the rest.
	Resume []byte
}

// RecvSpec says what may be received, and where.
type RecvSpec struct {
	Line LineID
	// Origin is where Line was forked, and must be here. Zero: the line's first commit
	// comes whole.
	Origin Origin
	// Accept is asked before anything of a commit is taken, with what the stream says that
	// it is. An error refuses it, and is what Receive returns. nil accepts what comes.
	Accept func(CommitInfo) error
	Trust  Trust
}

// Trust says what a stream's files may be.
type Trust int

const (
	// Stranger may send files, directories and links. A set-user-id or set-group-id program,
	// a device, or an attribute that the system believes in (security.*, trusted.*,
	// system.* but for the access control lists) is refused, as [Invalid].
	Stranger Trust = iota
	// Member may send all that a file system can hold. Volumes are mounted nosuid and nodev.
	Member
)

// Received says how far a stream came.
type Received struct {
	Commits []CommitInfo // that are visible now and were not before, oldest first
	Bytes   int64        // of bodies that were taken in, those of a commit that broke off included
	// Resume lets Send leave out what has come of the commit that broke off; nil: it begins
	// anew. It is good as long as nothing else is received into the line.
	Resume []byte
}
