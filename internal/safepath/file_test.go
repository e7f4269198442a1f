//go:build linux

package safepath_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/safepath"
	"golang.org/x/sys/unix"
)

func TestOpenFileReadsWhatIsThere(t *testing.T) {
	root := t.TempDir()
	check(t, os.Mkdir(filepath.Join(root, "data"), 0o700))
	for _, name := range []string{"plain", "data/below", "not UTF-8 \xff\xfe", "-o", "..x", "new\nline", strings.Repeat("x", 255)} {
		check(t, os.WriteFile(filepath.Join(root, name), []byte(name), 0o600))
		file, err := safepath.OpenFile(root, name)
		check(t, err)
		got, err := io.ReadAll(file)
		check(t, err)
		check(t, file.Close())
		if string(got) != name {
			t.Errorf("%q holds %q", name, got)
		}
	}
}

// TestOpenFileGoesDeeperThanAPathMay: a tree can be deeper than the kernel takes a path.
func TestOpenFileGoesDeeperThanAPathMay(t *testing.T) {
	root := t.TempDir()
	dir, err := os.OpenRoot(root)
	check(t, err)
	part, depth := strings.Repeat("d", 200), 30
	for range depth {
		check(t, dir.Mkdir(part, 0o700))
		next, err := dir.OpenRoot(part)
		check(t, err)
		check(t, dir.Close())
		dir = next
	}
	check(t, dir.WriteFile("file", []byte("deep"), 0o600))
	check(t, dir.Close())
	file, err := safepath.OpenFile(root, strings.Repeat(part+"/", depth)+"file")
	check(t, err)
	check(t, file.Close())
}

func TestOpenFileRefusesWhatIsNoRegularFile(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	check(t, os.WriteFile(filepath.Join(outside, "secret"), nil, 0o600))
	check(t, os.WriteFile(filepath.Join(root, "file"), nil, 0o600))
	check(t, os.Mkdir(filepath.Join(root, "dir"), 0o700))
	check(t, os.Symlink(outside, filepath.Join(root, "out")))
	check(t, os.Symlink("file", filepath.Join(root, "link")))
	check(t, os.Symlink("dir", filepath.Join(root, "dirlink")))
	check(t, os.Symlink("/proc/self/root", filepath.Join(root, "magic")))
	check(t, unix.Mkfifo(filepath.Join(root, "fifo"), 0o600))
	check(t, os.WriteFile(filepath.Join(root, "dir", "below"), nil, 0o600))
	for name, want := range map[string]dotmesh.Kind{
		"link": dotmesh.Invalid, "out": dotmesh.Invalid, "magic": dotmesh.Invalid, "fifo": dotmesh.Invalid, "dir": dotmesh.Invalid,
		"out/secret": dotmesh.NotFound, "dirlink/below": dotmesh.NotFound, "magic/etc": dotmesh.NotFound, "file/x": dotmesh.NotFound,
		"none": dotmesh.NotFound, "none/x": dotmesh.NotFound, strings.Repeat("x", 256): dotmesh.NotFound,
		"": dotmesh.Invalid, ".": dotmesh.Invalid, "..": dotmesh.Invalid, "../x": dotmesh.Invalid, "/file": dotmesh.Invalid,
		"dir/../file": dotmesh.Invalid, "./file": dotmesh.Invalid, "dir//below": dotmesh.Invalid, "dir/": dotmesh.Invalid, "file\x00": dotmesh.Invalid,
	} {
		file, err := safepath.OpenFile(root, name)
		if dotmesh.KindOf(err) != want {
			t.Errorf("%q: got %v, want kind %q", name, err, want)
		}
		if file != nil {
			t.Errorf("%q: a file was opened", name)
		}
	}
}

func TestOpenFileRefusesAnotherMount(t *testing.T) {
	root := t.TempDir()
	target := filepath.Join(root, "data")
	check(t, os.Mkdir(target, 0o700))
	check(t, unix.Mount("x", target, "tmpfs", 0, ""))
	t.Cleanup(func() { check(t, unix.Unmount(target, 0)) })
	check(t, os.WriteFile(filepath.Join(target, "file"), nil, 0o600))
	if _, err := safepath.OpenFile(root, "data/file"); dotmesh.KindOf(err) != dotmesh.Invalid {
		t.Errorf("got %v, want it to be invalid", err)
	}
}
