package arch_test

import (
	"os"
	"slices"
	"testing"
)

// folders are the rooms at the top, and no more: another one needs a reason that a
// newcomer would give, too.
var folders = []string{
	"btrfs", "cmd", "deploy", "docker", "docs", "etcdstate", "flexvolume", "internal", "server", "tests", "tui", "zfs",
}

// ours are folders that hold no part of the program: git's, CI's, what make built, and the
// fuzz seeds of the root package, whose place go test decides.
var ours = []string{".git", ".ci", ".bin", ".cache", "bin", "testdata"}

func TestNoFolderIsNew(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(folders, e.Name()) && !slices.Contains(ours, e.Name()) {
			t.Errorf("%s/ is not a room of ARCHITECTURE.md", e.Name())
		}
	}
}
