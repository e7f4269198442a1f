//go:build linux

package btrfs_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

func TestALineIsDestroyedWhateverItsUsersMadeOfIt(t *testing.T) {
	for name, spoil := range map[string][][]string{
		"a read-only subvolume": {
			{"btrfs", "subvolume", "create", "a"},
			{"btrfs", "property", "set", "a", "ro", "true"},
		},
		"a subvolume in a read-only one": {
			{"btrfs", "subvolume", "create", "a"},
			{"mkdir", "a/d"},
			{"btrfs", "subvolume", "create", "a/d/b"},
			{"btrfs", "subvolume", "create", "a/d/b/c"},
			{"btrfs", "property", "set", "a/d/b", "ro", "true"},
			{"btrfs", "property", "set", "a", "ro", "true"},
		},
		"a snapshot of itself": {{"btrfs", "subvolume", "snapshot", "-r", ".", "a"}},
		"an immutable root":    {{"chattr", "+i", "."}},
		"an append-only root":  {{"chattr", "+a", "."}},
		"an immutable subvolume in an immutable directory": {
			{"mkdir", "d"},
			{"btrfs", "subvolume", "create", "d/a"},
			{"chattr", "+i", "d/a", "d"},
		},
		"a read-only head": {{"btrfs", "property", "set", ".", "ro", "true"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			if err := work(t.Context(), s.Store); err != nil {
				t.Fatal(err)
			}
			dir, unmount := mountLive(t, s, childLine)
			for _, argv := range spoil {
				command(t, append([]string{"env", "-C", dir}, argv...)...)
			}
			unmount()
			id := dotmesh.CommitID{UUID: dotmesh.NewUUID()}
			err := s.Snapshot(t.Context(), []dotmesh.SnapRequest{{Line: childLine, Commit: id}})[0].Err
			if err == nil { // nothing nested
				err = s.Drop(t.Context(), childLine, []dotmesh.CommitID{id})
			}
			if err != nil && !errors.Is(err, dotmesh.Invalid) {
				t.Errorf("snapshot and drop: %v", err)
			}
			if err := s.DropHead(t.Context(), childLine); err != nil {
				t.Errorf("drop head: %v", err)
			}
			if err := s.Destroy(t.Context(), childLine); err != nil {
				t.Errorf("destroy: %v", err)
			}
			if _, err := s.Line(t.Context(), childLine); !errors.Is(err, dotmesh.NotFound) {
				t.Errorf("line = %v, want NotFound", err)
			}
		})
	}
}

func TestAHeadWithSubvolumesInItIsNotCommitted(t *testing.T) {
	s := newStore(t)
	if err := work(t.Context(), s.Store); err != nil {
		t.Fatal(err)
	}
	target, unmount := mountLive(t, s, childLine)
	for _, name := range []string{"outer", "outer/inner"} {
		command(t, "btrfs", "subvolume", "create", filepath.Join(target, name))
	}
	unmount()
	request := []dotmesh.SnapRequest{{Line: childLine, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}}
	err := s.Snapshot(t.Context(), request)[0].Err
	if !errors.Is(err, dotmesh.Invalid) || !strings.Contains(dotmesh.Text(err), "outer") {
		t.Errorf("snapshot = %v, want Invalid that names the subvolume", err)
	}
	info, err := s.Line(t.Context(), childLine)
	if err != nil || len(info.Commits) != 1 {
		t.Errorf("line = %+v, %v", info, err)
	}
	if err := s.Destroy(t.Context(), childLine); err != nil { // with all that lies in it
		t.Error(err)
	}
}
