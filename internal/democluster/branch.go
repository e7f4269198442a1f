package democluster

import (
	"context"
	"strings"

	"dotmesh.io/dotmesh"
)

// branch is a branch or stash and what its master's disk holds of it.
type branch struct {
	dotmesh.Branch
	dot   *dot
	line  *line
	tip   *commit
	data  *tree         // as they are now, in a commit or not
	dirty dotmesh.Bytes // bytes that are not in HEAD, as last measured
	used  []*attachment
}

// line is a line, its commits by Seq, and how far each node has come with it.
type line struct {
	dotmesh.Line
	dot     *dot
	owner   *branch
	origin  *commit // nil: it began empty
	commits []*commit
	held    []uint64 // by number of node: the Seq up to which it holds the line
}

// newLine makes a line of a dot, forked from a commit or empty. Whoever calls it sets the
// owner.
func (c *Cluster) newLine(d *dot, id dotmesh.LineID, from *commit) *line {
	l := &line{Line: dotmesh.Line{ID: id, Dot: d.ID}, dot: d, origin: from, held: make([]uint64, len(c.nodes))}
	if from != nil {
		l.Origin, l.OriginSeq = dotmesh.Origin{Line: from.Line, Commit: from.ID}, from.Seq
		from.line.Children = append(from.line.Children, dotmesh.Child{Line: id, Commit: from.ID, Seq: from.Seq})
	}
	c.lines[id] = l
	return l
}

// point points a branch at a commit on a line of its own, which holds nothing beyond it.
func (b *branch) point(l *line, at *commit, master dotmesh.NodeID, epoch uint64) {
	l.owner, l.Owner = b, b.ID
	b.line, b.tip, b.data = l, at, at.data
	b.Pointer = dotmesh.Pointer{
		Line: l.ID, Tip: at.ID, Chain: at.Chain, Master: master, Epoch: epoch, State: dotmesh.State{Phase: dotmesh.Held},
	}
	b.recount()
}

// recount makes HEAD and the count follow from the history.
func (b *branch) recount() {
	b.Pointer.Head, b.Pointer.Count = dotmesh.CommitID{}, 0
	for m := range b.tip.history() {
		if !m.Visible() {
			continue
		}
		if b.Pointer.Head.IsZero() {
			b.Pointer.Head = m.ID
		}
		b.Pointer.Count++
	}
}

// head returns the commit that HEAD is.
func (b *branch) head() *commit {
	for m := range b.tip.history() {
		if m.ID == b.Pointer.Head {
			return m
		}
	}
	return b.tip
}

// measure looks at how much of a branch is in no commit.
func (c *Cluster) measure(b *branch) {
	b.dirty = dotmesh.Bytes{Bytes: b.data.since(b.head().data), AsOf: c.time(), Exact: true}
}

// branchStatus describes a branch.
func (c *Cluster) branchStatus(b *branch) dotmesh.BranchStatus {
	status := dotmesh.BranchStatus{
		Branch: copyBranch(b.Branch), Current: b.ID == b.dot.Current, Origin: b.origin(),
		MasterName: c.node(b.Pointer.Master).Name, Size: b.data.bytes(), Dirty: b.dirty,
	}
	for _, n := range c.nodes {
		if !c.keeps(n, b) || n.ID == b.Pointer.Master {
			continue
		}
		if missing, behind := c.missing(n, b); len(missing) > status.Missing {
			status.Missing, status.Behind = len(missing), behind
		}
	}
	for _, a := range b.used {
		status.Mounted = true
		status.Containers = append(status.Containers, a.holders...)
	}
	return status
}

func (c *Cluster) branchWithReplicas(b *branch) dotmesh.BranchStatus {
	status := c.branchStatus(b)
	for _, n := range c.nodes {
		if !c.keeps(n, b) {
			continue
		}
		r := dotmesh.Replica{Node: n.ID, Name: n.Name, Alive: n.alive}
		r.Missing, r.Behind = c.missing(n, b)
		status.Replicas = append(status.Replicas, r)
	}
	return status
}

