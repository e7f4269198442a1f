//go:build failpoints

package faults_test

import (
	"context"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// wantNoStart runs a server that must end by itself and say why.
func (n *node) wantNoStart(why string, args ...string) {
	n.Helper()
	ctx, cancel := context.WithTimeout(n.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, n.program, args...).CombinedOutput()
	if err == nil || ctx.Err() != nil {
		n.Errorf("the server ended with %v, want a failure", err)
	}
	if !strings.Contains(string(out), "Error: ") || !strings.Contains(string(out), why) {
		n.Errorf("the server says %q, want it to say %q", out, why)
	}
}

// twoServers starts more servers where one is.
func twoServers(n *node) {
	n.start()
	d := n.grown()
	socket, pool := n.path("second.sock"), "btrfs-file:"+n.path("pool")
	n.wantNoStart("another dotmesh-server uses "+n.path("data"), "--data-dir", n.path("data"), "--socket", socket, "--listen", "", "--storage", pool)
	n.wantNoStart(n.path("pool")+" is in use", "--data-dir", n.path("second"), "--socket", socket, "--listen", "", "--storage", pool)
	n.wantNoStart("another server answers at "+n.path("dm.sock"),
		"--data-dir", n.path("third"), "--socket", n.path("dm.sock"), "--listen", "", "--storage", "btrfs-file:"+n.path("pool3"), "--pool-size", "256M")
	d.want(grownPicture())
	d.wantToWork()
	n.restart()
	d.wantToWork()
	n.wantNoWaste()
}

// readOnly takes from a server the right to write to its directory.
func readOnly(n *node) {
	n.start()
	d := n.grown()
	n.stop()
	data := n.path("data")
	n.must(unix.Mount(data, data, "", unix.MS_BIND, ""))
	n.must(unix.Mount("", data, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	n.wantNoStart("read-only file system", n.Arguments()...)
	n.must(unix.Unmount(data, 0))
	n.start()
	d.want(grownPicture())
	d.wantToWork()
	n.wantNoWaste()
}
