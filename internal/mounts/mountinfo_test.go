//go:build linux

package mounts_test

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	for name, test := range map[string]struct {
		line string
		want mounts.Entry
	}{
		"a btrfs subvolume": {
			`97 28 0:45 /lines/a/live /data/mnt/b rw,nosuid,nodev,noatime shared:7 - btrfs /dev/loop0 rw,subvolid=256,subvol=/lines/a/live`,
			mounts.Entry{
				ID: 97, Parent: 28, Dev: unix.Mkdev(0, 45), Root: "/lines/a/live", Target: "/data/mnt/b",
				Options: "rw,nosuid,nodev,noatime", Shared: 7, FSType: "btrfs", Source: "/dev/loop0", Super: "rw,subvolid=256,subvol=/lines/a/live",
			},
		},
		"many optional fields": {
			`1 2 8:1 / / rw shared:1 master:2 propagate_from:3 unbindable - ext4 /dev/sda1 rw`,
			mounts.Entry{ID: 1, Parent: 2, Dev: unix.Mkdev(8, 1), Root: "/", Target: "/", Options: "rw", Shared: 1, Master: 2, FSType: "ext4", Source: "/dev/sda1", Super: "rw"},
		},
		"an empty source": {
			`1 2 0:1 / /x rw - tmpfs  rw`,
			mounts.Entry{ID: 1, Parent: 2, Dev: 1, Root: "/", Target: "/x", Options: "rw", FSType: "tmpfs", Super: "rw"},
		},
		"escaped bytes": {
			`1 2 0:1 / /a\040b\011c\012d\134040e\ rw - zfs pool/a\040b rw`,
			mounts.Entry{ID: 1, Parent: 2, Dev: 1, Root: "/", Target: "/a b\tc\nd\\040e\\", Options: "rw", FSType: "zfs", Source: "pool/a b", Super: "rw"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mounts.Parse(strings.NewReader(test.line + "\n"))
			if err != nil || len(got) != 1 || got[0] != test.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func TestParseRefusesWhatItCannotRead(t *testing.T) {
	for _, line := range []string{
		"", "1 2 0:1 / /x rw", "1 2 0:1 / rw - tmpfs x rw", "1 2 0:1 / /x rw - tmpfs x", "-1 2 0:1 / /x rw - tmpfs x rw",
		"1 2 0 / /x rw - tmpfs x rw", "1 2 0:1 / /x rw shared:x - tmpfs x rw", "1 2 0:99999999999 / /x rw - tmpfs x rw", "a b c d e f - g h i",
	} {
		good := "1 2 0:1 / /x rw - tmpfs x rw\n"
		_, err := mounts.Parse(strings.NewReader(good + line + "\n" + good))
		wantKind(t, err, dotmesh.Corrupt, "line 2")
	}
	if _, err := mounts.Parse(strings.NewReader(strings.Repeat("x", 1<<20))); err == nil {
		t.Error("a line of 1 MiB was accepted")
	}
}

func TestParseReadsThisMachine(t *testing.T) {
	f, err := os.Open("/proc/self/mountinfo")
	check(t, err)
	defer f.Close()
	entries, err := mounts.Parse(f)
	check(t, err)
	if len(entries) == 0 {
		t.Error("nothing is mounted")
	}
}

// FuzzParse: whatever is accepted is the same after being written as the kernel writes it
// and read again.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, table string) {
		first, err := mounts.Parse(strings.NewReader(table))
		if err != nil {
			return
		}
		var again strings.Builder
		for _, e := range first {
			again.WriteString(format(e))
		}
		second, err := mounts.Parse(strings.NewReader(again.String()))
		if err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%q\nbecame %q\nread as %+v, %v\nwant %+v", table, again.String(), second, err, first)
		}
	})
}

func format(e mounts.Entry) string {
	escape := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace
	return fmt.Sprintf("%d %d %d:%d %s %s %s shared:%d unknown:1 master:%d - %s %s %s\n", e.ID, e.Parent, unix.Major(e.Dev), unix.Minor(e.Dev),
		escape(e.Root), escape(e.Target), escape(e.Options), e.Shared, e.Master, escape(e.FSType), escape(e.Source), escape(e.Super))
}
