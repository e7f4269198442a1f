//go:build linux

package safepath_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/safepath"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOpenDirMakesWhatIsMissing(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	root := t.TempDir()
	for _, name := range []dotmesh.Subdot{"", dotmesh.DefaultSubdot, "data", "data"} {
		dir, err := safepath.OpenDir(root, name)
		check(t, err)
		got, err := dir.Stat()
		check(t, err)
		check(t, dir.Close())
		if name == "" {
			name = dotmesh.DefaultSubdot
		}
		want, err := os.Lstat(filepath.Join(root, string(name)))
		check(t, err)
		if !os.SameFile(got, want) || got.Mode() != fs.ModeDir|0o777 {
			t.Errorf("%s: got %v", name, got.Mode())
		}
	}
	if got := unix.Umask(0o077); got != 0o077 {
		t.Errorf("the umask is %#o now", got)
	}
}

func TestOpenDirLeavesModesAlone(t *testing.T) {
	root := t.TempDir()
	check(t, os.Mkdir(filepath.Join(root, "data"), 0o700))
	dir, err := safepath.OpenDir(root, "data")
	check(t, err)
	defer dir.Close()
	if got, err := dir.Stat(); err != nil || got.Mode() != fs.ModeDir|0o700 {
		t.Errorf("got %v, %v", got.Mode(), err)
	}
}

func TestOpenDirOfTheRoot(t *testing.T) {
	root := t.TempDir()
	dir, err := safepath.OpenDir(root, dotmesh.RootSubdot)
	check(t, err)
	defer dir.Close()
	got, err := dir.Stat()
	check(t, err)
	want, err := os.Stat(root)
	check(t, err)
	if !os.SameFile(got, want) {
		t.Error("it is another directory")
	}
}

func TestOpenDirRefusesWhatIsNoDirectory(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	check(t, os.Symlink(outside, filepath.Join(root, "link")))
	check(t, os.Symlink(filepath.Join(outside, "new"), filepath.Join(root, "dangling")))
	check(t, os.Symlink(".", filepath.Join(root, "self")))
	check(t, os.Symlink("/proc/self/root", filepath.Join(root, "magic")))
	check(t, os.WriteFile(filepath.Join(root, "file"), nil, 0o600))
	check(t, unix.Mkfifo(filepath.Join(root, "fifo"), 0o600))
	for _, name := range []dotmesh.Subdot{"link", "dangling", "self", "magic", "file", "fifo", "..", ".", "a/b", "/etc", "-o", "x\x00"} {
		dir, err := safepath.OpenDir(root, name)
		if !errors.Is(err, dotmesh.Invalid) {
			t.Errorf("%q: got %v, want it to be invalid", name, err)
		}
		if dir != nil {
			t.Errorf("%q: a directory was opened", name)
		}
	}
	wantEmpty(t, outside)
}

func TestOpenDirRefusesAnotherMount(t *testing.T) {
	root := t.TempDir()
	target := filepath.Join(root, "data")
	check(t, os.Mkdir(target, 0o700))
	check(t, unix.Mount("x", target, "tmpfs", 0, ""))
	t.Cleanup(func() { check(t, unix.Unmount(target, 0)) })
	if _, err := safepath.OpenDir(root, "data"); !errors.Is(err, dotmesh.Invalid) {
		t.Errorf("got %v, want it to be invalid", err)
	}
}

func TestOpenDirRefusesALinkAsRoot(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	check(t, os.Symlink(t.TempDir(), link))
	if _, err := safepath.OpenDir(link, "data"); err == nil {
		t.Error("it was followed")
	}
}

// TestOpenDirStaysInsideUnderARacer: a container swaps the directory with a link that
// leads outside, and takes both away, as fast as it can.
func TestOpenDirStaysInsideUnderARacer(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	path, spare := filepath.Join(root, "data"), filepath.Join(root, "spare")
	escapes := []string{outside, filepath.Join(outside, "new"), "..", "/proc/self/cwd"}
	race(t, func(i int) {
		_ = os.Remove(path)
		_ = os.Remove(spare)
		_ = os.Symlink(escapes[i%len(escapes)], spare)
		_ = os.Mkdir(path, 0o777)
		for range 8 {
			_ = unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, spare, unix.RENAME_EXCHANGE)
		}
	})
	var opened, refused int
	for range 20_000 {
		dir, err := safepath.OpenDir(root, "data")
		if err != nil {
			if kind := dotmesh.KindOf(err); kind != dotmesh.Invalid && kind != dotmesh.Busy {
				t.Fatalf("got %v", err)
			}
			refused++
			continue
		}
		opened++
		wantInside(t, root, dir)
		check(t, dir.Close())
	}
	if opened == 0 || refused == 0 {
		t.Errorf("opened %d times, refused %d times: it was no race", opened, refused)
	}
	wantEmpty(t, outside)
}

// race runs f again and again until the test ends.
func race(t testing.TB, f func(i int)) {
	t.Helper()
	var racer sync.WaitGroup
	stop := make(chan struct{})
	racer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				f(i)
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		racer.Wait()
	})
}

// wantInside asks the kernel where the directory is. It may be gone already, but its last
// name was directly in root.
func wantInside(t testing.TB, root string, dir *os.File) {
	t.Helper()
	name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(dir.Fd())))
	check(t, err)
	if filepath.Dir(name) != root {
		t.Fatalf("%s was opened, which is not in %s", name, root)
	}
}

func wantEmpty(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	if len(entries) != 0 {
		t.Errorf("something was made outside: %v", entries)
	}
}
