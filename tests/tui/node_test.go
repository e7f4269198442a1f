package tui_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
	"dotmesh.io/dotmesh/tests/daemon"
)

// node is a dotmesh-server that is started, killed and started again in one place.
type node struct {
	*testing.T
	*api.Client
	*daemon.Daemon
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
	n := &node{T: t, Daemon: &daemon.Daemon{
		Program: program(t, "dotmesh-server"), Dir: dir,
		Args: []string{"--listen", "", "--storage", "btrfs-file:" + dir + "/pool", "--pool-size", "256M", "--node-name", "one"},
	}}
	if n.Client, err = api.NewClient(api.Remote{URL: n.URL()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.remove)
	n.start()
	return n
}

// start returns when the server is ready.
func (n *node) start() {
	n.Helper()
	ctx, cancel := context.WithTimeout(n.Context(), patience)
	defer cancel()
	n.must(n.Start(ctx))
}

// crash ends the server by surprise.
func (n *node) crash() {
	n.Helper()
	n.must(n.Signal(syscall.SIGKILL))
	_, err := n.Wait()
	n.must(err)
	n.Close() // its connections
}

// remove takes the node away and reports what is left of it.
func (n *node) remove() {
	if n.Failed() {
		n.T.Log(n.LastWords())
	}
	n.Close()
	n.must(errors.Join(n.Stop(), daemon.Unmount(n.Dir)))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	left, err := n.Gone(ctx)
	n.must(err)
	if len(left) > 0 {
		n.Errorf("left behind: %q", left)
	}
	n.must(os.RemoveAll(n.Dir))
}

// dm runs a command line and returns what it prints.
func (n *node) dm(args ...string) string {
	n.Helper()
	cmd := exec.Command(program(n.T, "dm"), args...)
	cmd.Env = environment(n.T, "DM_HOST="+n.URL())
	out, err := cmd.CombinedOutput()
	if err != nil {
		n.Fatalf("dm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// open opens a program of ours on the node in a terminal.
func (n *node) open(width, height int, args ...string) *terminal {
	n.Helper()
	return open(n.T, width, height, environment(n.T, "DM_HOST="+n.URL()), append([]string{program(n.T, "dm")}, args...)...)
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
