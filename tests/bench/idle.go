package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Musts of a server that nobody asks anything.
const (
	idleMust   = 0.3 // % of a core
	memoryMust = 150 // MB
)

const (
	idleFor   = 30 * time.Second
	settleIn  = 2 * time.Minute
	settledAt = 0.05 // of a core, over a second
)

// benchIdle looks at what a server with 10,000 dots costs while nothing happens.
func benchIdle(ctx context.Context, l *lab) (rows []row, err error) {
	f := fixture{dots: 10_000, commits: 10}
	if l.short {
		f = fixture{dots: 160, commits: 10}
	}
	p, err := l.fixture(ctx, f)
	if err != nil {
		return nil, err
	}
	err = l.with(ctx, p, func(n *node) error {
		ours := process(n.PID())
		etcd, err := ours.child()
		if err != nil {
			return err
		}
		if err := ours.settle(ctx); err != nil {
			return err
		}
		cpu, err := idle(ctx, l.rounds(3), ours, etcd)
		if err != nil {
			return err
		}
		what := ", " + f.String()
		for i, p := range []struct {
			process
			name         string
			idle, memory float64
		}{{ours, "the server", idleMust, memoryMust}, {etcd, "its etcd", 0, 0}} {
			resident, err := p.resident()
			if err != nil {
				return err
			}
			rows = append(rows,
				alone("idle CPU of "+p.name+" over 30 s"+what, "%", cpu[i], p.idle),
				alone("resident memory of "+p.name+what, "MB", series{resident}, p.memory))
		}
		return nil
	})
	return rows, err
}

// idle returns the percentages of a core that processes used, in rounds of 30 s.
func idle(ctx context.Context, rounds int, processes ...process) ([]series, error) {
	used := make([]series, len(processes))
	for range rounds {
		before := make([]time.Duration, len(processes))
		for i, p := range processes {
			var err error
			if before[i], err = p.cpu(); err != nil {
				return nil, err
			}
		}
		began := time.Now()
		if err := pass(ctx, idleFor); err != nil {
			return nil, err
		}
		for i, p := range processes {
			after, err := p.cpu()
			if err != nil {
				return nil, err
			}
			used[i] = append(used[i], 100*float64(after-before[i])/float64(time.Since(began)))
		}
	}
	return used, nil
}

// process is a running one, by its id.
type process int

// cpu is the time that it has used until now.
func (p process) cpu() (time.Duration, error) {
	const profile = 2 // the kernel's CPUCLOCK_SCHED: time on a core, in nanoseconds
	var t unix.Timespec
	err := unix.ClockGettime(int32(^int(p)<<3|profile), &t)
	return time.Duration(t.Nano()), os.NewSyscallError("clock_gettime", err)
}

// settle waits until the process has done what it does after a start.
func (p process) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleIn)
	defer cancel()
	for quiet := 0; quiet < 3; quiet++ {
		before, err := p.cpu()
		if err != nil {
			return err
		}
		if err := pass(ctx, time.Second); err != nil {
			return fmt.Errorf("the server does not come to rest: %w", err)
		}
		after, err := p.cpu()
		if err != nil {
			return err
		}
		if (after - before).Seconds() > settledAt {
			quiet = -1
		}
	}
	return nil
}

// child is the one process that it has started.
func (p process) child() (process, error) {
	var all []string
	err := fmt.Errorf("process %d is gone", p)
	tasks, readErr := os.ReadDir(fmt.Sprintf("/proc/%d/task", p))
	if readErr != nil {
		return 0, errors.Join(err, readErr)
	}
	for _, task := range tasks {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", p, task.Name()))
		if err != nil {
			return 0, err
		}
		all = append(all, strings.Fields(string(children))...)
	}
	if len(all) != 1 {
		return 0, fmt.Errorf("the server has %d child processes and not 1", len(all))
	}
	id, err := strconv.Atoi(all[0])
	return process(id), err
}

// resident is the memory that it holds, in MB.
func (p process) resident() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(status, []byte("VmRSS:"))
	line, _, _ := bytes.Cut(rest, []byte(" kB"))
	kb, err := strconv.ParseFloat(strings.TrimSpace(string(line)), 64)
	return kb * 1024 / 1e6, err
}

// pass returns after d, or when the context ends.
func pass(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
