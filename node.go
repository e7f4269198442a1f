package dotmesh

import "time"

// FeatureLevel is the newest registry format that this program reads and writes. A node
// that meets a cluster with a higher one refuses to work on it.
const FeatureLevel = 1

// Cluster is the registry's own identity.
type Cluster struct {
	ID      ClusterID `json:"id"`
	Feature int       `json:"feature"`
	Created time.Time `json:"created"`
}

// Node is a machine that runs dotmesh-server, as the registry has it.
type Node struct {
	ID        NodeID   `json:"id"`
	Name      Name     `json:"name"`
	Addresses []string `json:"addresses,omitempty"` // host:port of its API
	Pool      string   `json:"pool"`                // what its store says of itself, such as "btrfs-file:/var/lib/dotmesh/pool"
	Version   string   `json:"version"`
}

// Alive says that a node is reachable, and nothing more: it proves no mastership.
type Alive struct {
	Node NodeID `json:"node"`
}

// Position says that a node durably holds a line up to a commit.
type Position struct {
	Node   NodeID   `json:"node"`
	Line   LineID   `json:"line"`
	Seq    uint64   `json:"seq"`
	Commit CommitID `json:"commit"`
	Chain  Chain    `json:"chain"`
}

// Attachment is a volume name in use on a node, the branch that it means there, and who
// holds it.
type Attachment struct {
	Node    NodeID   `json:"node"`
	Volume  string   `json:"volume"` // the name as asked, in [Volume]'s canonical spelling
	Branch  BranchID `json:"branch"`
	Holders []string `json:"holders,omitempty"` // ids of containers or callers, sorted
}
