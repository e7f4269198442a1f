package feed

import (
	"slices"

	"dotmesh.io/dotmesh"
)

// nodes are the cluster's nodes, as the server lists them.
type nodes struct {
	out    []dotmesh.NodeStatus
	at     map[dotmesh.NodeID]int // in out
	sealed bool                   // out is in a picture and changes in a copy
}

func newNodes() nodes { return nodes{at: map[dotmesh.NodeID]int{}} }

func (n *nodes) publish() []dotmesh.NodeStatus {
	n.sealed = true
	return n.out
}

func (n *nodes) replace(all []dotmesh.NodeStatus) {
	n.out, n.sealed = all, false
	clear(n.at)
	for i := range all {
		n.at[all[i].ID] = i
	}
}

// edit returns a node that is known, to be changed, or nil.
func (n *nodes) edit(id dotmesh.NodeID) *dotmesh.NodeStatus {
	i, ok := n.at[id]
	if !ok {
		return nil
	}
	if n.sealed {
		n.out, n.sealed = slices.Clone(n.out), false
	}
	return &n.out[i]
}

// get returns a node that is known, not to be changed, or nil.
func (n *nodes) get(id dotmesh.NodeID) *dotmesh.NodeStatus {
	if i, ok := n.at[id]; ok {
		return &n.out[i]
	}
	return nil
}

// name returns a node's name; for one that is not known its id.
func (n *nodes) name(id dotmesh.NodeID) string {
	if node := n.get(id); node != nil && node.Name != "" {
		return string(node.Name)
	}
	return string(id)
}
