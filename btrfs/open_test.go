//go:build linux

package btrfs_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
	"dotmesh.io/dotmesh/internal/mounts"
)

// TestMain also is the other process of the tests that need one: see startChild.
func TestMain(m *testing.M) {
	if task := os.Getenv("DOTMESH_TEST_CHILD"); task != "" {
		os.Exit(runChild(task, os.Getenv("DOTMESH_TEST_POOL")))
	}
	goleak.VerifyTestMain(m)
}

// childLine is the line that a child makes.
var childLine = dotmesh.LineID{UUID: dotmesh.UUID{1}.Derive("line")}

// errRetried is what a task returns that failed at first.
var errRetried = errors.New("retried")

// tasks are what a child can do beside opening the pool.
var tasks = map[string]func(context.Context, dotmesh.Store) error{
	"work": work, "work in head": workInHead, "fork": fork, "story": tellStory, "retries": retryAll, "receive": receiveFile,
}

// runChild does a task in a process of its own, and prints one line when it has.
func runChild(task, pool string) int {
	ctx := context.Background()
	s, err := btrfs.Open(ctx, btrfs.Config{File: pool, Size: poolSize})
	if err == nil && tasks[task] != nil {
		err = tasks[task](ctx, s)
	}
	if errors.Is(err, errRetried) {
		fmt.Println("retried")
		return 0
	}
	if err != nil {
		fmt.Println("failed:", dotmesh.KindOf(err), err)
		return 1
	}
	fmt.Println("ready")
	if _, err := io.ReadAll(os.Stdin); err != nil { // until it is killed, or its parent is gone
		return 1
	}
	return 0
}

// fork makes an empty line.
func fork(ctx context.Context, s dotmesh.Store) error {
	return s.Fork(ctx, childLine, dotmesh.Origin{})
}

// work makes a line with a commit.
func work(ctx context.Context, s dotmesh.Store) error {
	if err := fork(ctx, s); err != nil {
		return err
	}
	request := dotmesh.SnapRequest{Line: childLine, Commit: dotmesh.CommitID{UUID: dotmesh.UUID{2}}, Meta: []byte("m")}
	return s.Snapshot(ctx, []dotmesh.SnapRequest{request})[0].Err
}

// workInHead makes a commit with a file.
func workInHead(ctx context.Context, s dotmesh.Store) error {
	if err := fork(ctx, s); err != nil {
		return err
	}
	d, err := s.Live(ctx, childLine)
	if err != nil {
		return err
	}
	dir := filepath.Dir(os.Getenv("DOTMESH_TEST_POOL"))
	err = mounts.Mount(ctx, d, dir) // seen by this process only
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o600)
	}
	if err != nil {
		return err
	}
	return work(ctx, s)
}

// startChild runs a task in a mount namespace of its own, and returns what it printed.
func startChild(t *testing.T, task, pool string, env ...string) (said string, kill func()) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(append(os.Environ(), "DOTMESH_TEST_CHILD="+task, "DOTMESH_TEST_POOL="+pool), env...)
	c.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	c.Stderr = os.Stderr
	stdin, err1 := c.StdinPipe()
	stdout, err2 := c.StdoutPipe()
	if err := errors.Join(err1, err2, c.Start()); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		_ = c.Process.Kill() // it may be dead already
		_ = c.Wait()
		_ = stdin.Close()
	}
	t.Cleanup(kill)
	said, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return said, kill
}

func TestASecondProcessInAnotherMountNamespaceIsRefused(t *testing.T) {
	s := newStore(t)
	said, _ := startChild(t, "open", s.file)
	if !strings.Contains(said, "failed: busy") {
		t.Errorf("the second process said %q, want busy", said)
	}
	if _, err := btrfs.Open(t.Context(), btrfs.Config{File: s.file, Size: poolSize}); !errors.Is(err, dotmesh.Busy) {
		t.Errorf("in the same process: %v, want Busy", err)
	}
}

func TestAPoolIsFoundAgainAfterItsProcessWasKilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pool")
	said, kill := startChild(t, "work", file)
	if said != "ready\n" {
		t.Fatal(said)
	}
	kill()
	waitDetached(t, file)
	s := open(t, btrfs.Config{File: file, Size: poolSize})
	info, err := s.Line(t.Context(), childLine)
	if err != nil || len(info.Commits) != 1 || string(info.Commits[0].Meta) != "m" {
		t.Errorf("line = %+v, %v", info, err)
	}
}

func TestCommitsAreMadeWithoutTheRightToOpenFilesByNumber(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread ends with its test, and the child is started by it
	if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_DAC_READ_SEARCH, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if said, _ := startChild(t, "work in head", filepath.Join(t.TempDir(), "pool")); said != "ready\n" {
		t.Error(said)
	}
}

func TestAKilledProcessLeavesMountsThatTheNextOneShares(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pool")
	said, kill := startChild(t, "work", file)
	if said != "ready\n" {
		t.Fatal(said)
	}
	// What the child has mounted for a container outlives it.
	device := loopDevice(t, file)
	dir := t.TempDir()
	d := dotmesh.Device{FSType: "btrfs", Source: device, Data: "subvol=/lines/" + childLine.String() + "/live"}
	if err := mounts.Mount(t.Context(), d, dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mounts.Unmount(context.WithoutCancel(t.Context()), dir); err != nil {
			t.Error(err)
		}
	})
	kill()
	s := open(t, btrfs.Config{File: file, Size: poolSize})
	if got := loopDevice(t, file); got != device {
		t.Errorf("the pool is on %s now, was on %s", got, device)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("still here"), 0o644); err != nil {
		t.Fatal(err)
	}
	u, err := s.Usage(t.Context(), childLine, dotmesh.Ref{}, true)
	if err != nil || u.Dirty.Bytes == 0 {
		t.Errorf("usage = %+v, %v, want what the container wrote", u, err)
	}
	if err := s.Destroy(t.Context(), childLine); !errors.Is(err, dotmesh.Busy) {
		t.Errorf("destroy = %v, want Busy", err)
	}
}

