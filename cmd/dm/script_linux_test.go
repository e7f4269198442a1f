package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
)

// How long a server may take to be ready, and to end.
const (
	startWait = time.Minute
	stopWait  = 30 * time.Second
)

// TestScripts runs the scripts of tests/script: each with a server of its own on a new
// btrfs pool, which dm reaches by DM_HOST, and with a home of its own. $TCP is the
// server's loopback address and $DATA its data directory. Beside testscript's commands
// there are
//
//	exits CODE COMMAND...     run a command that ends with that exit code
//	terminal COMMAND...       run a command whose standard output is a terminal
//	server stop|kill|start    end the server, or start it again
func TestScripts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("the scripts mount file systems: run them as root")
	}
	program := filepath.Join(t.TempDir(), "dotmesh-server")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../dotmesh-server").CombinedOutput(); err != nil {
		t.Fatalf("build dotmesh-server: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "../../tests/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(e *testscript.Env) error { return setup(e, program) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"terminal": terminal,
			"server":   control,
		},
	})
}

// node is a script's server.
type node struct {
	program, data, socket, tcp string

	process *exec.Cmd
	log     bytes.Buffer
	ended   chan error
}

type nodeKey struct{}

func setup(e *testscript.Env, program string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	n := &node{
		program: program, data: filepath.Join(e.WorkDir, ".data"),
		socket: filepath.Join(e.WorkDir, ".dm.sock"), tcp: "127.0.0.1:" + strconv.Itoa(port),
	}
	home := filepath.Join(e.WorkDir, ".home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	e.Setenv("HOME", home)
	e.Setenv("TZ", "UTC")
	e.Setenv("GORACE", "atexit_sleep_ms=0") // with -race each dm would wait for a second at its end
	e.Setenv("DM_HOST", "unix://"+n.socket)
	e.Setenv("SOCKET", n.socket)
	e.Setenv("TCP", n.tcp)
	e.Setenv("DATA", n.data)
	e.Values[nodeKey{}] = n
	e.Defer(func() {
		if err := errors.Join(n.stop(syscall.SIGTERM), unmountBelow(n.data)); err != nil {
			e.T().Fatal(err, n.log.String())
		}
	})
	return n.start()
}

// freePort returns a port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// start returns when the server says that it is ready.
func (n *node) start() error {
	n.process = exec.Command(n.program, "--data-dir", n.data, "--socket", n.socket, "--listen", n.tcp,
		"--storage", "btrfs-file:"+filepath.Join(n.data, "pool"), "--pool-size", "1G", "--node-name", "node-1")
	talk, err := n.process.StderrPipe()
	if err != nil {
		return err
	}
	if err := n.process.Start(); err != nil {
		return err
	}
	ready := make(chan struct{})
	n.ended = make(chan error, 1)
	go func() {
		n.follow(talk, ready)
		n.ended <- n.process.Wait()
	}()
	select {
	case <-ready:
		return nil
	case err := <-n.ended:
		n.process = nil
		return fmt.Errorf("the server ended: %w\n%s", err, n.log.String())
	case <-time.After(startWait):
		err := n.stop(syscall.SIGKILL)
		return errors.Join(fmt.Errorf("the server was not ready after %v\n%s", startWait, n.log.String()), err)
	}
}

// follow keeps the server's log and closes ready when it says so.
func (n *node) follow(talk io.Reader, ready chan struct{}) {
	for lines := bufio.NewScanner(talk); lines.Scan(); {
		n.log.WriteString(lines.Text() + "\n")
		if ready != nil && strings.Contains(lines.Text(), "msg=ready") {
			close(ready)
			ready = nil
		}
	}
}

// stop ends the server and waits for that.
func (n *node) stop(signal os.Signal) error {
	if n.process == nil {
		return nil
	}
	defer func() { n.process = nil }()
	if err := n.process.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case err := <-n.ended:
		if signal == syscall.SIGTERM && err != nil {
			return fmt.Errorf("the server did not stop well: %w", err)
		}
		return nil
	case <-time.After(stopWait):
		return errors.Join(fmt.Errorf("the server does not end"), n.process.Process.Kill(), <-n.ended)
	}
}

// unmountBelow undoes the mounts that a server leaves for its containers, the newest first.
func unmountBelow(folder string) error {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		if point := strings.Fields(line)[4]; strings.HasPrefix(point, folder+"/") {
			err = errors.Join(err, syscall.Unmount(point, 0))
		}
	}
	return err
}

func control(ts *testscript.TestScript, neg bool, args []string) {
	n := ts.Value(nodeKey{}).(*node)
	if neg || len(args) != 1 {
		ts.Fatalf("usage: server stop|kill|start")
	}
	switch args[0] {
	case "start":
		ts.Check(n.start())
	case "stop":
		ts.Check(n.stop(syscall.SIGTERM))
	case "kill":
		ts.Check(n.stop(syscall.SIGKILL))
	default:
		ts.Fatalf("usage: server stop|kill|start")
	}
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if args[0] != strconv.Itoa(code) {
		ts.Fatalf("%s exits with %d, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

// terminal runs a command with a terminal as its standard output and hands on what that
// was sent.
func terminal(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: terminal COMMAND...")
	}
	program, err := exec.LookPath(args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "TZ", "DM_HOST", "NO_COLOR", "PATH", "GORACE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	cmd.Env = append(cmd.Env, "TERM=xterm")
	screen, tty, err := pty.Open()
	ts.Check(err)
	defer screen.Close()
	cmd.Stdout = tty
	ts.Check(cmd.Start())
	ts.Check(tty.Close())
	sent, err := io.ReadAll(screen)
	if !errors.Is(err, syscall.EIO) { // which is how a terminal ends whose other side is closed
		ts.Check(err)
	}
	ts.Check(cmd.Wait())
	_, err = ts.Stdout().Write(sent)
	ts.Check(err)
}
