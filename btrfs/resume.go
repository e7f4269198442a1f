//go:build linux

package btrfs

import (
	"bytes"
	"encoding/json"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/frame"
)

// streamFormat is what the bodies are that this store sends.
const streamFormat = "btrfs-1"

// resumption is what a receiver has of a commit whose stream broke off. The kernel sends the
// same bytes each time that it sends the same commit. So a sender goes on from the offset
// if what it would have sent before has the same digest.
type resumption struct {
	Commit dotmesh.CommitID `json:"commit"`
	Offset int64            `json:"offset"`
	SHA256 string           `json:"sha256"`
}

// token returns what a sender is told.
func (r *resumption) token() ([]byte, error) { return json.Marshal(r) }

// parseResumption reads what a receiver sent, who may be anybody.
func parseResumption(token []byte) (*resumption, error) {
	const limit = 1 << 10
	var r resumption
	d := json.NewDecoder(bytes.NewReader(token))
	d.DisallowUnknownFields()
	if len(token) > limit || d.Decode(&r) != nil || d.More() || r.Offset <= 0 || r.Commit.IsZero() {
		return nil, dotmesh.E("", dotmesh.Conflict, "the note of a broken stream cannot be read; send from the beginning")
	}
	return &r, nil
}

// fits checks that what was received is what would have been sent.
func (r *resumption) fits(d *frame.Digest) error {
	if d.Size() != r.Offset || d.String() != r.SHA256 {
		return dotmesh.E("", dotmesh.Conflict, "what came of commit %s before is not what is here; send from the beginning", r.Commit)
	}
	return nil
}
