package server

import (
	"context"
	"slices"

	"dotmesh.io/dotmesh"
)

// maxMissing bounds the commits that a replica is told to lack.
const maxMissing = 100

// Version implements dotmesh.Service.
func (s *service) Version(context.Context) (dotmesh.Version, error) {
	n := s.node
	id := n.identity()
	return dotmesh.Version{
		Version: n.cfg.Version, Node: id.Node, Name: n.cfg.Name, Cluster: id.Cluster,
		Feature: dotmesh.FeatureLevel, Store: n.store.Caps().Pool,
	}, nil
}

// Dots implements dotmesh.Service.
func (s *service) Dots(context.Context) ([]dotmesh.DotStatus, error) {
	if err := s.known(); err != nil {
		return nil, err
	}
	dots := slices.DeleteFunc(s.node.view.allDots(), func(d *dotmesh.Dot) bool { return rightOf(s.who, d) < maySee })
	all := make([]dotmesh.DotStatus, len(dots))
	for i, d := range dots {
		all[i] = s.node.dotStatus(d)
	}
	if len(all) == 0 {
		return all, s.node.mayChangeNow()
	}
	return all, nil
}

// known refuses whoever did not say who they are.
func (s *service) known() error {
	if s.who.IsZero() {
		return dotmesh.E("server.authorize", dotmesh.Unauthenticated, "log in first, with a user name and an API key")
	}
	return nil
}

// Dot implements dotmesh.Service.
func (s *service) Dot(ctx context.Context, name dotmesh.DotName) (dotmesh.DotDetail, error) {
	n := s.node
	d, err := s.dot(name, maySee)
	if err != nil {
		return dotmesh.DotDetail{}, err
	}
	detail := dotmesh.DotDetail{DotStatus: n.dotStatus(d), All: []dotmesh.BranchStatus{}}
	if u := n.view.user(d.Owner); u != nil {
		detail.OwnerName = string(u.Name)
	}
	for _, b := range n.view.branchesOf(d.ID) {
		status := n.branchStatus(d, b)
		if status.Replicas, err = n.replicas(ctx, b); err != nil {
			return dotmesh.DotDetail{}, err
		}
		detail.All = append(detail.All, status)
	}
	return detail, nil
}

// Status implements dotmesh.Service.
func (s *service) Status(ctx context.Context, r dotmesh.StatusRequest) (dotmesh.BranchStatus, error) {
	n := s.node
	d, err := s.dot(r.Dot, maySee)
	if err != nil {
		return dotmesh.BranchStatus{}, err
	}
	b, err := s.branchOf(d, r.Branch)
	if err != nil {
		return dotmesh.BranchStatus{}, err
	}
	if err := n.measured(ctx, b.ID, r.Fresh); err != nil {
		return dotmesh.BranchStatus{}, dotmesh.Wrap("server.Status", err)
	}
	status := n.branchStatus(d, b)
	status.Replicas, err = n.replicas(ctx, b)
	return status, err
}

// dotStatus describes a dot and its current branch, from memory.
func (n *Node) dotStatus(d *dotmesh.Dot) dotmesh.DotStatus {
	status := dotmesh.DotStatus{Dot: copyOfDot(*d)}
	if b := n.view.branch(d.Current); b != nil {
		status.Branch = n.branchStatus(d, b)
	}
	status.Branches, status.Stashes = n.view.countBranches(d.ID)
	return status
}

// branchStatus describes a branch, from memory.
func (n *Node) branchStatus(d *dotmesh.Dot, b *dotmesh.Branch) dotmesh.BranchStatus {
	figures := n.stats.get(b.ID)
	status := dotmesh.BranchStatus{
		Branch: copyOfBranch(*b), Current: b.ID == d.Current, Origin: n.view.forkPoint(b), MasterName: n.view.nodeName(b.Pointer.Master),
		Size: figures.Size, Dirty: figures.Dirty, Mounted: n.stats.watched(b.ID),
	}
	if missing, since := n.view.lag(b); missing > 0 {
		status.Missing, status.Behind = missing, max(0, n.now().Sub(since))
	}
	for _, holder := range n.view.holders(b.ID) {
		status.Containers = append(status.Containers, dotmesh.Container{ID: holder, Name: holder})
	}
	return status
}

// replicas says how far every node has come with a branch. The master has all of it.
func (n *Node) replicas(ctx context.Context, b *dotmesh.Branch) ([]dotmesh.Replica, error) {
	nodes, alive := n.view.allNodes()
	var all []dotmesh.Replica
	for _, node := range nodes {
		r := dotmesh.Replica{Node: node.ID, Name: node.Name, Alive: alive[node.ID]}
		if node.ID != b.Pointer.Master {
			missing, err := n.missing(ctx, b, node.ID)
			if err != nil {
				return nil, err
			}
			for _, c := range missing {
				r.Missing = append(r.Missing, c.ID)
			}
			if len(missing) > 0 {
				r.Behind = max(0, n.now().Sub(missing[0].Time))
			}
		}
		all = append(all, r)
	}
	return all, nil
}

// missing returns the branch's commits that a node does not hold, oldest first: the newest
// hundred, if it lacks more.
func (n *Node) missing(ctx context.Context, b *dotmesh.Branch, node dotmesh.NodeID) ([]dotmesh.Commit, error) {
	var all []dotmesh.Commit
	for c, err := range n.history(ctx, tipOf(b)) {
		if err != nil {
			return nil, err
		}
		if n.view.holds(node, &c) || len(all) == maxMissing {
			break
		}
		all = append(all, c)
	}
	slices.Reverse(all)
	return all, nil
}
