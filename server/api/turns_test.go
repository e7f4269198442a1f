package api_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
)

// busy is a service whose commits wait until they are let go.
type busy struct {
	entered chan dotmesh.Name
	release chan struct{}
}

func (b *busy) commit(ctx context.Context, _ dotmesh.CommitRequest) (dotmesh.Commit, error) {
	b.entered <- "commit"
	select {
	case <-b.release:
		return dotmesh.Commit{Message: "made"}, nil
	case <-ctx.Done():
		return dotmesh.Commit{}, dotmesh.Wrap("busy", ctx.Err())
	}
}

func newBusy() *busy {
	return &busy{entered: make(chan dotmesh.Name, 100), release: make(chan struct{})}
}

func TestOneCallerHasFourCallsAtOnce(t *testing.T) {
	b := newBusy()
	_, tcp := serve(t, &gate{stub{commit: b.commit}})
	greedy := connect(t, api.Remote{URL: tcp, User: "alice", Key: "alices"})
	var calls sync.WaitGroup
	for range 10 {
		calls.Go(func() {
			if _, err := greedy.Commit(t.Context(), dotmesh.CommitRequest{}); err != nil {
				t.Error(err)
			}
		})
	}
	for range 4 {
		<-b.entered
	}
	// Another caller is served while six calls of the first one wait.
	if _, err := connect(t, api.Remote{URL: tcp, User: "admin", Key: "key"}).Whoami(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(b.entered); n != 0 {
		t.Errorf("%d calls more than four ran at once", n)
	}
	close(b.release)
	calls.Wait()
	if n := len(b.entered); n != 6 {
		t.Errorf("%d waiting calls were served, want 6", n)
	}
}

func TestTooManyWaitingCallsAreRefused(t *testing.T) {
	b := newBusy()
	_, tcp := serve(t, &gate{stub{commit: b.commit}})
	greedy := connect(t, api.Remote{URL: tcp, User: "alice", Key: "alices"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	refused := make(chan error, 200)
	var calls sync.WaitGroup
	for range 80 {
		calls.Go(func() {
			if _, err := greedy.Commit(ctx, dotmesh.CommitRequest{}); errors.Is(err, dotmesh.TooMany) {
				refused <- err
			}
		})
	}
	for range 80 - 4 - 64 {
		<-refused
	}
	cancel()
	calls.Wait()
}

func TestCallerWhoGivesUpIsNotWorkedFor(t *testing.T) {
	b := newBusy()
	unix, _ := serve(t, &gate{stub{commit: b.commit}})
	c := connect(t, api.Remote{URL: unix})
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := c.Commit(ctx, dotmesh.CommitRequest{})
		got <- err
	}()
	<-b.entered
	cancel()
	if err := <-got; !errors.Is(err, dotmesh.Unknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want an unknown outcome after a cancellation", err)
	}
}
