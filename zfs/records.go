//go:build linux

package zfs

import (
	"bytes"
	"encoding/binary"
	"strings"

	"dotmesh.io/dotmesh"
)

// A stream of zfs send is a row of records of one size, each followed by as many bytes of
// payload as it says. The first begins it, and says what it is; the last ends it, and only
// when the kernel gets that does the snapshot come to be. What is in between is the
// kernel's business, but for where each record ends and that it belongs to this stream:
// so nothing can follow the end, and the end can be held back.
const recordSize = 312

// Kinds of records. Those that are not here are of streams that nobody asked for: another
// stream inside, data by reference, raw and redacted ones.
const (
	recordBegin       = 0
	recordObject      = 1
	recordFreeObjects = 2
	recordWrite       = 3
	recordFree        = 4
	recordEnd         = 5
	recordSpill       = 7
	recordEmbedded    = 8
)

// Limits of what a record may say: the largest block, bonus and embedded block there are.
const (
	maxBlock    = 16 << 20
	maxBonus    = 16 << 10
	maxEmbedded = 112
)

// resumeNote is where a resumed stream begins, as the kernel packs it: a list of two
// numbers by name, which are left out here. Any other list could say anything.
var resumeNote = [3]string{
	"\x00\x01\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00(\x00\x00\x00\x0e\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00resume_object\x00\x00\x00",
	"(\x00\x00\x00\x0e\x00\x00\x00\x01\x00\x00\x00\x08\x00\x00\x00resume_offset\x00\x00\x00",
	"\x00\x00\x00\x00",
}

// noteSize is how long it is.
const noteSize = 96

func validNote(b []byte) bool {
	const number = 8
	at := 0
	for i, part := range resumeNote {
		if i > 0 {
			at += number
		}
		if !bytes.HasPrefix(b[at:], []byte(part)) {
			return false
		}
		at += len(part)
	}
	return at == len(b)
}

// What a stream needs of its receiver, as its beginning says.
const (
	needsSpill       = 1 << 2
	needsEmbedded    = 1 << 16
	needsLZ4         = 1 << 17
	needsLargeBlocks = 1 << 19
	needsResuming    = 1 << 20
	needsRedacted    = 1 << 21
	needsCompressed  = 1 << 22
	needsLargeDnodes = 1 << 23
	needsRaw         = 1 << 24
	needsZstd        = 1 << 25

	needsKnown = needsSpill | needsEmbedded | needsLZ4 | needsLargeBlocks | needsResuming | needsCompressed | needsLargeDnodes | needsZstd
)

// What a stream is, as its beginning says.
const (
	isClone       = 1 << 0 // the difference to a snapshot of another dataset
	isFolded      = 1 << 1 // of a dataset whose names ignore case
	hasFrees      = 1 << 2
	hasSpillMarks = 1 << 3
)

const (
	streamMagic      = 0x2F5bacbac
	streamOfOne      = 1 // not of several datasets with their properties
	filesystemObject = 2 // not a volume
)

// beginning is what the first record of a stream says.
type beginning struct {
	needs    uint32
	flags    uint32
	to, from uint64 // guids; from is 0 in a whole one
	resuming bool   // it has a note behind it
}

// parseBeginning reads the first record, and refuses what this package does not send.
func parseBeginning(b []byte) (beginning, error) {
	le := binary.LittleEndian
	if le.Uint32(b) != recordBegin || le.Uint64(b[8:]) != streamMagic {
		return beginning{}, spoilt("a body that is not of zfs send")
	}
	version, kind := le.Uint64(b[16:]), le.Uint32(b[32:])
	h := beginning{needs: uint32(version >> 2 & (1<<30 - 1)), flags: le.Uint32(b[36:]), to: le.Uint64(b[40:]), from: le.Uint64(b[48:])}
	h.resuming = h.needs&needsResuming != 0
	payload := le.Uint32(b[4:])
	switch {
	case version&3 != streamOfOne:
		return h, unasked("properties and other datasets")
	case version>>32 != 0, h.needs&^needsKnown&^(needsRaw|needsRedacted) != 0:
		return h, dotmesh.E("", dotmesh.Unsupported, "the stream is of a newer OpenZFS than this node's; update it")
	case h.needs&(needsRaw|needsRedacted) != 0:
		return h, unasked("encrypted or left-out data")
	case kind != filesystemObject:
		return h, unasked("a volume")
	case h.flags&isFolded != 0:
		return h, unasked("names that ignore case")
	case h.flags&^(isClone|hasFrees|hasSpillMarks) != 0:
		return h, unasked("flags that nobody knows")
	case h.to == 0:
		return h, spoilt("no guid")
	case payload != 0 && (!h.resuming || payload != noteSize), payload == 0 && h.resuming:
		return h, unasked("a note that does not belong there")
	case !validSnapshot(b[56:recordSize]):
		return h, spoilt("a name that is none")
	}
	return h, nil
}

