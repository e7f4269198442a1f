package server

import (
	"context"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
)

// CreateDot implements dotmesh.Service.
func (s *service) CreateDot(ctx context.Context, r dotmesh.CreateDot) (dotmesh.DotStatus, error) {
	const op = "server.CreateDot"
	n := s.node
	if err := s.mayCreate(r.Dot); err != nil {
		return dotmesh.DotStatus{}, err
	}
	id := requestID(r.Request).Derive("dot " + string(r.Dot.Namespace) + "/" + string(r.Dot.Name))
	release, err := n.locks.acquire(ctx, id)
	if err != nil {
		return dotmesh.DotStatus{}, err
	}
	defer release()
	if d := n.view.dotByID(dotmesh.DotID{UUID: id}); d != nil && d.Name == r.Dot {
		return n.dotStatus(d), nil
	}
	if err := n.mayChange(ctx); err != nil {
		return dotmesh.DotStatus{}, err
	}
	if n.view.dot(r.Dot) != nil || n.view.branch(dotmesh.BranchID{UUID: id}) != nil {
		return dotmesh.DotStatus{}, dotmesh.E(op, dotmesh.Exists, "%s exists already", r.Dot)
	}
	c := s.newDot(r, id)
	if err := n.create(ctx, c); err != nil {
		return dotmesh.DotStatus{}, dotmesh.Wrap(op, err)
	}
	return n.dotStatus(c.Dot), nil
}

// mayCreate says whether the caller may make a dot of that name.
func (s *service) mayCreate(dot dotmesh.DotName) error {
	if dot.Namespace == "" || dot.Name == "" {
		return dotmesh.E("server.mayCreate", dotmesh.Invalid, "invalid dot name %q: give a namespace and a name", dot.String())
	}
	return s.mayCreateIn(dot.Namespace)
}

// ForkDot implements dotmesh.Service.
func (s *service) ForkDot(ctx context.Context, r dotmesh.ForkDot) (dotmesh.DotStatus, error) {
	const op = "server.ForkDot"
	if _, _, err := s.resolve(ctx, r.From, maySee); err != nil {
		return dotmesh.DotStatus{}, err
	}
	if err := s.mayCreate(r.Dot); err != nil {
		return dotmesh.DotStatus{}, err
	}
	if s.node.view.dot(r.Dot) != nil {
		return dotmesh.DotStatus{}, dotmesh.E(op, dotmesh.Exists, "%s exists already", r.Dot)
	}
	return dotmesh.DotStatus{}, notYet(op, "Making a dot out of another one")
}

// newDot decides what a new dot consists of.
func (s *service) newDot(r dotmesh.CreateDot, id dotmesh.UUID) dotmesh.Creation {
	now := s.node.now().UTC().Round(0)
	branch := dotmesh.BranchID{UUID: id}
	line := dotmesh.Line{ID: dotmesh.LineID{UUID: id.Derive("line")}, Dot: dotmesh.DotID{UUID: id}, Owner: branch}
	first := dotmesh.Commit{
		ID: dotmesh.CommitID{UUID: id.Derive("initial")}, Line: line.ID, Seq: 1, Kind: dotmesh.InitialCommit,
		Author: string(dotmesh.AdminNamespace), Message: "Initial commit", Time: now,
		Metadata: map[string]string{"type": "dotmesh.initial"},
	}
	first.Chain = dotmesh.Chain{}.After(&first)
	c := dotmesh.Creation{
		Dot: &dotmesh.Dot{ID: line.Dot, Name: r.Dot, Owner: s.who.User, Current: branch, Created: now},
		Branch: dotmesh.Branch{
			ID: branch, Dot: line.Dot, Name: dotmesh.MasterBranch, Created: now,
			Pointer: dotmesh.Pointer{
				Line: line.ID, Tip: first.ID, Seq: 1, Chain: first.Chain, Head: first.ID, Count: 1,
				Master: s.node.ID(), Epoch: 1, State: dotmesh.State{Phase: dotmesh.Held},
			},
		},
		Line:    line,
		Commits: []dotmesh.Commit{first},
	}
	c.Op = s.op(c.Dot, &c.Branch, dotmesh.VerbInit, r.Request)
	c.Op.Old, c.Op.New = dotmesh.Tip{}, tipOf(&c.Branch)
	return c
}

// CreateBranch implements dotmesh.Service.
func (s *service) CreateBranch(ctx context.Context, r dotmesh.CreateBranch) (dotmesh.BranchStatus, error) {
	const op = "server.CreateBranch"
	n := s.node
	d, err := s.dot(r.From.Dot, mayWrite)
	if err != nil {
		return dotmesh.BranchStatus{}, err
	}
	if r.Name == "" {
		return dotmesh.BranchStatus{}, dotmesh.E(op, dotmesh.Invalid, "a new branch needs a name")
	}
	request := requestID(r.From.Request).Derive("in " + d.ID.String() + " " + string(r.Name))
	branch := dotmesh.BranchID{UUID: request.Derive("branch")}
	release, err := n.locks.acquire(ctx, d.ID.UUID)
	if err != nil {
		return dotmesh.BranchStatus{}, err
	}
	defer release()
	if b := n.view.branch(branch); b != nil && !n.buried(b) {
		return n.branchStatus(d, b), nil
	}
	if err := n.mayChange(ctx); err != nil {
		return dotmesh.BranchStatus{}, err
	}
	if n.view.branchNamed(d.ID, r.Name) != nil || n.view.branch(branch) != nil {
		return dotmesh.BranchStatus{}, dotmesh.E(op, dotmesh.Exists, "Branch already exists: %s", r.Name)
	}
	c, from, err := s.newBranch(ctx, d, r, request)
	if err != nil {
		return dotmesh.BranchStatus{}, err
	}
	if err := n.create(ctx, c); err != nil {
		return dotmesh.BranchStatus{}, dotmesh.Wrap(op, err)
	}
	n.stats.forked(branch, from.ID, n.now())
	made, err := n.branchNow(branch)
	if err != nil {
		return dotmesh.BranchStatus{}, err
	}
	return n.branchStatus(d, made), nil
}

