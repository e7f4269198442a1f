package server

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/plan"
)

// view is the node's picture of the registry, fed by one watch. Everything that is read
// is read here, so a read costs no round trip; whoever has just written waits for the
// view to reach the cursor that the registry returned.
type view struct {
	mu       sync.RWMutex // guards all fields below
	*picture              // what readers see
	coming   *picture     // a listing that is not complete yet; nil: none
	cursor   dotmesh.Cursor
	listed   bool          // the first listing is in
	updates  uint64        // that have come, but for those that only tell a fault
	err      error         // the registry is out of reach; nil while the watch runs
	moved    chan struct{} // closed and replaced at every update
}

func newView() *view {
	return &view{picture: newPicture(), moved: make(chan struct{})}
}

// apply takes an update in and wakes whoever waits for it. A listing is shown when it is
// complete, and then apply reports true: until then readers see what was before. The
// cluster's record is checked whenever it is listed, written or deleted, and the update is
// noted for the mirror, before anybody sees what it says: whoever has been told of a change
// may stop the node, and it is in the mirror then.
func (v *view) apply(u dotmesh.Update, check func(*dotmesh.Cluster, dotmesh.Cursor), note func(dotmesh.Update)) (listed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.err = u.Err
	if u.Err == nil {
		v.updates++
	}
	if u.Reset {
		v.coming = newPicture()
	}
	into := v.picture
	if v.coming != nil {
		into = v.coming
	}
	for _, c := range u.Changes {
		into.change(c)
		if cluster, ok := c.Record.(*dotmesh.Cluster); ok && v.coming == nil {
			check(present(cluster, c.Deleted), u.Cursor)
		}
	}
	if u.Cursor > 0 {
		v.cursor = u.Cursor
		if v.coming != nil {
			check(v.coming.cluster, u.Cursor)
			v.coming.trim()
			v.picture, v.coming, v.listed, listed = v.coming, nil, true, true
		}
	}
	note(u)
	close(v.moved)
	v.moved = make(chan struct{})
	return listed
}

// recall shows records that are remembered, until the first listing is in.
func (v *view) recall(records []dotmesh.Record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.listed {
		return
	}
	for _, r := range records {
		v.picture.change(dotmesh.Change{Record: r})
	}
}

// present is nil for a record that was deleted.
func present(c *dotmesh.Cluster, deleted bool) *dotmesh.Cluster {
	if deleted {
		return nil
	}
	return c
}

// reach waits until the view has taken cursor in.
func (v *view) reach(ctx context.Context, cursor dotmesh.Cursor) error {
	return v.await(ctx, func() bool { return v.cursor >= cursor })
}

// await waits until done, called with the lock held, says so.
func (v *view) await(ctx context.Context, done func() bool) error {
	for {
		v.mu.RLock()
		ok, moved := done(), v.moved
		v.mu.RUnlock()
		if ok {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return dotmesh.Wrap("wait for the registry", ctx.Err())
		}
	}
}

// heard returns how many updates the registry has sent.
func (v *view) heard() uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.updates
}

// position returns where the view is and the registry's fault, if it is out of reach.
func (v *view) position() (dotmesh.Cursor, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.cursor, v.err
}

// dot returns the dot of that name, or nil.
func (v *view) dot(name dotmesh.DotName) *dotmesh.Dot {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if id, ok := v.names[name]; ok {
		return v.dots[id].dot
	}
	return nil
}

// dotByID returns the dot, or nil.
func (v *view) dotByID(id dotmesh.DotID) *dotmesh.Dot {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if d := v.dots[id]; d != nil {
		return d.dot
	}
	return nil
}

// knows reports whether anything is left of a dot: its record, a branch or its tombstone.
func (v *view) knows(id dotmesh.DotID) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.dots[id] != nil || v.tombstones[id.UUID] != nil
}

// allDots returns every dot, by namespace and name.
func (v *view) allDots() []*dotmesh.Dot {
	v.mu.RLock()
	all := make([]*dotmesh.Dot, 0, len(v.names))
	for _, id := range v.names {
		all = append(all, v.dots[id].dot)
	}
	v.mu.RUnlock()
	slices.SortFunc(all, func(a, b *dotmesh.Dot) int {
		if a.Name.Namespace != b.Name.Namespace {
			return cmp.Compare(a.Name.Namespace, b.Name.Namespace)
		}
		return cmp.Compare(a.Name.Name, b.Name.Name)
	})
	return all
}

