package dotmesh

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// UUID is the value of every id but a node's: 16 bytes, random, written as RFC 9562 has
// it. The zero UUID means "none" and is the empty string as text.
type UUID [16]byte

// NewUUID returns a random UUID (version 4).
func NewUUID() UUID {
	var u UUID
	rand.Read(u[:]) // never fails, as crypto/rand documents
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

// Derive returns the id of what a request makes: the same for the same request and word,
// so that a retry finds what the first try made.
func (u UUID) Derive(what string) UUID {
	sum := sha256.Sum256(append(u[:], what...))
	d := UUID(sum[:16])
	d[6] = d[6]&0x0f | 0x80 // version 8: RFC 9562 leaves its content to the maker
	d[8] = d[8]&0x3f | 0x80
	return d
}

// ParseUUID reads 8-4-4-4-12 hexadecimal digits in either case. The zero UUID is refused,
// since it would read back as "none".
func ParseUUID(s string) (UUID, error) {
	u, ok := parseUUID(s)
	if !ok {
		return UUID{}, E("parse id", Invalid, "invalid id %q: an id is a uuid such as %s", clip(s), "0b5f7c1e-3f0a-4d2b-9f57-6a2b8c1d9e40")
	}
	return u, nil
}

// parseUUID allocates nothing: a listing of 10,000 dots holds 70,000 ids.
func parseUUID[T string | []byte](s T) (u UUID, ok bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return UUID{}, false
	}
	at := 0
	for i := range u {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			at++ // a dash
		}
		high, low := nibble(s[at]), nibble(s[at+1])
		if high > 15 || low > 15 {
			return UUID{}, false
		}
		u[i] = high<<4 | low
		at += 2
	}
	return u, !u.IsZero()
}

// nibble returns the value of a hexadecimal digit, or 255.
func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// String returns the canonical text in lower case, or "" for the zero UUID.
func (u UUID) String() string {
	text, _ := u.MarshalText()
	return string(text)
}

// IsZero reports whether u means "none".
func (u UUID) IsZero() bool { return u == UUID{} }

// MarshalText is String as bytes; it never fails.
func (u UUID) MarshalText() ([]byte, error) {
	if u.IsZero() {
		return []byte{}, nil
	}
	text := make([]byte, 36)
	hex.Encode(text[0:], u[0:4])
	hex.Encode(text[9:], u[4:6])
	hex.Encode(text[14:], u[6:8])
	hex.Encode(text[19:], u[8:10])
	hex.Encode(text[24:], u[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return text, nil
}

// UnmarshalText accepts what [ParseUUID] accepts, and the empty text as the zero UUID.
func (u *UUID) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*u = UUID{}
		return nil
	}
	if id, ok := parseUUID(text); ok {
		*u = id
		return nil
	}
	_, err = ParseUUID(string(text))
	return err
}

// The ids of the nouns. Each is a type of its own, so that one cannot stand for another.
type (
	// ClusterID names a cluster in every pool that belongs to it.
	ClusterID struct{ UUID }
	// DotID names a dot; it equals the id of the dot's master branch.
	DotID struct{ UUID }
	// BranchID names a branch for as long as it lives, whatever line it points at.
	BranchID struct{ UUID }
	// LineID names a line: one file system and its commits.
	LineID struct{ UUID }
	// CommitID names a commit; it means the same bytes and the same parent everywhere.
	CommitID struct{ UUID }
	// UserID names a user; the administrator's is [AdminID].
	UserID struct{ UUID }
)

// AdminID is the administrator's user id. Its text is the all-zero uuid, as in the
// original; in memory that is the zero UserID.
var AdminID UserID

// String returns the id; the administrator's is all zeros and not empty.
func (id UserID) String() string {
	text, _ := id.MarshalText()
	return string(text)
}

const adminIDText = "00000000-0000-0000-0000-000000000000"

// MarshalText is String as bytes; it never fails.
func (id UserID) MarshalText() ([]byte, error) {
	if id == AdminID {
		return []byte(adminIDText), nil
	}
	return id.UUID.MarshalText()
}

// UnmarshalText accepts any uuid, all zeros included. The empty text is refused: it must
// not be taken for the administrator.
func (id *UserID) UnmarshalText(text []byte) (err error) {
	if string(text) == adminIDText {
		*id = AdminID
		return nil
	}
	id.UUID, err = ParseUUID(string(text))
	return err
}

// NodeID names a node: 16 hexadecimal digits in lower case, made once and kept in the
// node's pool. The empty NodeID means "none".
type NodeID string

// NewNodeID returns a random NodeID.
func NewNodeID() NodeID {
	var b [8]byte
	rand.Read(b[:]) // never fails, as crypto/rand documents
	return NodeID(hex.EncodeToString(b[:]))
}

// ParseNodeID reads 16 lower-case hexadecimal digits.
func ParseNodeID(s string) (NodeID, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 8 || hex.EncodeToString(b) != s {
		return "", E("parse node id", Invalid, "invalid node id %q: a node id is 16 hexadecimal digits", clip(s))
	}
	return NodeID(s), nil
}

// UnmarshalText accepts what [ParseNodeID] accepts, and the empty text as "none".
func (id *NodeID) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*id = ""
		return nil
	}
	*id, err = ParseNodeID(string(text))
	return err
}

// ParseCommitID reads a commit's id.
func ParseCommitID(s string) (CommitID, error) {
	u, err := ParseUUID(s)
	if err != nil {
		return CommitID{}, fmt.Errorf("commit: %w", err)
	}
	return CommitID{u}, nil
}