// origin says where the branch was forked from another one: never a stash, and never the
// branch itself, though a reset forks it from its own past. A stash was forked where the
// branch was that it is of.
func (b *branch) origin() *dotmesh.ForkPoint {
	for from := b.line.origin; from != nil; from = from.line.origin {
		if of := from.line.owner.standsFor(); of != b.standsFor() {
			return &dotmesh.ForkPoint{Branch: of, Commit: from.ID}
		}
	}
	return nil
}

// standsFor returns the ordinary branch that a branch or stash stands for.
func (b *branch) standsFor() dotmesh.BranchID {
	if b.Stash != nil {
		return b.Stash.Of
	}
	return b.ID
}

// Status implements dotmesh.Service.
func (s *service) Status(ctx context.Context, r dotmesh.StatusRequest) (dotmesh.BranchStatus, error) {
	return ask(ctx, s, func() (dotmesh.BranchStatus, error) {
		b, err := s.branch(r.Dot, r.Branch, maySee)
		if err != nil {
			return dotmesh.BranchStatus{}, err
		}
		if r.Fresh && s.c.node(b.Pointer.Master).alive {
			s.c.look(b)
		}
		return s.c.branchWithReplicas(b), nil
	})
}

// look measures a branch and tells of figures that changed.
func (c *Cluster) look(b *branch) {
	before := b.dirty.Bytes
	c.measure(b)
	if before != b.dirty.Bytes {
		c.emitStats(b)
	}
}

// CreateBranch implements dotmesh.Service.
func (s *service) CreateBranch(ctx context.Context, r dotmesh.CreateBranch) (dotmesh.BranchStatus, error) {
	return change(ctx, s, func() (dotmesh.BranchStatus, error) {
		b, err := s.createBranch(r)
		if err != nil {
			return dotmesh.BranchStatus{}, err
		}
		return s.c.branchStatus(b), nil
	})
}

func (s *service) createBranch(r dotmesh.CreateBranch) (*branch, error) {
	const op = "democluster.CreateBranch"
	d, err := s.dot(r.From.Dot, mayWrite)
	if err != nil {
		return nil, err
	}
	if r.Name == "" {
		return nil, dotmesh.E(op, dotmesh.Invalid, "a new branch needs a name")
	}
	request := s.c.requestID(r.From.Request).Derive("in " + d.ID.String() + " " + string(r.Name))
	id := dotmesh.BranchID{UUID: request.Derive("branch")}
	if b := d.find(r.Name); b != nil && b.ID == id {
		return b, nil // the same request has made it
	}
	if d.find(r.Name) != nil || s.c.branches[id] != nil {
		return nil, dotmesh.E(op, dotmesh.Exists, "Branch already exists: %s", r.Name)
	}
	from, at, err := s.resolve(r.From, mayWrite)
	if err != nil {
		return nil, err
	}
	master, err := s.masterFor(from, at)
	if err != nil {
		return nil, err
	}
	return s.c.fork(d, at, id, r.Name, master, s.entry(from, dotmesh.VerbBranch, r.From.Request)), nil
}

// masterFor returns the node that becomes the master of what is forked from a commit: that
// at which it is made, or where the commit has not arrived there, the master of its branch.
func (s *service) masterFor(from *branch, at *commit) (*node, error) {
	master := s.c.homeFor(s.at)
	if !at.on(master) {
		master = s.c.node(from.Pointer.Master)
	}
	return master, s.c.reachable(master, from.Name)
}

// fork makes a branch of a dot from a commit.
func (c *Cluster) fork(d *dot, at *commit, id dotmesh.BranchID, name dotmesh.Name, master *node, op dotmesh.Op) *branch {
	b := &branch{dot: d, Branch: dotmesh.Branch{ID: id, Dot: d.ID, Name: name, Created: c.time()}}
	b.point(c.newLine(d, dotmesh.LineID{UUID: id.Derive("line")}, at), at, master.ID, 1)
	c.branches[id] = b
	d.insert(b)
	c.measure(b)
	c.note(d, b, op)
	c.emitBranch(b, false)
	c.emitStats(b)
	c.spread(b)
	return b
}

// DeleteBranch implements dotmesh.Service.
func (s *service) DeleteBranch(ctx context.Context, r dotmesh.BranchRequest) error {
	return alter(ctx, s, func() error { return s.deleteBranch(r, 0) })
}

