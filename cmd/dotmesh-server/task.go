package main

import (
	"context"
	"errors"
)

// A task is work that goes on until it is stopped or fails.
type task struct {
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // set before ended is closed
}

// begin begins work that outlives ctx: a server's parts are stopped one after the other.
func begin(ctx context.Context, work func(context.Context) error) *task {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &task{cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(t.ended)
		t.err = work(ctx)
	}()
	return t
}

// idle is a task without work.
func idle() *task {
	return begin(context.Background(), func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	})
}

// stop ends the work, waits for its end and returns why it failed, if it did.
func (t *task) stop() error {
	t.cancel()
	<-t.ended
	if errors.Is(t.err, context.Canceled) {
		return nil
	}
	return t.err
}

// joinErrors returns the only error as it is, or all of them as one.
func joinErrors(all ...error) error {
	var some []error
	for _, err := range all {
		if err != nil {
			some = append(some, err)
		}
	}
	if len(some) == 1 {
		return some[0]
	}
	return errors.Join(some...)
}
