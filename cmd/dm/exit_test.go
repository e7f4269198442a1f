package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

func TestExitCodes(t *testing.T) {
	for kind, want := range map[dotmesh.Kind]int{
		dotmesh.Invalid: 2, dotmesh.NotFound: 3,
		dotmesh.Exists: 4, dotmesh.Conflict: 4, dotmesh.Dirty: 4, dotmesh.Busy: 4, dotmesh.Diverged: 4,
		dotmesh.Denied: 5, dotmesh.Unauthenticated: 5,
		dotmesh.Unreachable: 6, dotmesh.Timeout: 6, dotmesh.Unknown: 7, dotmesh.Canceled: 130,
		dotmesh.NoSpace: 1, dotmesh.TooMany: 1, dotmesh.Unsupported: 1, dotmesh.Corrupt: 1, dotmesh.Internal: 1,
		"a kind of a later version": 1,
	} {
		f := shop()
		f.err = dotmesh.E("fake", kind, "it is so")
		says := "Error: it is so\n"
		if kind == dotmesh.Canceled {
			says = "Error: interrupted\n"
		}
		s := newShell(t, f)
		for _, line := range []string{"list", "reset HEAD^ --dot shop", "dot delete -f shop", "diff --dot shop"} {
			if code := s.run(strings.Fields(line)...); code != want || s.err != says {
				t.Errorf("%s: dm %s exits with %d, want %d, and says %q", kind, line, code, want, s.err)
			}
		}
	}
}

func TestInterruption(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	f := shop()
	f.err = dotmesh.E("fake", dotmesh.Unknown, "the answer was lost")
	s := newShell(t, f)
	if code := s.runContext(ctx, "discard", "--dot", "shop"); code != exitInterrupted || !strings.Contains(s.err, "the answer was lost") {
		t.Errorf("an interrupted dm exits with %d and says %q", code, s.err)
	}
}

func TestErrorsOfNoKind(t *testing.T) {
	if code := exitCode(t.Context(), errors.New("something")); code != exitFailure {
		t.Errorf("exit %d", code)
	}
	if code := exitCode(t.Context(), context.DeadlineExceeded); code != exitUnreachable {
		t.Errorf("a deadline: exit %d", code)
	}
}
