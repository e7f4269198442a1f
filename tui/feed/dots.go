package feed

import (
	"cmp"
	"slices"

	"dotmesh.io/dotmesh"
)

// dots are all dots that are known, in the order of their names, and their branches.
type dots struct {
	byID     map[dotmesh.DotID]*dot
	branches map[dotmesh.BranchID]*branch
	lines    map[dotmesh.LineID]dotmesh.BranchID // that branches point at

	order     []*dot               // by name, as of the last picture
	added     []*dot               // since
	changed   []*dot               // since, with a status of their own
	reordered bool                 // some came or went since
	out       []*dotmesh.DotStatus // the last picture's; never changed
	round     uint64               // of listings
}

// dot is one dot. What was published or handed out is sealed: it is changed in a copy.
type dot struct {
	status  *dotmesh.DotStatus
	others  []dotmesh.BranchID // known branches besides the current one
	tally   [2]int             // known branches, and stashes
	at      int                // in the order
	changes uint64
	listed  uint64 // in which round it was listed last
	sealed  bool
	shown   bool // false while only its branches have been heard of
	gone    bool
	whole   bool // all its branches are known
}

// branch is where a branch that is known is described.
type branch struct {
	dot    dotmesh.DotID
	stash  bool
	status *dotmesh.BranchStatus // nil: it is the dot's current one, and in its status
}

func newDots() dots {
	return dots{
		byID:     map[dotmesh.DotID]*dot{},
		branches: map[dotmesh.BranchID]*branch{},
		lines:    map[dotmesh.LineID]dotmesh.BranchID{},
	}
}

func byName(a, b *dot) int {
	return cmp.Or(compareNames(a.status.Name, b.status.Name), slices.Compare(a.status.ID.UUID[:], b.status.ID.UUID[:]))
}

