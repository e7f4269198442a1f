package api_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
)

// stoppable runs a server that the test stops itself.
func stoppable(t *testing.T, server *api.Server) (url string, stop func(), ended <-chan error) {
	t.Helper()
	door, err := api.ListenLocal(t.Context(), filepath.Join(t.TempDir(), "dm.sock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, door) }()
	return door.String(), cancel, done
}

func TestStopLetsCallsEndAndStreamsGo(t *testing.T) {
	n := node(t)
	b := newBusy()
	url, stop, ended := stoppable(t, &api.Server{Gate: &both{n, &gate{stub{commit: b.commit}}}})
	c := connect(t, api.Remote{URL: url})

	stream := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		first := true
		for _, err := range c.Events(t.Context(), "") {
			if first {
				first = false
				close(begun)
			}
			if err != nil {
				stream <- err
				return
			}
		}
		stream <- nil
	}()
	admin := n.As(dotmesh.Principal{Name: "admin", Admin: true})
	for i, shown := 0, false; !shown; i++ { // the watcher is there once it sees one of these
		name := dotmesh.Name("dot" + string(rune('a'+i%26)) + string(rune('a'+i/26)))
		if _, err := admin.CreateDot(t.Context(), dotmesh.CreateDot{Dot: dotmesh.DotName{Namespace: "admin", Name: name}}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-begun:
			shown = true
		default:
		}
	}
	call := make(chan error, 1)
	go func() {
		_, err := c.Commit(t.Context(), dotmesh.CommitRequest{})
		call <- err
	}()
	<-b.entered

	stop()
	if err := <-stream; !errors.Is(err, dotmesh.Unreachable) {
		t.Errorf("the stream ended with %v", err)
	}
	close(b.release)
	if err := <-call; err != nil {
		t.Errorf("the call that ran ended with %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if _, err := c.Whoami(t.Context()); !errors.Is(err, dotmesh.Unreachable) {
		t.Errorf("after the end: got %v", err)
	}
}

// both is a node whose commits are another gate's.
type both struct {
	dotmesh.Gate
	commits dotmesh.Gate
}

func (b *both) As(p dotmesh.Principal) dotmesh.Service {
	return &mixed{b.Gate.As(p), b.commits.As(p)}
}

type mixed struct {
	dotmesh.Service
	commits dotmesh.Service
}

func (m *mixed) Commit(ctx context.Context, r dotmesh.CommitRequest) (dotmesh.Commit, error) {
	return m.commits.Commit(ctx, r)
}

func TestServerThatIsNotReady(t *testing.T) {
	ready := make(chan struct{})
	url, stop, ended := stoppable(t, &api.Server{Gate: &gate{}, Ready: ready})
	c := connect(t, api.Remote{URL: url})
	got := make(chan error, 1)
	go func() {
		_, err := c.Whoami(t.Context())
		got <- err
	}()
	close(ready)
	if err := <-got; err != nil {
		t.Errorf("a call that waited: got %v", err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	url, stop, ended = stoppable(t, &api.Server{Gate: &gate{}, Ready: make(chan struct{})})
	never := connect(t, api.Remote{URL: url})
	go func() {
		_, err := never.Whoami(t.Context())
		got <- err
	}()
	if body := askLocally(t, url, "GET", "/check", ""); body == "OK\n" {
		t.Errorf("a server that is not ready says %q", body)
	}
	stop()
	if err := <-got; !errors.Is(err, dotmesh.Unreachable) {
		t.Errorf("a call that nobody answers: got %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestCallMayLastLongerThanItsBodyMayTake(t *testing.T) {
	const patience = 50 * time.Millisecond
	b := newBusy()
	server := &api.Server{Gate: &gate{stub{commit: b.commit}}}
	server.HurryBodies(patience)
	url, stop, ended := stoppable(t, server)
	c := connect(t, api.Remote{URL: url})
	call := make(chan error, 1)
	go func() {
		_, err := c.Commit(t.Context(), dotmesh.CommitRequest{})
		call <- err
	}()
	<-b.entered
	events := make(chan error, 1)
	go func() {
		for _, err := range c.Events(t.Context(), "") {
			events <- err
			return
		}
		events <- nil
	}()
	select {
	case err := <-call:
		t.Fatalf("the call ended with %v", err)
	case err := <-events:
		t.Fatalf("the stream ended with %v", err)
	case <-time.After(4 * patience):
	}
	close(b.release)
	if err := <-call; err != nil {
		t.Error(err)
	}
	if status, body := halfBody(t, url); status != 200 || !strings.Contains(body, "-32700") {
		t.Errorf("a body that never ends is answered %d %s", status, body)
	}
	stop()
	if err := <-events; !errors.Is(err, dotmesh.Unreachable) {
		t.Errorf("the stream ended with %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// halfBody sends a request without the end of its body.
func halfBody(t *testing.T, url string) (int, string) {
	t.Helper()
	body, never := io.Pipe()
	defer never.Close()
	go func() { _, _ = io.WriteString(never, "{") }() // ends with the pipe at the latest
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/rpc", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	transport := localTransport(url)
	transport.DisableKeepAlives = true
	return roundTrip(t, transport, r)
}
