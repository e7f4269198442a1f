package tui_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"dotmesh.io/dotmesh/server/api"
)

// node is a dotmesh-server that is started, killed and started again in one place.
type node struct {
	*testing.T
	*api.Client
	dir   string
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

// newNode starts one. Nothing is left of it when the test ends.
func newNode(t *testing.T) *node {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("mounting needs root: run the tests as root")
	}
	dir, err := os.MkdirTemp("", "dt")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{T: t, dir: dir}
	if n.Client, err = api.NewClient(api.Remote{URL: n.url()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.remove)
	n.start()
	return n
}

func (n *node) path(parts ...string) string {
	return filepath.Join(append([]string{n.dir}, parts...)...)
}

func (n *node) url() string { return "unix://" + n.path("dm.sock") }

// start returns when the server is ready.
func (n *node) start() {
	n.Helper()
	n.cmd = exec.Command(program(n.T, "dotmesh-server"),
		"--data-dir", n.path("data"), "--socket", n.path("dm.sock"), "--listen", "",
		"--storage", "btrfs-file:"+n.path("pool"), "--pool-size", "256M", "--node-name", "one")
	log, err := os.OpenFile(n.path("log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	n.must(err)
	defer log.Close()
	n.cmd.Stdout, n.cmd.Stderr = log, log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error, 1), make(chan struct{})
	n.ended = ended
	cmd := n.cmd
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
	n.true("the server is ready", func() bool {
		select {
		case <-ended:
			n.Fatalf("the server ended instead of starting: %v", cmd.ProcessState)
		default:
		}
		return n.ready()
	})
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
	return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

// end sends the server a signal and waits for its end.
func (n *node) end(signal syscall.Signal) {
	n.Helper()
	n.must(n.cmd.Process.Signal(signal))
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.Fatal("the server does not end")
	}
	n.Close() // its connections
}

// remove takes the node away and reports what is left of it.
func (n *node) remove() {
	if n.Failed() {
		const most = 30
		text, err := os.ReadFile(n.path("log"))
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		n.Logf("the server's last words: %v\n%s", err, strings.Join(lines[max(0, len(lines)-most):], "\n"))
	}
	if n.cmd != nil && n.cmd.ProcessState == nil {
		n.end(syscall.SIGTERM)
	}
	n.Close()
	entries, err := mounts.List(n.dir)
	for _, e := range slices.Backward(entries) {
		err = errors.Join(err, mounts.Unmount(context.Background(), e.Target))
	}
	n.must(err)
	var left []string
	if !await(patience, func() bool { left = n.leftovers(); return len(left) == 0 }) {
		n.Errorf("left behind: %q", left)
	}
	n.must(os.RemoveAll(n.dir))
}

// leftovers names what of the node is still there.
func (n *node) leftovers() (left []string) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	n.must(err)
	for _, path := range lines {
		if line, err := os.ReadFile(path); err == nil && strings.Contains(string(line), n.dir+"/") {
			left = append(left, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	n.must(err)
	for _, path := range files {
		if file, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(file), n.dir+"/") {
			left = append(left, path)
		}
	}
	return left
}

// dm runs a command line and returns what it prints.
func (n *node) dm(args ...string) string {
	n.Helper()
	cmd := exec.Command(program(n.T, "dm"), args...)
	cmd.Env = environment(n.T, "DM_HOST="+n.url())
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.Fatalf("dm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// open opens a program of ours on the node in a terminal.
func (n *node) open(width, height int, args ...string) *terminal {
	n.Helper()
	return open(n.T, width, height, environment(n.T, "DM_HOST="+n.url()), append([]string{program(n.T, "dm")}, args...)...)
}

// true waits until something is true.
func (n *node) true(what string, is func() bool) {
	n.Helper()
	if !await(patience, is) {
		n.Fatalf("waited in vain until %s", what)
	}
}

func name(dot string) dotmesh.DotName {
	return dotmesh.DotName{Namespace: "admin", Name: dotmesh.Name(dot)}
}

// dot asks the server what is true of a dot.
func (n *node) dot(dot string) dotmesh.DotDetail {
	n.Helper()
	d, err := n.Dot(n.Context(), name(dot))
	n.must(err)
	return d
}

// commits are the newest ones of a dot's current branch.
func (n *node) commits(dot string) []dotmesh.Commit {
	n.Helper()
	page, err := n.Log(n.Context(), dotmesh.LogRequest{Dot: name(dot), Limit: 50})
	n.must(err)
	return page.Commits
}

// branch returns a branch of a dot, nil if there is none of that name.
func (n *node) branch(dot, branch string) *dotmesh.BranchStatus {
	n.Helper()
	d := n.dot(dot)
	for i := range d.All {
		if string(d.All[i].Name) == branch {
			return &d.All[i]
		}
	}
	return nil
}

// refuses checks that a call was refused, and returns the server's words as far as a line
// of the screen shows them for certain.
func (n *node) refuses(err error, kind dotmesh.Kind) string {
	n.Helper()
	if err == nil || dotmesh.KindOf(err) != kind {
		n.Fatalf("the server says %v, want %s", err, kind)
	}
	words := dotmesh.Text(err)
	return words[:min(len(words), 50)]
}

func (n *node) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(fmt.Errorf("the test cannot go on: %w", err))
	}
}
