//go:build linux

package zfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// cause is why a program failed, as far as this package makes a difference.
type cause string

// Error makes a cause usable as the target of errors.Is.
func (c cause) Error() string { return string(c) }

// The causes that are asked for.
const (
	notExist     cause = "it does not exist"
	exists       cause = "it exists"
	busy         cause = "it is in use"
	hasClones    cause = "others were forked from it"
	held         cause = "it is held"
	newerThere   cause = "there are newer snapshots"
	modified     cause = "it holds what no snapshot does"
	otherTip     cause = "its newest snapshot is another one"
	noOrigin     cause = "what it was forked from is not here"
	resumable    cause = "a stream into it has broken off"
	notResumable cause = "no stream into it has broken off"
	incomplete   cause = "the stream ended too early"
	tokenGone    cause = "what is to be resumed is gone"
	noSpace      cause = "there is no space"
	denied       cause = "it is not allowed"
	noModule     cause = "the kernel has no ZFS"
	noPool       cause = "there is no such pool"
	foreign      cause = "the pool was in use elsewhere"
	suspended    cause = "the pool does not answer"
	damaged      cause = "the pool is damaged"
	unsupported  cause = "this ZFS cannot do it"
	misused      cause = "it was asked in a wrong way"
)

// complaints are what the programs of OpenZFS say, in the C locale, and what it means. The
// first that is found in what a program wrote is the one that counts.
var complaints = []struct {
	says string
	why  cause
}{
	{"contains partially-complete state", resumable},
	{"does not have any resumable receive state", notResumable},
	{"used in the initial send no longer exists", tokenGone},
	{"is no longer the same snapshot used in the initial send", tokenGone},
	{"resume token is corrupt", tokenGone},
	{"resume token is not supported", tokenGone},
	{"checksum mismatch or incomplete stream", incomplete},
	{"incomplete stream", incomplete},
	{"failed to read from stream", incomplete},
	{"has been modified\nsince most recent snapshot", modified},
	{"does not\nmatch incremental source", otherTip},
	{"does not exist\nmust specify -F", notExist},
	{"local origin for clone", noOrigin},
	{"exists\nmust specify -F to overwrite it", exists},
	{"more recent snapshots or bookmarks exist", newerThere},
	{"it's being held", held},
	{"tag already exists on this dataset", exists},
	{"has dependent clones", hasClones},
	{"dependent clone", hasClones},
	{"has children", hasClones},
	{"The ZFS modules", noModule},
	{"/dev/zfs", noModule},
	{"out of space", noSpace},
	{"size is greater than available space", noSpace},
	{"No space left on device", noSpace},
	{"space quota", noSpace},
	{"quota exceeded", noSpace},
	{"ermission denied", denied},
	{"no such pool", noPool},
	{"no pools available to import", noPool},
	{"pool I/O is currently suspended", suspended},
	{"in use from another system", foreign},
	{"in use from other system", foreign},
	{"dataset does not exist", notExist},
	{"could not find any snapshots to destroy", notExist},
	{"no such tag on this dataset", notExist},
	{"dataset already exists", exists},
	{"destination already exists", exists},
	{"pool already exists", exists},
	{"a pool with that name already exists", exists},
	{"is busy", busy},
	{"I/O error", damaged},
	{"Input/output error", damaged}, // so zfs send calls it, and a checksum in its own trees:
	{"Invalid exchange", damaged},
	{"insufficient replicas", damaged},
	{"pool must be upgraded", unsupported},
	{"unsupported version or feature", unsupported},
	{"unsupported feature", unsupported},
	{"stream has unsupported feature", unsupported},
	{"invalid option", misused},
	{"usage:", misused},
}

// failure is a program that failed.
type failure struct {
	why     cause // empty: nothing that is known
	command string
	stderr  string
	err     error
}

// Error is the operator's line.
func (f *failure) Error() string {
	return fmt.Sprintf("%s: %v: %s", f.command, f.err, strings.Join(strings.Fields(f.stderr), " "))
}

// Unwrap returns how the program ended.
func (f *failure) Unwrap() error { return f.err }

// Is reports whether target is why it failed.
func (f *failure) Is(target error) bool {
	why, ok := target.(cause)
	return ok && why == f.why
}

