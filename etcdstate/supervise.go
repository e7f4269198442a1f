package etcdstate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"dotmesh.io/dotmesh"
)

// Defaults of [SuperviseConfig].
const (
	DefaultStart = 60 * time.Second
	DefaultGrace = 10 * time.Second
)

const (
	firstPause  = 100 * time.Millisecond // before a child that ended is started again
	longPause   = 10 * time.Second       // the pause doubles up to this
	steadyAfter = time.Minute            // and is short again after a child ran so long
)

// SuperviseConfig says which etcd to run as a child.
type SuperviseConfig struct {
	Executable string // run as: Executable etcd --data-dir DataDir --socket Socket Args…
	Args       []string
	DataDir    string
	Socket     string
	Start      time.Duration // until the child must serve, or is started anew; 0: [DefaultStart]
	Grace      time.Duration // for the child to stop by itself; 0: [DefaultGrace]
	Stderr     io.Writer     // the child's log; nil: this process's standard error
	Logger     *slog.Logger  // nil: silent
	Ready      func()        // called each time that the child serves; may be nil
}

func (c *SuperviseConfig) defaults() {
	if c.Start == 0 {
		c.Start = DefaultStart
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.Stderr == nil {
		c.Stderr = os.Stderr
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Ready == nil {
		c.Ready = func() {}
	}
}

// Supervise keeps an etcd running as a child until ctx ends; then it stops the child,
// waits for its end and returns nil. A child that ends is started again, after a pause
// that grows to 10 s. A child that a killed parent left behind is ended first: it is
// whoever holds the data directory's lock.
//
// The child has a process group of its own, so that a signal from a terminal does not
// reach it, and is told to stop by the kernel when this process dies.
func Supervise(ctx context.Context, c SuperviseConfig) error {
	c.defaults()
	pause := firstPause
	for {
		started := time.Now()
		err := c.once(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(started) > steadyAfter {
			pause = firstPause
		}
		c.Logger.Error("etcd ended; starting it again", "err", err, "pause", pause)
		if wait(ctx, pause) != nil {
			return nil
		}
		pause = min(2*pause, longPause)
	}
}

// once runs one child, from before its start until after its end.
func (c *SuperviseConfig) once(ctx context.Context) error {
	if err := prepare(&ServeConfig{DataDir: c.DataDir, Socket: c.Socket}); err != nil {
		return err
	}
	if err := evict(ctx, c.DataDir, c.Grace); err != nil {
		return err
	}
	if err := os.Remove(c.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // what is left there now belongs to nobody, and nobody may connect to it
	}
	child, err := c.start()
	if err != nil {
		return err
	}
	serving, stopWaiting := context.WithTimeout(ctx, c.Start)
	defer stopWaiting()
	ready := make(chan error, 1)
	go func() { ready <- c.awaitChild(serving) }()
	for {
		select {
		case err := <-child.ended:
			stopWaiting()
			if ready != nil {
				<-ready
			}
			return err
		case <-ctx.Done():
			if ready != nil {
				<-ready
			}
			return child.stop(c.Grace)
		case err := <-ready:
			ready = nil
			if err != nil && ctx.Err() == nil {
				return errors.Join(fmt.Errorf("etcd does not serve: %w", err), child.stop(c.Grace))
			}
			if err == nil {
				c.Ready()
			}
		}
	}
}

// awaitChild returns nil when etcd answers on the socket.
func (c *SuperviseConfig) awaitChild(ctx context.Context) error {
	r, err := Open(ctx, Config{Endpoints: []string{"unix://" + c.Socket}})
	if err != nil {
		return err
	}
	return r.Close()
}

// child is a running process and its parent's thread.
type child struct {
	cmd   *exec.Cmd
	ended chan error // gets how it ended, once
}

// start starts the child from a thread that lives as long as the child does: the kernel
// sends the parent-death signal when that thread ends, not when the process does.
func (c *SuperviseConfig) start() (*child, error) {
	args := append([]string{"etcd", "--data-dir", c.DataDir, "--socket", c.Socket}, c.Args...)
	cmd := exec.Command(c.Executable, args...)
	cmd.Stdout, cmd.Stderr = c.Stderr, c.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.WaitDelay = c.Grace
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- describe(cmd.Wait())
		}
	}()
	if err := <-started; err != nil {
		return nil, &dotmesh.Error{
			Op: "start etcd", Kind: dotmesh.Internal, Err: err,
			Text: fmt.Sprintf("%s cannot be started", c.Executable),
		}
	}
	c.Logger.Info("etcd started", "pid", cmd.Process.Pid, "data", c.DataDir)
	return &child{cmd: cmd, ended: ended}, nil
}

func describe(err error) error {
	if err == nil {
		return errors.New("etcd stopped by itself")
	}
	return fmt.Errorf("etcd stopped by itself: %w", err)
}

// stop asks the child to stop, kills it after grace, and returns when it has ended.
func (c *child) stop(grace time.Duration) error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop etcd: %w", err)
	}
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case <-c.ended:
		return nil
	case <-late.C:
	}
	if err := c.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill etcd: %w", err)
	}
	<-c.ended
	return nil
}
