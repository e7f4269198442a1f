//go:build linux

package btrfs

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"dotmesh.io/dotmesh"
)

// encodeCommand is a command with a right checksum.
func encodeCommand(kind uint16, attrs ...[]byte) []byte {
	payload := slices.Concat(attrs...)
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(payload)))
	b = binary.LittleEndian.AppendUint16(b, kind)
	b = append(append(b, 0, 0, 0, 0), payload...)
	binary.LittleEndian.PutUint32(b[6:], rawCRC(0, b))
	return b
}

func encodeAttr(kind uint16, value []byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, kind)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// parse feeds a stream in pieces, and returns what the commands were.
func parse(stream []byte, piece int) (commands []string, err error) {
	var p parser
	for b := range slices.Chunk(stream, piece) {
		err = p.feed(b, func(c *command) error {
			text := c.String()
			for _, v := range c.values {
				text += string(v)
			}
			commands = append(commands, text)
			return nil
		})
		if err != nil {
			return commands, err
		}
	}
	return commands, p.finish()
}

// FuzzStream takes any bytes for a stream: into whatever pieces it is cut, the same
// commands are found in it, and they hold nothing that is not there.
func FuzzStream(f *testing.F) {
	head := append([]byte(streamMagic), 1, 0, 0, 0)
	path := encodeAttr(attrPath, []byte("a/b"))
	mode := encodeAttr(attrMode, binary.LittleEndian.AppendUint64(nil, 0o644))
	f.Add(slices.Concat(head, encodeCommand(cmdChmod, path, mode), encodeCommand(cmdEnd)), uint16(7))
	f.Add(slices.Concat(head, encodeCommand(cmdWrite, path, encodeAttr(attrFileOffset, make([]byte, 8)), encodeAttr(attrData, []byte("data"))), encodeCommand(cmdEnd)), uint16(1))
	f.Add(head, uint16(3))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint16) {
		want, wantErr := parse(stream, max(len(stream), 1))
		got, err := parse(stream, int(piece)+1)
		if !slices.Equal(got, want) || (err == nil) != (wantErr == nil) {
			t.Errorf("in pieces: %q, %v, whole: %q, %v", got, err, want, wantErr)
		}
		if err != nil && (!errors.Is(err, dotmesh.Corrupt) || dotmesh.Text(err) == "") {
			t.Errorf("err = %v", err)
		}
		if total := len(stream); len(want) > total/commandHead {
			t.Errorf("%d commands in %d bytes", len(want), total)
		}
	})
}

func TestPathsThatLeadElsewhereAreFaults(t *testing.T) {
	for path, ok := range map[string]bool{
		"": true, "a": true, "a/b": true, "...": true, "..a": true, " ": true, "\xff\n": true,
		"/": false, "/a": false, "a/": false, "a//b": false, ".": false, "..": false, "a/..": false, "../a": false, "./a": false, "a/./b": false, "a\x00": false,
	} {
		if fault := pathFault([]byte(path)); (fault == "") != ok {
			t.Errorf("%q: %q, want fault: %v", path, fault, !ok)
		}
	}
}
