package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"dotmesh.io/dotmesh"
)

// Call calls a method by its full name with parameters as they are, and returns its
// result as it came: for whoever explores a server. Nothing is known of what the method
// does, so the call is sent once, and ends in [dotmesh.Unknown] if the answer was lost.
func (c *Client) Call(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
	call := request{Version: "2.0", ID: c.ids.Add(1), Method: method}
	if len(params) > 0 {
		call.Params = params
	}
	body, err := json.Marshal(call)
	if err != nil {
		return nil, dotmesh.Wrap(method, err)
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *fault          `json:"error"`
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	err = c.exchange(ctx, method, once, http.MethodPost, "/rpc", body, func(r io.Reader) error {
		return json.NewDecoder(r).Decode(&answer)
	})
	if err == nil && answer.Error != nil {
		err = answer.Error.err(method)
	}
	return answer.Result, err
}
