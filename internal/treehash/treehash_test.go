//go:build linux

package treehash_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/treehash"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func check(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// then is when everything in a tree was written.
var then = time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)

// tree makes a directory with some of everything in it, changed by change.
func tree(t testing.TB, change func(dir string) error) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	at := func(name string) string { return filepath.Join(dir, name) }
	check(t,
		os.MkdirAll(at("folder/empty"), 0o755),
		os.WriteFile(at("file"), []byte("content"), 0o644),
		os.WriteFile(at("folder/hole"), nil, 0o600),
		os.Truncate(at("folder/hole"), 1<<20),
		os.Link(at("file"), at("folder/other name")),
		os.Symlink("file", at("link")),
		unix.Mkfifo(at("pipe"), 0o600),
		os.WriteFile(at("\xff\n"), []byte("no text"), 0o644),
		unix.Setxattr(at("file"), "user.note", []byte("1"), 0),
	)
	if change != nil {
		check(t, change(dir))
	}
	check(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		times := unix.NsecToTimespec(then.UnixNano())
		return errors.Join(err, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{times, times}, unix.AT_SYMLINK_NOFOLLOW))
	}))
	return dir
}

func sum(t testing.TB, dir string) treehash.Sum {
	t.Helper()
	s, err := treehash.Of(t.Context(), dir)
	check(t, err)
	return s
}

func TestTreesThatAreAlikeHaveOneHash(t *testing.T) {
	want := sum(t, tree(t, nil))
	if want.Files != 9 || want.Bytes != 1<<20+14 {
		t.Errorf("counted %d files and %d bytes", want.Files, want.Bytes)
	}
	for name, change := range map[string]func(dir string) error{
		"made again":  nil,
		"read before": func(dir string) error { _, err := os.ReadFile(filepath.Join(dir, "file")); return err },
		"without the hole": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "folder/hole"), make([]byte, 1<<20), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := sum(t, tree(t, change)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestWhateverUsersCanSeeChangesTheHash(t *testing.T) {
	seen := map[string]string{sum(t, tree(t, nil)).String(): "nothing"}
	for name, change := range map[string]func(at func(string) string) error{
		"a byte":               func(at func(string) string) error { return os.WriteFile(at("file"), []byte("Content"), 0o644) },
		"a byte of zeros":      func(at func(string) string) error { return os.Truncate(at("folder/hole"), 1<<20+1) },
		"a mode":               func(at func(string) string) error { return os.Chmod(at("file"), 0o600) },
		"set-user-id":          func(at func(string) string) error { return unix.Chmod(at("file"), 0o4644) },
		"the mode of the root": func(at func(string) string) error { return os.Chmod(at("."), 0o700) },
		"an owner":             func(at func(string) string) error { return os.Lchown(at("link"), 7, 0) },
		"an attribute":         func(at func(string) string) error { return unix.Setxattr(at("file"), "user.note", []byte("2"), 0) },
		"a target": func(at func(string) string) error {
			return errors.Join(os.Remove(at("link")), os.Symlink("pipe", at("link")))
		},
		"a name": func(at func(string) string) error { return os.Rename(at("pipe"), at("pipes")) },
		"a hard link that is a copy": func(at func(string) string) error {
			return errors.Join(os.Remove(at("folder/other name")), os.WriteFile(at("folder/other name"), []byte("content"), 0o644),
				unix.Setxattr(at("folder/other name"), "user.note", []byte("1"), 0))
		},
		"a type": func(at func(string) string) error {
			return errors.Join(os.Remove(at("pipe")), os.Mkdir(at("pipe"), 0o600))
		},
		"an empty folder":  func(at func(string) string) error { return os.Remove(at("folder/empty")) },
		"a file in a root": func(at func(string) string) error { return os.WriteFile(at("new"), nil, 0o644) },
	} {
		hash := sum(t, tree(t, func(dir string) error {
			return change(func(name string) string { return filepath.Join(dir, name) })
		})).String()
		if other, twice := seen[hash]; twice {
			t.Errorf("%s is not told from %s", name, other)
		}
		seen[hash] = name
	}
	later := tree(t, nil)
	check(t, os.Chtimes(filepath.Join(later, "file"), then, then.Add(1)))
	if other, twice := seen[sum(t, later).String()]; twice {
		t.Errorf("a nanosecond is not told from %s", other)
	}
}

func TestItEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := treehash.Of(ctx, tree(t, nil)); !errors.Is(err, dotmesh.Canceled) {
		t.Errorf("err = %v, want canceled", err)
	}
	if _, err := treehash.Of(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("err = %v, want one that names what is not there", err)
	}
}
