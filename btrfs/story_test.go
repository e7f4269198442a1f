//go:build linux

package btrfs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"

	"dotmesh.io/dotmesh"
)

func storyID(what string) dotmesh.UUID { return dotmesh.UUID{9}.Derive(what) }

// story returns the steps of a line's whole life. Each may be done again after a failure,
// and all of them from the start after a crash.
func story(ctx context.Context, s dotmesh.Store) []func() error {
	line := dotmesh.LineID{UUID: storyID("line")}
	child := dotmesh.LineID{UUID: storyID("child")}
	moved := dotmesh.LineID{UUID: storyID("moved")}
	first, second := dotmesh.CommitID{UUID: storyID("first")}, dotmesh.CommitID{UUID: storyID("second")}
	snap := func(line dotmesh.LineID, id dotmesh.CommitID) error {
		return s.Snapshot(ctx, []dotmesh.SnapRequest{{Line: line, Commit: id, Meta: []byte("meta")}})[0].Err
	}
	var stream []byte
	send := func() (err error) {
		stream, err = sendAll(ctx, s, moved, second)
		return err
	}
	receive := func() error {
		_, err := s.Receive(ctx, dotmesh.RecvSpec{Line: moved}, bytes.NewReader(stream))
		return err
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
		func() error { return s.Fork(ctx, moved, dotmesh.Origin{}) },
		func() error { return snap(moved, second) },
		send,
		func() error { return s.Destroy(ctx, moved) },
		receive, // makes the line
		func() error { return s.Destroy(ctx, moved) },
		func() error { return s.Fork(ctx, moved, dotmesh.Origin{}) },
		receive, // takes its head away
		func() error { return s.Destroy(ctx, moved) },
	}
}

// sendAll returns a stream of commits, the first of them whole.
func sendAll(ctx context.Context, s dotmesh.Store, line dotmesh.LineID, ids ...dotmesh.CommitID) ([]byte, error) {
	stream, err := s.Send(ctx, dotmesh.SendSpec{Line: line, Commits: ids})
	if err != nil {
		return nil, err
	}
	all, err := io.ReadAll(stream)
	return all, errors.Join(err, stream.Close())
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

// receiveFile is a child's task: to receive a stream that lies in a file.
func receiveFile(ctx context.Context, s dotmesh.Store) error {
	stream, err := os.ReadFile(os.Getenv("DOTMESH_TEST_STREAM"))
	if err != nil {
		return err
	}
	_, err = s.Receive(ctx, dotmesh.RecvSpec{Line: childLine}, bytes.NewReader(stream))
	return err
}
