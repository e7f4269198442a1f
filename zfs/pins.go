//go:build linux

package zfs

import (
	"sync"

	"dotmesh.io/dotmesh"
)

// pins counts who reads a head or commit, so that it is not destroyed beneath them.
type pins struct {
	mu     sync.Mutex          // guards counts
	counts map[dotmesh.Ref]int // going: it is being destroyed
}

const going = -1

// pin keeps refs from being destroyed until the function that is returned is called. One
// that is being destroyed is NotFound.
func (p *pins) pin(refs ...dotmesh.Ref) (unpin func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts == nil {
		p.counts = map[dotmesh.Ref]int{}
	}
	for _, r := range refs {
		if p.counts[r] == going {
			return nil, missing(r)
		}
	}
	for _, r := range refs {
		p.counts[r]++
	}
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, r := range refs {
			if p.counts[r]--; p.counts[r] == 0 {
				delete(p.counts, r)
			}
		}
	}), nil
}

// claim takes refs that are to be destroyed, until the function that is returned is
// called. It refuses with Busy if one of them is being read.
func (p *pins) claim(refs ...dotmesh.Ref) (unclaim func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range refs {
		if p.counts[r] != 0 {
			return nil, dotmesh.E("", dotmesh.Busy, "%s is being sent or compared; try again when that is done", describe(r))
		}
	}
	if p.counts == nil {
		p.counts = map[dotmesh.Ref]int{}
	}
	for _, r := range refs {
		p.counts[r] = going
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, r := range refs {
			delete(p.counts, r)
		}
	}, nil
}

// children says which lines were forked from a commit. ZFS knows, too, but would have to
// be asked for each commit.
type children struct {
	mu sync.Mutex // guards of
	of map[dotmesh.Origin]map[dotmesh.LineID]bool
}

func (c *children) add(o dotmesh.Origin, child dotmesh.LineID) {
	if o.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[dotmesh.Origin]map[dotmesh.LineID]bool{}
	}
	if c.of[o] == nil {
		c.of[o] = map[dotmesh.LineID]bool{}
	}
	c.of[o][child] = true
}

func (c *children) remove(o dotmesh.Origin, child dotmesh.LineID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.of[o], child)
	if len(c.of[o]) == 0 {
		delete(c.of, o)
	}
}

// free refuses with Busy if one of the commits is an origin.
func (c *children) free(refs ...dotmesh.Ref) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range refs {
		for child := range c.of[dotmesh.Origin(r)] {
			return dotmesh.E("", dotmesh.Busy, "commit %s is the origin of line %s; destroy that line first", r.Commit, child)
		}
	}
	return nil
}

// leaving are the lines that are being destroyed while somebody lists all lines: a listing
// may have met them half-way.
type leaving struct {
	mu       sync.Mutex // guards what follows
	listings int
	lines    map[dotmesh.LineID]bool
}

// begin begins a listing. What is returned ends it, and reports whether it may show a line.
func (l *leaving) begin() (end func() map[dotmesh.LineID]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listings++
	return func() map[dotmesh.LineID]bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		gone := make(map[dotmesh.LineID]bool, len(l.lines))
		for line := range l.lines {
			gone[line] = true
		}
		if l.listings--; l.listings == 0 {
			l.lines = nil
		}
		return gone
	}
}

func (l *leaving) add(line dotmesh.LineID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listings == 0 {
		return
	}
	if l.lines == nil {
		l.lines = map[dotmesh.LineID]bool{}
	}
	l.lines[line] = true
}
