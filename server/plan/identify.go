package plan

import "dotmesh.io/dotmesh"

// Verdict says what a node's registry is to it.
type Verdict int

const (
	// Virgin: neither the node nor the registry belongs to a cluster; it may be founded.
	Virgin Verdict = iota
	// Ours: it is the registry that the node knows, and no older than it was.
	Ours
	// Joinable: the node belongs to no cluster yet, the registry does.
	Joinable
	// Lost: the registry is empty and the node has seen it full.
	Lost
	// Older: the registry has gone back in time, as after restoring a backup.
	Older
	// Foreign: it is another cluster's.
	Foreign
	// TooNew: it has a format that this program does not know.
	TooNew
)

// Identify judges a registry by what the node remembers: the cluster it belongs to, and
// the highest cursor that it has seen. Absence is never taken for deletion: everything
// but Virgin, Ours and Joinable stops the node from changing anything.
func Identify(have dotmesh.ClusterID, seen dotmesh.Cursor, found *dotmesh.Cluster, at dotmesh.Cursor) Verdict {
	switch {
	case found != nil && found.Feature > dotmesh.FeatureLevel:
		return TooNew
	case found == nil && have.IsZero():
		return Virgin
	case found == nil:
		return Lost
	case have.IsZero():
		return Joinable
	case have != found.ID:
		return Foreign
	case at < seen:
		return Older
	}
	return Ours
}

// Fault returns why the node may not change anything, or nil if it may.
func (v Verdict) Fault() error {
	const op, cure = "plan.Identify", `nothing is changed until "dm cluster recover" has rebuilt it from this node's pool`
	switch v {
	case Lost:
		return dotmesh.E(op, dotmesh.Conflict, "the registry is empty, but this node belongs to a cluster; %s", cure)
	case Older:
		return dotmesh.E(op, dotmesh.Conflict, "the registry is older than what this node has seen; %s", cure)
	case Foreign:
		return dotmesh.E(op, dotmesh.Conflict, "the registry belongs to another cluster than this node's pool; start the server with the right one, or %s", cure)
	case TooNew:
		return dotmesh.E(op, dotmesh.Unsupported, "the registry's format is newer than this program; upgrade dotmesh-server")
	}
	return nil
}
