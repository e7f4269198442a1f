//go:build linux

package zfs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

func TestAMeasureHoldsWhileNothingIsWritten(t *testing.T) {
	start := time.Now()
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	commit := dotmesh.Ref{Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}}
	clean, written := counts{written: 1}, counts{written: 2}
	for name, test := range map[string]struct {
		looks  []int // seconds at which the same counts were seen, and it was measured
		now    int
		counts counts
		from   dotmesh.Ref
		want   bool
	}{
		"never measured":                {nil, 0, clean, commit, false},
		"measured before all counted":   {[]int{0, 5}, 6, clean, commit, false},
		"measured when all counted":     {[]int{0, 5, 10}, 15, clean, commit, true},
		"written to since":              {[]int{0, 5, 10}, 15, written, commit, false},
		"unlinked from since":           {[]int{0, 5, 10}, 15, counts{1, 1}, commit, false},
		"measured against another":      {[]int{0, 5, 10}, 15, clean, dotmesh.Ref{}, false},
		"measured half a minute before": {[]int{0, 5, 10}, 40, clean, commit, false},
		"measured just before":          {[]int{0, 5, 10}, 39, clean, commit, true},
	} {
		t.Run(name, func(t *testing.T) {
			var g glance
			for _, second := range test.looks {
				g.look(clean, at(second))
				g.measure(dotmesh.Usage{Dirty: dotmesh.Bytes{AsOf: at(second)}}, commit)
			}
			g.look(test.counts, at(test.now))
			if got := g.holds(test.from, at(test.now)); got != test.want {
				t.Errorf("holds = %v, want %v", got, test.want)
			}
		})
	}
}

func TestCountsOfTheKernel(t *testing.T) {
	const whole = `39 1 0x01 7 2160 12345678 987654321
name                            type data
dataset_name                    7    pool/dotmesh/lines/x y
writes                          4    3
nwritten                        4    4096
reads                           4    0
nread                           4    0
nunlinks                        4    2
nunlinked                       4    2
`
	path := filepath.Join(t.TempDir(), "objset-0x36")
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	name, c, err := readCounts(path)
	if err != nil || name != "pool/dotmesh/lines/x y" || c != (counts{4096, 2}) {
		t.Errorf("got %q, %+v, %v", name, c, err)
	}
	for what, text := range map[string]string{"nothing": "", "half": whole[:150], "no number": "dataset_name 7 p\nnwritten 4 -1\nnunlinks 4 0\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := readCounts(path); err == nil {
			t.Errorf("%s is taken for counts", what)
		}
	}
}
