package arch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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

// TestEveryRoomIsShown: a newcomer finds each package below the top in ARCHITECTURE.md, too.
func TestEveryRoomIsShown(t *testing.T) {
	_, rooms, _ := strings.Cut(read(t, "ARCHITECTURE.md"), "## Rooms")
	rooms, _, _ = strings.Cut(rooms, "##")
	for _, above := range []string{"cmd", "internal", "internal/dotmeshtest", "server", "tests", "tui"} {
		entries, err := os.ReadDir(filepath.Join(root, above))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() && e.Name() != "testdata" && !regexp.MustCompile(`\b`+e.Name()+`\b`).MatchString(rooms) {
				t.Errorf("ARCHITECTURE.md does not say what %s/%s is", above, e.Name())
			}
		}
	}
}
