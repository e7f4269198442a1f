package dotmesh

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxMessage is the largest size in bytes of a commit's message, author and metadata
// together. A larger request is refused before anything is done.
const MaxMessage = 4096

// CommitKind says who wanted a commit.
type CommitKind string

const (
	// InitialCommit is the first one of a dot, made with it.
	InitialCommit CommitKind = "initial"
	// UserCommit is one that somebody asked for. It is never thinned out.
	UserCommit CommitKind = "user"
	// SystemCommit is one that Dotmesh made to keep dirty data; dm log hides it.
	SystemCommit CommitKind = "system"
)

// Commit is one immutable state of a line: its record in the registry and in every pool
// that holds it. Order is by Parent; Time is a label and decides nothing.
type Commit struct {
	ID       CommitID          `json:"id"`
	Line     LineID            `json:"line"`
	Seq      uint64            `json:"seq"`             // 1, 2, … on its line; gaps where commits were deleted
	Parent   CommitID          `json:"parent,omitzero"` // of this line or of its origin's; zero: the dot begins here
	Kind     CommitKind        `json:"kind"`
	Author   string            `json:"author"`
	Message  string            `json:"message,omitempty"`
	Time     time.Time         `json:"time"`
	Metadata map[string]string `json:"metadata,omitempty"`
	GUID     string            `json:"guid,omitempty"` // what the store itself calls the snapshot, the same on every node
	Chain    Chain             `json:"chain"`
}

// Visible reports whether users count this commit: dm log shows it and HEAD can be it.
func (c *Commit) Visible() bool { return c.Kind != SystemCommit }

// Size returns what counts against [MaxMessage].
func (c *Commit) Size() int {
	size := len(c.Author) + len(c.Message)
	for k, v := range c.Metadata {
		size += len(k) + len(v)
	}
	return size
}

// Validate refuses, as [Invalid], what no registry or pool should have to keep: a message
// and metadata that are too large or no text, and names of fields that do not begin with a
// small letter.
func (c *Commit) Validate() error {
	const op = "commit.Validate"
	if size := c.Size(); size > MaxMessage {
		return E(op, Invalid, "message and metadata have %d bytes; at most %d are allowed", size, MaxMessage)
	}
	for key, value := range c.Metadata {
		if first, _ := utf8.DecodeRuneInString(key); !unicode.IsLower(first) {
			return E(op, Invalid, "Metadata field names must start with lowercase characters: %s", key)
		}
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			return E(op, Invalid, "metadata %q is not valid UTF-8", key)
		}
	}
	if !utf8.ValidString(c.Message) {
		return E(op, Invalid, "the message is not valid UTF-8")
	}
	return nil
}

// Chain is a hash over a commit's whole history: SHA-256 of the parent's chain and the
// commit's id, kind, author, message, time and metadata. Two nodes that hold the same
// chain hold the same commits in the same order. It does not cover file contents.
type Chain [sha256.Size]byte

// After returns the chain of commit c whose parent's chain is parent. Every field goes in
// with its length before it, so no two commits share an encoding.
func (parent Chain) After(c *Commit) Chain {
	h := sha256.New()
	field := func(b []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	field(parent[:])
	field(c.ID.UUID[:])
	for _, s := range []string{string(c.Kind), c.Author, c.Message} {
		field([]byte(s))
	}
	field(binary.BigEndian.AppendUint64(nil, uint64(c.Time.UnixNano())))
	for _, k := range slices.Sorted(maps.Keys(c.Metadata)) {
		field([]byte(k))
		field([]byte(c.Metadata[k]))
	}
	return Chain(h.Sum(nil))
}

// String returns the chain in hexadecimal.
func (c Chain) String() string { return hex.EncodeToString(c[:]) }

// MarshalText is String as bytes; it never fails.
func (c Chain) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText accepts 64 hexadecimal digits.
func (c *Chain) UnmarshalText(text []byte) error {
	if len(text) != hex.EncodedLen(len(c)) {
		return E("parse chain", Invalid, "invalid chain %q: a chain is 64 hexadecimal digits", clip(string(text)))
	}
	if _, err := hex.Decode(c[:], text); err != nil {
		return E("parse chain", Invalid, "invalid chain %q: a chain is 64 hexadecimal digits", clip(string(text)))
	}
	return nil
}
