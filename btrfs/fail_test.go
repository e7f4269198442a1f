//go:build linux && failpoints

package btrfs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
)

// failpoints are all that the store comes by, in the order of storyOf.
var failpoints = []string{
	"btrfs.fork.after-record", "btrfs.head.before-ioctl", "btrfs.head.after-ioctl", "btrfs.head.before-sync",
	"btrfs.snapshot.after-meta", "btrfs.snapshot.before-ioctl", "btrfs.snapshot.after-ioctl",
	"btrfs.drop.before-ioctl", "btrfs.drop.before-sync", "btrfs.drop-head.before-ioctl", "btrfs.drop-head.before-sync",
	"btrfs.destroy.after-mark", "btrfs.destroy.before-sync",
	"btrfs.receive.after-record", "btrfs.receive.after-staging", "btrfs.receive.after-apply", "btrfs.receive.after-guid",
	"btrfs.receive.after-meta", "btrfs.receive.after-publish",
}

func TestAKillAtAnyPointLeavesAStoreThatGoesOn(t *testing.T) {
	for _, point := range failpoints {
		for nth := 1; nth <= 2; nth++ {
			t.Run(fmt.Sprintf("%s@%d", point, nth), func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "pool")
				log := filepath.Join(t.TempDir(), "log")
				_, kill := startChild(t, "story", file, fmt.Sprintf("DOTMESH_FAILPOINTS=%s=kill@%d", point, nth), "DOTMESH_FAILPOINTS_LOG="+log)
				kill()
				checkLog(t, log, point, nth)
				waitDetached(t, file)
				s := open(t, btrfs.Config{File: file, Size: poolSize})
				checkWhole(t, s)
				if err := tellStory(t.Context(), s); err != nil {
					t.Errorf("going on: %v", err)
				}
				checkWhole(t, s)
			})
		}
	}
}

// checkLog checks that the point was reached, at least once.
func checkLog(t *testing.T, log, point string, nth int) {
	t.Helper()
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if nth == 1 && !slices.Contains(strings.Split(string(content), "\n"), point) {
		t.Errorf("%s was never reached", point)
	}
	for _, p := range strings.Fields(string(content)) {
		if !slices.Contains(failpoints, p) {
			t.Errorf("%s is missing in the list of failpoints", p)
		}
	}
}

// checkWhole checks that no line or commit is half there.
func checkWhole(t *testing.T, s dotmesh.Store) {
	t.Helper()
	for info, err := range s.Inventory(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Live(t.Context(), info.ID); err != nil {
			t.Errorf("line %+v: %v", info, err)
		}
		for _, c := range info.Commits {
			if string(c.Meta) != "meta" || c.GUID == "" {
				t.Errorf("commit %+v lacks its meta or guid", c)
			}
		}
	}
}

func TestAFailureAtAnyPointIsReportedAndCanBeRetried(t *testing.T) {
	for _, point := range failpoints {
		t.Run(point, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pool")
			said, kill := startChild(t, "story", file, "DOTMESH_FAILPOINTS="+point+"=error@1")
			defer kill()
			if said != "retried\n" {
				t.Errorf("the process said %q", said)
			}
		})
	}
}

func TestWhatWasDoneAtTheSecondTryIsDurable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pool")
	points := filepath.Join(t.TempDir(), "points")
	if err := os.WriteFile(points, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	said, kill := startChild(t, "retries", file, "DOTMESH_FAILPOINTS=@"+points)
	kill()
	if said != "ready\n" {
		t.Fatal(said)
	}
	for i, r := range retries() {
		s := open(t, btrfs.Config{File: fmt.Sprint(file, i), Size: poolSize})
		if err := r.done(t.Context(), s); err != nil {
			t.Errorf("after %s: %v", r.point, err)
		}
	}
}
