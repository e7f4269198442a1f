package api_test

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
)

// impostor is a server that answers as f does.
func impostor(t *testing.T, f http.HandlerFunc) *api.Client {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return connect(t, api.Remote{URL: s.URL, User: "admin", Key: "key"})
}

// hangUp ends the connection in the middle of things.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_ = conn.Close()
}

func TestLostAnswers(t *testing.T) {
	call := map[string]func(*testing.T, *api.Client) error{
		"Whoami": func(t *testing.T, c *api.Client) error { _, err := c.Whoami(t.Context()); return err },
		"Commit": func(t *testing.T, c *api.Client) error {
			_, err := c.Commit(t.Context(), dotmesh.CommitRequest{})
			return err
		},
		"CreateUser": func(t *testing.T, c *api.Client) error {
			_, _, err := c.CreateUser(t.Context(), dotmesh.CreateUser{Name: "bob"})
			return err
		},
		"Dots": func(t *testing.T, c *api.Client) error { _, err := c.Dots(t.Context()); return err },
	}
	for _, test := range []struct {
		method string
		lost   int32 // answers
		kind   dotmesh.Kind
		sent   int32
	}{
		{"Whoami", 1, "", 2},
		{"Whoami", 9, dotmesh.Unreachable, 3},
		{"Dots", 1, "", 2},
		{"Dots", 9, dotmesh.Unreachable, 3},
		{"Commit", 1, "", 2},
		{"Commit", 9, dotmesh.Unknown, 3},
		{"CreateUser", 1, dotmesh.Unknown, 1},
	} {
		t.Run(fmt.Sprintf("%d lost of %s", test.lost, test.method), func(t *testing.T) {
			var sent atomic.Int32
			var first atomic.Value
			c := impostor(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				if !first.CompareAndSwap(nil, string(body)) && first.Load() != string(body) {
					t.Errorf("sent again as %s, first as %s", body, first.Load())
				}
				if sent.Add(1) <= test.lost {
					hangUp(w)
				} else if r.URL.Path == "/rpc" {
					_, _ = io.WriteString(w, `{"jsonrpc":"2.0","result":{},"id":1}`)
				}
			})
			if err := call[test.method](t, c); dotmesh.KindOf(err) != test.kind || sent.Load() != test.sent {
				t.Errorf("got %v after %d requests, want kind %q after %d", err, sent.Load(), test.kind, test.sent)
			}
		})
	}
}

func TestListThatIsCutOffIsNotTakenForAWhole(t *testing.T) {
	c := impostor(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "{\"branches\":1}\n")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	if dots, err := c.Dots(t.Context()); !errors.Is(err, dotmesh.Unreachable) || len(dots) != 0 {
		t.Errorf("got %d dots and %v", len(dots), err)
	}
	for _, err := range c.Diff(t.Context(), dotmesh.DiffRequest{}) {
		if err != nil {
			if !errors.Is(err, dotmesh.Unreachable) {
				t.Errorf("the diff ended with %v", err)
			}
			return
		}
	}
	t.Error("the diff ended as if it were whole")
}

// TestDotsAsTheyCome: a server that would go on for ever is read no further than is wanted.
func TestDotsAsTheyCome(t *testing.T) {
	gone := make(chan struct{})
	c := impostor(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		for n := 1; r.Context().Err() == nil; n++ {
			if _, err := fmt.Fprintf(w, "{\"branches\":%d}\n", n); err != nil {
				return
			}
		}
	})
	const wanted = 100_000 // several blocks
	n := 0
	for dot, err := range c.EachDot(t.Context()) {
		if n++; err != nil || dot.Branches != n {
			t.Fatalf("dot %d is %d: %v", n, dot.Branches, err)
		}
		if n == wanted {
			break
		}
	}
	<-gone
}

func TestDotsThatAreCutOff(t *testing.T) {
	for name, test := range map[string]struct {
		last string
		kind dotmesh.Kind
	}{
		"in a line":     {`{"branches":`, dotmesh.Unreachable},
		"after a line":  {"", dotmesh.Unreachable},
		"with a reason": {`{"error":{"code":-32000,"message":"no room","data":{"kind":"no_space"}}}` + "\n", dotmesh.NoSpace},
	} {
		t.Run(name, func(t *testing.T) {
			c := impostor(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, strings.Repeat("{\"branches\":1}\n", 50_000)+test.last)
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			})
			n := 0
			var last error
			for _, err := range c.EachDot(t.Context()) {
				if last = err; err == nil {
					n++
				}
			}
			if dotmesh.KindOf(last) != test.kind || n > 50_000 {
				t.Errorf("got %d dots and %v, want kind %q", n, last, test.kind)
			}
		})
	}
}

