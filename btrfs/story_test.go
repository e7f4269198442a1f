//go:build linux

package btrfs_test

import (
	"context"

	"dotmesh.io/dotmesh"
)

func storyID(what string) dotmesh.UUID { return dotmesh.UUID{9}.Derive(what) }

// story returns the steps of a line's whole life. Each may be done again after a failure,
// and all of them from the start after a crash.
func story(ctx context.Context, s dotmesh.Store) []func() error {
	line := dotmesh.LineID{UUID: storyID("line")}
	child := dotmesh.LineID{UUID: storyID("child")}
	first, second := dotmesh.CommitID{UUID: storyID("first")}, dotmesh.CommitID{UUID: storyID("second")}
	snap := func(line dotmesh.LineID, id dotmesh.CommitID) error {
		return s.Snapshot(ctx, []dotmesh.SnapRequest{{Line: line, Commit: id, Meta: []byte("meta")}})[0].Err
	}
	return []func() error{
		func() error { return s.Fork(ctx, line, dotmesh.Origin{}) },
		func() error { return snap(line, first) },
		func() error { return s.Fork(ctx, child, dotmesh.Origin{Line: line, Commit: first}) },
		func() error { return snap(child, second) },
		func() error { return s.DropHead(ctx, child) },
		func() error { return s.Drop(ctx, child, []dotmesh.CommitID{second}) },
		func() error { return s.Destroy(ctx, child) },
		func() error { return s.Fork(ctx, child, dotmesh.Origin{Line: line, Commit: first}) }, // the id is free again
		func() error { return s.Destroy(ctx, child) },
	}
}

// tellStory does all steps, and a step that fails once more.
func tellStory(ctx context.Context, s dotmesh.Store) error {
	var retried error
	for _, step := range story(ctx, s) {
		if step() == nil {
			continue
		}
		if err := step(); err != nil {
			return err
		}
		retried = errRetried
	}
	return retried
}
