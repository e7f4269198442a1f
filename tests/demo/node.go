package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"dotmesh.io/dotmesh/internal/mounts"
)

// The kinds of pools that the demo knows, and what they are called.
const (
	onBtrfs = "btrfs-file"
	onZFS   = "zfs-file"
)

var poolTitles = map[string]string{onBtrfs: "btrfs pool", onZFS: "zpool"}

const (
	socketName = "dm.sock"
	startIn    = time.Minute
	stopIn     = 30 * time.Second
	leaveIn    = 10 * time.Second
)

// node is a dotmesh-server of our own.
type node struct {
	program string
	dir     string
	storage string // what kind of pool it has
	cmd     *exec.Cmd
	done    chan struct{} // closed when the process has ended with err
	err     error
	log     bytes.Buffer // read only after done
}

func (n *node) arguments() []string {
	return []string{
		"dotmesh-server",
		"--data-dir", filepath.Join(n.dir, "data"),
		"--socket", filepath.Join(n.dir, socketName),
		"--listen", "127.0.0.1:0",
		"--storage", n.storage + ":" + n.image(),
		"--pool-size", "2G",
		"--node-name", "demo",
	}
}

func (n *node) image() string { return filepath.Join(n.dir, "pool") }

// start returns when the node says that it is ready.
func (n *node) start(ctx context.Context) error {
	n.cmd = exec.Command(n.program, n.arguments()[1:]...)
	n.cmd.Stdout, n.cmd.Stderr = &n.log, &n.log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the demo, which then stops the node
	if err := n.cmd.Start(); err != nil {
		return err
	}
	n.done = make(chan struct{})
	go func() {
		n.err = n.cmd.Wait()
		close(n.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, startIn)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		err := n.check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-n.done:
			return fmt.Errorf("the node ended instead of starting: %w", n.err)
		case <-ctx.Done():
			return fmt.Errorf("the node does not answer: %w", err)
		case <-again.C:
		}
	}
}

// check asks the node at its socket whether it is ready.
func (n *node) check(ctx context.Context) error {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(n.dir, socketName))
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/check", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return errors.Join(err, response.Body.Close())
}

// stop asks the node to end and waits for it. Called twice, or before start, it does
// nothing.
func (n *node) stop() error {
	if n.done == nil {
		return nil
	}
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-n.done:
	case <-time.After(stopIn):
		if err := n.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		<-n.done
		return fmt.Errorf("the node did not stop within %s and was killed", stopIn)
	}
	if n.err != nil {
		return fmt.Errorf("the node ended badly: %w", n.err)
	}
	return nil
}

// lastWords returns the end of the node's log.
func (n *node) lastWords() string {
	const most = 30
	lines := strings.Split(strings.TrimSpace(n.log.String()), "\n")
	return "The node's last words:\n" + strings.Join(lines[max(0, len(lines)-most):], "\n")
}

// unmount takes away what is mounted in the node's folder, the innermost first.
func (n *node) unmount() error {
	entries, err := mounts.List(n.dir)
	for _, e := range slices.Backward(entries) {
		err = errors.Join(err, mounts.Unmount(context.Background(), e.Target))
	}
	return err
}

// export takes the node's zpool away, which a node leaves imported. It does nothing where
// there is none, or another one of that name.
func (n *node) export() error {
	left, err := n.pools()
	for _, pool := range left {
		out, failed := exec.Command("zpool", "export", strings.TrimPrefix(pool, poolMark)).CombinedOutput()
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("export the pool: %w: %s", failed, out))
		}
	}
	return err
}

// poolMark begins what leftovers calls a zpool.
const poolMark = "zpool "

// pools returns the zpool that lies in the node's file, if it is imported.
func (n *node) pools() (left []string, err error) {
	if n.storage != onZFS {
		return nil, nil
	}
	out, err := exec.Command("zpool", "list", "-HPv", "-o", "name").Output()
	pool := ""
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if fields[0] != "" { // a pool's own line; those of its devices begin with a tab
			pool = fields[0]
		}
		if slices.Contains(fields, n.image()) {
			left = append(left, poolMark+pool)
		}
	}
	return left, err
}

// leftovers names what of the node is still there: mounts, its zpool or its pool's loop
// device, and processes that were told of its folder. It waits a little for what is on its way out.
func (n *node) leftovers(ctx context.Context) (left []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, leaveIn)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		left = nil
		for _, look := range []func() ([]string, error){n.mounts, n.pools, n.loops, n.processes} {
			found, err := look()
			if err != nil {
				return nil, err
			}
			left = append(left, found...)
		}
		if len(left) == 0 {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return left, nil
		case <-again.C:
		}
	}
}

func (n *node) mounts() (left []string, err error) {
	entries, err := mounts.List(n.dir)
	for _, e := range entries {
		left = append(left, "mount "+e.Target)
	}
	return left, err
}

func (n *node) loops() (left []string, err error) {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, path := range files {
		if file, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(file), n.image()) {
			left = append(left, "loop device "+strings.Split(path, "/")[3])
		}
	}
	return left, err
}

func (n *node) processes() (left []string, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range files {
		if line, err := os.ReadFile(path); err == nil && strings.Contains(string(line), n.dir) {
			left = append(left, "process "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return left, err
}