func compareNames(a, b dotmesh.DotName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// branch returns what is known of a branch, or nil. It is not to be changed.
func (d *dots) branch(id dotmesh.BranchID) *dotmesh.BranchStatus {
	b := d.branches[id]
	switch {
	case b == nil:
		return nil
	case b.status != nil:
		return b.status
	}
	return &d.byID[b.dot].status.Branch
}

// editBranch returns a branch that is known, to be changed, and its dot.
func (d *dots) editBranch(id dotmesh.BranchID) (*dotmesh.BranchStatus, *dot) {
	b := d.branches[id]
	if b == nil {
		return nil, nil
	}
	owner := d.byID[b.dot]
	if b.status != nil {
		return b.status, owner
	}
	return &d.edit(owner).Branch, owner
}

// edit returns a dot's status to be changed.
func (d *dots) edit(e *dot) *dotmesh.DotStatus {
	if e.sealed {
		status := *e.status
		e.status, e.sealed = &status, false
		d.changed = append(d.changed, e)
	}
	return e.status
}

// become gives a dot another status, which is the dot's from then on.
func (d *dots) become(e *dot, status *dotmesh.DotStatus) {
	if e.sealed {
		e.sealed = false
		d.changed = append(d.changed, e)
	}
	e.status = status
}

// get returns a dot, which it makes where there is none: a branch may be heard of before
// its dot is.
func (d *dots) get(id dotmesh.DotID) *dot {
	e := d.byID[id]
	if e == nil {
		e = &dot{status: &dotmesh.DotStatus{Dot: dotmesh.Dot{ID: id}}}
		d.byID[id] = e
	}
	return e
}

// show puts a dot that has a name now into the order.
func (d *dots) show(e *dot) {
	e.shown, d.reordered = true, true
	d.added = append(d.added, e)
}

// rename takes a dot out of the order and puts it in at its new name.
func (d *dots) rename(e *dot, name dotmesh.DotName) *dot {
	moved := *e
	status := *e.status
	status.Name = name
	moved.status, moved.sealed = &status, false
	e.gone = true
	d.byID[status.ID] = &moved
	d.show(&moved)
	return &moved
}

// remove forgets a dot and its branches.
func (d *dots) remove(id dotmesh.DotID) {
	e := d.byID[id]
	if e == nil {
		return
	}
	d.forget(e.status.Current)
	for _, other := range slices.Clone(e.others) {
		d.forget(other)
	}
	e.gone, d.reordered = true, true
	delete(d.byID, id)
}

// forget drops a branch, and is false for one that is not known.
func (d *dots) forget(id dotmesh.BranchID) bool {
	b := d.branches[id]
	if b == nil {
		return false
	}
	if line := d.branch(id).Pointer.Line; d.lines[line] == id {
		delete(d.lines, line)
	}
	e := d.byID[b.dot]
	e.tally[kind(b.stash)]--
	e.others = without(e.others, id)
	delete(d.branches, id)
	return true
}

func kind(stash bool) int {
	if stash {
		return 1
	}
	return 0
}

func without(ids []dotmesh.BranchID, id dotmesh.BranchID) []dotmesh.BranchID {
	return slices.DeleteFunc(ids, func(other dotmesh.BranchID) bool { return other == id })
}

// count says in a dot's status how many branches are known, if those are all.
func (d *dots) count(e *dot) {
	if s := e.status; e.whole && (s.Branches != e.tally[0] || s.Stashes != e.tally[1]) {
		s = d.edit(e)
		s.Branches, s.Stashes = e.tally[0], e.tally[1]
	}
}

// makeCurrent makes a branch the dot's current one. What is known of the one before is
// kept beside.
func (d *dots) makeCurrent(e *dot, id dotmesh.BranchID) {
	s := d.edit(e)
	if b := d.branches[s.Current]; b != nil && b.status == nil {
		before := s.Branch
		before.Current = false
		b.status = &before
		e.others = append(e.others, s.Current)
	}
	s.Current = id
	s.Branch = dotmesh.BranchStatus{Branch: dotmesh.Branch{ID: id, Dot: s.ID}, Current: true}
	if b := d.branches[id]; b != nil && b.status != nil {
		s.Branch = *b.status
		s.Branch.Current, b.status = true, nil
		e.others = without(e.others, id)
	}
}

// known reports whether the dot's current branch has been described.
func (d *dots) known(e *dot) bool { return d.branches[e.status.Current] != nil }

// put notes what is known of a branch now.
func (d *dots) put(e *dot, s *dotmesh.BranchStatus) {
	b := d.note(e, s.ID, s.Stash != nil)
	if line := s.Pointer.Line; line != (dotmesh.LineID{}) {
		d.lines[line] = s.ID
	}
	if e.shown && s.ID == e.status.Current {
		s.Current = true
		d.edit(e).Branch, b.status = *s, nil
		e.others = without(e.others, s.ID)
		return
	}
	if b.status == nil {
		e.others = append(e.others, s.ID)
	}
	b.status = s
}

// note returns a branch, which it makes where it is not known.
func (d *dots) note(e *dot, id dotmesh.BranchID, stash bool) *branch {
	b := d.branches[id]
	if b == nil {
		b = &branch{dot: e.status.ID, stash: stash}
		d.branches[id] = b
		e.tally[kind(stash)]++
	}
	return b
}

// replace puts what a listing says of a dot, which is the dot's from then on, in the place
// of what was known of it and its current branch. It reports whether anything differs, and whether something does that an
// event would have told.
func (d *dots) replace(status *dotmesh.DotStatus) (differs, moved bool) {
	e := d.get(status.ID)
	if e.shown && same(e.status, status) {
		return false, false
	}
	moved = !e.shown || e.status.Current != status.Current || e.status.Branch.Pointer != status.Branch.Pointer
	if e.shown && e.status.Name != status.Name {
		e = d.rename(e, status.Name)
	}
	if e.shown && e.status.Current != status.Current {
		d.makeCurrent(e, status.Current)
	}
	d.become(e, status)
	e.changes++
	if !e.shown {
		d.show(e)
	}
	if status.Branch.ID == status.Current {
		d.put(e, &e.status.Branch)
	}
	return true, moved
}

// describe puts in all that is known of a dot.
func (d *dots) describe(detail *dotmesh.DotDetail) {
	detail.Branch.Replicas = nil // as in every listing
	status := detail.DotStatus   // without the rest of the detail, which it would keep alive
	d.replace(&status)
	e := d.byID[detail.ID]
	listed := make(map[dotmesh.BranchID]struct{}, len(detail.All))
	for i := range detail.All {
		listed[detail.All[i].ID] = struct{}{}
		if s := detail.All[i]; s.ID != detail.Current {
			s.Replicas = nil
			d.put(e, &s)
		}
	}
	for _, id := range slices.Clone(e.others) {
		if _, ok := listed[id]; !ok {
			d.forget(id)
		}
	}
	e.whole = true
	d.count(e)
}

// retain forgets the dots that were not listed in a round.
func (d *dots) retain(round uint64) (gone bool) {
	for id, e := range d.byID {
		if e.listed != round {
			d.remove(id)
			gone = true
		}
	}
	return gone
}
