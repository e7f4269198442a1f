package verbs

import (
	"slices"

	"dotmesh.io/dotmesh"
)

// Found makes the cluster's record and the administrator. The record that is there then
// is put into found.
func Found(cluster dotmesh.Cluster, found *dotmesh.Cluster) Verb {
	return func(tx *Tx) error {
		*found = cluster
		admin := userKey(dotmesh.AdminID)
		tx.want(keyCluster, admin)
		if there := read[dotmesh.Cluster](tx, keyCluster); there != nil {
			*found = *there
			return nil
		}
		if cluster.ID.IsZero() {
			return invalid("a cluster needs an id")
		}
		tx.put(keyCluster, &cluster)
		if read[dotmesh.User](tx, admin) == nil {
			tx.put(admin, &dotmesh.User{ID: dotmesh.AdminID, Name: dotmesh.AdminNamespace})
		}
		return nil
	}
}

// PutNode writes a node's record.
func PutNode(node dotmesh.Node) Verb {
	return func(tx *Tx) error {
		if node.ID == "" || node.Name == "" {
			return invalid("a node needs an id and a name")
		}
		for key, item := range tx.list(keyNodes) {
			if other := parse[dotmesh.Node](tx, key, item.Value); other != nil && other.ID != node.ID && other.Name == node.Name {
				return exists("there is already a node %q; give this one another name with --node-name", node.Name)
			}
		}
		return put(tx, nodeKey(node.ID), &node)
	}
}

// put writes a record if it is not there as it is.
func put[T any](tx *Tx, key string, record *T) error {
	if there := read[T](tx, key); there == nil || !same(there, record) {
		tx.put(key, record)
	}
	return nil
}

// PutDot changes a dot's settings.
func PutDot(before, next dotmesh.Dot, op dotmesh.Op) Verb {
	return func(tx *Tx) error {
		if before.Name != next.Name || before.ID != next.ID || next.ID.IsZero() {
			return invalid("a dot keeps its name and its id")
		}
		key := dotKey(next.Name)
		there := read[dotmesh.Dot](tx, key)
		switch {
		case there == nil || there.ID != next.ID:
			return absent("there is no dot %q", next.Name)
		case same(there, &next):
			return nil
		case !same(there, &before):
			return conflict("dot %q has changed meanwhile; look at it and try again", next.Name)
		}
		if next.Current != before.Current {
			current := read[dotmesh.Branch](tx, branchKey(next.Current))
			if current == nil || current.Dot != next.ID || !alive(tx, current) {
				return absent("the branch to check out is not a branch of dot %q", next.Name)
			}
			if current.Stash != nil {
				return invalid("%q is a stash; make a branch of it and check that out", current.Name)
			}
		}
		tx.put(key, &next)
		return tx.log(next.ID, op)
	}
}

// PutPosition records what a node holds. A position further back than the one that is
// there changes nothing.
func PutPosition(p dotmesh.Position) Verb {
	return func(tx *Tx) error {
		if p.Node == "" || p.Line.IsZero() {
			return invalid("a position needs a node and a line")
		}
		key := positionKey(p.Node, p.Line)
		tx.want(key, lineKey(p.Line))
		if read[dotmesh.Line](tx, lineKey(p.Line)) == nil {
			return absent("the line is gone")
		}
		return place(tx, key, &p)
	}
}

func place(tx *Tx, key string, p *dotmesh.Position) error {
	there := read[dotmesh.Position](tx, key)
	switch {
	case there == nil || there.Seq < p.Seq:
		tx.put(key, p)
	case there.Seq == p.Seq && *there != *p:
		return conflict("node %s is registered with another commit in the place of %s", p.Node, p.Commit)
	}
	return nil
}

// Attach writes an attachment.
func Attach(a dotmesh.Attachment) Verb {
	return func(tx *Tx) error {
		if a.Node == "" || a.Volume == "" || a.Branch.IsZero() {
			return invalid("an attachment needs a node, a volume and a branch")
		}
		if _, err := dotmesh.ParseVolume(a.Volume); err != nil {
			return err
		}
		key := attachmentKey(a.Node, a.Volume)
		tx.want(key, branchKey(a.Branch))
		branch := read[dotmesh.Branch](tx, branchKey(a.Branch))
		if branch == nil || !alive(tx, branch) {
			return absent("the branch of volume %q is gone", a.Volume)
		}
		return put(tx, key, &a)
	}
}

// Detach removes an attachment, if it is there.
func Detach(node dotmesh.NodeID, volume string) Verb {
	return func(tx *Tx) error {
		key := attachmentKey(node, volume)
		if tx.item(key).Mod != 0 {
			tx.drop(key)
		}
		return nil
	}
}

// PutUser writes a user in the place of before.
func PutUser(before *dotmesh.User, next dotmesh.User) Verb {
	return func(tx *Tx) error {
		if next.Name == "" || before != nil && before.ID != next.ID {
			return invalid("a user needs a name and keeps its id")
		}
		key := userKey(next.ID)
		users := tx.list(keyUsers)
		for k, item := range users {
			if other := parse[dotmesh.User](tx, k, item.Value); other != nil && other.ID != next.ID && other.Name == next.Name {
				return exists("there is already a user %q", next.Name)
			}
		}
		there := read[dotmesh.User](tx, key)
		switch {
		case there != nil && same(there, &next):
			return nil
		case there == nil && before != nil:
			return absent("user %q is gone", next.Name)
		case there != nil && before == nil:
			return exists("the id of user %q is in use", next.Name)
		case there != nil && !same(there, before):
			return conflict("user %q has changed meanwhile; look and try again", next.Name)
		}
		tx.put(key, &next)
		return nil
	}
}

// DropUser removes a user, if it is there.
func DropUser(id dotmesh.UserID) Verb {
	return func(tx *Tx) error {
		if id == dotmesh.AdminID {
			return dotmesh.E("", dotmesh.Denied, "the administrator stays")
		}
		if key := userKey(id); tx.item(key).Mod != 0 {
			tx.drop(key)
		}
		return nil
	}
}

// TrimOps removes a dot's entries numbered below, but never the newest: it carries the
// numbering.
func TrimOps(dot dotmesh.DotID, below uint64) Verb {
	return func(tx *Tx) error {
		last, err := tx.lastOp(dot)
		if err != nil {
			return err
		}
		if end := min(below, last); end > 0 {
			tx.dropRange(opKey(dot, 0), opKey(dot, end))
		}
		return nil
	}
}

// TrimCommits removes the records of a line's commits with a lower Seq.
func TrimCommits(line dotmesh.LineID, below uint64) Verb {
	return func(tx *Tx) error {
		if below > 0 {
			tx.dropRange(commitKey(line, 0), commitKey(line, below))
		}
		return nil
	}
}

// sorted returns ids in one order, each once.
func sorted(nodes []dotmesh.NodeID) []dotmesh.NodeID {
	nodes = slices.Clone(nodes)
	slices.Sort(nodes)
	return slices.Compact(nodes)
}