// branch returns the branch with that id, buried or not, or nil.
func (v *view) branch(id dotmesh.BranchID) *dotmesh.Branch {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.branches[id]
}

// branchNamed returns the dot's branch or stash of that name, or nil.
func (v *view) branchNamed(dot dotmesh.DotID, name dotmesh.Name) *dotmesh.Branch {
	for _, b := range v.branchesOf(dot) {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// branchesOf returns the dot's branches that are not deleted: ordinary ones by name, then
// stashes by name.
func (v *view) branchesOf(dot dotmesh.DotID) []*dotmesh.Branch {
	v.mu.RLock()
	var all []*dotmesh.Branch
	if d := v.dots[dot]; d != nil {
		for id := range d.branches {
			if t := v.tombstones[id.UUID]; t == nil || t.Kind != dotmesh.BuriedBranch {
				all = append(all, v.branches[id])
			}
		}
	}
	v.mu.RUnlock()
	slices.SortFunc(all, func(a, b *dotmesh.Branch) int {
		return cmp.Or(compareBool(a.Stash != nil, b.Stash != nil), cmp.Compare(a.Name, b.Name))
	})
	return all
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// allBranches yields every branch, buried ones too, in no order.
func (v *view) allBranches() []*dotmesh.Branch {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.Collect(maps.Values(v.branches))
}

// line returns the line, or nil.
func (v *view) line(id dotmesh.LineID) *dotmesh.Line {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if s := v.lines[id]; s != nil {
		return s.line
	}
	return nil
}

// commits returns what the registry keeps of a line, by Seq. The slice is a copy.
func (v *view) commits(line dotmesh.LineID) []dotmesh.Commit {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if s := v.lines[line]; s != nil {
		return slices.Clone(s.commits)
	}
	return nil
}

// lineOf returns the line that a commit is on, if the registry keeps its record.
func (v *view) lineOf(id dotmesh.CommitID) (dotmesh.LineID, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	line, ok := v.commitLines[id]
	return line, ok
}

func (v *view) countCommits(line dotmesh.LineID) int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if s := v.lines[line]; s != nil {
		return len(s.commits)
	}
	return 0
}

// attachmentsOf returns the node's attachments, by volume.
func (v *view) attachmentsOf(node dotmesh.NodeID) []*dotmesh.Attachment {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []*dotmesh.Attachment
	for key, a := range v.attachments {
		if key.node == node {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b *dotmesh.Attachment) int { return cmp.Compare(a.Volume, b.Volume) })
	return all
}

// attachmentsTo returns the node's attachments of a branch, by volume.
func (v *view) attachmentsTo(node dotmesh.NodeID, id dotmesh.BranchID) []*dotmesh.Attachment {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []*dotmesh.Attachment
	for key := range v.shown[id] {
		if key.node == node {
			all = append(all, v.attachments[key])
		}
	}
	slices.SortFunc(all, func(a, b *dotmesh.Attachment) int { return cmp.Compare(a.Volume, b.Volume) })
	return all
}

func (v *view) attachment(node dotmesh.NodeID, volume string) *dotmesh.Attachment {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.attachments[attachmentKey{node, volume}]
}

// allTombstones returns every tombstone, oldest first.
func (v *view) allTombstones() []*dotmesh.Tombstone {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.SortedFunc(maps.Values(v.tombstones), func(a, b *dotmesh.Tombstone) int { return a.At.Compare(b.At) })
}

func (v *view) tombstone(id dotmesh.UUID) *dotmesh.Tombstone {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.tombstones[id]
}

func (v *view) user(id dotmesh.UserID) *dotmesh.User {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.users[id]
}

// findUser returns the first user that fits, or nil.
func (v *view) findUser(fits func(*dotmesh.User) bool) *dotmesh.User {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, u := range v.users {
		if fits(u) {
			return u
		}
	}
	return nil
}

// allNodes returns every node, by name, and which are alive.
func (v *view) allNodes() ([]*dotmesh.Node, map[dotmesh.NodeID]bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	nodes := slices.SortedFunc(maps.Values(v.nodes), func(a, b *dotmesh.Node) int { return cmp.Compare(a.Name, b.Name) })
	return nodes, maps.Clone(v.alive)
}

// nodeNamed returns the node of that name or id, or nil.
func (v *view) nodeNamed(s string) *dotmesh.Node {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if n := v.nodes[dotmesh.NodeID(s)]; n != nil {
		return n
	}
	for _, n := range v.nodes {
		if string(n.Name) == s {
			return n
		}
	}
	return nil
}

func (v *view) nodeName(id dotmesh.NodeID) dotmesh.Name {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if n := v.nodes[id]; n != nil {
		return n.Name
	}
	return ""
}

// records yields what the pool's mirror keeps: everything that the commits in the pool do
// not say themselves.
func (v *view) records() iter.Seq[dotmesh.Record] {
	v.mu.RLock()
	var all []dotmesh.Record
	for _, d := range v.dots {
		if d.dot != nil {
			all = append(all, d.dot)
		}
	}
	for _, b := range v.branches {
		all = append(all, b)
	}
	for _, l := range v.lines {
		if l.line != nil {
			all = append(all, l.line)
		}
	}
	for _, t := range v.tombstones {
		all = append(all, t)
	}
	for _, u := range v.users {
		all = append(all, u)
	}
	v.mu.RUnlock()
	return slices.Values(all)
}

// countBranches returns how many ordinary branches and stashes a dot has.
func (v *view) countBranches(dot dotmesh.DotID) (branches, stashes int) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	d := v.dots[dot]
	if d == nil {
		return 0, 0
	}
	for id := range d.branches {
		switch t := v.tombstones[id.UUID]; {
		case t != nil && t.Kind == dotmesh.BuriedBranch:
		case v.branches[id].Stash != nil:
			stashes++
		default:
			branches++
		}
	}
	return branches, stashes
}

// countMasters returns how many branches each node is the master of, without stashes and
// what is deleted.
func (v *view) countMasters() map[dotmesh.NodeID]int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	masters := map[dotmesh.NodeID]int{}
	for _, d := range v.dots {
		if d.dot == nil {
			continue
		}
		for id := range d.branches {
			t := v.tombstones[id.UUID]
			if b := v.branches[id]; b.Stash == nil && (t == nil || t.Kind != dotmesh.BuriedBranch) {
				masters[b.Pointer.Master]++
			}
		}
	}
	return masters
}

