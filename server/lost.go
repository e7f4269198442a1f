package server

import (
	"context"

	"dotmesh.io/dotmesh"
)

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
