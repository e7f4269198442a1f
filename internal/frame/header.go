package frame

import (
	"bytes"
	"context"
	"encoding/json"
	"io"

	"dotmesh.io/dotmesh"
)

// Limits of what a stream may say. A header holds a commit's metadata, of at most 64 KiB,
// in base64.
const (
	MaxHeader = 128 << 10
	MaxChunk  = 1 << 20
)

// preamble begins every stream. Another version of it is another format.
const preamble = "dotmesh stream 1\n"

// Header says what a step carries: one commit, as the difference to another one or whole.
type Header struct {
	Format   string           `json:"format"` // of the body, such as "btrfs-1"
	Line     dotmesh.LineID   `json:"line"`
	Commit   dotmesh.CommitID `json:"commit"`
	GUID     string           `json:"guid"`                // the store's name for Commit, on every node
	Meta     []byte           `json:"meta,omitempty"`      // as Snapshot was given it
	From     dotmesh.Ref      `json:"from,omitzero"`       // what the body is the difference to; zero: to nothing
	FromGUID string           `json:"from_guid,omitempty"` // the store's name for From
	Offset   int64            `json:"offset,omitempty"`    // bytes of the body that the receiver has and that are left out
	Estimate int64            `json:"estimate,omitempty"`  // about how much space the body takes, in bytes; 0: nobody knows
}

// worthAsking is how large a body must be for its receiver to ask what is free. Until a
// smaller one has failed, no more than this is taken from others.
const worthAsking = 16 << 20

// Fits refuses with NoSpace a body that is said to be larger than what is free in a pool,
// before others have lost the space that it would take. Of a small body, of one whose size
// nobody knows and of the rest of one it asks nothing.
func (h *Header) Fits(ctx context.Context, pool func(context.Context) (dotmesh.PoolUsage, error)) error {
	if h.Estimate < worthAsking || h.Offset > 0 {
		return nil
	}
	p, err := pool(ctx)
	if err != nil {
		return err
	}
	if free := p.Free - p.Reserve; h.Estimate > free {
		return dotmesh.E("", dotmesh.NoSpace, "commit %s takes about %d MB, and %d MB are free in the pool; delete what is not needed, or make the pool larger",
			h.Commit, h.Estimate>>20, free>>20)
	}
	return nil
}

// encode returns the header as a payload.
func (h *Header) encode() ([]byte, error) {
	payload, err := json.Marshal(h)
	if err == nil && len(payload) > MaxHeader {
		err = dotmesh.E("frame.Begin", dotmesh.Invalid, "the commit's metadata is too large to be sent")
	}
	return payload, err
}

// decodeHeader accepts what encode makes and nothing else: no unknown fields, which could
// matter, nothing behind it, and no header without its ids.
func decodeHeader(payload []byte) (*Header, error) {
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	var h Header
	if err := d.Decode(&h); err != nil {
		return nil, &dotmesh.Error{Kind: dotmesh.Corrupt, Text: "the stream's header cannot be read", Err: err}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, dotmesh.E("", dotmesh.Corrupt, "something follows the stream's header")
	}
	switch {
	case h.Line.IsZero(), h.Commit.IsZero(), h.GUID == "", h.Format == "":
		return nil, dotmesh.E("", dotmesh.Corrupt, "the stream's header does not say what it carries")
	case h.Offset < 0, h.Estimate < 0, h.From.Line.IsZero() != h.From.Commit.IsZero(), h.From.IsZero() != (h.FromGUID == ""):
		return nil, dotmesh.E("", dotmesh.Corrupt, "the stream's header contradicts itself")
	}
	return &h, nil
}
