package dotmeshtest_test

import (
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
)

func TestFakeStore(t *testing.T) {
	dotmeshtest.RunStoreTests(t, func(t *testing.T) dotmesh.Store { return dotmeshtest.NewStore(t) })
}

func TestFakeStreams(t *testing.T) {
	dotmeshtest.RunStreamTests(t, func(t *testing.T) dotmesh.Store { return dotmeshtest.NewStore(t) })
}

func TestAReopenedFakeKeepsAllAndItsOldValueNothing(t *testing.T) {
	old := dotmeshtest.NewStore(t)
	line := dotmesh.LineID{UUID: dotmesh.NewUUID()}
	if err := old.Fork(t.Context(), line, dotmesh.Origin{}); err != nil {
		t.Fatal(err)
	}
	s := old.Reopen()
	if _, err := s.Live(t.Context(), line); err != nil {
		t.Error(err)
	}
	if _, err := old.Live(t.Context(), line); dotmesh.KindOf(err) != dotmesh.Unreachable {
		t.Errorf("err = %v, want Unreachable", err)
	}
}
