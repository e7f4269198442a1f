//go:build linux

package btrfs

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

// pin keeps a ref from being destroyed until the function that is returned is called. One
// that is being destroyed is NotFound.
func (p *pins) pin(r dotmesh.Ref) (unpin func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.counts == nil {
		p.counts = map[dotmesh.Ref]int{}
	}
	if p.counts[r] == going {
		return nil, dotmesh.E("", dotmesh.NotFound, "%s is being destroyed", inPool(r))
	}
	p.counts[r]++
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.counts[r]--; p.counts[r] == 0 {
			delete(p.counts, r)
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
			return nil, dotmesh.E("", dotmesh.Busy, "%s is being sent or compared; try again when that is done", inPool(r))
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

// children says which lines were forked from a commit. It follows from the records.
type children map[dotmesh.Origin]map[dotmesh.LineID]bool

func (c children) add(o dotmesh.Origin, child dotmesh.LineID) {
	if o.IsZero() {
		return
	}
	if c[o] == nil {
		c[o] = map[dotmesh.LineID]bool{}
	}
	c[o][child] = true
}

func (c children) remove(o dotmesh.Origin, child dotmesh.LineID) {
	delete(c[o], child)
	if len(c[o]) == 0 {
		delete(c, o)
	}
}

// free refuses with Busy if one of the commits is an origin.
func (c children) free(refs ...dotmesh.Ref) error {
	for _, r := range refs {
		for child := range c[dotmesh.Origin(r)] {
			return dotmesh.E("", dotmesh.Busy, "commit %s is the origin of line %s; destroy that line first", r.Commit, child)
		}
	}
	return nil
}
