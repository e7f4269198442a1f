package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
	"go.uber.org/goleak"
)

// TestMain makes the test's binary a dotmesh-server for the tests that need a process.
func TestMain(m *testing.M) {
	if os.Getenv("BE_DOTMESH_SERVER") != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// place is where a test's servers live.
type place struct{ data, socket, listen string }

func newPlace(t *testing.T) place {
	t.Helper()
	dir, err := os.MkdirTemp("", "dm") // short: sockets have short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return place{filepath.Join(dir, "data"), filepath.Join(dir, "dm.sock"), l.Addr().String()}
}

// process is a running dotmesh-server.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when its output has ended

	mu   sync.Mutex
	said strings.Builder // guarded by mu
}

// log is what the process has said so far.
func (s *process) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

func (s *process) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said.WriteString(line + "\n")
}

// launch starts a server and returns when it says that it is ready, or has ended.
func (p place) launch(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0],
		append([]string{"--data-dir", p.data, "--socket", p.socket, "--listen", p.listen, "--pool-size", "512M"}, args...)...)
	cmd.Env = append(os.Environ(), "BE_DOTMESH_SERVER=1")
	output, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &process{cmd: cmd, ended: make(chan struct{})}
	ready := make(chan struct{})
	go func() {
		defer close(s.ended)
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			s.say(lines.Text())
			if strings.Contains(lines.Text(), "msg=ready") {
				close(ready)
			}
		}
	}()
	t.Cleanup(func() { s.stop(t, syscall.SIGKILL) })
	select {
	case <-ready:
	case <-s.ended:
	}
	return s
}

// stop ends the process by a signal and returns its exit code.
func (s *process) stop(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if s.cmd.ProcessState != nil {
		return s.cmd.ProcessState.ExitCode()
	}
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	<-s.ended
	if err := s.cmd.Wait(); err != nil && s.cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

func (p place) client(t *testing.T, r api.Remote) *api.Client {
	t.Helper()
	if r.URL == "" {
		r.URL = "unix://" + p.socket
	}
	c, err := api.NewClient(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var shop = dotmesh.DotName{Namespace: "admin", Name: "shop"}

func TestServerKeepsItsDotsOverARestart(t *testing.T) {
	p := newPlace(t)
	first := p.launch(t)
	c := p.client(t, api.Remote{})
	if _, err := c.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop}); err != nil {
		t.Fatalf("%v\n%s", err, first.log())
	}
	made, err := c.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	if code := first.stop(t, syscall.SIGTERM); code != exitOK {
		t.Fatalf("SIGTERM ended in exit code %d\n%s", code, first.log())
	}
	if _, err := os.Stat(p.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, err := c.Whoami(t.Context()); !errors.Is(err, dotmesh.Unreachable) {
		t.Errorf("a call to no server: got %v", err)
	}
	second := p.launch(t, "--storage", "btrfs-file:"+p.data+"/dotmesh_data")
	page, err := c.Log(t.Context(), dotmesh.LogRequest{Dot: shop})
	if err != nil || len(page.Commits) != 2 || page.Commits[0].ID != made.ID {
		t.Errorf("after a restart the log is %+v and %v\n%s", page.Commits, err, second.log())
	}
	if code := second.stop(t, syscall.SIGINT); code != exitOK {
		t.Errorf("SIGINT ended in exit code %d\n%s", code, second.log())
	}
}

func TestServerThatWasKilledStartsAgain(t *testing.T) {
	p := newPlace(t)
	first := p.launch(t)
	c := p.client(t, api.Remote{})
	if _, err := c.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop}); err != nil {
		t.Fatalf("%v\n%s", err, first.log())
	}
	first.stop(t, syscall.SIGKILL)
	second := p.launch(t)
	if dots, err := c.Dots(t.Context()); err != nil || len(dots) != 1 {
		t.Errorf("got %+v and %v\n%s", dots, err, second.log())
	}
	if code := second.stop(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("SIGTERM ended in exit code %d\n%s", code, second.log())
	}
}

func TestDoorsOfARunningServer(t *testing.T) {
	p := newPlace(t)
	s := p.launch(t)
	key, err := os.ReadFile(filepath.Join(p.data, keyName))
	if err != nil {
		t.Fatalf("%v\n%s", err, s.log())
	}
	password, err := os.ReadFile(filepath.Join(p.data, passwordName))
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string, secret []byte) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.listen+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if secret != nil {
			r.SetBasicAuth("admin", strings.TrimSpace(string(secret)))
		}
		answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	for _, test := range []struct {
		path   string
		secret []byte
		status int
		holds  string
	}{
		{"/check", nil, 200, "OK"},
		{"/metrics", nil, 401, ""},
		{"/metrics", key, 200, "dm_pool_usage_percentage"},
		{"/dots", password, 200, ""},
		{"/dots", []byte("wrong"), 401, ""},
		{"/debug/pprof/", key, 404, ""},
	} {
		if status, body := get(test.path, test.secret); status != test.status || !strings.Contains(body, test.holds) {
			t.Errorf("%s: got %d %.200s, want %d and %q", test.path, status, body, test.status, test.holds)
		}
	}
	if u, err := p.client(t, api.Remote{URL: "http://" + p.listen, User: "admin", Key: dotmesh.Secret(strings.TrimSpace(string(key)))}).Whoami(t.Context()); err != nil || u.ID != dotmesh.AdminID {
		t.Errorf("the administrator's key is %+v's, and %v", u, err)
	}

	second := p.launch(t)
	if code := second.stop(t, syscall.SIGKILL); code != exitFailure || !strings.Contains(second.log(), "another dotmesh-server uses") {
		t.Errorf("a second server ended with %d\n%s", code, second.log())
	}
	if code := s.stop(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("SIGTERM ended in exit code %d\n%s", code, s.log())
	}
}

func TestServerDoesNotChangeItsStorage(t *testing.T) {
	p := newPlace(t)
	if code := p.launch(t).stop(t, syscall.SIGTERM); code != exitOK {
		t.Fatalf("the first start ended in %d", code)
	}
	other := p.launch(t, "--storage", "btrfs-file:"+p.data+"/other")
	if code := other.stop(t, syscall.SIGKILL); code != exitFailure || !strings.Contains(other.log(), "keeps its dots in btrfs-file:") {
		t.Errorf("got %d\n%s", code, other.log())
	}
	if err := os.Rename(p.data+"/dotmesh_data", p.data+"/away"); err != nil {
		t.Fatal(err)
	}
	gone := p.launch(t)
	if code := gone.stop(t, syscall.SIGKILL); code != exitFailure || !strings.Contains(gone.log(), "is gone") {
		t.Errorf("got %d\n%s", code, gone.log())
	}
}
