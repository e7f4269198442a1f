package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"

	"dotmesh.io/dotmesh/tests/daemon"
)

// startWait is how long a server may take to be ready.
const startWait = time.Minute

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

type nodeKey struct{}

func setup(e *testscript.Env, program string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	n := &daemon.Daemon{Program: program, Dir: filepath.Join(e.WorkDir, ".node")}
	tcp := "127.0.0.1:" + strconv.Itoa(port)
	n.Args = []string{"--listen", tcp, "--storage", "btrfs-file:" + filepath.Join(n.Data(), "pool"), "--pool-size", "1G", "--node-name", "node-1"}
	home := filepath.Join(e.WorkDir, ".home")
	if err := errors.Join(os.MkdirAll(home, 0o700), os.MkdirAll(n.Dir, 0o700)); err != nil {
		return err
	}
	e.Setenv("HOME", home)
	e.Setenv("TZ", "UTC")
	e.Setenv("GORACE", "atexit_sleep_ms=0") // with -race each dm would wait for a second at its end
	e.Setenv("DM_HOST", n.URL())
	e.Setenv("SOCKET", n.Socket())
	e.Setenv("TCP", tcp)
	e.Setenv("DATA", n.Data())
	e.Values[nodeKey{}] = n
	e.Defer(func() {
		if err := errors.Join(n.Stop(), daemon.Unmount(n.Dir)); err != nil {
			e.T().Fatal(err, n.LastWords())
		}
	})
	return startNode(n)
}

// startNode returns when the server is ready.
func startNode(n *daemon.Daemon) error {
	ctx, cancel := context.WithTimeout(context.Background(), startWait)
	defer cancel()
	if err := n.Start(ctx); err != nil {
		return fmt.Errorf("%w\n%s", err, n.LastWords())
	}
	return nil
}

// killNode ends the server by surprise.
func killNode(n *daemon.Daemon) error {
	err := n.Signal(syscall.SIGKILL)
	if err == nil {
		_, err = n.Wait()
	}
	return err
}

// freePort returns a port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

func control(ts *testscript.TestScript, neg bool, args []string) {
	do := map[string]func(*daemon.Daemon) error{"start": startNode, "stop": (*daemon.Daemon).Stop, "kill": killNode}
	if neg || len(args) != 1 || do[args[0]] == nil {
		ts.Fatalf("usage: server stop|kill|start")
	}
	ts.Check(do[args[0]](ts.Value(nodeKey{}).(*daemon.Daemon)))
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
