//go:build linux && zfs

package zfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/frame"
)

// TestHostileStreamsLeaveNothingBehind has a pool receive each hostile stream under a header
// and a digest that fit it, so that nothing but what it says can be why it is refused.
func TestHostileStreamsLeaveNothingBehind(t *testing.T) {
	pool := "test-" + dotmesh.NewUUID().String()[:8]
	s, err := Open(t.Context(), Config{Pool: pool, File: filepath.Join(t.TempDir(), "pool"), Size: 384 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		for _, args := range [][]string{{"set", "autotrim=off", pool}, {"sync", pool}, {"export", pool}} {
			if out, err := exec.Command("zpool", args...).CombinedOutput(); err != nil {
				t.Errorf("zpool %v: %v: %s", args, err, out)
			}
		}
	})
	whole := stream(t, "whole")
	guid := strconv.FormatUint(binary.LittleEndian.Uint64(whole[40:]), 10)
	for what, test := range hostiles(t) {
		t.Run(what, func(t *testing.T) {
			r := dotmesh.Ref{Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
			h := frame.Header{Format: streamFormat, Line: r.Line, Commit: r.Commit, GUID: guid, Meta: []byte("meta")}
			got, err := s.Receive(t.Context(), dotmesh.RecvSpec{Line: r.Line, Trust: dotmesh.Member}, framed(t, &h, test.change(bytes.Clone(whole))))
			if !errors.Is(err, test.want) || dotmesh.Text(err) == "" || len(got.Commits) > 0 || got.Resume != nil {
				t.Errorf("got %+v, %v, want %s", got, err, test.want)
			}
			known, err1 := s.record(r.Line)
			_, found, err2 := s.meta(r)
			if err := errors.Join(err1, err2); err != nil || known != (record{}) || found {
				t.Errorf("the KV has %+v, metadata %v, %v", known, found, err)
			}
		})
	}
	left, err := s.run.output(t.Context(), listAll(s.lines()))
	if err != nil || len(left) != 1 {
		t.Errorf("the pool has %q, %v", left, err)
	}
}

// framed returns a stream of one commit.
func framed(t *testing.T, h *frame.Header, body []byte) *bytes.Reader {
	t.Helper()
	var b bytes.Buffer
	w := frame.NewWriter(&b)
	err := w.Begin(h)
	if err == nil {
		_, err = w.Write(body)
	}
	if err := errors.Join(err, w.End(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b.Bytes())
}
