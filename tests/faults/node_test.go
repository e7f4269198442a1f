//go:build failpoints

package faults_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
	"dotmesh.io/dotmesh/tests/daemon"
)

// node is a dotmesh-server that is started, killed and started again in one place.
type node struct {
	*testing.T
	*bench
	*api.Client
	*daemon.Daemon
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
	n := &node{T: t, bench: b, Daemon: &daemon.Daemon{Program: b.program, Dir: dir}}
	n.Args = []string{"--listen", "", "--storage", n.storage(), "--pool-size", "256M", "--node-name", "one"}
	n.Env = []string{"DOTMESH_FAILPOINTS=@" + n.path("armed"), "DOTMESH_FAILPOINTS_LOG=" + n.pointsFile()}
	if n.Client, err = api.NewClient(api.Remote{URL: n.URL()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.remove)
	n.makePool()
	n.arm("")
	return n
}

func (n *node) path(parts ...string) string {
	return filepath.Join(append([]string{n.Dir}, parts...)...)
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

func (n *node) pointsFile() string { return filepath.Join(n.bench.points, filepath.Base(n.Dir)) }

// reached are the failpoints that were reached since arm, in their order.
func (n *node) reached() []string {
	n.Helper()
	return strings.Fields(string(n.points()[n.seen:]))
}

// said reports whether the server has logged something since it was launched.
func (n *node) said(what string) bool {
	n.Helper()
	text, err := os.ReadFile(n.LogFile())
	n.must(err)
	return bytes.Contains(text[n.heard:], []byte(what))
}

// launch starts the server and does not wait for it.
func (n *node) launch() {
	n.Helper()
	info, err := os.Stat(n.LogFile())
	switch {
	case err == nil:
		n.heard = info.Size()
	case !errors.Is(err, os.ErrNotExist):
		n.Fatal(err)
	}
	n.must(n.Launch())
	n.words = map[dotmesh.CommitID]string{}
}

// start starts the server and returns when it is ready and has heard from its registry: one
// that has not answers from memory, and changes nothing yet.
func (n *node) start() {
	n.Helper()
	n.launch()
	n.await("the server is ready", func() bool {
		if !n.Running() {
			n.Fatal("the server ended instead of starting")
		}
		return n.said("msg=ready ") && n.ready()
	})
}

// ready asks the server at its socket.
func (n *node) ready() bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return n.Ready(ctx) == nil
}

// await returns when done says so. It looks often, since nothing tells when it has happened.
func (n *node) await(what string, done func() bool) {
	n.Helper()
	deadline := time.Now().Add(patience)
	again := time.NewTicker(glance)
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
	state, err := n.Wait()
	n.must(err)
	n.Close() // its connections
	return state
}

// died checks that the server was killed.
func (n *node) died() {
	n.Helper()
	if state := n.wait(); state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		n.Fatalf("the server ended with %v, not by a kill", state)
	}
}

// kill ends the server as a crash does.
func (n *node) kill() {
	n.Helper()
	n.must(n.Signal(syscall.SIGKILL))
	n.died()
}

// stop ends the server as an administrator does.
func (n *node) stop() {
	n.Helper()
	if err := n.Stop(); err != nil {
		n.Error(err)
	}
	n.Close() // its connections
}

func (n *node) restart() {
	n.Helper()
	n.stop()
	n.start()
}

// etcd returns the process id of the server's etcd, 0 if there is none.
func (n *node) etcd() int {
	n.Helper()
	processes, err := n.Processes()
	n.must(err)
	for pid, line := range processes {
		if slices.Contains(line, "etcd") {
			return pid
		}
	}
	return 0
}

// remove takes the node away and reports what is left of it.
func (n *node) remove() {
	if n.Failed() {
		n.T.Log(n.LastWords())
	}
	n.stop()
	if err := daemon.Unmount(n.Dir); err != nil {
		n.Error(err)
	}
	n.removePool()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	left, err := n.Gone(ctx, n.poolLeft)
	if err != nil || len(left) > 0 {
		n.Errorf("left behind: %q (%v)", left, err)
	}
	n.must(os.RemoveAll(n.Dir))
}

func (n *node) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}
