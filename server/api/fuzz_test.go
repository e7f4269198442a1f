package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"
)

// FuzzRPC sends bodies to a whole node, as its administrator: each is answered as
// JSON-RPC has it, and none hangs or ends the connection, as a panic would.
func FuzzRPC(f *testing.F) {
	for _, seed := range []string{
		whoami, "", "[]", "{}", `{"jsonrpc":"2.0","id":null,"method":"Dotmesh.Commit","params":[{"message":"yes"}]}`,
		`{"jsonrpc":"2.0","id":1,"method":"DotmeshRPC.Commit","params":{"Namespace":"a","Name":"b","Metadata":{"#commit-id":"x"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"DotmeshRPC.UserFromName","params":"x"}`,
		`{"jsonrpc":"2.0","id":{"a":[1e400]},"method":"Dotmesh.Dot","params":{"name":"\ud800"}}`,
	} {
		f.Add([]byte(seed))
	}
	unix, _ := serve(f, node(f))
	transport := localTransport(unix)
	f.Cleanup(transport.CloseIdleConnections)
	f.Fuzz(func(t *testing.T, body []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/rpc", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		status, text := roundTrip(t, transport, r)
		answer := []byte(text)
		if status != http.StatusOK || len(answer) == 0 {
			return // a notification has no answer
		}
		var rpc struct {
			Version string          `json:"jsonrpc"`
			Result  json.RawMessage `json:"result"`
			Error   json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(answer, &rpc); err != nil || rpc.Version != "2.0" || (rpc.Result == nil) == (rpc.Error == nil) {
			t.Errorf("%q was answered %q", body, answer)
		}
		if rpc.Error == nil && bytes.Count(body, []byte("jsonrpc")) > 1 && !json.Valid(body) {
			t.Errorf("%q was taken", body)
		}
	})
}