func (s *service) deleteBranch(r dotmesh.BranchRequest, undoes uint64) error {
	const op = "democluster.DeleteBranch"
	if r.Branch == "" {
		return dotmesh.E(op, dotmesh.Invalid, "name the branch to delete; \"dm branch\" shows them")
	}
	d, err := s.dot(r.Dot, mayOwn)
	if err != nil {
		return err
	}
	b, err := d.branch(r.Branch)
	switch {
	case err != nil && d.doneBefore(r.Request) != nil:
		return nil
	case err != nil:
		return err
	case b.ID.UUID == d.ID.UUID:
		return dotmesh.E(op, dotmesh.Conflict, "the master branch goes only with its dot; \"dm dot delete %s\" deletes both", d.Name)
	case b.ID == d.Current:
		return dotmesh.E(op, dotmesh.Conflict, "%s is the current branch; check out another one first", b.Name)
	}
	if err := s.c.closable(b); err != nil {
		return err
	}
	entry := s.entry(b, dotmesh.VerbDeleteBranch, r.Request)
	entry.Undoes = undoes
	s.c.buryBranch(b, entry)
	return nil
}

func (c *Cluster) buryBranch(b *branch, op dotmesh.Op) {
	c.close(b, "data that no commit held before the deletion")
	c.forget(b)
	t := c.bury(dotmesh.BuriedBranch, b.ID.UUID, b.dot, op.By)
	t.cover(b)
	t.branch = b
	record := copyBranch(b.Branch)
	t.Branch = &record
	op.Old = tipOf(b)
	b.dot.remove(b)
	c.note(b.dot, nil, op)
	c.emitBranch(b, true)
}

// closable says why a branch cannot be let go of, or nil.
func (c *Cluster) closable(b *branch) error {
	if b.Stash != nil {
		return nil
	}
	if err := c.changeable(b); err != nil {
		return err
	}
	return c.inUse(b)
}

// close commits what a branch's data hold beyond its tip. A stash was closed when it became
// one.
func (c *Cluster) close(b *branch, why string) {
	if b.Stash != nil || b.data == b.tip.data {
		return
	}
	c.commit(b, dotmesh.Commit{
		ID: dotmesh.CommitID{UUID: c.newID()}, Kind: dotmesh.SystemCommit, Author: "system", Message: why,
	}, dotmesh.Op{})
}

// forget drops what a branch that was deleted has on its nodes: its volumes, and commits on
// their way.
func (c *Cluster) forget(b *branch) {
	b.used = nil
	c.dropLags(b.line)
	for _, t := range c.transfers {
		if t.branch == b && !t.State.Ended() {
			c.end(t, dotmesh.TransferCancelled, "the branch was deleted")
		}
	}
}

// Checkout implements dotmesh.Service.
func (s *service) Checkout(ctx context.Context, r dotmesh.BranchRequest) (dotmesh.BranchStatus, error) {
	return change(ctx, s, func() (dotmesh.BranchStatus, error) {
		b, err := s.checkout(r, 0)
		if err != nil {
			return dotmesh.BranchStatus{}, err
		}
		return s.c.branchStatus(b), nil
	})
}

func (s *service) checkout(r dotmesh.BranchRequest, undoes uint64) (*branch, error) {
	to, err := s.writable(r.Dot, r.Branch, mayWrite)
	if err != nil {
		return nil, err
	}
	d := to.dot
	if d.Current == to.ID || d.doneBefore(r.Request) != nil {
		return to, nil
	}
	follow := d.followers()
	for _, a := range follow {
		if len(a.holders) > 0 {
			return nil, heldBy(a)
		}
	}
	op := s.entry(to, dotmesh.VerbCheckout, r.Request)
	op.Old, op.Before, op.Undoes = dotmesh.Tip{}, d.Current, undoes
	old := d.current()
	d.Current = to.ID
	d.repoint(follow, to)
	s.c.note(d, nil, op)
	s.c.emitDot(d, false)
	s.c.emitBranch(old, false)
	s.c.emitBranch(to, false)
	return to, nil
}

// joinNames names containers one after the other.
func joinNames(all []dotmesh.Container) string {
	names := make([]string, 0, len(all))
	for _, one := range all {
		names = append(names, one.Name)
	}
	return strings.Join(names, ", ")
}
