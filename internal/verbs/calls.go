package verbs

import (
	"context"

	"dotmesh.io/dotmesh"
)

// Calls carries out verbs by their names, and so has those methods of a
// [dotmesh.Registry] that are verbs. Every registry embeds one.
type Calls func(ctx context.Context, name string, verb Verb) (dotmesh.Cursor, error)

// Found implements [dotmesh.Registry].
func (call Calls) Found(ctx context.Context, cluster dotmesh.Cluster) (dotmesh.Cluster, error) {
	var found dotmesh.Cluster
	if _, err := call(ctx, "Found", Found(cluster, &found)); err != nil {
		return dotmesh.Cluster{}, err
	}
	return found, nil
}

// PutNode implements [dotmesh.Registry].
func (call Calls) PutNode(ctx context.Context, node dotmesh.Node) (dotmesh.Cursor, error) {
	return call(ctx, "PutNode", PutNode(node))
}

// Create implements [dotmesh.Registry].
func (call Calls) Create(ctx context.Context, c dotmesh.Creation) (dotmesh.Cursor, error) {
	return call(ctx, "Create", replying(c.Reply, Create(c)))
}

// Register implements [dotmesh.Registry].
func (call Calls) Register(ctx context.Context, reg dotmesh.Registration) (dotmesh.Cursor, error) {
	return call(ctx, "Register", replying(reg.Reply, Register(reg)))
}

// Swing implements [dotmesh.Registry].
func (call Calls) Swing(ctx context.Context, s dotmesh.Swinging) (dotmesh.Cursor, error) {
	return call(ctx, "Swing", replying(s.Reply, Swing(s)))
}

// BeginMove implements [dotmesh.Registry].
func (call Calls) BeginMove(ctx context.Context, m dotmesh.Move) (dotmesh.Cursor, error) {
	return call(ctx, "BeginMove", replying(m.Reply, BeginMove(m)))
}

// Release implements [dotmesh.Registry].
func (call Calls) Release(ctx context.Context, m dotmesh.Move, closing *dotmesh.Commit) (dotmesh.Cursor, error) {
	return call(ctx, "Release", replying(m.Reply, Release(m, closing)))
}

// Take implements [dotmesh.Registry].
func (call Calls) Take(ctx context.Context, m dotmesh.Move, position dotmesh.Position) (dotmesh.Cursor, error) {
	return call(ctx, "Take", replying(m.Reply, Take(m, position)))
}

// Abort implements [dotmesh.Registry].
func (call Calls) Abort(ctx context.Context, m dotmesh.Move) (dotmesh.Cursor, error) {
	return call(ctx, "Abort", replying(m.Reply, Abort(m)))
}

// Bury implements [dotmesh.Registry].
func (call Calls) Bury(ctx context.Context, b dotmesh.Burial) (dotmesh.Cursor, error) {
	return call(ctx, "Bury", replying(b.Reply, Bury(b)))
}

// Unbury implements [dotmesh.Registry].
func (call Calls) Unbury(ctx context.Context, tombstone dotmesh.UUID, op dotmesh.Op) (dotmesh.Cursor, error) {
	return call(ctx, "Unbury", Unbury(tombstone, op))
}

// Seal implements [dotmesh.Registry].
func (call Calls) Seal(ctx context.Context, tombstone dotmesh.UUID) (dotmesh.Cursor, error) {
	return call(ctx, "Seal", Seal(tombstone))
}

// Acknowledge implements [dotmesh.Registry].
func (call Calls) Acknowledge(ctx context.Context, tombstone dotmesh.UUID, node dotmesh.NodeID, lines []dotmesh.LineID, members []dotmesh.NodeID) (dotmesh.Cursor, error) {
	var steps []Verb
	cursor, err := call(ctx, "Acknowledge", Acknowledge(tombstone, node, lines, members, &steps))
	for _, step := range steps {
		if err == nil {
			cursor, err = call(ctx, "Acknowledge", step)
		}
	}
	return cursor, err
}

// PutDot implements [dotmesh.Registry].
func (call Calls) PutDot(ctx context.Context, expect, next dotmesh.Dot, op dotmesh.Op, reply *dotmesh.Reply) (dotmesh.Cursor, error) {
	return call(ctx, "PutDot", replying(reply, PutDot(expect, next, op)))
}

// Answer implements [dotmesh.Registry].
func (call Calls) Answer(ctx context.Context, node dotmesh.NodeID, r dotmesh.Response) (dotmesh.Response, error) {
	var ended dotmesh.Response
	if _, err := call(ctx, "Answer", Answer(node, r, &ended)); err != nil {
		return dotmesh.Response{}, err
	}
	return ended, nil
}

// PutTransfer implements [dotmesh.Registry].
func (call Calls) PutTransfer(ctx context.Context, expect *dotmesh.Transfer, next dotmesh.Transfer) (dotmesh.Cursor, error) {
	return call(ctx, "PutTransfer", PutTransfer(expect, next))
}

// DropTransfer implements [dotmesh.Registry].
func (call Calls) DropTransfer(ctx context.Context, id dotmesh.UUID) (dotmesh.Cursor, error) {
	return call(ctx, "DropTransfer", DropTransfer(id))
}

// PutPosition implements [dotmesh.Registry].
func (call Calls) PutPosition(ctx context.Context, p dotmesh.Position) (dotmesh.Cursor, error) {
	return call(ctx, "PutPosition", PutPosition(p))
}

// Attach implements [dotmesh.Registry].
func (call Calls) Attach(ctx context.Context, a dotmesh.Attachment) (dotmesh.Cursor, error) {
	return call(ctx, "Attach", Attach(a))
}

// Detach implements [dotmesh.Registry].
func (call Calls) Detach(ctx context.Context, node dotmesh.NodeID, volume string) (dotmesh.Cursor, error) {
	return call(ctx, "Detach", Detach(node, volume))
}

// PutUser implements [dotmesh.Registry].
func (call Calls) PutUser(ctx context.Context, expect *dotmesh.User, next dotmesh.User) (dotmesh.Cursor, error) {
	return call(ctx, "PutUser", PutUser(expect, next))
}

// DropUser implements [dotmesh.Registry].
func (call Calls) DropUser(ctx context.Context, id dotmesh.UserID) (dotmesh.Cursor, error) {
	return call(ctx, "DropUser", DropUser(id))
}

// TrimOps implements [dotmesh.Registry].
func (call Calls) TrimOps(ctx context.Context, dot dotmesh.DotID, below uint64) error {
	_, err := call(ctx, "TrimOps", TrimOps(dot, below))
	return err
}

// TrimCommits implements [dotmesh.Registry].
func (call Calls) TrimCommits(ctx context.Context, line dotmesh.LineID, below uint64) error {
	_, err := call(ctx, "TrimCommits", TrimCommits(line, below))
	return err
}
