//go:build linux

package btrfs_test

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/frame"
)

// FuzzReceive has a pool receive whatever commands there can be, with checksums that are
// right: none may change anything outside, and whatever is refused leaves nothing.
func FuzzReceive(f *testing.F) {
	p := newTarget(f)
	head := len(p.start().Bytes())
	for _, h := range append(hostiles(), strange()...) {
		if s := h.make(p).Bytes(); len(s) > head && len(s) < 1<<10 {
			f.Add(s[head:])
		}
	}
	f.Add(kernelStream(f, p)[head:])
	before := p.picture(f)
	f.Fuzz(func(t *testing.T, commands []byte) {
		s := p.start()
		s.Write(summed(commands))
		if err := p.send(t, s, dotmesh.Member); err == nil {
			err := p.Drop(t.Context(), childLine, []dotmesh.CommitID{{UUID: p.guid}})
			if err != nil {
				t.Fatal(err)
			}
		} else if kind := dotmesh.KindOf(err); kind != dotmesh.Corrupt || dotmesh.Text(err) == "" {
			t.Errorf("err = %v, want corrupt", err)
		}
		if after := p.picture(t); after != before {
			t.Errorf("the pool or what lies around it was %s\nand is %s", before, after)
		}
	})
}

// summed gives each command the checksum that it must have.
func summed(commands []byte) []byte {
	const head = 10
	all := append([]byte{}, commands...)
	table := crc32.MakeTable(crc32.Castagnoli)
	for b := all; len(b) >= head; {
		n := head + int64(binary.LittleEndian.Uint32(b))
		if n > int64(len(b)) {
			break
		}
		clear(b[6:head])
		binary.LittleEndian.PutUint32(b[6:], ^crc32.Update(^uint32(0), table, b[:n]))
		b = b[n:]
	}
	return all
}

// kernelStream is the body of the target's base as the kernel sends it.
func kernelStream(t testing.TB, p *target) []byte {
	t.Helper()
	stream, err := p.Send(t.Context(), dotmesh.SendSpec{Line: p.base.Line, Commits: []dotmesh.CommitID{p.base.Commit}})
	if err != nil {
		t.Fatal(err)
	}
	r := frame.NewReader(stream)
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}
	return body
}
