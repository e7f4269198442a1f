package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"dotmesh.io/dotmesh/server/api"
)

const (
	startIn  = 2 * time.Minute
	stopIn   = time.Minute
	askEvery = time.Millisecond
	poolSize = "8G" // sparse
)

// place is where a node's files are. Its pool and etcd's data may be a fixture's.
type place struct {
	dir  string // temporary: data directory, socket, log
	pool string
}

// newPlace makes a place for a node that has nothing yet.
func (l *lab) newPlace() (*place, error) {
	l.places++
	p := &place{dir: filepath.Join(l.dir, strconv.Itoa(l.places))}
	p.pool = filepath.Join(p.dir, "pool")
	return p, os.MkdirAll(p.data(), 0o700)
}

func (p *place) data() string   { return filepath.Join(p.dir, "data") }
func (p *place) socket() string { return filepath.Join(p.dir, "dm.sock") }
func (p *place) url() string    { return "unix://" + p.socket() }

// node is a dotmesh-server of our own, with the etcd that it starts.
type node struct {
	*place
	*api.Client
	took time.Duration // from exec to the first answer
	cmd  *exec.Cmd
	log  *os.File
	done chan struct{} // closed when the process has ended with err
	err  error
}

// start returns when the node has answered Dots, and says how long that took.
func (l *lab) start(ctx context.Context, p *place) (*node, error) {
	client, err := api.NewClient(api.Remote{URL: p.url()})
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(p.dir, "log"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	n := &node{place: p, Client: client, log: log, done: make(chan struct{})}
	n.cmd = exec.Command(l.server, "--data-dir", p.data(), "--socket", p.socket(), "--listen", "127.0.0.1:0",
		"--storage", "btrfs-file:"+p.pool, "--pool-size", poolSize, "--node-name", "bench")
	n.cmd.Stdout, n.cmd.Stderr = log, log
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for the bench, which then stops the node
	began := time.Now()
	if err := n.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() {
		n.err = n.cmd.Wait()
		close(n.done)
	}()
	if err := n.await(ctx); err != nil {
		return nil, errors.Join(err, n.stop(), n.lastWords())
	}
	n.took = time.Since(began)
	return n, nil
}

// await asks for the dots until there is an answer.
func (n *node) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startIn)
	defer cancel()
	again := time.NewTicker(askEvery)
	defer again.Stop()
	for {
		_, err := n.Dots(ctx)
		if !errors.Is(err, dotmesh.Unreachable) {
			return err
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

// stop takes away the node's mounts, asks it to end and waits for it.
func (n *node) stop() error {
	err := unmountBelow(n.dir)
	n.Close()
	if e := n.cmd.Process.Signal(syscall.SIGTERM); e != nil && !errors.Is(e, os.ErrProcessDone) {
		err = errors.Join(err, e)
	}
	late := time.NewTimer(stopIn)
	defer late.Stop()
	select {
	case <-n.done:
	case <-late.C:
		err = errors.Join(err, fmt.Errorf("the node did not stop within %s and was killed", stopIn), n.cmd.Process.Kill())
		<-n.done
	}
	if n.err != nil {
		err = errors.Join(err, fmt.Errorf("the node ended badly: %w", n.err))
	}
	return errors.Join(err, n.log.Close())
}

// with starts a node, hands it to f and stops it.
func (l *lab) with(ctx context.Context, p *place, f func(*node) error) error {
	n, err := l.start(ctx, p)
	if err != nil {
		return err
	}
	err = f(n)
	return errors.Join(err, n.stop())
}

// lastWords is the end of the node's log, as an error.
func (n *node) lastWords() error {
	const most = 4 << 10
	text, err := os.ReadFile(n.log.Name())
	if err != nil {
		return err
	}
	return fmt.Errorf("the node's last words:\n%s", bytes.TrimSpace(text[max(0, len(text)-most):]))
}

// mountsBelow lists the mount points at or beneath dir.
func mountsBelow(dir string) (points []string, err error) {
	entries, err := mounts.List(dir)
	for _, e := range entries {
		points = append(points, e.Target)
	}
	return points, err
}

// unmountBelow takes away what is mounted at or beneath dir, the innermost first.
func unmountBelow(dir string) error {
	points, err := mountsBelow(dir)
	for _, p := range slices.Backward(points) {
		err = errors.Join(err, mounts.Unmount(context.Background(), p))
	}
	return err
}
