//go:build linux

package mounts_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var tmpfs = dotmesh.Device{FSType: "tmpfs", Source: "dotmesh-test", Data: "size=1m"}

// place returns a path to mount at, which is not mounted when the test ends.
func place(t testing.TB) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts file systems: run it as root")
	}
	target := filepath.Join(t.TempDir(), "mnt")
	t.Cleanup(func() { check(t, mounts.Unmount(context.Background(), target)) })
	return target
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mount(t testing.TB, device dotmesh.Device) string {
	t.Helper()
	target := place(t)
	check(t, mounts.Mount(t.Context(), device, target))
	return target
}

func wantKind(t testing.TB, err error, kind dotmesh.Kind, words ...string) {
	t.Helper()
	if dotmesh.KindOf(err) != kind {
		t.Fatalf("got %v, want an error of kind %q", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(dotmesh.Text(err), w) {
			t.Errorf("%q does not say %q", dotmesh.Text(err), w)
		}
	}
}

func only(t testing.TB, target string) mounts.Entry {
	t.Helper()
	list, err := mounts.List(target)
	check(t, err)
	if len(list) != 1 {
		t.Fatalf("got %d mounts at %s, want one: %+v", len(list), target, list)
	}
	return list[0]
}

// child runs a program that holds something until the test ends; it is ready when it has
// written its first line.
func child(t testing.TB, dir, name string, args ...string) (pid int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	t.Cleanup(func() {
		defer cancel()
		in.Close()
		_, _ = io.Copy(io.Discard, out)
		check(t, cmd.Wait())
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%s did not start: %v", name, err)
	}
	return cmd.Process.Pid
}

func TestMountIsSafeByDefault(t *testing.T) {
	target := mount(t, tmpfs)
	got := only(t, target)
	for _, o := range []string{"rw", "nosuid", "nodev", "noatime"} {
		if !strings.Contains(","+got.Options+",", ","+o+",") {
			t.Errorf("options are %q, want %s among them", got.Options, o)
		}
	}
	if got.FSType != "tmpfs" || got.Source != "dotmesh-test" || got.Target != target || got.Root != "/" {
		t.Errorf("got %+v", got)
	}
}

func TestMountTwiceMountsOnce(t *testing.T) {
	target := mount(t, tmpfs)
	check(t, mounts.Mount(t.Context(), tmpfs, target))
	only(t, target)
}

func TestMountReadOnly(t *testing.T) {
	device := tmpfs
	device.ReadOnly = true
	target := mount(t, device)
	if err := os.WriteFile(filepath.Join(target, "x"), nil, 0o600); err == nil {
		t.Error("a file could be written")
	}
	wantKind(t, mounts.Mount(t.Context(), tmpfs, target), dotmesh.Busy)
}

func TestMountRefusesWhatIsInTheWay(t *testing.T) {
	target := mount(t, tmpfs)
	other := tmpfs
	other.Source = "other"
	wantKind(t, mounts.Mount(t.Context(), other, target), dotmesh.Busy, target, "dotmesh-test")
	only(t, target)
}

func TestMountSaysWhatIsWrong(t *testing.T) {
	target := place(t)
	wantKind(t, mounts.Mount(t.Context(), dotmesh.Device{FSType: "nosuchfs", Source: "x"}, target), dotmesh.Unsupported, "nosuchfs")
	wantKind(t, mounts.Mount(t.Context(), dotmesh.Device{FSType: "btrfs", Source: "/dev/nosuchdevice"}, target), dotmesh.NotFound, "/dev/nosuchdevice")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantKind(t, mounts.Mount(ctx, tmpfs, target), dotmesh.Canceled)
	list, err := mounts.List(target)
	check(t, err)
	if len(list) != 0 {
		t.Errorf("mounted all the same: %+v", list)
	}
}

func TestMountPointsMayHaveAnyName(t *testing.T) {
	target := filepath.Join(place(t), "a b\tc\nd\\e#\\040ä")
	t.Cleanup(func() { check(t, mounts.Unmount(context.Background(), target)) })
	check(t, mounts.Mount(t.Context(), tmpfs, target))
	check(t, mounts.Mount(t.Context(), tmpfs, target))
	if got := only(t, target); got.Target != target {
		t.Errorf("got %q, want %q", got.Target, target)
	}
}

func TestMountPointsAreFoundThroughSymbolicLinks(t *testing.T) {
	target := place(t)
	link := filepath.Join(filepath.Dir(target), "link")
	check(t, os.Symlink(filepath.Dir(target), link))
	check(t, mounts.Mount(t.Context(), tmpfs, filepath.Join(link, "mnt")))
	check(t, mounts.Mount(t.Context(), tmpfs, target))
	only(t, target)
	check(t, mounts.Unmount(t.Context(), filepath.Join(link, "mnt")))
	list, err := mounts.List(target)
	check(t, err)
	if len(list) != 0 {
		t.Errorf("still mounted: %+v", list)
	}
}

func TestAtTellsWhatIsMounted(t *testing.T) {
	target := mount(t, tmpfs)
	if got, err := mounts.At(target); err != nil || got == nil || *got != only(t, target) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, path := range []string{filepath.Dir(target), filepath.Join(target, "no", "such")} {
		if got, err := mounts.At(path); err != nil || got != nil {
			t.Errorf("%s: got %+v, %v", path, got, err)
		}
	}
}

func TestUnmountMayBeRepeated(t *testing.T) {
	target := mount(t, tmpfs)
	for range 2 {
		check(t, mounts.Unmount(t.Context(), target))
	}
	check(t, mounts.Unmount(t.Context(), filepath.Join(target, "never", "was")))
}

func TestUnmountNamesWhoIsInTheWay(t *testing.T) {
	for name, command := range map[string][]string{
		"an open file":        {"sh", "-c", "exec 3>held; echo ready; read end || :"},
		"a working directory": {"sh", "-c", "echo ready; read end || :"},
	} {
		t.Run(name, func(t *testing.T) {
			target := mount(t, tmpfs)
			child(t, target, command[0], command[1:]...)
			wantKind(t, mounts.Unmount(t.Context(), target), dotmesh.Busy, "pid ", "(sh)", target)
			only(t, target)
		})
	}
}

func TestUnmountNamesAMountBeneath(t *testing.T) {
	target := mount(t, tmpfs)
	inner := filepath.Join(target, "inner")
	check(t, mounts.Mount(t.Context(), tmpfs, inner))
	t.Cleanup(func() { check(t, mounts.Unmount(context.Background(), inner)) })
	wantKind(t, mounts.Unmount(t.Context(), target), dotmesh.Busy, inner)
}

func TestBindGoesByTheDirectoryAndNotItsName(t *testing.T) {
	source, target := mount(t, tmpfs), place(t)
	dir := filepath.Join(source, "dir")
	check(t, os.Mkdir(dir, 0o700))
	check(t, os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600))
	fd, err := os.Open(dir)
	check(t, err)
	defer fd.Close()
	check(t, os.Rename(dir, dir+"-moved"))
	check(t, os.Symlink("/etc", dir))
	for range 2 {
		check(t, mounts.Bind(t.Context(), fd, target))
	}
	if _, err := os.Stat(filepath.Join(target, "mine")); err != nil {
		t.Error(err)
	}
	if got := only(t, target); !strings.Contains(got.Options, "nosuid,nodev,noatime") || got.Root != "/dir-moved" {
		t.Errorf("got %+v", got)
	}
	other, err := os.Open(source)
	check(t, err)
	defer other.Close()
	wantKind(t, mounts.Bind(t.Context(), other, target), dotmesh.Busy, target)
}

// holders asks for them and keeps those of one process.
func holders(t testing.TB, fs mounts.FS, pid int, own ...string) (of []mounts.Holder) {
	t.Helper()
	all, err := mounts.Holders(t.Context(), fs, own...)
	check(t, err)
	for _, h := range all {
		if h.PID == pid {
			of = append(of, h)
		}
	}
	return of
}

func identify(t testing.TB, path string) mounts.FS {
	t.Helper()
	fs, err := mounts.Identify(path)
	check(t, err)
	return fs
}

func TestHoldersLeaveOutOurOwnMountPoints(t *testing.T) {
	target := mount(t, tmpfs)
	fs := identify(t, target)
	all, err := mounts.Holders(t.Context(), fs)
	check(t, err)
	if len(all) != 1 || all[0].Mount != target {
		t.Errorf("got %+v, want our own mount at %s", all, target)
	}
	all, err = mounts.Holders(t.Context(), fs, target)
	check(t, err)
	if len(all) != 0 {
		t.Errorf("got %+v, want nobody", all)
	}
}

func TestHoldersAreFoundInOtherMountNamespaces(t *testing.T) {
	target := mount(t, tmpfs)
	fs := identify(t, target)
	pid := child(t, "/", "unshare", "--mount", "--propagation", "private", "sh", "-c", "echo ready; read end || :")
	check(t, mounts.Unmount(t.Context(), target))
	got := holders(t, fs, pid)
	if len(got) != 1 || got[0].Mount != target || got[0].Open != "" || got[0].Command != "sh" {
		t.Errorf("got %+v, want sh with a mount at %s", got, target)
	}
	if got := holders(t, fs, pid, target); len(got) != 1 {
		t.Errorf("got %+v: our own mount points are ours in our own namespace only", got)
	}
}

// shared returns a path to mount at whose mounts are copied to namespaces that ask for it.
func shared(t testing.TB) string {
	t.Helper()
	parent := mount(t, tmpfs)
	check(t, unix.Mount("", parent, "", unix.MS_SHARED, ""))
	target := filepath.Join(parent, "mnt")
	t.Cleanup(func() { check(t, mounts.Unmount(context.Background(), target)) })
	return target
}

func TestCopiesInOtherNamespacesGoWithOurMount(t *testing.T) {
	for _, propagation := range []string{"slave", "shared"} {
		t.Run(propagation, func(t *testing.T) {
			target := shared(t)
			pid := child(t, "/", "unshare", "--mount", "--propagation", propagation, "sh", "-c", "echo ready; read end || :")
			check(t, mounts.Mount(t.Context(), tmpfs, target))
			fs := identify(t, target)
			if got := holders(t, fs, pid); len(got) != 1 || got[0].Mount != target || got[0].Open != "" {
				t.Errorf("got %+v, want a copy at %s", got, target)
			}
			if got := holders(t, fs, pid, target); len(got) != 0 {
				t.Errorf("got %+v, though it is a copy of our own", got)
			}
			check(t, mounts.Unmount(t.Context(), target))
			if got := holders(t, fs, pid); len(got) != 0 {
				t.Errorf("got %+v, want nobody", got)
			}
		})
	}
}

func TestACopyThatIsUsedIsNotTakenAway(t *testing.T) {
	target := shared(t)
	check(t, mounts.Mount(t.Context(), tmpfs, target))
	script := "cd " + target + "; exec 3>held; cd /; echo ready; read end || :"
	pid := child(t, "/", "unshare", "--mount", "--propagation", "slave", "sh", "-c", script)
	if got := holders(t, identify(t, target), pid, target); len(got) != 1 || got[0].Open != target+"/held" {
		t.Errorf("got %+v, want the open file", got)
	}
	wantKind(t, mounts.Unmount(t.Context(), target), dotmesh.Busy, "(sh)", "held")
	only(t, target)
}

func TestABindMountInAContainerIsNoCopy(t *testing.T) {
	target, inside := shared(t), t.TempDir()
	check(t, mounts.Mount(t.Context(), tmpfs, target))
	pid := child(t, "/", "unshare", "--mount", "--propagation", "slave", "sh", "-c", "mount --bind "+target+" "+inside+"; echo ready; read end || :")
	if got := holders(t, identify(t, target), pid, target); len(got) != 1 || got[0].Mount != inside {
		t.Errorf("got %+v, want the mount at %s", got, inside)
	}
	fs := identify(t, target)
	check(t, mounts.Unmount(t.Context(), target))
	if got := holders(t, fs, pid); len(got) != 1 || got[0].Mount != inside {
		t.Errorf("got %+v, want the mount at %s still", got, inside)
	}
}

func TestHoldersOfABindMountOfADirectory(t *testing.T) {
	target, bound := mount(t, tmpfs), place(t)
	dir := filepath.Join(target, "sub")
	check(t, os.Mkdir(dir, 0o700))
	fd, err := os.Open(dir)
	check(t, err)
	defer fd.Close()
	check(t, mounts.Bind(t.Context(), fd, bound))
	all, err := mounts.Holders(t.Context(), identify(t, target), target)
	check(t, err)
	var points []string
	for _, h := range all {
		points = append(points, h.Mount+h.Open)
	}
	if got, want := strings.Join(points, " "), bound+" "+dir; got != want {
		t.Errorf("got %q, want the bind mount and our own open directory, %q", got, want)
	}
}

func TestHoldersAreFoundByWhatTheyHold(t *testing.T) {
	for name, test := range map[string]struct{ script, open string }{
		"an open file":        {"exec 3>held; echo ready; read end || :", "/held"},
		"a deleted open file": {"exec 3>held; rm held; echo ready; read end || :", "/held (deleted)"},
		"a working directory": {"echo ready; read end || :", ""},
		"the program itself":  {"cp /bin/sh prog; cd /; exec $OLDPWD/prog -c 'echo ready; read end || :'", "/prog"},
		"an open directory":   {"exec 3<.; cd /; echo ready; read end || :", ""},
	} {
		t.Run(name, func(t *testing.T) {
			target := mount(t, tmpfs)
			pid := child(t, target, "sh", "-c", test.script)
			got := holders(t, identify(t, target), pid)
			if len(got) != 1 || got[0].Open != target+test.open || got[0].Mount != "" {
				t.Errorf("got %+v, want %s", got, target+test.open)
			}
		})
	}
}

func TestHoldersAreFoundByAMappedFile(t *testing.T) {
	target := mount(t, tmpfs)
	file := filepath.Join(target, "mapped")
	check(t, os.WriteFile(file, []byte("x"), 0o600))
	f, err := os.Open(file)
	check(t, err)
	memory, err := unix.Mmap(int(f.Fd()), 0, 1, unix.PROT_READ, unix.MAP_SHARED)
	check(t, err)
	check(t, f.Close())
	defer func() { check(t, unix.Munmap(memory)) }()
	got := holders(t, identify(t, target), os.Getpid(), target)
	if len(got) != 1 || got[0].Open != file {
		t.Errorf("got %+v, want %s", got, file)
	}
	wantKind(t, mounts.Unmount(t.Context(), target), dotmesh.Busy, file)
}

func TestHoldersGiveUpWithTheCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := mounts.Holders(ctx, mounts.FS{})
	wantKind(t, err, dotmesh.Canceled)
}

func TestHoldersBearProcessesThatVanish(t *testing.T) {
	target := mount(t, tmpfs)
	fs := identify(t, target)
	child(t, "/", "sh", "-c", "echo ready; while ! read -t 0 x 2>/dev/null; do /bin/true; [ $((i=i+1)) -lt 2000 ] || break; done; read end || :")
	for range 20 {
		all, err := mounts.Holders(t.Context(), fs, target)
		check(t, err)
		if len(all) != 0 {
			t.Fatalf("got %+v, want nobody", all)
		}
	}
}

func BenchmarkHolders(b *testing.B) {
	fs, err := mounts.Identify("/proc")
	check(b, err)
	for b.Loop() {
		if _, err := mounts.Holders(b.Context(), fs); err != nil {
			b.Fatal(err)
		}
	}
}
