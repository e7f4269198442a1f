package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"dotmesh.io/dotmesh"
	"github.com/gorilla/rpc/v2/json2"
)

// fault is a dotmesh error on the wire: the error member of a JSON-RPC response, and the
// last line of a stream that failed.
type fault struct {
	Code    json2.ErrorCode `json:"code"`
	Message string          `json:"message"`
	Data    faultData       `json:"data"`
}

type faultData struct {
	Kind dotmesh.Kind `json:"kind"`
}

// failed is the body of an answer, or the last line of a stream, that carries an error.
type failed struct {
	Error *fault `json:"error"`
}

// faultOf says of err what its caller may know. What Dotmesh itself did wrong is told
// in full to administrators only: it may name files and addresses.
func faultOf(err error, admin bool) *fault {
	f := &fault{Code: json2.E_SERVER, Message: dotmesh.Text(err), Data: faultData{dotmesh.KindOf(err)}}
	if f.Data.Kind == dotmesh.Internal && !admin {
		f.Message = "the server failed; its log says why"
	}
	var rpc *json2.Error
	if errors.As(err, &rpc) {
		f.Code = rpc.Code
	}
	return f
}

// rpcError makes err what the JSON-RPC codec sends as it is.
func (f *fault) rpcError() *json2.Error {
	return &json2.Error{Code: f.Code, Message: f.Message, Data: f.Data}
}

// err is the fault as the client's caller gets it.
func (f *fault) err(op string) error {
	kind := f.Data.Kind
	if kind == "" {
		kind = dotmesh.Internal
		if f.Code != json2.E_SERVER && f.Code != json2.E_INTERNAL {
			kind = dotmesh.Invalid
		}
	}
	return &dotmesh.Error{Op: op, Kind: kind, Text: f.Message}
}

// statusOf is the HTTP status of an error outside of JSON-RPC, whose own are always 200.
func statusOf(kind dotmesh.Kind) int {
	switch kind {
	case dotmesh.Invalid:
		return http.StatusBadRequest
	case dotmesh.Unauthenticated:
		return http.StatusUnauthorized
	case dotmesh.Denied:
		return http.StatusForbidden
	case dotmesh.NotFound:
		return http.StatusNotFound
	case dotmesh.Exists, dotmesh.Conflict, dotmesh.Dirty, dotmesh.Busy, dotmesh.Diverged:
		return http.StatusConflict
	case dotmesh.TooMany:
		return http.StatusTooManyRequests
	case dotmesh.Unsupported:
		return http.StatusNotImplemented
	case dotmesh.Unreachable:
		return http.StatusServiceUnavailable
	case dotmesh.Timeout:
		return http.StatusGatewayTimeout
	case dotmesh.NoSpace:
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// refuse answers a request that is not JSON-RPC, or that never got so far, with an error.
func refuse(w http.ResponseWriter, err error, admin bool) {
	f := faultOf(err, admin)
	body, _ := json.Marshal(failed{f}) // strings and a number always marshal
	if f.Data.Kind == dotmesh.Unauthenticated {
		w.Header().Set("WWW-Authenticate", `Basic realm="dotmesh", charset="UTF-8"`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(statusOf(f.Data.Kind))
	_, _ = w.Write(append(body, '\n')) // who asked is gone: nobody is left to tell
}
