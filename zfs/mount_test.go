//go:build linux

package zfs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
	"dotmesh.io/dotmesh/internal/kv"
)

func TestAMountWaitsForAnUnmountThatIsEnding(t *testing.T) {
	busy := fmt.Errorf("fsconfig create: %w", unix.EBUSY)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx  context.Context
		busy int // times
		then error
		want error
	}{
		"it is free":         {t.Context(), 0, nil, nil},
		"it is busy twice":   {t.Context(), 2, nil, nil},
		"it is then gone":    {t.Context(), 2, unix.ENOENT, unix.ENOENT},
		"it stays busy":      {t.Context(), 1 << 20, nil, unix.EBUSY},
		"nobody waits again": {ended, 1, nil, unix.EBUSY},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				calls := 0
				err := whileBusy(test.ctx, func() error {
					if calls++; calls <= test.busy {
						return busy
					}
					return test.then
				})
				if !errors.Is(err, test.want) {
					t.Errorf("err = %v after %d calls, want %v", err, calls, test.want)
				}
			})
		})
	}
}

// TestALineThatIsAboutToBeMountedKeepsItsMark looks at a line when its caller has learnt how
// to mount it, and has not yet: what is fsynced there after that is in its log only.
func TestALineThatIsAboutToBeMountedKeepsItsMark(t *testing.T) {
	memory, err := kv.Open(filepath.Join(t.TempDir(), "kv"), 4<<20, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{names: names{"pool"}, run: standIn(t, "printf 'off\\tlocal\\n'\n"), kv: memory, reserve: &reserve{held: reserveParts}}
	line := dotmesh.LineID{UUID: dotmesh.NewUUID()}
	for range 2 {
		if _, err := s.Live(t.Context(), line); err != nil {
			t.Fatal(err)
		}
		if err := s.replayed(t.Context(), "zfs.Usage", line, false); err != nil {
			t.Fatal(err)
		}
		if r, err := s.record(line); err != nil || !r.Mounted {
			t.Fatalf("record = %+v, %v", r, err)
		}
	}
	if err := memory.Close(); err != nil {
		t.Fatal(err)
	}
}
