package main

import (
	"context"
	"os"
	"time"

	"dotmesh.io/dotmesh"
)

// lockWait is how long a command waits for another one to let go of the config file, and
// lockPoll how often it looks: locks of files cannot be waited for and given up.
const (
	lockWait = 10 * time.Second
	lockPoll = 10 * time.Millisecond
)

// lockFile takes the lock that path stands for and returns how to let go of it. [Busy] if
// somebody else keeps it for lockWait.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, failure("lock the config file", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		switch ok, err := tryLock(f); {
		case err != nil:
			f.Close()
			return nil, failure("lock the config file", err)
		case ok:
			return func() { f.Close() }, nil
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			f.Close()
			return nil, dotmesh.E("lock config", dotmesh.Busy, "another dm holds %s; end it and try again", path)
		}
	}
}
