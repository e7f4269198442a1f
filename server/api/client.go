package api

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"dotmesh.io/dotmesh"
)

// Client is a server's Service over HTTP. Any number of goroutines may use it; it keeps
// connections for the next call. A call without a deadline gets five minutes.
//
// A call that changes something and whose answer was lost is sent again if that cannot do
// it twice; the client names what such a call makes, where its caller did not. If there
// is no answer then either, the call ends in [dotmesh.Unknown].
type Client struct {
	remote Remote
	target target
	http   *http.Client
	ids    atomic.Uint64
}

var _ dotmesh.Service = (*Client)(nil)

// NewClient makes a client of a server and does not call it. [dotmesh.Invalid] if the
// remote's address or hash cannot be read, or would send the key in clear.
func NewClient(remote Remote) (*Client, error) {
	target, err := remote.resolve()
	if err != nil {
		return nil, err
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{remote: remote, target: target, http: &http.Client{Transport: target.transport, CheckRedirect: stay}}, nil
}

// Close closes the connections that no call uses.
func (c *Client) Close() { c.target.transport.CloseIdleConnections() }

// repeat says what becomes of a call whose answer was lost.
type repeat int

const (
	read  repeat = iota // it changes nothing: send it again
	again               // it does nothing twice: send it again
	once                // it might be done twice: the outcome is unknown
)

// tries is how often a call is sent, and pause how long is waited before the first
// repetition; the next waits are longer.
const (
	tries = 3
	pause = 50 * time.Millisecond
)

// request is a JSON-RPC 2.0 request as the client sends it.
type request struct {
	Version string `json:"jsonrpc"`
	ID      uint64 `json:"id"`
	Method  string `json:"method"`
	Params  any    `json:"params,omitempty"`
}

// invoke calls a Dotmesh.* method.
func invoke[Out any](ctx context.Context, c *Client, how repeat, name string, in any) (Out, error) {
	var answer struct {
		Result Out    `json:"result"`
		Error  *fault `json:"error"`
	}
	op := methodPrefix + name
	body, err := json.Marshal(request{Version: "2.0", ID: c.ids.Add(1), Method: op, Params: in})
	if err != nil {
		return answer.Result, dotmesh.Wrap(op, err)
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	err = c.exchange(ctx, op, how, http.MethodPost, "/rpc", body, func(r io.Reader) error {
		return json.NewDecoder(r).Decode(&answer)
	})
	if err == nil && answer.Error != nil {
		err = answer.Error.err(op)
	}
	return answer.Result, err
}

func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, callTimeout)
}

// exchange sends a request until an answer came in that take could read whole, or until
// sending it again would be wrong or in vain.
func (c *Client) exchange(ctx context.Context, op string, how repeat, method, path string, body []byte, take func(io.Reader) error) error {
	var err, lost error
	for try := range tries {
		if try > 0 && !sleep(ctx, pause<<try) {
			break
		}
		if err = c.send(ctx, method, path, body, take); err == nil {
			return nil
		}
		if _, told := errors.AsType[*dotmesh.Error](err); told || unsent(err) {
			break
		}
		if lost = err; how == once {
			break
		}
	}
	if lost != nil && untried(err) {
		err = lost
	}
	return c.broken(ctx, op, how, err)
}

// untried reports whether the server did not come to do what it was asked: that says
// nothing of an earlier request whose answer was lost.
func untried(err error) bool {
	switch dotmesh.KindOf(err) {
	case dotmesh.Unreachable, dotmesh.Timeout, dotmesh.TooMany, dotmesh.Canceled:
		return true
	}
	return unsent(err)
}

// send sends a request and lets take read the answer. An error that the server itself
// told is a [dotmesh.Error]; any other is the connection's.
func (c *Client) send(ctx context.Context, method, path string, body []byte, take func(io.Reader) error) error {
	response, err := c.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	err = take(response.Body)
	// What follows the value must be read for the connection to be used again.
	_, rest := io.Copy(io.Discard, io.LimitReader(response.Body, 1<<10))
	return errors.Join(err, rest, response.Body.Close())
}

// open sends a request and returns an answer that is not an error.
func (c *Client) open(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	call, err := http.NewRequestWithContext(ctx, method, c.target.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		call.Header.Set("Content-Type", "application/json")
	}
	if c.remote.User != "" {
		call.SetBasicAuth(string(c.remote.User), string(c.remote.Key))
	}
	response, err := c.http.Do(call)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	return nil, errors.Join(refusal(response), response.Body.Close())
}

// refusal is the error that an answer carries instead of a result.
func refusal(response *http.Response) error {
	var body failed
	if err := json.NewDecoder(io.LimitReader(response.Body, maxBody)).Decode(&body); err == nil && body.Error != nil {
		return body.Error.err("")
	}
	return dotmesh.E("", dotmesh.Unsupported, "the server answered %q, which no dotmesh-server says; is its address right?", response.Status)
}

// unsent reports whether a request cannot have reached the server.
func unsent(err error) bool {
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial" || untrusted(err)
}

// untrusted reports whether the server could not prove who it is.
func untrusted(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}

// broken turns an exchange that failed into the error that the caller gets.
func (c *Client) broken(ctx context.Context, op string, how repeat, err error) error {
	if told, ok := errors.AsType[*dotmesh.Error](err); ok {
		return dotmesh.E(op, told.Kind, "%s", dotmesh.Text(told))
	}
	end := func(kind dotmesh.Kind, format string, args ...any) error {
		return &dotmesh.Error{Op: op, Kind: kind, Text: fmt.Sprintf(format, args...), Err: err}
	}
	switch {
	case ctx.Err() != nil && (how == read || unsent(err)):
		return dotmesh.Wrap(op, context.Cause(ctx))
	case untrusted(err):
		return end(dotmesh.Unauthenticated, "nobody vouches for the certificate of %s; add the remote again with its cluster's CA hash", c.remote.URL)
	case errors.Is(err, syscall.EACCES):
		return end(dotmesh.Denied, "you may not use %s; join the group %q or be root", c.remote.URL, Group)
	case unsent(err):
		return end(dotmesh.Unreachable, "no server answers at %s; start one with dotmesh-server, or check the address", c.remote.URL)
	case how == read:
		return end(dotmesh.Unreachable, "the connection to %s broke; try again", c.remote.URL)
	}
	return end(dotmesh.Unknown, "the answer of %s was lost, so it may or may not be done; look before you try again", c.remote.URL)
}

// sleep reports whether it slept d and ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
