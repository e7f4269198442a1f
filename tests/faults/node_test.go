//go:build failpoints

package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"dotmesh.io/dotmesh/server/api"
)

// patience is how long anything is waited for that should happen by itself.
const patience = 2 * time.Minute

// node is a dotmesh-server that is started, killed and started again in one place.
type node struct {
	*testing.T
	*bench
	*api.Client
	dir   string
	args  []string // of the server, besides the usual ones
	env   []string // of the server, besides the usual ones
	cmd   *exec.Cmd
	ended chan struct{}               // closed when the process has ended
	heard int64                       // where the log of the present process begins
	words map[dotmesh.CommitID]string // what commits hold, as read from the present process
	dots  int                         // how many were made
	arms  int                         // how often it was armed
	seen  int                         // where the points of the present arming begin
}

// node returns one that has not been started. Nothing is left of it when the test ends.
func (b *bench) node(t *testing.T) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", "df") // short: sockets have short paths
	if err != nil {
		t.Fatal(err)
	}
	n := &node{T: t, bench: b, dir: dir}
	if n.Client, err = api.NewClient(api.Remote{URL: "unix://" + n.path("dm.sock")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.remove)
	n.makePool()
	n.arm("")
	return n
}

func (n *node) path(parts ...string) string {
	return filepath.Join(append([]string{n.dir}, parts...)...)
}

// arm says what happens at which failpoint from now on, and forgets which were reached.
func (n *node) arm(points string) {
	n.Helper()
	next := n.path("armed.new")
	n.arms++ // the text differs from the one before, so that counting begins anew
	err := os.WriteFile(next, []byte(points+strings.Repeat(";", n.arms%2)), 0o600)
	n.must(errors.Join(err, os.Rename(next, n.path("armed"))))
	n.seen = len(n.points())
}

// points are the names of all failpoints that were reached, in their order.
func (n *node) points() []byte {
	n.Helper()
	text, err := os.ReadFile(n.pointsFile())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		n.Fatal(err)
	}
	return text
}

func (n *node) pointsFile() string { return filepath.Join(n.bench.points, filepath.Base(n.dir)) }

// reached are the failpoints that were reached since arm, in their order.
func (n *node) reached() []string {
	n.Helper()
	return strings.Fields(string(n.points()[n.seen:]))
}

func (n *node) arguments() []string {
	return append([]string{
		"--data-dir", n.path("data"), "--socket", n.path("dm.sock"), "--listen", "",
		"--storage", n.storage(), "--pool-size", "256M", "--node-name", "one",
	}, n.args...)
}

// said reports whether the server has logged something since it was launched.
func (n *node) said(what string) bool {
	n.Helper()
	text, err := os.ReadFile(n.path("log"))
	n.must(err)
	return bytes.Contains(text[n.heard:], []byte(what))
}

// launch starts the server and does not wait for it.
func (n *node) launch() {
	n.Helper()
	n.cmd = exec.Command(n.program, n.arguments()...)
	log, err := os.OpenFile(n.path("log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	n.must(err)
	defer log.Close()
	n.heard, err = log.Seek(0, io.SeekEnd)
	n.must(err)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	n.cmd.Env = append(append(os.Environ(), "DOTMESH_FAILPOINTS=@"+n.path("armed"), "DOTMESH_FAILPOINTS_LOG="+n.pointsFile()), n.env...)
	n.ended = n.run(n.cmd)
	n.words = map[dotmesh.CommitID]string{}
}

// run starts a process that ends with the tests, and returns what is closed when it has.
func (n *node) run(cmd *exec.Cmd) (ended chan struct{}) {
	n.Helper()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the kernel takes the thread's end for the tests'
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // whoever wants to know looks at the process's state
		}
	}()
	n.must(<-started)
	return ended
}

// start starts the server and returns when it is ready.
func (n *node) start() {
	n.Helper()
	n.launch()
	n.await("the server is ready", func() bool {
		if n.isOver() {
			n.Fatalf("the server ended instead of starting: %v", n.cmd.ProcessState)
		}
		return n.ready()
	})
}

