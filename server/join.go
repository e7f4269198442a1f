package server

import (
	"context"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/plan"
)

// judge compares a complete listing of the registry with what this node remembers, and
// freezes or thaws the node accordingly.
func (n *Node) judge(cluster *dotmesh.Cluster, at dotmesh.Cursor) plan.Verdict {
	n.mu.Lock()
	defer n.mu.Unlock()
	verdict := plan.Identify(n.id.Cluster, n.id.Cursor, cluster, at)
	fault := verdict.Fault()
	switch {
	case fault != nil && n.frozen == nil:
		n.log.Error("frozen", "why", dotmesh.Text(fault))
	case fault == nil && n.frozen != nil:
		n.log.Info("not frozen any more")
		poke(n.thawed)
	}
	n.frozen = fault
	return verdict
}

// seen notes how far the registry has come, unless it is not to be trusted.
func (n *Node) seen(cursor dotmesh.Cursor) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.frozen == nil {
		n.id.Cursor = max(n.id.Cursor, cursor)
	}
}

// join makes this node a member: it founds the cluster if there is none, notes it in the
// pool, and writes its own record.
func (n *Node) join(ctx context.Context) error {
	verdict := n.judge(n.view.identity())
	switch verdict {
	case plan.Virgin:
		cluster := dotmesh.Cluster{
			ID: dotmesh.ClusterID{UUID: dotmesh.NewUUID()}, Feature: dotmesh.FeatureLevel, Created: n.now().UTC().Round(0),
		}
		if _, err := n.reg.Found(ctx, cluster); err != nil {
			return dotmesh.Wrap("found the cluster", err)
		}
		if err := n.view.await(ctx, func() bool { return n.view.cluster != nil }); err != nil {
			return err
		}
	case plan.Ours, plan.Joinable:
	default:
		return nil
	}
	if err := n.trust(n.view.identity()); err != nil {
		return err
	}
	return n.introduce(ctx)
}

// trust takes the registry as it is for this node's own from here on.
func (n *Node) trust(cluster *dotmesh.Cluster, at dotmesh.Cursor) error {
	if err := n.mem.joinCluster(cluster.ID, at); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.id.Cluster, n.id.Cursor = cluster.ID, at
	return nil
}

// introduce writes the node's record, and the administrator's secrets if there are none.
func (n *Node) introduce(ctx context.Context) error {
	self := dotmesh.Node{
		ID: n.ID(), Name: n.cfg.Name, Addresses: n.cfg.Addresses, Pool: n.store.Caps().Pool, Version: n.cfg.Version,
	}
	if err := n.sees(ctx)(n.reg.PutNode(ctx, self)); err != nil {
		return dotmesh.Wrap("introduce this node", err)
	}
	admin := n.view.user(dotmesh.AdminID)
	if admin == nil || admin.KeyHash != "" || n.cfg.AdminKey == "" {
		return nil
	}
	next := *admin
	next.KeyHash = hashKey(admin.ID, n.cfg.AdminKey)
	if n.cfg.AdminPassword != "" {
		hash, err := hashPassword(n.cfg.AdminPassword)
		if err != nil {
			return err
		}
		next.PasswordHash = hash
	}
	return dotmesh.Wrap("set the administrator's key", n.sees(ctx)(n.reg.PutUser(ctx, admin, next)))
}
