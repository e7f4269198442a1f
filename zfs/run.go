//go:build linux

package zfs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"dotmesh.io/dotmesh"
)

const (
	// longest bounds every command but those that carry streams.
	longest = 5 * time.Minute
	// reapWithin is how long a program that was killed, or has ended, may keep its pipes.
	reapWithin = 500 * time.Millisecond
	// maxStderr is how much of what a program complains about is kept.
	maxStderr = 8 << 10
	// maxLine is far above the longest line of any listing here.
	maxLine = 64 << 10
)

// runner runs the two programs. Each runs in a process group of its own, with files for
// its input and output, and is killed and reaped when the context ends. There is no shell.
type runner struct {
	zfs, zpool string // absolute paths
	env        []string
	lock       *os.File // what changes the pool has it open; nil at first
}

// findPrograms finds the programs in PATH.
func findPrograms() (*runner, error) {
	r := &runner{env: []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}}
	for name, at := range map[string]*string{"zfs": &r.zfs, "zpool": &r.zpool} {
		program, err := exec.LookPath(name)
		if err != nil || !filepath.IsAbs(program) {
			return nil, dotmesh.E("", dotmesh.Unsupported,
				"the program %s is not in PATH; install the package zfsutils-linux, and have /usr/sbin in PATH", name)
		}
		*at = program
	}
	return r, nil
}

// process is a program that runs.
type process struct {
	command
	cmd    *exec.Cmd
	ended  func() error // of the context
	cancel context.CancelFunc
	stderr complaint
}

// start starts a program. in and out may be nil; the caller closes them, and may do so as
// soon as start has returned. wait must be called.
func (r *runner) start(ctx context.Context, c command, in, out *os.File) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &process{command: c, ended: ctx.Err, cancel: cancel}
	p.cmd = exec.CommandContext(ctx, r.path(c), c.args...)
	p.cmd.Env = r.env
	p.cmd.Dir = "/"
	if in != nil { // an interface that holds a nil file is not nil
		p.cmd.Stdin = in
	}
	if out != nil {
		p.cmd.Stdout = out
	}
	if r.lock != nil && c.changes() {
		p.cmd.ExtraFiles = []*os.File{r.lock}
	}
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	p.cmd.WaitDelay = reapWithin
	if err := p.cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("run %s: %w", c, err)
	}
	return p, nil
}

func (r *runner) path(c command) string {
	if c.program == "zpool" {
		return r.zpool
	}
	return r.zfs
}

// kill ends the program; wait still has to be called.
func (p *process) kill() { p.cancel() }

// wait waits for the program's end and says why it failed.
func (p *process) wait() error {
	err := p.cmd.Wait()
	if ended := p.ended(); err != nil && ended != nil { // it was killed
		err = ended
	}
	p.cancel()
	if errors.Is(err, exec.ErrWaitDelay) { // it ended well; something else had its stderr
		err = nil
	}
	return explain(p.command, p.stderr.String(), err)
}

// run runs a command whose output does not matter.
func (r *runner) run(ctx context.Context, c command) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	p, err := r.start(ctx, c, nil, nil)
	if err != nil {
		return err
	}
	return p.wait()
}

// errStop ends a listing early, without it being a failure.
var errStop = errors.New("stop")

// lines runs a command and hands each line of its output to f. If f fails the command is
// killed, and f's error returned.
func (r *runner) lines(ctx context.Context, c command, f func(line string) error) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	in, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // only read
	p, err := r.start(ctx, c, nil, out)
	if err := join(err, out.Close()); err != nil {
		return err
	}
	unhang := context.AfterFunc(ctx, func() { _ = in.Close() }) // a program that the kernel holds keeps its end open
	defer unhang()
	err = eachLine(in, f)
	if err != nil {
		p.kill()
	}
	ended := p.wait()
	switch {
	case errors.Is(err, errStop):
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", c, ctx.Err())
	case err != nil:
		return err
	}
	return ended
}

// eachLine reads lines. One that is not ended was cut short.
func eachLine(r io.Reader, f func(line string) error) error {
	lines := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, bufio.ErrBufferFull):
			return odd(string(line))
		case err != nil:
			return err
		}
		if err := f(string(bytes.TrimSuffix(line, []byte("\n")))); err != nil {
			return err
		}
	}
}

// output returns all lines of a short output.
func (r *runner) output(ctx context.Context, c command) (all []string, err error) {
	err = r.lines(ctx, c, func(line string) error {
		all = append(all, line)
		return nil
	})
	return all, err
}

// odd is the error of output that makes no sense.
func odd(line string) error {
	return dotmesh.E("", dotmesh.Internal, "the zfs program wrote what this version of Dotmesh cannot read: %.200q", line)
}

// complaint keeps the beginning of what a program writes.
type complaint struct {
	mu   sync.Mutex // guards text
	text []byte
}

func (c *complaint) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text = append(c.text, p[:min(len(p), maxStderr-len(c.text))]...)
	return len(p), nil
}

func (c *complaint) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return string(c.text)
}
