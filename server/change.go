package server

import (
	"context"
	"slices"
	"time"

	"dotmesh.io/dotmesh"
)

// settleFor bounds what must still be done after the caller has gone: putting back what a
// refused change had taken away.
const settleFor = 30 * time.Second

// mayChange returns nil if the node may change anything at all: its registry is the one
// it knows, and answers.
func (n *Node) mayChange(ctx context.Context) error {
	n.mu.Lock()
	frozen := n.frozen
	n.mu.Unlock()
	if frozen != nil {
		return frozen
	}
	select {
	case <-n.settled:
	default:
		return dotmesh.E("server.mayChange", dotmesh.Unreachable, "the registry has not answered yet; nothing can be changed until it does")
	}
	return n.reg.Confirm(ctx)
}

// ownBranch returns the branch as it is now if this node may change its history.
func (n *Node) ownBranch(id dotmesh.BranchID) (*dotmesh.Branch, error) {
	const op = "server.ownBranch"
	b := n.view.branch(id)
	if b == nil || n.view.dotByID(b.Dot) == nil || n.buried(b) {
		return nil, dotmesh.E(op, dotmesh.NotFound, "the branch has been deleted; \"dm undo\" brings it back")
	}
	switch p := b.Pointer; {
	case b.Stash != nil:
		return nil, dotmesh.E(op, dotmesh.Conflict, `%s is a stash, which never changes; "dm checkout -b NAME %s" makes a branch of it`, b.Name, b.Name)
	case p.Master != n.ID():
		return nil, dotmesh.E(op, dotmesh.Conflict, "branch %s is written on node %s; run the command there, or move it here", b.Name, n.nodeLabel(p.Master))
	case p.State.Phase != dotmesh.Held:
		return nil, dotmesh.E(op, dotmesh.Busy, "branch %s is on its way to node %s; wait until it has arrived", b.Name, n.nodeLabel(p.State.To))
	}
	return b, nil
}

// mayWrite returns nil if the node's own memory agrees that it writes to the branch on the
// line that the registry says. Where it does not, what is mounted may be another line, and
// a commit would not hold what was written.
func (n *Node) mayWrite(b *dotmesh.Branch) error {
	a, ok, err := n.mem.authority(b.ID)
	if err != nil {
		return err
	}
	if !ok || a.Phase != mine || a.Line != b.Pointer.Line {
		return dotmesh.E("server.mayWrite", dotmesh.Conflict,
			"what this node has of branch %s is not what the registry says; unmount it everywhere and restart the server", b.Name)
	}
	return nil
}

// branchNow returns the branch as the registry has it now. It can be gone in the middle of
// a call: the registry may have been emptied.
func (n *Node) branchNow(id dotmesh.BranchID) (*dotmesh.Branch, error) {
	if b := n.view.branch(id); b != nil {
		return b, nil
	}
	return nil, dotmesh.E("server.branchNow", dotmesh.Unknown, "the branch is not in the registry any more; look at it with \"dm list\" before you go on")
}

func (n *Node) buried(b *dotmesh.Branch) bool {
	t := n.view.tombstone(b.ID.UUID)
	return t != nil && t.Kind == dotmesh.BuriedBranch
}

func (n *Node) nodeLabel(id dotmesh.NodeID) string {
	if name := n.view.nodeName(id); name != "" {
		return string(name)
	}
	return string(id)
}

// branchOf returns the dot's branch or stash of that name; the empty name is the current
// branch.
func (s *service) branchOf(d *dotmesh.Dot, name dotmesh.Name) (*dotmesh.Branch, error) {
	if name == "" {
		if b := s.node.view.branch(d.Current); b != nil {
			return b, nil
		}
		name = dotmesh.MasterBranch
	}
	if b := s.node.view.branchNamed(d.ID, name); b != nil {
		return b, nil
	}
	return nil, dotmesh.E("server.Branch", dotmesh.NotFound, `no branch called %q in %s; "dm branch" shows its branches`, string(name), d.Name)
}