// validSnapshot reports whether a field holds the name of a snapshot, and nothing else.
func validSnapshot(field []byte) bool {
	name, rest, ended := bytes.Cut(field, []byte{0})
	if !ended || len(bytes.Trim(rest, "\x00")) != 0 || bytes.Count(name, []byte("@")) != 1 {
		return false
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-/@% "
	return strings.Trim(string(name), letters) == ""
}

// unasked is the error of a stream that holds what it was not to.
func unasked(what string) error {
	return dotmesh.E("", dotmesh.Invalid, "the stream carries %s, and is refused", what)
}

// spoilt is the error of a stream that is not what zfs send writes.
func spoilt(what string) error {
	return dotmesh.E("", dotmesh.Corrupt, "the stream is damaged: it has %s", what)
}

// records reads a stream in pieces of any size, and hands on all of it but its last record,
// as it comes.
type records struct {
	begin   func(beginning) error // is told once, before anything is handed on
	emit    func([]byte) error
	head    []byte // the record that has not come whole
	size    int    // of the first record with its note, once that is known
	payload uint64 // that is still to come
	to      uint64
	begun   bool
	end     []byte // the last record
}

// feed takes the next piece.
func (r *records) feed(p []byte) error {
	for sent, at := 0, 0; ; {
		rest := p[at:]
		if r.payload > 0 {
			n := int(min(r.payload, uint64(len(rest))))
			r.payload -= uint64(n)
			at, rest = at+n, rest[n:]
		}
		if r.begun && len(rest) >= recordSize && len(r.head) == 0 && r.end == nil {
			ended, err := r.record(rest[:recordSize])
			if err != nil {
				return err
			}
			if at += recordSize; !ended {
				continue
			}
			if err := r.put(p[sent : at-recordSize]); err != nil {
				return err
			}
			sent = at
			continue
		}
		// What is left is no whole record, or the rest of one.
		if err := r.put(p[sent:at]); err != nil || len(rest) == 0 {
			return err
		}
		n, err := r.gather(rest)
		if err != nil {
			return err
		}
		at += n
		sent = at
	}
}

// gather adds to a record that comes in pieces, as the first always does: it has the note
// with it. It returns how much of p belongs to it.
func (r *records) gather(p []byte) (n int, err error) {
	if r.end != nil {
		return 0, spoilt("something behind its end")
	}
	size := max(r.size, recordSize)
	n = min(size-len(r.head), len(p))
	if r.head = append(r.head, p[:n]...); len(r.head) < size {
		return n, nil
	}
	if !r.begun {
		return n, r.first()
	}
	ended, err := r.record(r.head)
	if err == nil && !ended {
		err = r.put(r.head)
	}
	r.head = r.head[:0]
	return n, err
}

// first takes the first record, and asks for its note before it hands both on.
func (r *records) first() error {
	h, err := parseBeginning(r.head)
	if err != nil {
		return err
	}
	if note := r.head[recordSize:]; h.resuming && len(note) == 0 {
		r.size = recordSize + noteSize
		return nil
	} else if h.resuming && !validNote(note) {
		return unasked("a note that does not belong there")
	}
	if err := r.begin(h); err != nil {
		return err
	}
	r.begun, r.to = true, h.to
	err = r.put(r.head)
	r.head, r.size = r.head[:0], 0
	return err
}

func (r *records) put(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	return r.emit(p)
}

// record takes one record after the first, and reports whether it is the last.
func (r *records) record(b []byte) (ended bool, err error) {
	if r.payload, err = payloadOf(b, r.to); err != nil {
		return false, err
	}
	if binary.LittleEndian.Uint32(b) == recordEnd {
		r.end = bytes.Clone(b)
	}
	return r.end != nil, nil
}

// finish returns the last record. All of the stream must have come.
func (r *records) finish() ([]byte, error) {
	if r.end == nil {
		return nil, spoilt("no end")
	}
	return r.end, nil
}

// payloadOf returns how much follows a record. All numbers are little-endian, as on every
// machine that this program is built for.
func payloadOf(b []byte, to uint64) (uint64, error) {
	le, body := binary.LittleEndian, b[8:]
	guidAt, size, limit := 0, uint64(0), uint64(0)
	switch kind := le.Uint32(b); kind {
	case recordObject:
		guidAt, size, limit = 32, up(uint64(le.Uint32(body[20:]))), maxBonus
		if le.Uint32(body[28:]) != 0 {
			return 0, unasked("encrypted data")
		}
	case recordFreeObjects:
		guidAt = 16
	case recordWrite:
		guidAt, size, limit = 32, le.Uint64(body[24:]), maxBlock
		if body[42] != 0 { // compressed
			size = le.Uint64(body[88:])
		}
	case recordFree:
		guidAt = 24
	case recordEnd:
		guidAt = 32
	case recordSpill:
		guidAt, size, limit = 16, le.Uint64(body[8:]), maxBlock
		if compressed := le.Uint64(body[32:]); compressed != 0 {
			size = compressed
		}
	case recordEmbedded:
		guidAt, size, limit = 24, up(uint64(le.Uint32(body[44:]))), maxEmbedded
	default:
		return 0, unasked("another stream, or data by reference")
	}
	if size > limit {
		return 0, spoilt("a record that is too large")
	}
	if le.Uint64(body[guidAt:]) != to {
		return 0, spoilt("a record of another stream")
	}
	return size, nil
}

// up rounds up to what payloads are a multiple of.
func up(n uint64) uint64 { return (n + 7) &^ 7 }