// newBranch decides what a new branch consists of, and returns the one that it is made from.
func (s *service) newBranch(ctx context.Context, d *dotmesh.Dot, r dotmesh.CreateBranch, request dotmesh.UUID) (dotmesh.Creation, *dotmesh.Branch, error) {
	from, commit, err := s.resolve(ctx, r.From, mayWrite)
	if err != nil {
		return dotmesh.Creation{}, nil, err
	}
	branch := dotmesh.BranchID{UUID: request.Derive("branch")}
	line := dotmesh.Line{
		ID: dotmesh.LineID{UUID: request.Derive("line")}, Dot: d.ID, Owner: branch,
		Origin: dotmesh.Origin{Line: commit.Line, Commit: commit.ID}, OriginSeq: commit.Seq,
	}
	pointer, err := s.node.pointerAt(ctx, &line, &commit, 1)
	if err != nil {
		return dotmesh.Creation{}, nil, err
	}
	c := dotmesh.Creation{
		Branch: dotmesh.Branch{ID: branch, Dot: d.ID, Name: r.Name, Pointer: pointer, Created: s.node.now().UTC().Round(0)},
		Line:   line,
	}
	c.Op = s.op(d, &c.Branch, dotmesh.VerbBranch, r.From.Request)
	c.Op.Old, c.Op.New = tipOf(from), tipOf(&c.Branch)
	return c, from, nil
}

// pointerAt returns the pointer of a branch whose line was just forked from commit c.
func (n *Node) pointerAt(ctx context.Context, line *dotmesh.Line, c *dotmesh.Commit, epoch uint64) (dotmesh.Pointer, error) {
	p := dotmesh.Pointer{
		Line: line.ID, Tip: c.ID, Chain: c.Chain,
		Master: n.ID(), Epoch: epoch, State: dotmesh.State{Phase: dotmesh.Held},
	}
	for past, err := range n.history(ctx, dotmesh.Tip{Line: c.Line, Commit: c.ID}) {
		if err != nil {
			return p, err
		}
		if past.Visible() {
			if p.Head.IsZero() {
				p.Head = past.ID
			}
			p.Count++
		}
	}
	return p, nil
}

// create makes a dot or branch: noted, forked, snapshotted, registered. After a failure
// nothing is left but perhaps a line that its intent names.
func (n *Node) create(ctx context.Context, c dotmesh.Creation) error {
	a := authority{Branch: c.Branch.ID, Line: c.Line.ID, Epoch: c.Branch.Pointer.Epoch, Phase: mine}
	if err := n.mem.putAuthority(a, intent{Line: c.Line.ID, Branch: c.Branch.ID}); err != nil {
		return err
	}
	if err := fail.Point("create.after-intent"); err != nil {
		return err
	}
	if err := n.make(ctx, &c); err != nil {
		n.clear(ctx, c.Line.ID, c.Branch.ID, err)
		return err
	}
	n.stats.clean(c.Branch.ID, n.now())
	if err := n.mem.settled([]dotmesh.LineID{c.Line.ID}, nil); err != nil {
		n.log.Warn("the note of a finished fork stays", "line", c.Line.ID, "err", err)
	}
	return nil
}

func (n *Node) make(ctx context.Context, c *dotmesh.Creation) error {
	if err := n.store.Fork(ctx, c.Line.ID, c.Line.Origin); err != nil {
		return err
	}
	if err := fail.Point("create.after-fork"); err != nil {
		return err
	}
	for i := range c.Commits {
		if err := n.snapshot(ctx, &c.Commits[i]); err != nil {
			return err
		}
	}
	if err := fail.Point("create.before-register"); err != nil {
		return err
	}
	return n.sees(ctx)(n.reg.Create(ctx, *c))
}

// clear takes away a line that was forked for something that certainly did not happen.
func (n *Node) clear(ctx context.Context, line dotmesh.LineID, branch dotmesh.BranchID, cause error) {
	if dotmesh.KindOf(cause) == dotmesh.Unknown {
		n.log.Warn("fork with unknown outcome", "line", line, "branch", branch, "err", cause)
		return
	}
	if n.view.line(line) != nil {
		return // it did happen: only waiting for the view failed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	err := n.store.Destroy(ctx, line)
	if err == nil {
		err = n.mem.settled([]dotmesh.LineID{line}, []dotmesh.BranchID{branch})
	}
	if err != nil {
		n.log.Warn("line left behind", "line", line, "err", err)
	}
}
