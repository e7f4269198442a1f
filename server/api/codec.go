package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"dotmesh.io/dotmesh"
	"github.com/gorilla/rpc/v2"
	"github.com/gorilla/rpc/v2/json2"
)

// maxDepth is how deep the JSON of a request may be nested. The deepest that any method
// takes is 6.
const maxDepth = 32

// codec reads JSON-RPC requests strictly and writes answers as json2 does.
type codec struct {
	known func(method string) bool
}

// NewRequest reads all of the request's body; whatever is wrong with it is answered when
// Method is asked for.
func (c codec) NewRequest(r *http.Request) rpc.CodecRequest {
	q := &codecRequest{known: c.known, admin: callOf(r.Context()).principal.Admin}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = checkJSON(body)
	}
	if err == nil {
		err = json.Unmarshal(body, &q.envelope)
	}
	q.err = asRequestError(err)
	// json2 keeps the request's id and writes the answer. It reads the body a second
	// time: one that was refused must not reach it, and its own complaint is not used.
	if err != nil {
		body = []byte(`{"jsonrpc":"2.0","id":null}`)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	mapper := func(err error) error { return faultOf(err, q.admin).rpcError() }
	q.CodecRequest = json2.NewCustomCodecWithErrorMapper(rpc.DefaultEncoderSelector, mapper).NewRequest(r)
	return q
}

// asRequestError gives what is wrong with a body its JSON-RPC code.
func asRequestError(err error) error {
	if err == nil {
		return nil
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		err = dotmesh.E("api.rpc", dotmesh.Invalid, "the request is larger than %d bytes", large.Limit)
	}
	return faultCode(err, json2.E_PARSE)
}

// faultCode is err as a JSON-RPC error with a code of the specification.
func faultCode(err error, code json2.ErrorCode) error {
	if dotmesh.KindOf(err) == dotmesh.Internal {
		err = dotmesh.E("api.rpc", dotmesh.Invalid, "%s", err)
	}
	f := faultOf(err, true)
	f.Code = code
	return f.rpcError()
}

// codecRequest is one JSON-RPC request.
type codecRequest struct {
	rpc.CodecRequest
	known    func(string) bool
	admin    bool
	envelope envelope
	err      error
}

// envelope is what a JSON-RPC 2.0 request holds.
type envelope struct {
	Version string           `json:"jsonrpc"`
	Method  string           `json:"method"`
	Params  json.RawMessage  `json:"params"`
	ID      *json.RawMessage `json:"id"`
}

// Method returns the method's full name, if there is such a one.
func (q *codecRequest) Method() (string, error) {
	if q.err != nil {
		return "", q.err
	}
	if q.envelope.Version != json2.Version {
		return "", faultCode(dotmesh.E("api.rpc", dotmesh.Invalid, `"jsonrpc" must be "2.0"`), json2.E_INVALID_REQ)
	}
	if !q.known(q.envelope.Method) {
		return "", faultCode(dotmesh.E("api.rpc", dotmesh.Unsupported,
			"this server has no method %q; docs/api.md lists those it has", clip(q.envelope.Method)), json2.E_NO_METHOD)
	}
	return q.envelope.Method, nil
}

// ReadRequest decodes the parameters: one value, or an array of that one value. A field
// that the method does not know is refused, since ignoring it could do something else
// than was meant; the original's clients are let through as the original did.
func (q *codecRequest) ReadRequest(args any) error {
	params := q.envelope.Params
	if one, ok := onlyElement(params); ok {
		params = one
	}
	if len(params) == 0 || string(params) == "null" {
		return nil
	}
	decode := strictly
	if strings.HasPrefix(q.envelope.Method, legacyPrefix) {
		if _, takesNone := args.(*none); takesNone {
			return nil
		}
		decode = json.Unmarshal
	}
	if err := decode(params, args); err != nil {
		return faultCode(dotmesh.E("api.rpc", dotmesh.Invalid, "%s: invalid parameters: %s", q.envelope.Method, reason(err)), json2.E_BAD_PARAMS)
	}
	return nil
}

// onlyElement returns the element of an array of at most one, and nothing for an empty one.
func onlyElement(params json.RawMessage) (json.RawMessage, bool) {
	if len(params) == 0 || params[0] != '[' {
		return nil, false
	}
	var list []json.RawMessage
	if err := json.Unmarshal(params, &list); err != nil || len(list) > 1 {
		return nil, false
	}
	if len(list) == 0 {
		return nil, true
	}
	return list[0], true
}

// strictly decodes exactly one value that has no fields that v does not.
func strictly(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// reason is what is wrong with a value, in words for whoever sent it.
func reason(err error) string {
	var typed *dotmesh.Error
	if errors.As(err, &typed) {
		return dotmesh.Text(typed)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// checkJSON refuses what a decoder would take in a way that its sender need not have
// meant: more than one value, a batch, a key given twice or in two spellings, nesting
// without end, text that is not UTF-8.
func checkJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("the request is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if start, err := d.Token(); err != nil {
		return err
	} else if start != json.Delim('{') {
		return errors.New("the request must be one JSON object; batches are not taken")
	}
	if err := checkValues(d, '{', false, 1); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the request")
	}
	return nil
}

// checkValues reads up to the end of the object or array that was just opened. In an
// object whose keys are the caller's own, two that differ in case only are two keys.
func checkValues(d *json.Decoder, open json.Delim, own bool, depth int) error {
	if depth > maxDepth {
		return errors.New("the request is nested too deeply")
	}
	seen := map[string]bool{}
	key := ""
	for isKey := open == '{'; ; isKey = open == '{' && !isKey {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case json.Delim:
			if t == '}' || t == ']' {
				return nil
			}
			if err := checkValues(d, t, strings.EqualFold(key, "metadata"), depth+1); err != nil {
				return err
			}
		case string:
			if !isKey {
				continue
			}
			if key = t; !own {
				t = strings.ToLower(t)
			}
			if seen[t] {
				return dotmesh.E("api.rpc", dotmesh.Invalid, "the key %q is given twice", clip(t))
			}
			seen[t] = true
		}
	}
}

// clip keeps an error line short when the input that it quotes is not.
func clip(s string) string {
	if len(s) <= dotmesh.MaxName {
		return s
	}
	return strings.ToValidUTF8(s[:dotmesh.MaxName], "") + "…"
}
