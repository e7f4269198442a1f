package api_test

import (
	"context"
	"errors"
	"iter"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stub is a service of which only the framing around it matters: the methods that a test
// sets answer, any other panics.
type stub struct {
	dotmesh.Service
	principal dotmesh.Principal
	commit    func(context.Context, dotmesh.CommitRequest) (dotmesh.Commit, error)
	dots      func(context.Context) ([]dotmesh.DotStatus, error)
}

func (s *stub) Whoami(context.Context) (dotmesh.User, error) {
	return dotmesh.User{ID: s.principal.User, Name: s.principal.Name, Email: s.principal.Origin}, nil
}

func (s *stub) Commit(ctx context.Context, r dotmesh.CommitRequest) (dotmesh.Commit, error) {
	switch {
	case s.commit != nil:
		return s.commit(ctx, r)
	case r.Message == "yes":
		return dotmesh.Commit{ID: r.ID}, nil
	case r.Message == "broken":
		return dotmesh.Commit{}, dotmesh.Wrap("stub", errors.New("open /secret/path: no"))
	}
	return dotmesh.Commit{}, dotmesh.E("stub", dotmesh.Busy, "no")
}

// Events is an event stream in which nothing happens.
func (s *stub) Events(ctx context.Context, _ string) iter.Seq2[dotmesh.Event, error] {
	return func(func(dotmesh.Event, error) bool) { <-ctx.Done() }
}

func (s *stub) Dots(ctx context.Context) ([]dotmesh.DotStatus, error) { return s.dots(ctx) }

// gate lets in admin with the key "key" and alice with "alices".
type gate struct{ stub }

func (g *gate) Authenticate(_ context.Context, user dotmesh.Name, secret dotmesh.Secret) (dotmesh.Principal, error) {
	switch string(user) + ":" + string(secret) {
	case "admin:key":
		return dotmesh.Principal{Name: "admin", Admin: true}, nil
	case "alice:alices":
		return dotmesh.Principal{User: alice, Name: "alice"}, nil
	}
	return dotmesh.Principal{}, dotmesh.E("gate", dotmesh.Unauthenticated, "no")
}

func (g *gate) As(p dotmesh.Principal) dotmesh.Service {
	s := g.stub
	s.principal = p
	return &s
}

var alice = dotmesh.UserID{UUID: dotmesh.NewUUID()}

// serve runs a server with both doors until the test ends.
func serve(t testing.TB, g dotmesh.Gate) (unix, tcpURL string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	local, err := api.ListenLocal(ctx, filepath.Join(t.TempDir(), "dm.sock"))
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := api.ListenTCP(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	server := &api.Server{Gate: g, Hosts: []string{"dots.example"}, Debug: http.NotFoundHandler(), Metrics: http.NotFoundHandler()}
	go func() { ended <- server.Serve(ctx, local, tcp) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return local.String(), tcp.String()
}

// connect makes a client that is closed when the test ends.
func connect(t testing.TB, r api.Remote) *api.Client {
	t.Helper()
	c, err := api.NewClient(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestCallersAreKnown(t *testing.T) {
	unix, tcp := serve(t, &gate{})
	for name, test := range map[string]struct {
		remote api.Remote
		user   dotmesh.Name
		origin string
		kind   dotmesh.Kind
	}{
		"a process at the socket is the administrator":    {api.Remote{URL: unix}, "admin", "unix:uid=", ""},
		"a key on TCP is its user":                        {api.Remote{URL: tcp, User: "alice", Key: "alices"}, "alice", "127.0.0.1:", ""},
		"a key at the socket is its user":                 {api.Remote{URL: unix, User: "alice", Key: "alices"}, "alice", "unix:uid=", ""},
		"a wrong key is nobody":                           {api.Remote{URL: tcp, User: "alice", Key: "key"}, "", "", dotmesh.Unauthenticated},
		"no key on TCP is nobody":                         {api.Remote{URL: tcp}, "", "", dotmesh.Unauthenticated},
		"a wrong key at the socket is nobody":             {api.Remote{URL: unix, User: "admin", Key: "x"}, "", "", dotmesh.Unauthenticated},
		"a socket that is not there is unreachable":       {api.Remote{URL: unix + "x"}, "", "", dotmesh.Unreachable},
		"a port that nobody listens at is unreachable":    {api.Remote{URL: "http://" + freeAddress(t), User: "admin", Key: "key"}, "", "", dotmesh.Unreachable},
		"a server that is none of ours says so helpfully": {api.Remote{URL: stranger(t), User: "admin", Key: "key"}, "", "", dotmesh.Unsupported},
	} {
		t.Run(name, func(t *testing.T) {
			u, err := connect(t, test.remote).Whoami(t.Context())
			if got := dotmesh.KindOf(err); got != test.kind || u.Name != test.user || !strings.HasPrefix(u.Email, test.origin) {
				t.Errorf("got %v from %q and %v, want %v from %q and kind %q", u.Name, u.Email, err, test.user, test.origin, test.kind)
			}
		})
	}
}

// freeAddress is an address that nobody listens at.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// stranger is a web server that has never heard of dots.
func stranger(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-ended })
	return "http://" + l.Addr().String()
}

func TestDotsAndCommitsCross(t *testing.T) {
	want := someDots(1000)
	g := &gate{stub{
		dots: func(context.Context) ([]dotmesh.DotStatus, error) { return want, nil },
		commit: func(_ context.Context, r dotmesh.CommitRequest) (dotmesh.Commit, error) {
			return dotmesh.Commit{ID: r.ID, Message: r.Message, Metadata: r.Metadata}, nil
		},
	}}
	unix, _ := serve(t, g)
	c := connect(t, api.Remote{URL: unix})
	got, err := c.Dots(t.Context())
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %d dots and %v, want %d", len(got), err, len(want))
	}
	for i := range got {
		if got[i].ID != want[i].ID || got[i].Branch.Pointer != want[i].Branch.Pointer {
			t.Fatalf("dot %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
	commit, err := c.Commit(t.Context(), dotmesh.CommitRequest{Dot: dotmesh.DotName{Name: "shop"}, Message: "<&>é", Metadata: map[string]string{"k": "v=w,x"}})
	if err != nil || commit.ID.IsZero() || commit.Message != "<&>é" || commit.Metadata["k"] != "v=w,x" {
		t.Errorf("got %+v and %v", commit, err)
	}
}
