package etcdstate_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/etcdstate"
)

func TestEtcdListensOnItsSocketOnly(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	info, err := os.Stat(e.socket())
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("socket: %v, %v; want mode 0600", info.Mode(), err)
	}
	if info, err := os.Stat(e.dataDir()); err != nil || info.Mode() != os.ModeDir|0o700 {
		t.Errorf("data directory: %v, %v; want mode 0700", info.Mode(), err)
	}
	mine := map[string]bool{}
	fds := fmt.Sprintf("/proc/%d/fd", e.cmd.Process.Pid)
	entries, err := os.ReadDir(fds)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if link, err := os.Readlink(filepath.Join(fds, entry.Name())); err == nil {
			mine[strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		file, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", e.cmd.Process.Pid, table))
		if err != nil {
			continue // a kernel without IPv6
		}
		for lines := bufio.NewScanner(file); lines.Scan(); {
			if fields := strings.Fields(lines.Text()); len(fields) > 9 && mine[fields[9]] {
				t.Errorf("etcd has a %s socket: %s", table, lines.Text())
			}
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestASecondEtcdIsRefused(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	err := etcdstate.Serve(t.Context(), etcdstate.ServeConfig{DataDir: e.dataDir(), Socket: e.socket() + "2"})
	if dotmesh.KindOf(err) != dotmesh.Busy || !strings.Contains(dotmesh.Text(err), fmt.Sprint(e.cmd.Process.Pid)) {
		t.Errorf("Serve = %v, want one of kind %q that names process %d", err, dotmesh.Busy, e.cmd.Process.Pid)
	}
}

// holder returns the process that works on a data directory, 0 if none does.
func holder(t *testing.T, dataDir string) int {
	t.Helper()
	file, err := os.Open(dataDir + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &lock); err != nil {
		t.Fatal(err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0
	}
	return int(lock.Pid)
}

// gone waits until a process has ended, and fails the test if it does not.
func gone(t *testing.T, pid int) {
	t.Helper()
	process, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(process)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		fds := []unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 1000); n > 0 {
			return
		} else if err != nil && err != unix.EINTR {
			t.Fatal(err)
		}
	}
	t.Fatalf("process %d has not ended", pid)
}

// supervised runs Supervise until the test ends; ready gets each time the child serves.
func supervised(t *testing.T, dir string) (ready chan struct{}, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready = make(chan struct{}, 10)
	ended := make(chan error, 1)
	go func() {
		ended <- etcdstate.Supervise(ctx, etcdstate.SuperviseConfig{
			Executable: os.Args[0], DataDir: dir + "/data", Socket: dir + "/etcd.sock",
			Stderr: io.Discard, Ready: func() { ready <- struct{}{} },
		})
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Supervise: %v", err)
		}
	}
	t.Cleanup(stop)
	return ready, stop
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAKilledChildIsStartedAgainAndStoppedAtTheEnd(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	ready, stop := supervised(t, dir)
	<-ready
	first := holder(t, dir+"/data")
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-ready
	second := holder(t, dir+"/data")
	if second == 0 || second == first {
		t.Errorf("process %d serves after %d was killed", second, first)
	}
	if group, err := syscall.Getpgid(second); err != nil || group != second {
		t.Errorf("process group = %d, %v; want one of the child's own", group, err)
	}
	stop()
	if pid := holder(t, dir+"/data"); pid != 0 {
		t.Errorf("process %d is left", pid)
	}
}

func TestALeftOverChildIsEnded(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	left := e.cmd.Process.Pid
	ended := make(chan error, 1)
	go func() { ended <- e.cmd.Wait() }()
	ready, stop := supervised(t, e.dir)
	<-ready
	<-ended
	if pid := holder(t, e.dataDir()); pid == left || pid == 0 {
		t.Errorf("process %d serves, want one that is not %d", pid, left)
	}
	stop()
}

func TestAChildEndsWithItsKilledParent(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	cmd := exec.Command(os.Args[0], "supervise", dir+"/data", dir+"/etcd.sock")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, new(string)); err != nil {
		t.Errorf("not ready: %v", err)
	}
	child := holder(t, dir+"/data")
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := ignoreExit(cmd.Wait()); err != nil {
		t.Error(err)
	}
	if child == 0 {
		t.Fatal("no child served")
	}
	gone(t, child)
}

func TestAChildThatCannotStartIsTriedAgain(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	err := etcdstate.Supervise(ctx, etcdstate.SuperviseConfig{
		Executable: dir + "/absent", DataDir: dir + "/data", Socket: dir + "/etcd.sock",
	})
	if err != nil || ctx.Err() == nil {
		t.Errorf("Supervise = %v before its context ended, want it to go on until then", err)
	}
}