// change takes the branch's lock, checks that the node may change things, and runs f on
// the branch as it is then.
func (s *service) change(ctx context.Context, r dotmesh.BranchRequest, need right, f func(*dotmesh.Dot, *dotmesh.Branch) error) error {
	d, err := s.dot(r.Dot, need)
	if err != nil {
		return err
	}
	b, err := s.branchOf(d, r.Branch)
	if err != nil {
		return err
	}
	release, err := s.node.locks.acquire(ctx, b.ID.UUID)
	if err != nil {
		return err
	}
	defer release()
	if err := s.node.mayChange(ctx); err != nil {
		return err
	}
	if d, err = s.dot(r.Dot, need); err != nil { // rights may have gone while it waited
		return err
	}
	if b, err = s.node.writable(ctx, b.ID); err != nil {
		return err
	}
	return f(d, b)
}

// writable returns the branch as it is now, with its last swing finished, if this node may
// write to it. The caller holds the branch's lock.
func (n *Node) writable(ctx context.Context, id dotmesh.BranchID) (*dotmesh.Branch, error) {
	if err := n.finish(ctx, id); err != nil {
		return nil, err
	}
	b, err := n.ownBranch(id)
	if err != nil {
		return nil, err
	}
	return b, n.mayWrite(b)
}

// sees returns a function that takes what a registry verb returned and waits until the
// view shows it, so that whoever is answered reads their own writes. A wait that ends
// before that is an unknown outcome: the work is done, but cannot be described yet.
func (n *Node) sees(ctx context.Context) func(dotmesh.Cursor, error) error {
	return func(cursor dotmesh.Cursor, err error) error {
		if err != nil {
			return err
		}
		if err := n.view.reach(ctx, cursor); err != nil {
			return &dotmesh.Error{Op: "server.sees", Kind: dotmesh.Unknown, Text: "done, but the registry has not shown it yet", Err: err}
		}
		return nil
	}
}

// surely carries out a verb of the registry, waits until the view shows it, and asks once
// more if the answer was lost: the registry answers the same request the same way. What it
// returns is [dotmesh.Unknown] only if that answer was lost or refused, too.
func (n *Node) surely(ctx context.Context, verb func(context.Context) (dotmesh.Cursor, error)) error {
	err := n.sees(ctx)(verb(ctx))
	if dotmesh.KindOf(err) != dotmesh.Unknown {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	if again := n.sees(ctx)(verb(ctx)); again != nil {
		n.log.Warn("a change of the registry with unknown outcome", "err", err, "again", again)
		return err
	}
	return nil
}

// requestID returns the caller's request id, or a new one.
func requestID(given dotmesh.UUID) dotmesh.UUID {
	if given.IsZero() {
		return dotmesh.NewUUID()
	}
	return given
}

// doneBefore returns the entry that an earlier try of the same request left among the
// newest of a dot's operation log, or nil.
func (n *Node) doneBefore(ctx context.Context, dot dotmesh.DotID, request dotmesh.UUID) (*dotmesh.Op, error) {
	if request.IsZero() {
		return nil, nil
	}
	ops, err := n.reg.Ops(ctx, dot, 0, defaultOps)
	if i := slices.IndexFunc(ops, func(o dotmesh.Op) bool { return o.Request == request }); i >= 0 {
		return &ops[i], nil
	}
	return nil, err
}

// op begins an entry of the operation log.
func (s *service) op(d *dotmesh.Dot, b *dotmesh.Branch, verb dotmesh.Verb, request dotmesh.UUID) dotmesh.Op {
	op := dotmesh.Op{Dot: d.ID, Verb: verb, By: s.author(), Time: s.node.now().UTC(), Request: request}
	if b != nil {
		op.Branch, op.Name, op.Old = b.ID, b.Name, tipOf(b)
	}
	return op
}

func (s *service) author() string {
	if s.who.Name != "" {
		return string(s.who.Name)
	}
	return string(dotmesh.AdminNamespace)
}

func tipOf(b *dotmesh.Branch) dotmesh.Tip {
	return dotmesh.Tip{Line: b.Pointer.Line, Commit: b.Pointer.Tip}
}
