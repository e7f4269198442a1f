package feed

import (
	"slices"
	"time"

	"dotmesh.io/dotmesh"
)

// State says how much a picture can be trusted.
type State int

const (
	// Connecting: the first listing is on its way; what there is of it is shown.
	Connecting State = iota
	// Live: the picture is what the server says now.
	Live
	// Lost: the server does not answer; the picture is as old as AsOf. The feed goes on
	// trying.
	Lost
)

// String returns the state as a word.
func (s State) String() string {
	return [...]string{Connecting: "connecting", Live: "live", Lost: "lost"}[s]
}

// Picture is the cluster at one moment. It never changes; what it points at does not
// either, but for Log, which grows. Texts in it are harmless on a terminal, and names and
// ids are as the server has them.
type Picture struct {
	Rev     uint64 // 1, 2, …; another picture has another one
	State   State
	Err     error     // why Lost
	AsOf    time.Time // when the server was last heard from: exact where Lost
	Version dotmesh.Version
	User    dotmesh.User

	Dots      []*dotmesh.DotStatus // by name; a dot that changed has another pointer
	Nodes     []dotmesh.NodeStatus
	Transfers []dotmesh.Transfer // newest first

	Log *Log // what happened; the same one in every picture
}

// publish makes the current state a picture. The feed's lock is held.
func (f *Feed) publish() {
	f.flushLoose()
	p := *f.picture
	p.Rev++
	p.State, p.Err, p.AsOf, p.Version, p.User = f.state, f.err, f.heardAt, f.version, f.user
	p.Dots = f.dots.publish()
	p.Nodes = f.nodes.publish()
	p.Transfers = f.transfers.publish()
	f.picture, f.stale, f.published = &p, false, time.Now()
}

// publish returns the dots for a picture. Those that changed since the last one are new
// pointers in a new slice; how many others there are matters little.
func (d *dots) publish() []*dotmesh.DotStatus {
	if len(d.changed) == 0 && !d.reordered {
		return d.out
	}
	if d.reordered {
		d.reorder()
		d.out = make([]*dotmesh.DotStatus, len(d.order))
		for i, each := range d.order {
			each.at, each.sealed, d.out[i] = i, true, each.status
		}
	} else {
		d.out = slices.Clone(d.out)
	}
	for _, each := range d.changed {
		each.sealed = true
		if !each.gone && each.shown {
			d.out[each.at] = each.status
		}
	}
	d.changed = d.changed[:0]
	return d.out
}

// reorder brings what came and went since into the order, which is by name.
func (d *dots) reorder() {
	gone := func(e *dot) bool { return e.gone }
	d.order = slices.DeleteFunc(d.order, gone)
	d.added = slices.DeleteFunc(d.added, gone)
	if len(d.added) > 0 {
		slices.SortFunc(d.added, byName)
		d.order = merge(d.order, d.added)
	}
	d.added, d.reordered = nil, false
}

func merge(a, b []*dot) []*dot {
	all := make([]*dot, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if byName(a[0], b[0]) <= 0 {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(append(all, a...), b...)
}
