package api

import "net/http"

const legacyPrefix = "DotmeshRPC."

// legacy are the DotmeshRPC.* methods.
type legacy struct{}

// Ping answers true.
func (legacy) Ping(_ *http.Request, _ *none, out *bool) error {
	*out = true
	return nil
}

func legacyReads(method string) bool { return method == "Ping" }

func legacyDiff(w http.ResponseWriter, r *http.Request) {}
