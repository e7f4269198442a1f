//go:build linux

package zfs

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
)

// What ZFS counts as written since a commit takes two processes to learn. The kernel also
// counts, at no cost, what is written to and unlinked from each dataset that is mounted. As
// long as those counts stand still, what was measured is taken for what is; but not for
// long, since they do not count everything: a change of a mode, a new name, a truncation.
const (
	// countedWithin is when writes are in what ZFS counts, at the latest: its transaction
	// groups are five seconds long, and one may be on its way.
	countedWithin = 10 * time.Second
	// glanceFor is how long a measure is taken for what is.
	glanceFor = 30 * time.Second
)

// counts are what the kernel counts of a dataset since it was mounted.
type counts struct{ written, unlinked uint64 }

// glance is what was seen of a line.
type glance struct {
	object   string // the file with the counts of the line's dataset
	counts   counts
	since    time.Time // from when on the counts have been these
	measured dotmesh.Usage
	from     dotmesh.Ref // what it was measured against
	settled  bool        // all that the counts count is in what was measured
	changes  uint64      // what glances counted when it was taken
}

// look takes in the counts of now.
func (g *glance) look(c counts, now time.Time) {
	if g.since.IsZero() || c != g.counts {
		g.counts, g.since, g.settled = c, now, false
	}
}

// measure takes in a measure. It was begun when the counts were looked at.
func (g *glance) measure(u dotmesh.Usage, from dotmesh.Ref) {
	g.measured, g.from = u, from
	g.settled = u.Dirty.AsOf.Sub(g.since) >= countedWithin
}

// holds reports whether what was measured can be taken for what is.
func (g *glance) holds(from dotmesh.Ref, now time.Time) bool {
	return g.settled && g.from == from && now.Sub(g.measured.Dirty.AsOf) < glanceFor
}

// glance looks at a line's counts; counted is false where the kernel has none.
func (s *Store) glance(line dotmesh.LineID) (g glance, counted bool) {
	g = s.glances.at(line)
	c, object, counted := countsOf(s.pool, s.line(line), g.object)
	g.object = object
	g.look(c, time.Now())
	return g, counted
}

// glances are what was seen of lines. What changes a line by the store makes it forget.
type glances struct {
	mu      sync.Mutex // guards what follows
	lines   map[dotmesh.LineID]glance
	changes uint64 // how often something was forgotten
}

// at returns what was last seen of a line.
func (g *glances) at(line dotmesh.LineID) glance {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.lines[line]
	seen.changes = g.changes
	return seen
}

// put keeps what was seen, if nothing was forgotten meanwhile.
func (g *glances) put(line dotmesh.LineID, seen glance) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lines == nil {
		g.lines = map[dotmesh.LineID]glance{}
	}
	if seen.changes == g.changes {
		g.lines[line] = seen
	}
}

// counted returns how often something was forgotten.
func (g *glances) counted() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changes
}

func (g *glances) forget(lines ...dotmesh.LineID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changes++
	for _, line := range lines {
		delete(g.lines, line)
	}
}

// kstats is where the kernel shows what it counts, in a file for each dataset.
const kstats = "/proc/spl/kstat/zfs"

// countsOf returns what the kernel counts of a dataset; ok is false where it counts nothing,
// as when the dataset is not mounted. It looks into object first, where they were last time.
func countsOf(pool, dataset, object string) (c counts, found string, ok bool) {
	if name, c, err := readCounts(object); err == nil && name == dataset {
		return c, object, true
	}
	all, err := filepath.Glob(filepath.Join(kstats, pool, "objset-*"))
	if err != nil {
		return counts{}, "", false
	}
	for _, path := range all {
		if name, c, err := readCounts(path); err == nil && name == dataset {
			return c, path, true
		}
	}
	return counts{}, "", false
}

var errNoCounts = errors.New("the kernel shows no counts there")

// readCounts reads a file of the kernel's: a name, a type and a value in each line.
func readCounts(path string) (dataset string, c counts, err error) {
	if path == "" {
		return "", c, fs.ErrNotExist
	}
	f, err := os.Open(path)
	if err != nil {
		return "", c, err
	}
	defer f.Close() //nolint:errcheck // only read
	found := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), " ")
		_, value, _ := strings.Cut(strings.TrimSpace(rest), " ")
		value = strings.TrimSpace(value)
		switch name {
		case "dataset_name":
			dataset, found = value, found+1
		case "nwritten":
			c.written, err = strconv.ParseUint(value, 10, 64)
			found++
		case "nunlinks":
			c.unlinked, err = strconv.ParseUint(value, 10, 64)
			found++
		}
		if err != nil {
			return "", c, err
		}
	}
	if err := lines.Err(); err != nil {
		return "", c, err
	}
	if found != 3 {
		return "", c, errNoCounts
	}
	return dataset, c, nil
}
