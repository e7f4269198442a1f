//go:build linux

package zfs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

func TestWhatIsFreeIsWhatIsNotAllocated(t *testing.T) {
	const size, disks = 234881024, 369098752 // of a pool of 384 MiB
	for name, test := range map[string]struct {
		size, disks, taken, least, most int64
	}{
		"a new pool":                 {size, disks, 373248, 223 << 20, size},
		"a full one":                 {size, disks, 177346048, 50 << 20, 60 << 20}, // the rest is reserved
		"a large one, half full":     {31 << 40, 32 << 40, 16 << 40, 15 << 40, 15 << 40},
		"one with copies, half full": {31 << 40, 64 << 40, 32 << 40, 15 << 40, 15 << 40},
		"one more than full":         {size, disks, disks, 0, 0},
		"one without disks":          {size, 0, 0, size, size},
	} {
		if got := unallocated(test.size, test.disks, test.taken); got < test.least || got > test.most {
			t.Errorf("%s: %d bytes are free, want %d to %d", name, got, test.least, test.most)
		}
	}
}

func TestPoolsThatAreFound(t *testing.T) {
	const one = "   pool: p\n     id: 13038739376407417936\n  state: ONLINE\n action: The pool can be imported using its name or numeric identifier.\n" +
		" config:\n\n\tp            ONLINE\n\t  /tmp/vdev  ONLINE"
	for name, test := range map[string]struct {
		output, want string
		fails        bool
	}{
		"none":               {"no pools available to import", "", false},
		"one":                {one, "13038739376407417936", false},
		"two":                {one + "\n" + one, "", true},
		"one without a guid": {strings.Replace(one, "13038739376407417936", "", 1), "", true},
		"one with words":     {strings.Replace(one, "13038739376407417936", "-f pool", 1), "", true},
	} {
		got, err := parseFound(strings.Split(test.output, "\n"))
		if got != test.want || (err != nil) != test.fails || err != nil && dotmesh.Text(err) == "" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestOnlyAnEmptyFileBecomesAPool(t *testing.T) {
	for content, want := range map[string]bool{
		"":                                    true,
		strings.Repeat("\x00", 1<<20):         true,
		"x":                                   false,
		strings.Repeat("\x00", 300<<10) + "x": false,
	} {
		path := filepath.Join(t.TempDir(), "pool")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := isEmpty(f); got != want || err != nil {
			t.Errorf("a file of %d bytes: %v, %v", len(content), got, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestConfigsThatMakeNoSense(t *testing.T) {
	for name, c := range map[string]Config{
		"nothing":         {},
		"a strange pool":  {Pool: "a/b"},
		"a relative file": {File: "pool"},
		"a lost file":     {File: "/nonexistent/dir/pool"},
	} {
		if err := c.validate(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	c := Config{File: "/tmp/../tmp/pool"}
	if err := c.validate(); err != nil || c.Pool != DefaultPool || c.Size != DefaultSize || c.File != "/tmp/pool" {
		t.Errorf("got %+v, %v", c, err)
	}
}
