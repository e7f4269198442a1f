package server

import (
	"context"
	"fmt"
	"strings"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
	"dotmesh.io/dotmesh/internal/fastjson"
	"dotmesh.io/dotmesh/server/plan"
)

// Recover implements dotmesh.Service. It works only on a node that its registry's loss has
// frozen: a registry that the node trusts is not replaced.
func (s *service) Recover(ctx context.Context) (dotmesh.Recovered, error) {
	const op = "server.Recover"
	n := s.node
	if err := s.adminOnly(); err != nil {
		return dotmesh.Recovered{}, err
	}
	if n.mayChangeNow() == nil {
		return dotmesh.Recovered{}, dotmesh.E(op, dotmesh.Conflict, "the registry is the one that this node knows; there is nothing to recover")
	}
	remains, err := n.remains(ctx)
	if err != nil {
		return dotmesh.Recovered{}, dotmesh.Wrap(op, err)
	}
	rebuilt := plan.Rebuild(remains)
	cluster := dotmesh.Cluster{ID: n.identity().Cluster, Feature: dotmesh.FeatureLevel, Created: n.now().UTC().Round(0)}
	if cluster.ID.IsZero() {
		return dotmesh.Recovered{}, dotmesh.E(op, dotmesh.Conflict, "this node's pool never belonged to a cluster; there is nothing to recover from it")
	}
	done := summary(rebuilt)
	if err := fail.Point("recover.before-rebuild"); err != nil {
		return dotmesh.Recovered{}, err
	}
	cursor, err := n.reg.Rebuild(ctx, append(rebuilt.Records, &cluster), rebuilt.Ops)
	if err != nil {
		return dotmesh.Recovered{}, dotmesh.Wrap(op, err)
	}
	if err := fail.Point("recover.after-rebuild"); err != nil {
		return dotmesh.Recovered{}, err
	}
	if err := n.view.reach(ctx, cursor); err != nil {
		return dotmesh.Recovered{}, err
	}
	if err := n.accept(ctx); err != nil {
		return dotmesh.Recovered{}, dotmesh.Wrap(op, err)
	}
	return done, nil
}

// accept takes the registry as it is now for this node's own: its cursor is the highest
// from here on.
func (n *Node) accept(ctx context.Context) error {
	cluster, at := n.view.identity()
	if cluster == nil {
		return dotmesh.E("server.accept", dotmesh.Conflict, "the registry has no cluster record")
	}
	if err := n.trust(cluster, at); err != nil {
		return err
	}
	poke(n.mirror.moved) // what came while the node was frozen waits there
	return n.rejoin(ctx)
}

// rejoin joins and settles again after the registry was another one for a while. One call
// runs at a time.
func (n *Node) rejoin(ctx context.Context) error {
	select {
	case <-n.joining:
		defer func() { n.joining <- struct{}{} }()
	case <-ctx.Done():
		return dotmesh.Wrap("wait for another recovery", ctx.Err())
	}
	if err := n.join(ctx); err != nil {
		return err
	}
	return n.resettle(ctx)
}

// remembered returns the records in the pool's mirror.
func (n *Node) remembered() (plan.Remains, error) {
	r := plan.Remains{Pool: map[dotmesh.LineID][]dotmesh.Commit{}}
	err := n.store.KV().View(func(tx dotmesh.KVReader) error {
		for key, data := range tx.Scan(bucketMirror) {
			if err := remember(&r, key, data); err != nil {
				return err
			}
		}
		return nil
	})
	return r, err
}

// remains gathers what this node's pool has of the registry.
func (n *Node) remains(ctx context.Context) (plan.Remains, error) {
	r, err := n.remembered()
	if err != nil {
		return r, err
	}
	if r.Ops, err = n.mem.logs(); err != nil {
		return r, err
	}
	for info, err := range n.store.Inventory(ctx) {
		if err != nil {
			return r, err
		}
		commits := []dotmesh.Commit{}
		for _, have := range info.Commits {
			c, err := decodeCommit(have)
			if err != nil {
				return r, err
			}
			commits = append(commits, c)
		}
		r.Pool[info.ID] = commits
	}
	return r, nil
}

func summary(r plan.Rebuilt) dotmesh.Recovered {
	var done dotmesh.Recovered
	for _, record := range r.Records {
		switch record.(type) {
		case *dotmesh.Dot:
			done.Dots++
		case *dotmesh.Branch:
			done.Branches++
		case *dotmesh.Commit:
			done.Commits++
		}
	}
	for _, b := range r.Missing {
		done.Notes = append(done.Notes, fmt.Sprintf("branch %s: its newest commit %s is not in this pool; it went back to the newest one that is", b.Name, b.Pointer.Tip))
	}
	for _, id := range r.Unknown {
		done.Notes = append(done.Notes, fmt.Sprintf("line %s is in the pool and belongs to no dot; it is left alone", id))
	}
	return done
}

// mirrored decodes a record of the mirror; nil for one of a kind that is not known.
func mirrored(key string, data []byte) (r dotmesh.Record, err error) {
	switch kind, _, _ := strings.Cut(key, "/"); kind {
	case "dot":
		r = new(dotmesh.Dot)
	case "branch":
		r = new(dotmesh.Branch)
	case "line":
		r = new(dotmesh.Line)
	case "tombstone":
		r = new(dotmesh.Tombstone)
	case "user":
		r = new(dotmesh.User)
	default:
		return nil, nil
	}
	if err := fastjson.Unmarshal(data, r); err != nil {
		return nil, dotmesh.E("server.mirrored", dotmesh.Corrupt, "the pool's copy of the registry is damaged at %s: %v", key, err)
	}
	return r, nil
}

// remember adds one record of the mirror.
func remember(remains *plan.Remains, key string, data []byte) error {
	r, err := mirrored(key, data)
	switch r := r.(type) {
	case *dotmesh.Dot:
		remains.Dots = append(remains.Dots, r)
	case *dotmesh.Branch:
		remains.Branches = append(remains.Branches, r)
	case *dotmesh.Line:
		remains.Lines = append(remains.Lines, r)
	case *dotmesh.Tombstone:
		remains.Tombstones = append(remains.Tombstones, r)
	case *dotmesh.User:
		remains.Users = append(remains.Users, r)
	}
	return err
}