// explain makes of a program's end an error that says why; nil: it ended well.
func explain(c command, stderr string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", c, err)
	}
	return &failure{why: causeOf(stderr), command: c.String(), stderr: stderr, err: err}
}

func causeOf(stderr string) cause {
	for _, c := range complaints {
		if strings.Contains(stderr, c.says) {
			return c.why
		}
	}
	return ""
}

// verdicts are what a cause is to users.
var verdicts = map[cause]struct {
	kind dotmesh.Kind
	text string
}{
	notExist:    {dotmesh.NotFound, "it is not in this pool"},
	exists:      {dotmesh.Exists, "it is in this pool already"},
	busy:        {dotmesh.Busy, "the pool says that it is in use; stop what uses it and try again"},
	hasClones:   {dotmesh.Busy, "other lines were forked from it; destroy those first"},
	held:        {dotmesh.Busy, "somebody has put a hold on it; zfs holds shows who, zfs release lets it go"},
	newerThere:  {dotmesh.Conflict, "somebody has made snapshots of it by hand; destroy those with zfs destroy"},
	modified:    {dotmesh.Diverged, "the line holds changes that are in no commit; commit them, or discard them first"},
	otherTip:    {dotmesh.Diverged, "the line's newest commit is not the one that the stream starts from"},
	noOrigin:    {dotmesh.NotFound, "what the line was forked from is not in this pool; get that first"},
	resumable:   {dotmesh.Busy, "a stream into this line has broken off; resume it, or give it up first"},
	incomplete:  {dotmesh.Unreachable, "the stream broke off; what had arrived is kept"},
	tokenGone:   {dotmesh.Conflict, "what was to be sent on is not here any more; send from the beginning"},
	noSpace:     {dotmesh.NoSpace, "the pool is full; delete files, branches or stashes, or make the pool larger"},
	denied:      {dotmesh.Denied, "the pool can be used by root only"},
	noModule:    {dotmesh.Unsupported, "this machine's kernel has no ZFS; load it with: modprobe zfs"},
	noPool:      {dotmesh.NotFound, "the zpool is not there; see zpool status and zpool import"},
	foreign:     {dotmesh.Busy, "the zpool was last in use on another machine; if it is not any more, import it there or here with zpool import -f"},
	suspended:   {dotmesh.Unreachable, "the zpool does not answer; see zpool status"},
	damaged:     {dotmesh.Corrupt, "the zpool's disks returned damaged data; see zpool status"},
	unsupported: {dotmesh.Unsupported, "this node's OpenZFS is too old for it; 2.1 or newer is needed"},
}

// fault gives an error its kind, and says what to do about it.
func fault(op string, err error) error {
	if err == nil {
		return nil
	}
	if dotmesh.KindOf(err) != dotmesh.Internal {
		return dotmesh.Wrap(op, err)
	}
	e := &dotmesh.Error{Op: op, Kind: dotmesh.Internal, Err: err}
	if f, ok := errors.AsType[*failure](err); ok {
		if v, known := verdicts[f.why]; known {
			e.Kind, e.Text = v.kind, v.text
		}
		return e
	}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		v := verdicts[noSpace]
		e.Kind, e.Text = v.kind, v.text
	case errors.Is(err, unix.EBUSY):
		v := verdicts[busy]
		e.Kind, e.Text = v.kind, v.text
	case errors.Is(err, unix.EIO):
		v := verdicts[damaged]
		e.Kind, e.Text = v.kind, v.text
	case errors.Is(err, fs.ErrPermission):
		v := verdicts[denied]
		e.Kind, e.Text = v.kind, v.text
	case errors.Is(err, fs.ErrNotExist):
		e.Kind = dotmesh.NotFound
	}
	return e
}

// full reports whether an error says that there is no space.
func full(err error) bool { return errors.Is(err, noSpace) || errors.Is(err, unix.ENOSPC) }

// join is errors.Join that leaves a single error as it is, so that its text still shows.
func join(errs ...error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// verdict is the error of a cause that was found without asking a program.
func verdict(why cause) error {
	v := verdicts[why]
	return &dotmesh.Error{Kind: v.kind, Text: v.text, Err: why}
}