// isOver reports whether the server has ended.
func (n *node) isOver() bool {
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}

// ready asks the server at its socket.
func (n *node) ready() bool {
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", n.path("dm.sock"))
		},
	}}
	response, err := client.Get("http://localhost/check")
	if err != nil {
		return false
	}
	return errors.Join(response.Body.Close()) == nil && response.StatusCode == http.StatusOK
}

// await returns when done says so. It looks often: everything here is a matter of
// milliseconds, and nothing tells when it has happened.
func (n *node) await(what string, done func() bool) {
	n.Helper()
	deadline := time.Now().Add(patience)
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !done() {
		if time.Now().After(deadline) {
			n.Fatalf("waited in vain until %s", what)
		}
		<-again.C
	}
}

// wait returns how the server ended.
func (n *node) wait() *os.ProcessState {
	n.Helper()
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.Fatal("the server does not end")
	}
	n.Close() // its connections
	return n.cmd.ProcessState
}

// died checks that the server was killed.
func (n *node) died() {
	n.Helper()
	if status := n.wait().Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		n.Fatalf("the server ended with %v, not by a kill", n.cmd.ProcessState)
	}
}

// kill ends the server as a crash does.
func (n *node) kill() {
	n.Helper()
	n.must(n.cmd.Process.Kill())
	n.died()
}

// stop ends the server as an administrator does.
func (n *node) stop() {
	n.Helper()
	n.must(n.cmd.Process.Signal(syscall.SIGTERM))
	if state := n.wait(); !state.Success() {
		n.Errorf("the server was told to stop and ended with %v", state)
	}
}

func (n *node) restart() {
	n.Helper()
	n.stop()
	n.start()
}

// etcd returns the process id of the server's etcd, 0 if there is none.
func (n *node) etcd() int {
	n.Helper()
	for pid, line := range n.processes() {
		if slices.Contains(line, "etcd") {
			return pid
		}
	}
	return 0
}

// processes are those that were told of the node's folder, with their command lines.
func (n *node) processes() map[int][]string {
	n.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	n.must(err)
	all := map[int][]string{}
	for _, path := range files {
		line, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(line, []byte(n.dir+"/")) {
			continue // it has just ended, or is not ours
		}
		pid, err := strconv.Atoi(strings.Split(path, "/")[2])
		n.must(err)
		all[pid] = strings.Split(string(line), "\x00")
	}
	return all
}

// remove takes the node away and reports what is left of it.
func (n *node) remove() {
	if n.Failed() {
		n.lastWords()
	}
	if n.cmd != nil && !n.isOver() {
		n.stop()
	}
	n.unmount()
	n.removePool()
	var left []string
	defer func() {
		if len(left) > 0 {
			n.Errorf("left behind: %q", left)
		}
	}()
	n.await("nothing is left of the node", func() bool { left = n.leftovers(); return len(left) == 0 })
	n.must(os.RemoveAll(n.dir))
}

func (n *node) lastWords() {
	const most = 40
	text, err := os.ReadFile(n.path("log"))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	n.Logf("the server's last words: %v\n%s", err, strings.Join(lines[max(0, len(lines)-most):], "\n"))
}

// unmount takes away what is mounted in the node's folder, the innermost first.
func (n *node) unmount() {
	entries, err := mounts.List(n.dir)
	for _, e := range slices.Backward(entries) {
		err = errors.Join(err, mounts.Unmount(context.Background(), e.Target))
	}
	if err != nil {
		n.Error(err)
	}
}

// leftovers names what of the node is still there.
func (n *node) leftovers() (left []string) {
	for pid, line := range n.processes() {
		left = append(left, fmt.Sprintf("process %d: %v", pid, line))
	}
	entries, err := mounts.List(n.dir)
	n.must(err)
	for _, e := range entries {
		left = append(left, "mount "+e.Target)
	}
	return append(left, n.poolLeft()...)
}

func (n *node) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}
