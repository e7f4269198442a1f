//go:build linux

package zfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

// stream returns what zfs send wrote once. Those that are cut are not here in full.
func stream(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "streams", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// split feeds a stream in pieces and returns what came of it.
func split(b []byte, piece int) (begun []beginning, emitted, end []byte, err error) {
	r := &records{
		begin: func(h beginning) error { begun = append(begun, h); return nil },
		emit:  func(p []byte) error { emitted = append(emitted, p...); return nil },
	}
	for len(b) > 0 && err == nil {
		n := min(piece, len(b))
		err = r.feed(b[:n])
		b = b[n:]
	}
	if err == nil {
		end, err = r.finish()
	}
	return begun, emitted, end, err
}

func TestAStreamIsHandedOnButForItsEnd(t *testing.T) {
	for name, want := range map[string]beginning{
		"whole":      {flags: hasFrees | hasSpillMarks},
		"difference": {flags: hasFrees | hasSpillMarks},
		"clone":      {flags: hasFrees | hasSpillMarks | isClone},
	} {
		b := stream(t, name)
		for _, piece := range []int{1, 7, recordSize - 1, recordSize, recordSize + 1, 4096, len(b)} {
			begun, emitted, end, err := split(b, piece)
			if err != nil || len(begun) != 1 {
				t.Fatalf("%s by %d: begun %v, %v", name, piece, begun, err)
			}
			if !bytes.Equal(append(emitted, end...), b) || len(end) != recordSize {
				t.Errorf("%s by %d: %d bytes and an end of %d, want all %d", name, piece, len(emitted), len(end), len(b))
			}
			h := begun[0]
			if h.flags != want.flags || h.resuming || h.to == 0 || (h.from == 0) != (name == "whole") {
				t.Errorf("%s: %+v", name, h)
			}
		}
	}
}

func TestAResumedStreamHasItsNoteChecked(t *testing.T) {
	b := stream(t, "resumed")
	for _, piece := range []int{1, 100, recordSize, recordSize + noteSize, 8192} {
		begun, emitted, _, err := split(b, piece)
		if !errors.Is(err, dotmesh.Corrupt) || len(begun) != 1 || !begun[0].resuming || len(emitted) < 4096 { // it was cut
			t.Errorf("by %d: begun %+v, %d bytes, %v", piece, begun, len(emitted), err)
		}
	}
	for at := recordSize; at < recordSize+noteSize; at++ {
		if number := at >= recordSize+44 && at < recordSize+52 || at >= recordSize+84 && at < recordSize+92; number {
			continue
		}
		changed := bytes.Clone(b)
		changed[at] ^= 0x55
		if begun, emitted, _, err := split(changed, 4096); !errors.Is(err, dotmesh.Invalid) || len(begun)+len(emitted) > 0 {
			t.Errorf("byte %d of the note: %d bytes were handed on, %v", at-recordSize, len(emitted), err)
		}
	}
}

// put overwrites a number in a stream.
func put64(b []byte, at int, n uint64) []byte {
	binary.LittleEndian.PutUint64(b[at:], n)
	return b
}

func put32(b []byte, at int, n uint32) []byte {
	binary.LittleEndian.PutUint32(b[at:], n)
	return b
}

func needs(b []byte, bit int) []byte {
	return put64(b, 16, binary.LittleEndian.Uint64(b[16:])|1<<(2+bit))
}

// record makes a record of a kind with guid at a place.
func record64(kind uint32, guidAt int, guid uint64, fields map[int]uint64) []byte {
	b := make([]byte, recordSize)
	put32(b, 0, kind)
	put64(b, 8+guidAt, guid)
	for at, n := range fields {
		put64(b, 8+at, n)
	}
	return b
}

// insert puts something between the first record of a stream and the others.
func insert(b, between []byte) []byte {
	return bytes.Join([][]byte{b[:recordSize], between, b[recordSize:]}, nil)
}

// hostile is a change of what zfs send wrote that could make the kernel do what was not asked
// for.
type hostile struct {
	change func([]byte) []byte
	want   dotmesh.Kind
	early  bool // it is in the first record, so that it is refused before anything is fed
}

func hostiles(t *testing.T) map[string]hostile {
	const early, late = true, false
	whole := stream(t, "whole")
	guid := binary.LittleEndian.Uint64(whole[40:])
	name := func(name string) func([]byte) []byte {
		return func(b []byte) []byte {
			clear(b[56:recordSize])
			copy(b[56:], name)
			return b
		}
	}
	add := func(records ...[]byte) func([]byte) []byte {
		return func(b []byte) []byte { return insert(b, bytes.Join(records, nil)) }
	}
	return map[string]hostile{
		"nothing":                         {func([]byte) []byte { return nil }, dotmesh.Corrupt, early},
		"another file":                    {func([]byte) []byte { return bytes.Repeat([]byte("root:x:0:0\n"), 100) }, dotmesh.Corrupt, early},
		"zeros":                           {func([]byte) []byte { return make([]byte, 4096) }, dotmesh.Corrupt, early},
		"a stream of properties":          {func([]byte) []byte { return stream(t, "properties") }, dotmesh.Invalid, early},
		"a stream of many datasets":       {func([]byte) []byte { return stream(t, "replication") }, dotmesh.Invalid, early},
		"another magic number":            {func(b []byte) []byte { b[8]++; return b }, dotmesh.Corrupt, early},
		"the other byte order":            {func(b []byte) []byte { return put64(b, 8, 0xaccbbaf502000000) }, dotmesh.Corrupt, early},
		"an end first":                    {func(b []byte) []byte { return put32(b, 0, recordEnd) }, dotmesh.Corrupt, early},
		"no kind of stream":               {func(b []byte) []byte { b[16] &^= 3; return b }, dotmesh.Invalid, early},
		"both kinds of stream":            {func(b []byte) []byte { b[16] |= 3; return b }, dotmesh.Invalid, early},
		"a reserved bit":                  {func(b []byte) []byte { b[20] = 1; return b }, dotmesh.Unsupported, early},
		"deduplicated data":               {func(b []byte) []byte { return needs(b, 0) }, dotmesh.Unsupported, early},
		"deduplicated properties":         {func(b []byte) []byte { return needs(b, 1) }, dotmesh.Unsupported, early},
		"somebody's own feature":          {func(b []byte) []byte { return needs(b, 9) }, dotmesh.Unsupported, early},
		"redacted data":                   {func(b []byte) []byte { return needs(b, 21) }, dotmesh.Invalid, early},
		"raw data":                        {func(b []byte) []byte { return needs(b, 24) }, dotmesh.Invalid, early},
		"holds":                           {func(b []byte) []byte { return needs(b, 26) }, dotmesh.Unsupported, early},
		"a switch to large blocks":        {func(b []byte) []byte { return needs(b, 27) }, dotmesh.Unsupported, early},
		"a feature of the future":         {func(b []byte) []byte { return needs(b, 29) }, dotmesh.Unsupported, early},
		"resuming without a note":         {func(b []byte) []byte { return needs(b, 20) }, dotmesh.Invalid, early},
		"a note without resuming":         {func(b []byte) []byte { return put32(b, 4, noteSize) }, dotmesh.Invalid, early},
		"an endless note":                 {func(b []byte) []byte { return put32(needs(b, 20), 4, 1<<31) }, dotmesh.Invalid, early},
		"a short note":                    {func(b []byte) []byte { return put32(needs(b, 20), 4, 8) }, dotmesh.Invalid, early},
		"a note of something else":        {func(b []byte) []byte { return put32(needs(b, 20), 4, noteSize) }, dotmesh.Invalid, early},
		"a volume":                        {func(b []byte) []byte { return put32(b, 32, 3) }, dotmesh.Invalid, early},
		"a pool's own objects":            {func(b []byte) []byte { return put32(b, 32, 1) }, dotmesh.Invalid, early},
		"names that ignore case":          {func(b []byte) []byte { b[36] |= isFolded; return b }, dotmesh.Invalid, early},
		"an unknown flag":                 {func(b []byte) []byte { b[39] |= 0x80; return b }, dotmesh.Invalid, early},
		"no guid":                         {func(b []byte) []byte { return put64(b, 40, 0) }, dotmesh.Corrupt, early},
		"no name":                         {name(""), dotmesh.Corrupt, early},
		"a name without a snapshot":       {name("pool/line"), dotmesh.Corrupt, early},
		"a name with two":                 {name("pool/line@a@b"), dotmesh.Corrupt, early},
		"a name with a terminal's code":   {name("pool/\x1b[31mline@a"), dotmesh.Corrupt, early},
		"a name without an end":           {name(strings.Repeat("x", 255) + "@"), dotmesh.Corrupt, early},
		"a name and something behind it":  {name("pool/line@a\x00b"), dotmesh.Corrupt, early},
		"a second beginning":              {func(b []byte) []byte { return insert(b, b[:recordSize]) }, dotmesh.Invalid, late},
		"a stream of properties inside":   {func(b []byte) []byte { return insert(b, stream(t, "properties")[:recordSize]) }, dotmesh.Invalid, late},
		"data by reference":               {add(record64(6, 24, guid, nil)), dotmesh.Invalid, late},
		"a range of raw objects":          {add(record64(9, 16, guid, nil)), dotmesh.Invalid, late},
		"a redaction":                     {add(record64(10, 24, guid, nil)), dotmesh.Invalid, late},
		"an unknown record":               {add(record64(11, 0, guid, nil)), dotmesh.Invalid, late},
		"a negative record":               {add(record64(1<<31, 0, guid, nil)), dotmesh.Invalid, late},
		"an object of another stream":     {add(record64(recordObject, 32, guid+1, nil)), dotmesh.Corrupt, late},
		"frees of another stream":         {add(record64(recordFree, 24, guid+1, nil)), dotmesh.Corrupt, late},
		"freed objects of another stream": {add(record64(recordFreeObjects, 16, guid+1, nil)), dotmesh.Corrupt, late},
		"data of another stream":          {add(record64(recordWrite, 32, guid+1, nil)), dotmesh.Corrupt, late},
		"a spill of another stream":       {add(record64(recordSpill, 16, guid+1, nil)), dotmesh.Corrupt, late},
		"a small block of another stream": {add(record64(recordEmbedded, 24, guid+1, nil)), dotmesh.Corrupt, late},
		"the end of another stream":       {add(record64(recordEnd, 32, guid+1, nil)), dotmesh.Corrupt, late},
		"an end, and then more":           {add(record64(recordEnd, 32, guid, nil)), dotmesh.Corrupt, late},
		"a block larger than any":         {add(record64(recordWrite, 32, guid, map[int]uint64{24: maxBlock + 1})), dotmesh.Corrupt, late},
		"a block of 2⁶³":                  {add(record64(recordWrite, 32, guid, map[int]uint64{24: 1 << 63})), dotmesh.Corrupt, late},
		"a packed block of 2⁶⁴-1":         {add(record64(recordWrite, 32, guid, map[int]uint64{40: 15 << 16, 88: 1<<64 - 1})), dotmesh.Corrupt, late},
		"a spill larger than any":         {add(record64(recordSpill, 16, guid, map[int]uint64{8: maxBlock + 1})), dotmesh.Corrupt, late},
		"a packed spill larger than any":  {add(record64(recordSpill, 16, guid, map[int]uint64{8: 512, 32: 1 << 40})), dotmesh.Corrupt, late},
		"a bonus larger than any":         {add(record64(recordObject, 32, guid, map[int]uint64{16: (maxBonus + 8) << 32})), dotmesh.Corrupt, late},
		"an encrypted bonus":              {add(record64(recordObject, 32, guid, map[int]uint64{24: 8 << 32})), dotmesh.Invalid, late},
		"a small block that is large":     {add(record64(recordEmbedded, 24, guid, map[int]uint64{40: 120 << 32})), dotmesh.Corrupt, late},
		"half a record":                   {func(b []byte) []byte { return b[:len(b)-recordSize/2] }, dotmesh.Corrupt, late},
		"no end":                          {func(b []byte) []byte { return b[:len(b)-recordSize] }, dotmesh.Corrupt, late},
		"a byte behind the end":           {func(b []byte) []byte { return append(b, 0) }, dotmesh.Corrupt, late},
		"another stream behind the end":   {func(b []byte) []byte { return append(b, b...) }, dotmesh.Corrupt, late},
	}
}

func TestHostileStreams(t *testing.T) {
	whole := stream(t, "whole")
	for what, test := range hostiles(t) {
		t.Run(what, func(t *testing.T) {
			b := test.change(bytes.Clone(whole))
			for _, piece := range []int{1 << 20, 100} {
				begun, emitted, end, err := split(b, piece)
				if !errors.Is(err, test.want) || dotmesh.Text(err) == "" {
					t.Errorf("err = %v, want %s", err, test.want)
				}
				if test.early && len(begun)+len(emitted) > 0 {
					t.Errorf("%d bytes were handed on", len(emitted))
				}
				if end != nil || bytes.Contains(emitted, whole[len(whole)-recordSize:]) {
					t.Error("its end was handed on")
				}
			}
		})
	}
}

// FuzzRecords takes any bytes for a stream. What is handed on is what came, and never an
// end.
func FuzzRecords(f *testing.F) {
	for _, name := range []string{"whole", "difference", "clone", "resumed", "properties", "replication"} {
		f.Add(stream(f, name), 4096)
	}
	f.Fuzz(func(t *testing.T, b []byte, piece int) {
		begun, emitted, end, err := split(b, max(piece, 1))
		if err != nil && dotmesh.Text(err) == "" {
			t.Errorf("%v says nothing to users", err)
		}
		if len(begun) == 0 && len(emitted) > 0 || len(begun) > 1 {
			t.Errorf("begun %d times, %d bytes", len(begun), len(emitted))
		}
		if !bytes.HasPrefix(b, emitted) || err == nil && !bytes.Equal(append(emitted, end...), b) {
			t.Error("what was handed on is not what came")
		}
		if again, _, _, _ := split(b, 1<<20); len(again) != len(begun) {
			t.Error("it depends on the pieces")
		}
	})
}