// forkPoint returns where a branch was forked from another one, or nil.
func (v *view) forkPoint(b *dotmesh.Branch) *dotmesh.ForkPoint {
	v.mu.RLock()
	defer v.mu.RUnlock()
	line := func(id dotmesh.LineID) *dotmesh.Line {
		if s := v.lines[id]; s != nil {
			return s.line
		}
		return nil
	}
	return plan.ForkPoint(b, line, func(id dotmesh.BranchID) *dotmesh.Branch { return v.branches[id] })
}

// holders returns the ids of whoever holds volumes of a branch, on any node.
func (v *view) holders(id dotmesh.BranchID) []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var all []string
	for key := range v.shown[id] {
		all = append(all, v.attachments[key].Holders...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// holds reports whether a node has told that it durably holds a commit.
func (v *view) holds(node dotmesh.NodeID, c *dotmesh.Commit) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	p, ok := v.positions[positionKey{node, c.Line}]
	return ok && p.Seq >= c.Seq
}

// lag returns how many commits of a branch's line the node furthest behind has yet to tell
// that it holds, and when the oldest of them was made.
func (v *view) lag(b *dotmesh.Branch) (missing int, since time.Time) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	s := v.lines[b.Pointer.Line]
	if s == nil || len(v.nodes) < 2 {
		return 0, since
	}
	for node := range v.nodes {
		if node == b.Pointer.Master {
			continue
		}
		held := v.positions[positionKey{node, b.Pointer.Line}].Seq
		first, _ := slices.BinarySearchFunc(s.commits, held+1, func(c dotmesh.Commit, seq uint64) int { return cmp.Compare(c.Seq, seq) })
		if n := len(s.commits) - first; n > missing {
			missing, since = n, s.commits[first].Time
		}
	}
	return missing, since
}

// identity returns the cluster's record, nil if there is none, and the cursor.
func (v *view) identity() (*dotmesh.Cluster, dotmesh.Cursor) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.cluster, v.cursor
}
