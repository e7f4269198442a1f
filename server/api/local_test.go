package api_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// localTransport sends whatever it is given through a local door.
func localTransport(unix string) *http.Transport {
	path := strings.TrimPrefix(unix, "unix://")
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}
}

// roundTrip sends a request and returns the status and the whole answer.
func roundTrip(t testing.TB, transport *http.Transport, r *http.Request) (int, string) {
	t.Helper()
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
