package main

import (
	"context"
	"errors"

	"dotmesh.io/dotmesh"
)

// The exit codes, which the help promises.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitDenied      = 5
	exitUnreachable = 6
	exitUnknown     = 7
	exitInterrupted = 130
)

const exitHelp = `Exit codes:
  0    done
  1    failed, for a reason that has no code of its own
  2    the command line makes no sense; nothing was done
  3    there is no such dot, branch, commit, node or remote
  4    in the way: it exists already, has changed, is dirty or is in use
  5    not allowed, or the user name or API key is wrong
  6    the server did not answer, or not in time
  7    the answer was lost: it may have been done (look before you repeat it)
  130  interrupted`

// exitCode says how a run ended. ctx tells an interruption from a failure that an
// interruption caused.
func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return exitInterrupted
	}
	switch dotmesh.KindOf(err) {
	case dotmesh.Invalid:
		return exitUsage
	case dotmesh.NotFound:
		return exitNotFound
	case dotmesh.Exists, dotmesh.Conflict, dotmesh.Dirty, dotmesh.Busy, dotmesh.Diverged:
		return exitConflict
	case dotmesh.Denied, dotmesh.Unauthenticated:
		return exitDenied
	case dotmesh.Unreachable, dotmesh.Timeout:
		return exitUnreachable
	case dotmesh.Unknown:
		return exitUnknown
	case dotmesh.Canceled:
		return exitInterrupted
	}
	return exitFailure
}
