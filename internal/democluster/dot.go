package democluster

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
)

// How long what was dropped or deleted is kept.
const (
	keepStash     = 30 * 24 * time.Hour
	keepDiscarded = time.Hour
	keepDeleted   = 24 * time.Hour
)

// dot is a dot with what belongs to it.
type dot struct {
	dotmesh.Dot
	branches []*branch // those that are not deleted: ordinary ones by name, then stashes by name
	ops      []dotmesh.Op
	sampled  time.Duration // when its RPO last took a commit, as life counts
}

// tomb is a tombstone and what it buried.
type tomb struct {
	dotmesh.Tombstone
	serial int // greater is later
	dot    *dot
	branch *branch
	commit *commit
}

func compareDots(a *dot, name dotmesh.DotName) int {
	return cmp.Or(cmp.Compare(a.Name.Namespace, name.Namespace), cmp.Compare(a.Name.Name, name.Name))
}

// dotNamed returns the dot of that name, or nil.
func (c *Cluster) dotNamed(name dotmesh.DotName) *dot {
	if at, found := slices.BinarySearchFunc(c.order, name, compareDots); found {
		return c.order[at]
	}
	return nil
}

// show makes a dot one that is there; hide takes it away.
func (c *Cluster) show(d *dot) {
	c.dots[d.ID] = d
	at, _ := slices.BinarySearchFunc(c.order, d.Name, compareDots)
	c.order = slices.Insert(c.order, at, d)
}

func (c *Cluster) hide(d *dot) {
	delete(c.dots, d.ID)
	at, _ := slices.BinarySearchFunc(c.order, d.Name, compareDots)
	c.order = slices.Delete(c.order, at, at+1)
}

// current returns the branch that the plain name means.
func (d *dot) current() *branch {
	for _, b := range d.branches {
		if b.ID == d.Current {
			return b
		}
	}
	return d.branches[0]
}