func TestStreamThatBreaksSaysWhy(t *testing.T) {
	c := impostor(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "{\"path\":\"a\",\"kind\":\"added\"}\n\n{\"path_bytes\":\"/w==\",\"kind\":\"removed\"}\n{\"error\":{\"code\":-32000,\"message\":\"no room\",\"data\":{\"kind\":\"no_space\"}}}\n")
	})
	var paths []string
	var last error
	for change, err := range c.Diff(t.Context(), dotmesh.DiffRequest{}) {
		if last = err; err == nil {
			paths = append(paths, change.Path)
		}
	}
	if !errors.Is(last, dotmesh.NoSpace) || dotmesh.Text(last) != "no room" || fmt.Sprint(paths) != fmt.Sprint([]string{"a", "\xff"}) {
		t.Errorf("got %q and %v", paths, last)
	}
}

func TestLongLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	c := impostor(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "{\"path\":%q,\"key\":%q}\n{\"path\":\"b\",\"key\":\"b\"}\n", long, long)
	})
	var paths []string
	for change, err := range c.Diff(t.Context(), dotmesh.DiffRequest{}) {
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, change.Path)
	}
	entries, err := c.Export(t.Context())
	if err != nil || len(entries) != 2 || entries[0].Key != long || len(paths) != 2 || paths[0] != long {
		t.Errorf("got %d paths, %d entries and %v", len(paths), len(entries), err)
	}
}

func TestDeadlines(t *testing.T) {
	c := impostor(t, func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		<-r.Context().Done() // which a server notices once it has read the request
	})
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	if _, err := c.Whoami(soon()); !errors.Is(err, dotmesh.Timeout) {
		t.Errorf("a read that takes too long: got %v", err)
	}
	if _, err := c.Commit(soon(), dotmesh.CommitRequest{}); !errors.Is(err, dotmesh.Unknown) {
		t.Errorf("a change that takes too long: got %v", err)
	}
}

func TestRemotesThatAreRefused(t *testing.T) {
	for name, r := range map[string]api.Remote{
		"no scheme":                     {URL: "localhost:32607"},
		"a scheme that is not ours":     {URL: "ftp://localhost"},
		"a socket without a path":       {URL: "unix://"},
		"a relative socket":             {URL: "unix://run/dm.sock"},
		"plain HTTP to another host":    {URL: "http://192.0.2.1:32607"},
		"plain HTTP to a name":          {URL: "http://localhost.example:32607"},
		"a key in the address":          {URL: "https://admin:key@example.com"},
		"a hash that is none":           {URL: "https://example.com", CAHash: "abc"},
		"something that cannot be read": {URL: "http://[::1"},
	} {
		if c, err := api.NewClient(r); !errors.Is(err, dotmesh.Invalid) {
			t.Errorf("%s: got %v and %v", name, c, err)
		}
	}
}

func TestPinnedAuthority(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","result":{"name":"admin"},"id":1}`)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of what is tested
	s.StartTLS()
	t.Cleanup(s.Close)
	hash := func(data []byte) string {
		sum := sha256.Sum256(data)
		return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])
	}
	who := func(r api.Remote) error {
		r.URL = s.URL
		_, err := connect(t, r).Whoami(t.Context())
		return err
	}
	if err := who(api.Remote{CAHash: hash(s.Certificate().Raw)}); err != nil {
		t.Errorf("the right authority is refused: %v", err)
	}
	if err := who(api.Remote{CAHash: hash([]byte("another"))}); !errors.Is(err, dotmesh.Unauthenticated) {
		t.Errorf("another authority: got %v", err)
	}
	if err := who(api.Remote{}); !errors.Is(err, dotmesh.Unauthenticated) {
		t.Errorf("an authority that nobody knows: got %v", err)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var asked atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(target.Close)
	c := impostor(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.Whoami(t.Context()); !errors.Is(err, dotmesh.Unsupported) || asked.Load() != 0 {
		t.Errorf("got %v, and the key was sent %d times to another server", err, asked.Load())
	}
}

func TestSocketOfADeadServerIsReplaced(t *testing.T) {
	path := t.TempDir() + "/dm.sock"
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	door, err := api.ListenLocal(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.ListenLocal(t.Context(), path); !errors.Is(err, dotmesh.Exists) {
		t.Errorf("a second server at the same socket: got %v", err)
	}
	if err := door.Close(); err != nil {
		t.Error(err)
	}
}

func TestDoorThatIsNotEncryptedIsForThisMachineOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "example.com:0", "localhost"} {
		if _, err := api.ListenTCP(t.Context(), address); !errors.Is(err, dotmesh.Invalid) {
			t.Errorf("%s: got %v", address, err)
		}
	}
}
