package etcdstate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// lockPath is the file whose lock says that a process works on a data directory. It lies
// beside the directory, so that it outlives a directory that is wiped.
func lockPath(dataDir string) string { return dataDir + ".lock" }

// dirLock is held by the process that works on a data directory. It is a record lock of
// fcntl: the kernel names its holder, and ends it with the process.
type dirLock struct{ file *os.File }

// lockDir takes the lock, or fails with [dotmesh.Busy] and the holder's process id.
func lockDir(dataDir string) (*dirLock, error) {
	file, err := os.OpenFile(lockPath(dataDir), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	lock := wholeFile()
	err = unix.FcntlFlock(file.Fd(), unix.F_SETLK, &lock)
	if err == nil {
		return &dirLock{file: file}, nil
	}
	pid, _ := holder(file) // 0 is as good an answer in the text
	err = errors.Join(err, file.Close())
	return nil, &dotmesh.Error{
		Op: "lock data directory", Kind: dotmesh.Busy, Err: err,
		Text: fmt.Sprintf("process %d runs etcd on %s already", pid, dataDir),
	}
}

func (l *dirLock) release() error { return l.file.Close() }

func wholeFile() unix.Flock_t { return unix.Flock_t{Type: unix.F_WRLCK} }

// holder returns the process that holds the lock, 0 if none does.
func holder(file *os.File) (int, error) {
	lock := wholeFile()
	if err := unix.FcntlFlock(file.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, fmt.Errorf("ask for the lock's holder: %w", err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(lock.Pid), nil
}

// evict ends the process that works on a data directory, if there is one: a child that
// outlived its parent. It is asked first and killed after grace.
func evict(ctx context.Context, dataDir string, grace time.Duration) error {
	file, err := os.OpenFile(lockPath(dataDir), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open lock: %w", err)
	}
	err = evictFrom(ctx, file, grace)
	return errors.Join(err, file.Close())
}

func evictFrom(ctx context.Context, file *os.File, grace time.Duration) (err error) {
	pid, err := holder(file)
	if err != nil || pid == 0 {
		return err
	}
	process, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil // it has just ended
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer func() { err = errors.Join(err, unix.Close(process)) }()
	// From here on the descriptor means one process. It is the holder if it still holds.
	if now, err := holder(file); err != nil || now != pid {
		return err
	}
	for _, signal := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(process, signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("signal process %d: %w", pid, err)
		}
		if ended, err := awaitEnd(ctx, process, grace); ended || err != nil {
			return err
		}
	}
	return dotmesh.E("evict", dotmesh.Busy, "process %d runs etcd and cannot be ended", pid)
}

// awaitEnd waits until the process has ended.
func awaitEnd(ctx context.Context, process int, timeout time.Duration) (bool, error) {
	deadline := time.Now().Add(timeout)
	for time.Now().Before(deadline) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		fds := []unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 100)
		if n > 0 {
			return true, nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false, fmt.Errorf("wait for process: %w", err)
		}
	}
	return false, nil
}