// find returns the dot's branch or stash of that name, or nil.
func (d *dot) find(name dotmesh.Name) *branch {
	for _, b := range d.branches {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// branch is find for a name that a caller gave; the empty name is the current branch.
func (d *dot) branch(name dotmesh.Name) (*branch, error) {
	if name == "" {
		return d.current(), nil
	}
	if b := d.find(name); b != nil {
		return b, nil
	}
	return nil, dotmesh.E("democluster.Branch", dotmesh.NotFound, `no branch called %q in %s; "dm branch" shows its branches`, string(name), d.Name)
}

// insert puts a branch in its place; remove takes it away.
func (d *dot) insert(b *branch) {
	at, _ := slices.BinarySearchFunc(d.branches, b, compareBranches)
	d.branches = slices.Insert(d.branches, at, b)
}

func (d *dot) remove(b *branch) {
	d.branches = slices.DeleteFunc(d.branches, func(o *branch) bool { return o == b })
}

func compareBranches(a, b *branch) int {
	if stash := b.Stash != nil; stash != (a.Stash != nil) {
		if stash {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.Name, b.Name)
}

func (d *dot) count() (branches, stashes int) {
	for _, b := range d.branches {
		if b.Stash != nil {
			stashes++
		} else {
			branches++
		}
	}
	return branches, stashes
}

// Dots implements dotmesh.Service.
func (s *service) Dots(ctx context.Context) ([]dotmesh.DotStatus, error) {
	return ask(ctx, s, func() ([]dotmesh.DotStatus, error) {
		all := make([]dotmesh.DotStatus, 0, len(s.c.order))
		for _, d := range s.c.order {
			if rightOf(s.who, &d.Dot) >= maySee {
				all = append(all, s.c.dotStatus(d))
			}
		}
		return all, nil
	})
}

func (c *Cluster) dotStatus(d *dot) dotmesh.DotStatus {
	status := dotmesh.DotStatus{Dot: copyDot(d.Dot), Branch: c.branchStatus(d.current())}
	status.Branches, status.Stashes = d.count()
	return status
}

// Dot implements dotmesh.Service.
func (s *service) Dot(ctx context.Context, name dotmesh.DotName) (dotmesh.DotDetail, error) {
	return ask(ctx, s, func() (dotmesh.DotDetail, error) {
		d, err := s.dot(name, maySee)
		if err != nil {
			return dotmesh.DotDetail{}, err
		}
		detail := dotmesh.DotDetail{DotStatus: s.c.dotStatus(d), All: []dotmesh.BranchStatus{}}
		if u := s.c.user(d.Owner); u != nil {
			detail.OwnerName = string(u.Name)
		}
		for _, b := range d.branches {
			detail.All = append(detail.All, s.c.branchWithReplicas(b))
		}
		return detail, nil
	})
}

// CreateDot implements dotmesh.Service.
func (s *service) CreateDot(ctx context.Context, r dotmesh.CreateDot) (dotmesh.DotStatus, error) {
	return change(ctx, s, func() (dotmesh.DotStatus, error) {
		d, err := s.createDot(r)
		if err != nil {
			return dotmesh.DotStatus{}, err
		}
		return s.c.dotStatus(d), nil
	})
}

func (s *service) createDot(r dotmesh.CreateDot) (*dot, error) {
	id, d, err := s.claim(r.Dot, r.Request)
	if d != nil || err != nil {
		return d, err
	}
	return s.c.newDot(r.Dot, id, s.who.User, s.c.homeFor(s.at), s.entry(nil, dotmesh.VerbInit, r.Request)), nil
}

// claim returns the id of a dot that the caller may make, or the dot if the same request has
// made it.
func (s *service) claim(name dotmesh.DotName, request dotmesh.UUID) (dotmesh.UUID, *dot, error) {
	const op = "democluster.claim"
	if name.Namespace == "" || name.Name == "" {
		return dotmesh.UUID{}, nil, dotmesh.E(op, dotmesh.Invalid, "invalid dot name %q: give a namespace and a name", name.String())
	}
	if err := s.mayCreateIn(name.Namespace); err != nil {
		return dotmesh.UUID{}, nil, err
	}
	id := s.c.requestID(request).Derive("dot " + string(name.Namespace) + "/" + string(name.Name))
	if d := s.c.dots[dotmesh.DotID{UUID: id}]; d != nil {
		return id, d, nil
	}
	if s.c.dotNamed(name) != nil || s.c.branches[dotmesh.BranchID{UUID: id}] != nil {
		return id, nil, dotmesh.E(op, dotmesh.Exists, "%s exists already", name)
	}
	return id, nil, nil
}

// ForkDot implements dotmesh.Service.
func (s *service) ForkDot(ctx context.Context, r dotmesh.ForkDot) (dotmesh.DotStatus, error) {
	return change(ctx, s, func() (dotmesh.DotStatus, error) {
		d, err := s.forkDot(r)
		if err != nil {
			return dotmesh.DotStatus{}, err
		}
		return s.c.dotStatus(d), nil
	})
}

func (s *service) forkDot(r dotmesh.ForkDot) (*dot, error) {
	from, at, err := s.resolve(r.From, maySee)
	if err != nil {
		return nil, err
	}
	id, d, err := s.claim(r.Dot, r.From.Request)
	if d != nil || err != nil {
		return d, err
	}
	master, err := s.masterFor(from, at)
	if err != nil {
		return nil, err
	}
	record := dotmesh.Dot{
		Name: r.Dot, Owner: s.who.User, Origin: dotmesh.DotOrigin{Dot: from.dot.ID, Name: from.dot.Name, Commit: at.ID},
	}
	var history []*commit
	for m := range at.history() {
		if m.Visible() || m == at {
			copied := copyCommit(m.Commit)
			copied.ID.UUID = id.Derive(m.ID.String())
			history = append(history, &commit{Commit: copied, data: m.data})
		}
	}
	slices.Reverse(history)
	return s.c.addDot(record, id, history, master, s.entry(nil, dotmesh.VerbInit, r.From.Request)), nil
}

// homeFor returns the node that becomes the master of what is made at a node: that one,
// unless it is being drained.
func (c *Cluster) homeFor(at *node) *node {
	if to := c.roomiest(at, nil); at.draining && to != nil {
		return to
	}
	return at
}

// newDot makes a dot with its master branch and initial commit.
func (c *Cluster) newDot(name dotmesh.DotName, id dotmesh.UUID, owner dotmesh.UserID, master *node, op dotmesh.Op) *dot {
	first := &commit{Commit: dotmesh.Commit{
		ID: dotmesh.CommitID{UUID: id.Derive("initial")}, Kind: dotmesh.InitialCommit,
		Author: string(dotmesh.AdminNamespace), Message: "Initial commit", Time: c.time(),
		Metadata: map[string]string{"type": "dotmesh.initial"},
	}}
	return c.addDot(dotmesh.Dot{Name: name, Owner: owner}, id, []*commit{first}, master, op)
}

// addDot makes a dot whose master branch has these commits, oldest first.
func (c *Cluster) addDot(record dotmesh.Dot, id dotmesh.UUID, history []*commit, master *node, op dotmesh.Op) *dot {
	record.ID.UUID, record.Current.UUID, record.Created = id, id, c.time()
	d := &dot{Dot: record}
	l := c.newLine(d, dotmesh.LineID{UUID: id.Derive("line")}, nil)
	b := &branch{dot: d, line: l, Branch: dotmesh.Branch{
		ID: d.Current, Dot: d.ID, Name: dotmesh.MasterBranch, Created: d.Created,
		Pointer: dotmesh.Pointer{Line: l.ID, Master: master.ID, Epoch: 1, State: dotmesh.State{Phase: dotmesh.Held}},
	}}
	l.owner = b
	l.Owner = b.ID
	c.branches[b.ID] = b
	d.insert(b)
	c.show(d)
	c.emitDot(d, false)
	for _, m := range history {
		m.Line, m.Seq, m.Parent, m.GUID = l.ID, b.Pointer.Seq+1, b.Pointer.Tip, c.guid()
		m.Chain = b.Pointer.Chain.After(&m.Commit)
		m.line, m.parent, b.data = l, b.tip, m.data
		c.append(b, m)
	}
	c.measure(b)
	op.Old = dotmesh.Tip{}
	c.note(d, b, op)
	return d
}

// DeleteDot implements dotmesh.Service.
func (s *service) DeleteDot(ctx context.Context, r dotmesh.DeleteDot) error {
	return alter(ctx, s, func() error { return s.deleteDot(r, 0) })
}

func (s *service) deleteDot(r dotmesh.DeleteDot, undoes uint64) error {
	d, err := s.dot(r.Dot, mayOwn)
	if dotmesh.KindOf(err) == dotmesh.NotFound {
		if t := s.tombOf(r.Dot, mayOwn); t != nil && t.dot.doneBefore(r.Request) != nil {
			return nil
		}
	}
	if err != nil {
		return err
	}
	for _, b := range d.branches {
		if err := s.c.closable(b); err != nil {
			return err
		}
	}
	op := s.entry(nil, dotmesh.VerbDeleteDot, r.Request)
	op.Undoes = undoes
	s.c.buryDot(d, op)
	return nil
}

func (c *Cluster) buryDot(d *dot, op dotmesh.Op) {
	t := c.bury(dotmesh.BuriedDot, d.ID.UUID, d, op.By)
	for _, b := range d.branches {
		c.close(b, "data that no commit held before the deletion")
		c.forget(b)
		t.cover(b)
	}
	c.note(d, nil, op)
	c.hide(d)
	c.emitDot(d, true)
}

// bury makes a tombstone.
func (c *Cluster) bury(kind dotmesh.TombstoneKind, id dotmesh.UUID, d *dot, by string) *tomb {
	now := c.time()
	c.serial++
	t := &tomb{serial: c.serial, dot: d, Tombstone: dotmesh.Tombstone{
		ID: id, Kind: kind, Dot: copyDot(d.Dot), By: by, At: now, Keep: now.Add(keepDeleted),
	}}
	c.tombs[id] = t
	return t
}

func (t *tomb) cover(b *branch) {
	t.Covers = append(t.Covers, dotmesh.Cover{Line: b.Pointer.Line, Commit: b.Pointer.Tip, Chain: b.Pointer.Chain})
}

// SetDot implements dotmesh.Service.
func (s *service) SetDot(ctx context.Context, r dotmesh.SetDot) (dotmesh.DotStatus, error) {
	return change(ctx, s, func() (dotmesh.DotStatus, error) {
		d, err := s.dot(r.Dot, mayOwn)
		if err != nil {
			return dotmesh.DotStatus{}, err
		}
		next, err := s.settings(copyDot(d.Dot), r)
		if err != nil {
			return dotmesh.DotStatus{}, err
		}
		d.Dot = next
		s.c.unspread(d)
		for _, b := range d.branches {
			s.c.spread(b)
		}
		s.c.emitDot(d, false)
		return s.c.dotStatus(d), nil
	})
}

// settings returns the dot with the asked-for changes, if they make sense.
func (s *service) settings(d dotmesh.Dot, r dotmesh.SetDot) (dotmesh.Dot, error) {
	const op = "democluster.settings"
	if r.Replicas != nil {
		replicas, err := s.c.checkReplicas(*r.Replicas)
		if err != nil {
			return d, err
		}
		d.Replicas = replicas
	}
	if r.RPO != nil {
		if *r.RPO < 0 || *r.RPO > 0 && *r.RPO < time.Second {
			return d, dotmesh.E(op, dotmesh.Invalid, "rpo must be 0 or at least 1s")
		}
		d.RPO = *r.RPO
	}
	if r.Expires != nil {
		if *r.Expires < 0 {
			return d, dotmesh.E(op, dotmesh.Invalid, "expires must not be negative")
		}
		d.Expires = *r.Expires
	}
	return s.share(d, r)
}

// checkReplicas returns a setting of replicas as it is kept: "" is all.
func (c *Cluster) checkReplicas(text string) (string, error) {
	if text == "" || text == "all" {
		return "", nil
	}
	if n, err := strconv.Atoi(text); err == nil {
		if n < 1 || n > len(c.nodes) {
			return "", dotmesh.E("democluster.settings", dotmesh.Invalid, "replicas must be \"all\", 1 to %d, or names of nodes", len(c.nodes))
		}
		return text, nil
	}
	for name := range strings.SplitSeq(text, ",") {
		if _, err := c.findNode(name); err != nil {
			return "", err
		}
	}
	return text, nil
}

// share removes a collaborator and adds one, as far as asked for. Asking for what is so
// already is no error.
func (s *service) share(d dotmesh.Dot, r dotmesh.SetDot) (dotmesh.Dot, error) {
	if r.RemoveCollaborator != "" {
		u := s.c.userNamed(r.RemoveCollaborator)
		if u == nil {
			return d, noUser()
		}
		d.Collaborators = slices.DeleteFunc(d.Collaborators, func(id dotmesh.UserID) bool { return id == u.ID })
	}
	if r.AddCollaborator != "" {
		u := s.c.userNamed(r.AddCollaborator)
		if u == nil {
			return d, noUser()
		}
		if !slices.Contains(d.Collaborators, u.ID) {
			d.Collaborators = append(d.Collaborators, u.ID)
		}
	}
	return d, nil
}
