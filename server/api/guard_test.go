package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
)

// raw sends a request as a stranger would write it and returns the status and the answer.
func raw(t *testing.T, url string, change func(*http.Request), body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.SetBasicAuth("alice", "alices")
	if change != nil {
		change(r)
	}
	return roundTrip(t, &http.Transport{DisableKeepAlives: true}, r)
}

const whoami = `{"jsonrpc":"2.0","id":1,"method":"Dotmesh.Whoami"}`

func TestGuard(t *testing.T) {
	_, tcp := serve(t, &gate{})
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	path := func(p string) func(*http.Request) {
		return func(r *http.Request) { r.URL.Path, r.URL.RawPath = p, "" }
	}
	for name, test := range map[string]struct {
		change func(*http.Request)
		status int
	}{
		"a call is answered":                         {nil, 200},
		"a charset may be given":                     {header("Content-Type", "application/json; charset=utf-8"), 200},
		"another charset is refused":                 {header("Content-Type", "application/json; charset=utf-16"), 400},
		"a form is refused":                          {header("Content-Type", "application/x-www-form-urlencoded"), 400},
		"plain text is refused":                      {header("Content-Type", "text/plain"), 400},
		"a stream of lines is refused":               {header("Content-Type", "application/x-ndjson"), 400},
		"no content type is refused":                 {func(r *http.Request) { r.Header.Del("Content-Type") }, 400},
		"a compressed body is refused":               {header("Content-Encoding", "gzip"), 501},
		"a web page's origin is refused":             {header("Origin", "http://localhost:32607"), 403},
		"the null origin is refused":                 {header("Origin", "null"), 403},
		"localhost is a name of ours":                {host("localhost:32607"), 200},
		"an address is a name of ours":               {host("127.0.0.1"), 200},
		"an IPv6 address is a name of ours":          {host("[::1]:32607"), 200},
		"an advertised name is a name of ours":       {host("Dots.Example.:32607"), 200},
		"a rebound name is refused":                  {host("evil.example"), 403},
		"a name that ends like ours is refused":      {host("notlocalhost"), 403},
		"no key is refused":                          {func(r *http.Request) { r.Header.Del("Authorization") }, 401},
		"a user name that is no name is refused":     {func(r *http.Request) { r.SetBasicAuth("../alice", "alices") }, 401},
		"another scheme than Basic is refused":       {header("Authorization", "Bearer alices"), 401},
		"a method override changes nothing":          {header("X-HTTP-Method-Override", "GET"), 200},
		"GET is refused at /rpc":                     {func(r *http.Request) { r.Method, r.Body, r.ContentLength = http.MethodGet, nil, 0 }, 405},
		"a path that climbs is led back, not obeyed": {path("/events/../../rpc"), 307},
		"an unknown path is not found":               {path("/rpcs"), 404},
		"pprof is not served on TCP":                 {path("/debug/pprof/"), 404},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := raw(t, tcp+"/rpc", test.change, whoami); status != test.status {
				t.Errorf("got %d %s, want %d", status, body, test.status)
			}
		})
	}
}

