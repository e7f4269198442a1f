//go:build linux

package zfs

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
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
