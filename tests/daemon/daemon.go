// Package daemon runs dotmesh-server as a process of its own, for the tests, the bench and
// the demo: started, killed and started again in one folder, of which nothing is left behind.
//
// daemon.go is its life. waste.go is what it may leave: mounts, loop devices, processes.
package daemon

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
	"strings"
	"syscall"
	"time"
)

// StopIn is how long a server may take to end when it is asked to, on a slow machine.
const StopIn = 2 * time.Minute

// Daemon is a dotmesh-server. One goroutine at a time calls its methods.
type Daemon struct {
	Program string
	Dir     string   // is there, and holds its socket, its data, its log, and perhaps its pool
	Args    []string // besides the folder's
	Env     []string // besides this program's

	cmd   *exec.Cmd
	ended <-chan struct{}
}

// Arguments are those that the server is started with.
func (d *Daemon) Arguments() []string {
	return append([]string{"--data-dir", d.Data(), "--socket", d.Socket()}, d.Args...)
}

// Data is the server's data directory, which it makes.
func (d *Daemon) Data() string { return filepath.Join(d.Dir, "data") }

// Socket is where the server answers.
func (d *Daemon) Socket() string { return filepath.Join(d.Dir, "dm.sock") }

// URL is the socket's, as dm's remotes are written.
func (d *Daemon) URL() string { return "unix://" + d.Socket() }

// LogFile is the file with all that the servers of this folder have said, one after the other.
func (d *Daemon) LogFile() string { return filepath.Join(d.Dir, "log") }

// Launch starts the server and does not wait until it is ready.
func (d *Daemon) Launch() error {
	log, err := os.OpenFile(d.LogFile(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(d.Program, d.Arguments()...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), d.Env...)
	ended, err := Run(cmd)
	if err == nil {
		d.cmd, d.ended = cmd, ended
	}
	return errors.Join(err, log.Close())
}

// Start starts the server and returns when it is ready. After an error it may still run, and
// its last words say more.
func (d *Daemon) Start(ctx context.Context) error {
	if err := d.Launch(); err != nil {
		return err
	}
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for {
		err := d.Ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-d.ended:
			return fmt.Errorf("the server ended instead of starting: %v", d.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		case <-again.C:
		}
	}
}

// Ready asks the server at its socket whether it takes calls.
func (d *Daemon) Ready(ctx context.Context) error {
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", d.Socket())
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

// PID is the process id of the server that was started last.
func (d *Daemon) PID() int { return d.cmd.Process.Pid }

// Ended is closed when the server that was started last has ended.
func (d *Daemon) Ended() <-chan struct{} { return d.ended }

// Running reports whether a server was started and has not ended.
func (d *Daemon) Running() bool {
	if d.ended == nil {
		return false
	}
	select {
	case <-d.ended:
		return false
	default:
		return true
	}
}

// Signal sends the server a signal; that it has ended meanwhile is no error.
func (d *Daemon) Signal(signal os.Signal) error {
	if err := d.cmd.Process.Signal(signal); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Wait returns how the server ended. One that has not within [StopIn] is killed, which is
// an error.
func (d *Daemon) Wait() (*os.ProcessState, error) {
	late := time.NewTimer(StopIn)
	defer late.Stop()
	var err error
	select {
	case <-d.ended:
	case <-late.C:
		err = errors.Join(fmt.Errorf("the server did not end within %s and was killed", StopIn), d.Signal(os.Kill))
		<-d.ended
	}
	return d.cmd.ProcessState, err
}

// Stop ends the server as an administrator does, and waits for it. It does nothing when
// none runs.
func (d *Daemon) Stop() error {
	if !d.Running() {
		return nil
	}
	if err := d.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	state, err := d.Wait()
	if err == nil && !state.Success() {
		err = fmt.Errorf("the server was told to stop and ended with %v", state)
	}
	return err
}

// LastWords is the end of the log, for an error or a report.
func (d *Daemon) LastWords() string {
	const most = 40
	text, err := os.ReadFile(d.LogFile())
	if err != nil {
		return "The server's log cannot be read: " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "The server's last words:\n" + strings.Join(lines[max(0, len(lines)-most):], "\n")
}

// Run starts a process in a group of its own, so that an interrupt is for this program only,
// which then ends it; when this program is killed, so is the process. The channel is closed
// when it has ended and cmd.ProcessState says how.
func Run(cmd *exec.Cmd) (<-chan struct{}, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the kernel takes the thread's end for this program's
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // whoever wants to know looks at the process's state
		}
	}()
	return ended, <-started
}