func TestBodies(t *testing.T) {
	_, tcp := serve(t, &gate{})
	call := func(params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"Dotmesh.Commit","params":` + params + `}`
	}
	for name, test := range map[string]struct {
		body string
		code int
		kind dotmesh.Kind
	}{
		"nothing":                            {"", -32700, dotmesh.Invalid},
		"half a value":                       {`{"jsonrpc":`, -32700, dotmesh.Invalid},
		"a batch":                            {"[" + whoami + "," + whoami + "]", -32700, dotmesh.Invalid},
		"a batch of 10,000":                  {"[" + strings.Repeat("1,", 9999) + "1]", -32700, dotmesh.Invalid},
		"two values":                         {whoami + whoami, -32700, dotmesh.Invalid},
		"something after the value":          {whoami + "x", -32700, dotmesh.Invalid},
		"a byte order mark":                  {"\xef\xbb\xbf" + whoami, -32700, dotmesh.Invalid},
		"UTF-16":                             {"\xff\xfe{\x00}\x00", -32700, dotmesh.Invalid},
		"a string that is not UTF-8":         {call("{\"message\":\"\xff\"}"), -32700, dotmesh.Invalid},
		"nested without end":                 {call(strings.Repeat(`[`, 100000)), -32700, dotmesh.Invalid},
		"nested too deeply":                  {call(strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40)), -32700, dotmesh.Invalid},
		"a key twice":                        {call(`{"message":"a","message":"b"}`), -32700, dotmesh.Invalid},
		"a key in two spellings":             {call(`{"message":"a","MESSAGE":"b"}`), -32700, dotmesh.Invalid},
		"an escaped key twice":               {call(`{"message":"a","\u006dessage":"b"}`), -32700, dotmesh.Invalid},
		"the method twice":                   {`{"jsonrpc":"2.0","id":1,"method":"Dotmesh.Whoami","Method":"Dotmesh.Recover"}`, -32700, dotmesh.Invalid},
		"larger than 1 MiB":                  {call(`{"message":"` + strings.Repeat("a", 1<<20) + `"}`), -32700, dotmesh.Invalid},
		"another version":                    {`{"jsonrpc":"1.0","id":1,"method":"Dotmesh.Whoami"}`, -32600, dotmesh.Invalid},
		"no such method":                     {`{"jsonrpc":"2.0","id":1,"method":"Dotmesh.whoami"}`, -32601, dotmesh.Unsupported},
		"no such service":                    {`{"jsonrpc":"2.0","id":1,"method":"Rpc.Whoami"}`, -32601, dotmesh.Unsupported},
		"a method without a service":         {`{"jsonrpc":"2.0","id":1,"method":"Whoami"}`, -32601, dotmesh.Unsupported},
		"a field that the method has not":    {call(`{"force":true}`), -32602, dotmesh.Invalid},
		"a number where text belongs":        {call(`{"message":1}`), -32602, dotmesh.Invalid},
		"a name that is none":                {call(`{"dot":{"name":"../x"}}`), -32602, dotmesh.Invalid},
		"an id that is none":                 {call(`{"id":"1234"}`), -32602, dotmesh.Invalid},
		"two parameters":                     {call(`[{},{}]`), -32602, dotmesh.Invalid},
		"a number too large for its field":   {`{"jsonrpc":"2.0","id":1,"method":"Dotmesh.Ops","params":{"limit":1e99}}`, -32602, dotmesh.Invalid},
		"an error of the service":            {call(`{"message":"no"}`), -32000, dotmesh.Busy},
		"an error of the server's own":       {call(`{"message":"broken"}`), -32000, dotmesh.Internal},
		"parameters as an object":            {call(`{"message":"yes"}`), 0, ""},
		"parameters as an array":             {call(`[{"message":"yes"}]`), 0, ""},
		"metadata keys that differ in case":  {call(`{"message":"yes","metadata":{"aB":"1","ab":"2"}}`), 0, ""},
		"no parameters where none are taken": {whoami, 0, ""},
		"an empty array where none is taken": {`{"jsonrpc":"2.0","id":"x","method":"Dotmesh.Whoami","params":[]}`, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := raw(t, tcp+"/rpc", nil, test.body)
			var answer struct {
				Result json.RawMessage
				Error  struct {
					Code    int
					Message string
					Data    struct{ Kind dotmesh.Kind }
				}
			}
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				t.Fatalf("got %d and no JSON: %s", status, body)
			}
			if answer.Error.Code != test.code || answer.Error.Data.Kind != test.kind {
				t.Errorf("got %s, want code %d and kind %q", body, test.code, test.kind)
			}
			if strings.Contains(body, "/secret/path") {
				t.Errorf("a user is told the server's inside: %s", body)
			}
		})
	}
}

// slowHTTP talks to a TCP door by hand.
func slowHTTP(t *testing.T, url string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, bufio.NewReader(conn)
}

func TestHTTPTricks(t *testing.T) {
	_, tcp := serve(t, &gate{})
	for name, test := range map[string]struct {
		request string
		status  int
	}{
		"a length and chunks": {"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 401},
		"two lengths":         {"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
		"no host":             {"POST /rpc HTTP/1.1\r\n\r\n", 400},
		"two hosts":           {"GET /check HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400},
		"an absolute form":    {"GET http://evil.example/check HTTP/1.1\r\nHost: localhost\r\n\r\n", 403},
		"ten thousand headers": {
			"GET /check HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X-Header: value\r\n", 10000) + "\r\n", 431,
		},
		"an encoded path that climbs": {"GET /%2e%2e%2fcheck HTTP/1.1\r\nHost: localhost\r\n\r\n", 404},
		"an HTTP/2 preface":           {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403},
	} {
		t.Run(name, func(t *testing.T) {
			conn, answers := slowHTTP(t, tcp)
			if _, err := io.WriteString(conn, test.request); err != nil {
				t.Logf("the server did not read to the end: %v", err)
			}
			answer, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != test.status {
				t.Errorf("got %s, want %d", answer.Status, test.status)
			}
		})
	}
}

func TestSlowHeadersAreHungUpOn(t *testing.T) {
	t.Parallel()
	_, tcp := serve(t, &gate{})
	conn, answers := slowHTTP(t, tcp)
	if _, err := io.WriteString(conn, "POST /rpc HTTP/1.1\r\nHost: "); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(answers); err != nil { // ends when the server hangs up
		t.Errorf("got %q and %v, want an end", rest, err)
	}
}

func TestEveryoneMayCheck(t *testing.T) {
	_, tcp := serve(t, &gate{})
	status, body := raw(t, tcp+"/check", func(r *http.Request) { r.Method = http.MethodGet; r.Header = http.Header{} }, "")
	if status != 200 || body != "OK\n" {
		t.Errorf("got %d %q", status, body)
	}
}

func TestWrongLoginsAreSlowedDown(t *testing.T) {
	_, tcp := serve(t, &gate{})
	got := map[int]int{}
	for range 40 {
		status, _ := raw(t, tcp+"/rpc", func(r *http.Request) { r.SetBasicAuth("alice", "wrong") }, whoami)
		got[status]++
	}
	if got[http.StatusTooManyRequests] == 0 || got[http.StatusUnauthorized] < 20 {
		t.Errorf("got %v, want twenty refusals and then a stop", got)
	}
	if status, _ := raw(t, tcp+"/rpc", func(r *http.Request) { r.SetBasicAuth("admin", "key") }, whoami); status != 200 {
		t.Errorf("another user got %d, want 200", status)
	}
}

func TestChangesAreAudited(t *testing.T) {
	var text bytes.Buffer
	url, stop, ended := stoppable(t, &api.Server{
		Gate: &gate{}, Log: slog.New(slog.NewTextHandler(&text, nil)),
	})
	c := connect(t, api.Remote{URL: url})
	if _, err := c.Whoami(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.Commit(t.Context(), dotmesh.CommitRequest{Message: "yes", Metadata: map[string]string{"k": "confidential"}}); err != nil {
		t.Error(err)
	}
	if _, err := c.Commit(t.Context(), dotmesh.CommitRequest{Message: "broken"}); !errors.Is(err, dotmesh.Internal) {
		t.Error(err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	log := text.String()
	who := fmt.Sprintf("method=Dotmesh.Commit user=admin origin=\"unix:uid=%d,pid=%d\"", os.Getuid(), os.Getpid())
	if strings.Count(log, who) != 2 || !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "/secret/path") {
		t.Errorf("the log is\n%s", log)
	}
	if strings.Contains(log, "confidential") || strings.Contains(log, "Whoami") {
		t.Errorf("the log holds what it should not:\n%s", log)
	}
}