func TestAClosedPoolLeavesNothingBehind(t *testing.T) {
	s := newStore(t)
	if err := work(t.Context(), s.Store); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	waitDetached(t, s.file)
	info, err := os.Stat(s.file)
	if err != nil || info.Mode().Perm() != 0o600 || info.Size() != poolSize {
		t.Errorf("file = %v, %v", info, err)
	}
	s2 := open(t, btrfs.Config{File: s.file, Size: poolSize * 2})
	if _, err := s2.Line(t.Context(), childLine); err != nil {
		t.Error(err)
	}
}

// backing returns the loop devices that a file backs.
func backing(t testing.TB, file string) []string {
	t.Helper()
	paths, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	var devices []string
	for _, p := range paths {
		content, err := os.ReadFile(p)
		if err == nil && strings.TrimSpace(string(content)) == file {
			devices = append(devices, "/dev/"+strings.Split(p, "/")[3])
		}
	}
	return devices
}

func loopDevice(t testing.TB, file string) string {
	t.Helper()
	devices := backing(t, file)
	if len(devices) != 1 {
		t.Fatalf("%s backs %v, want one device", file, devices)
	}
	return devices[0]
}

// waitDetached waits until the kernel has let go of a file.
func waitDetached(t *testing.T, file string) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(backing(t, file)) > 0 {
		select {
		case <-deadline.C:
			t.Fatalf("%s still backs %v", file, backing(t, file))
		case <-tick.C:
		}
	}
}

func TestWhatIsNoPoolIsRefused(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign")
	if err := os.WriteFile(foreign, []byte(strings.Repeat("precious data", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		config btrfs.Config
		kind   dotmesh.Kind
	}{
		"neither":         {btrfs.Config{}, dotmesh.Invalid},
		"both":            {btrfs.Config{Dir: dir, File: foreign}, dotmesh.Invalid},
		"too small":       {btrfs.Config{File: filepath.Join(dir, "small"), Size: 1 << 20}, dotmesh.Invalid},
		"not btrfs":       {btrfs.Config{Dir: dir}, dotmesh.Unsupported},
		"somebody's file": {btrfs.Config{File: foreign, Size: poolSize}, dotmesh.Exists},
		"no such place":   {btrfs.Config{Dir: filepath.Join(dir, "absent")}, dotmesh.NotFound},
	} {
		if s, err := btrfs.Open(t.Context(), test.config); !errors.Is(err, test.kind) || dotmesh.Text(err) == "" {
			t.Errorf("%s: %v, %v, want %s", name, s, err, test.kind)
		}
	}
	content, err := os.ReadFile(foreign)
	if err != nil || !strings.HasPrefix(string(content), "precious data") {
		t.Errorf("somebody's file was touched: %v", err)
	}
	if s, err := btrfs.Open(t.Context(), btrfs.Config{File: filepath.Join(dir, "small"), Size: poolSize}); err != nil {
		t.Errorf("after a refusal: %v", err)
	} else if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestAHalfMadeFileIsMadeAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pool")
	half := make([]byte, 1<<20)
	copy(half[64<<10+64:], "!BHRfS_M") // as mkfs.btrfs leaves it when it is killed
	if err := os.WriteFile(file, half, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, btrfs.Config{File: file, Size: poolSize})
}

// mountPool mounts a whole file system of its own and returns where.
func mountPool(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(file)
	if err == nil {
		err = errors.Join(f.Truncate(poolSize), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{{"mkfs.btrfs", "-q", file}, {"mount", "-o", "loop", file, dir}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", argv, err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestADirectoryOfAMountedFileSystemIsAPool(t *testing.T) {
	dir := filepath.Join(mountPool(t), "data", "dotmesh")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, btrfs.Config{Dir: dir})
	if _, err := btrfs.Open(t.Context(), btrfs.Config{Dir: dir}); !errors.Is(err, dotmesh.Busy) {
		t.Errorf("a second time: %v, want Busy", err)
	}
	if err := work(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	d, err := s.Live(t.Context(), childLine)
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	if err := mounts.Mount(t.Context(), d, target); err != nil {
		t.Fatal(err)
	}
	if err := s.Destroy(t.Context(), childLine); !errors.Is(err, dotmesh.Busy) {
		t.Errorf("while mounted: %v, want Busy", err)
	}
	if err := mounts.Unmount(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	if err := s.Destroy(t.Context(), childLine); err != nil {
		t.Error(err)
	}
}

// TestTheLineageOfWhatIsGoneIsForgotten: it is kept for what descends from it, and a start
// finds what nothing descends from any more.
func TestTheLineageOfWhatIsGoneIsForgotten(t *testing.T) {
	c := btrfs.Config{File: filepath.Join(t.TempDir(), "pool"), Size: poolSize}
	kept := func(s *btrfs.Store) (n int) {
		err := s.KV().View(func(r dotmesh.KVReader) error {
			for range r.Scan("store/lineage") {
				n++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	s := open(t, c)
	if err := work(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(t.Context(), childLine, []dotmesh.CommitID{{UUID: dotmesh.UUID{2}}}); err != nil {
		t.Fatal(err)
	}
	if n := kept(s); n != 1 {
		t.Errorf("%d lineages are kept of one commit that was dropped", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := kept(open(t, c)); n != 0 {
		t.Errorf("%d lineages are still kept", n)
	}
}
