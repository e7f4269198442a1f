package server

import (
	"context"
	"time"

	"dotmesh.io/dotmesh"
)

// quorumWait is how long the registry may take to say that changes are possible.
const quorumWait = 2 * time.Second

// Nodes implements dotmesh.Service.
func (s *service) Nodes(ctx context.Context) ([]dotmesh.NodeStatus, error) {
	if err := s.known(); err != nil {
		return nil, err
	}
	n := s.node
	nodes, alive := n.view.allNodes()
	masters := n.view.countMasters()
	all := []dotmesh.NodeStatus{}
	for _, node := range nodes {
		status := dotmesh.NodeStatus{Node: copyOfNode(*node), Alive: alive[node.ID], Masters: masters[node.ID]}
		if node.ID == n.ID() {
			if err := n.describeSelf(ctx, &status); err != nil {
				return nil, dotmesh.Wrap("server.Nodes", err)
			}
		}
		all = append(all, status)
	}
	return all, nil
}

// describeSelf adds what a node knows of itself alone. The registry's only voter is its
// child: it leads while it answers.
func (n *Node) describeSelf(ctx context.Context, status *dotmesh.NodeStatus) error {
	usage, err := n.store.Pool(ctx)
	_, fault := n.view.position()
	status.Self, status.Voter, status.Leader = true, true, fault == nil
	status.Pool, status.AsOf = usage, n.now().UTC()
	return err
}

// Cluster implements dotmesh.Service.
func (s *service) Cluster(ctx context.Context) (dotmesh.ClusterStatus, error) {
	const op = "server.Cluster"
	if err := s.adminOnly(); err != nil {
		return dotmesh.ClusterStatus{}, err
	}
	n := s.node
	status := dotmesh.ClusterStatus{Cluster: dotmesh.Cluster{ID: n.identity().Cluster}, Voters: 1}
	if cluster, _ := n.view.identity(); cluster != nil {
		status.Cluster = *cluster
	}
	if status.ID.IsZero() {
		return dotmesh.ClusterStatus{}, dotmesh.E(op, dotmesh.Unreachable, "this node is in no cluster yet; it will be when its registry answers")
	}
	soon, cancel := context.WithTimeout(ctx, quorumWait)
	defer cancel()
	status.Quorum = n.mayChange(soon) == nil
	return status, dotmesh.Wrap(op, ctx.Err())
}

// Drain implements dotmesh.Service.
func (s *service) Drain(_ context.Context, r dotmesh.DrainRequest) ([]dotmesh.Transfer, error) {
	if err := s.adminOnly(); err != nil {
		return nil, err
	}
	if _, err := s.node.member(r.Node); err != nil {
		return nil, err
	}
	return nil, notYet("server.Drain", "Moving branches to another node")
}

// CreateToken implements dotmesh.Service.
func (s *service) CreateToken(context.Context, dotmesh.TokenRequest) (dotmesh.Token, dotmesh.Secret, error) {
	if err := s.adminOnly(); err != nil {
		return dotmesh.Token{}, "", err
	}
	return dotmesh.Token{}, "", notYet("server.CreateToken", "Joining a cluster")
}

// RevokeToken implements dotmesh.Service.
func (s *service) RevokeToken(context.Context, dotmesh.UUID) error {
	if err := s.adminOnly(); err != nil {
		return err
	}
	return notYet("server.RevokeToken", "Joining a cluster")
}

// member returns the node of that name or id.
func (n *Node) member(name string) (*dotmesh.Node, error) {
	if node := n.view.nodeNamed(name); node != nil {
		return node, nil
	}
	return nil, dotmesh.E("server.member", dotmesh.NotFound, `there is no node %q; "dm cluster status" shows those there are`, name)
}

// notYet is the answer of a call whose machinery this server does not have.
func notYet(op, what string) error {
	return dotmesh.E(op, dotmesh.Unsupported, "%s is not on this server yet; nothing was done", what)
}
