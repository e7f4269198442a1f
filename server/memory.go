package server

import (
	"encoding/json"
	"errors"
	"strconv"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fastjson"
)

// The buckets of the node's durable memory.
const (
	bucketSelf      = "self"      // node id, cluster id, the highest cursor seen
	bucketAuthority = "authority" // branch id -> authority
	bucketIntents   = "intents"   // line id -> intent: lines that were forked and may not be registered yet
	bucketMounts    = "mounts"    // volume -> attachment: what to mount again without the registry
	bucketMirror    = "mirror"    // record key -> record: the registry as last seen
	bucketOps       = "ops"       // dot id -> the newest entries of its operation log, compressed
	bucketOwed      = "owed"      // dot id -> nothing: its log has entries that bucketOps may lack
	bucketCondemned = "condemned" // commit id -> nothing: snapshots of commits that failed and could not be dropped
	bucketTrees     = "trees"     // commit id -> hash of its files, as it was first read by a check
)

const (
	selfNode    = "node"
	selfCluster = "cluster"
	selfCursor  = "cursor"
)

// phase says what a node may do with a branch that it masters.
type phase string

const (
	mine     phase = "mine"     // it may mount the branch and commit to it
	swinging phase = "swinging" // nothing is mounted until the registry's word is known
)

// authority is the node's own right to write to a branch, kept where the data is, so that
// a restart needs no quorum.
type authority struct {
	Branch dotmesh.BranchID  `json:"branch"`
	Line   dotmesh.LineID    `json:"line"`
	Epoch  uint64            `json:"epoch"`
	Phase  phase             `json:"phase"`
	Swing  *dotmesh.Swinging `json:"swing,omitempty"` // swinging: the transaction, once it may have been sent
}

// intent is a line that is about to be forked. Only what an intent names is ever cleared
// away without a tombstone.
type intent struct {
	Line   dotmesh.LineID   `json:"line"`
	Branch dotmesh.BranchID `json:"branch"`
}

// memory is the node's durable memory with types.
type memory struct{ kv dotmesh.KV }

// identity is who the node is and which registry it belongs to.
type identity struct {
	Node    dotmesh.NodeID
	Cluster dotmesh.ClusterID // zero: it never belonged to one
	Cursor  dotmesh.Cursor    // the highest that was noted
}

// identify returns the node's identity, which it makes at the first call ever.
func (m memory) identify() (identity, error) {
	var id identity
	err := m.kv.Update(func(tx dotmesh.KVWriter) error {
		node := tx.Get(bucketSelf, selfNode)
		if node == nil {
			id.Node = dotmesh.NewNodeID()
			return tx.Put(bucketSelf, selfNode, []byte(id.Node))
		}
		cursor, err := strconv.ParseUint("0"+string(tx.Get(bucketSelf, selfCursor)), 10, 64)
		id.Cursor = dotmesh.Cursor(cursor)
		return errors.Join(err, id.Node.UnmarshalText(node), id.Cluster.UnmarshalText(tx.Get(bucketSelf, selfCluster)))
	})
	return id, dotmesh.Wrap("read this node's identity", err)
}

// joinCluster notes which cluster this pool belongs to, and from which cursor on.
func (m memory) joinCluster(id dotmesh.ClusterID, cursor dotmesh.Cursor) error {
	return dotmesh.Wrap("note the cluster", m.kv.Update(func(tx dotmesh.KVWriter) error {
		return errors.Join(tx.Put(bucketSelf, selfCluster, []byte(id.String())), putCursor(tx, cursor))
	}))
}

func putCursor(tx dotmesh.KVWriter, cursor dotmesh.Cursor) error {
	return tx.Put(bucketSelf, selfCursor, strconv.AppendUint(nil, uint64(cursor), 10))
}

// putAuthority writes an authority and, if it is not zero, the intent to fork a line.
func (m memory) putAuthority(a authority, i intent) error {
	return dotmesh.Wrap("note the branch's authority", m.kv.Update(func(tx dotmesh.KVWriter) error {
		if i != (intent{}) {
			if err := putJSON(tx, bucketIntents, i.Line.String(), i); err != nil {
				return err
			}
		}
		return putJSON(tx, bucketAuthority, a.Branch.String(), a)
	}))
}

// intend notes that a line is about to be forked.
func (m memory) intend(i intent) error {
	return dotmesh.Wrap("note the fork", m.kv.Update(func(tx dotmesh.KVWriter) error {
		return putJSON(tx, bucketIntents, i.Line.String(), i)
	}))
}

// own notes a branch as the node's own. The intent that its line was forked for is
// fulfilled with it.
func (m memory) own(a authority) error {
	a.Phase, a.Swing = mine, nil
	return dotmesh.Wrap("note the branch as this node's own", m.kv.Update(func(tx dotmesh.KVWriter) error {
		if err := tx.Delete(bucketIntents, a.Line.String()); err != nil {
			return err
		}
		return putJSON(tx, bucketAuthority, a.Branch.String(), a)
	}))
}

// condemn notes that a commit failed for certain, though its snapshot is still there.
func (m memory) condemn(id dotmesh.CommitID) error {
	return dotmesh.Wrap("note a failed commit", m.kv.Update(func(tx dotmesh.KVWriter) error {
		return tx.Put(bucketCondemned, id.String(), []byte{1})
	}))
}

// isCondemned reports whether condemn was called for a commit.
func (m memory) isCondemned(id dotmesh.CommitID) (yes bool, err error) {
	err = m.kv.View(func(tx dotmesh.KVReader) error {
		yes = tx.Get(bucketCondemned, id.String()) != nil
		return nil
	})
	return yes, dotmesh.Wrap("look for a failed commit", err)
}

// pardon forgets a condemned commit whose snapshot is gone.
func (m memory) pardon(id dotmesh.CommitID) error {
	return dotmesh.Wrap("forget a failed commit", m.kv.Update(func(tx dotmesh.KVWriter) error {
		return tx.Delete(bucketCondemned, id.String())
	}))
}

// noteTree notes what a commit's files amount to, unless that was noted before; then it
// returns what was.
func (m memory) noteTree(id dotmesh.CommitID, tree string) (before string, err error) {
	err = m.kv.View(func(tx dotmesh.KVReader) error {
		before = string(tx.Get(bucketTrees, id.String()))
		return nil
	})
	if err == nil && before == "" {
		err = m.kv.Update(func(tx dotmesh.KVWriter) error { return tx.Put(bucketTrees, id.String(), []byte(tree)) })
	}
	return before, dotmesh.Wrap("note what a commit holds", err)
}

// forgetTrees drops the notes of commits that are gone.
func (m memory) forgetTrees(ids []dotmesh.CommitID) error {
	var noted []string
	err := m.kv.View(func(tx dotmesh.KVReader) error {
		for _, id := range ids {
			if tx.Get(bucketTrees, id.String()) != nil {
				noted = append(noted, id.String())
			}
		}
		return nil
	})
	if err == nil && len(noted) > 0 {
		err = m.kv.Update(func(tx dotmesh.KVWriter) error {
			var err error
			for _, id := range noted {
				err = errors.Join(err, tx.Delete(bucketTrees, id))
			}
			return err
		})
	}
	return dotmesh.Wrap("forget what commits held", err)
}

// authority returns what is noted of a branch; the second result is false if nothing is.
func (m memory) authority(id dotmesh.BranchID) (a authority, ok bool, err error) {
	err = m.kv.View(func(tx dotmesh.KVReader) error {
		value := tx.Get(bucketAuthority, id.String())
		if value == nil {
			return nil
		}
		ok = true
		return json.Unmarshal(value, &a)
	})
	return a, ok, dotmesh.Wrap("read the branch's authority", err)
}

// settled forgets intents and authorities that are no longer needed.
func (m memory) settled(lines []dotmesh.LineID, branches []dotmesh.BranchID) error {
	if len(lines)+len(branches) == 0 {
		return nil
	}
	return dotmesh.Wrap("clear settled intents", m.kv.Update(func(tx dotmesh.KVWriter) error {
		for _, id := range lines {
			if err := tx.Delete(bucketIntents, id.String()); err != nil {
				return err
			}
		}
		for _, id := range branches {
			if err := tx.Delete(bucketAuthority, id.String()); err != nil {
				return err
			}
		}
		return nil
	}))
}

// noteMount remembers an attachment for a restart without the registry; a nil one forgets it.
func (m memory) noteMount(volume string, a *dotmesh.Attachment) error {
	return dotmesh.Wrap("note the mount", m.kv.Update(func(tx dotmesh.KVWriter) error {
		if a == nil {
			return tx.Delete(bucketMounts, volume)
		}
		return putJSON(tx, bucketMounts, volume, a)
	}))
}

// mount returns what is noted of a volume, nil if nothing is.
func (m memory) mount(volume string) (a *dotmesh.Attachment, err error) {
	err = m.kv.View(func(tx dotmesh.KVReader) error {
		value := tx.Get(bucketMounts, volume)
		if value == nil {
			return nil
		}
		a = new(dotmesh.Attachment)
		return json.Unmarshal(value, a)
	})
	return a, dotmesh.Wrap("read the noted mount", err)
}

// mounts returns everything that is noted to be mounted, by volume.
func (m memory) mounts() (map[string]dotmesh.Attachment, error) {
	return load[dotmesh.Attachment](m.kv, bucketMounts)
}

func putJSON(tx dotmesh.KVWriter, bucket, key string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return tx.Put(bucket, key, data)
}

// load decodes a whole bucket.
func load[T any](kv dotmesh.KV, bucket string) (map[string]T, error) {
	all := map[string]T{}
	err := kv.View(func(tx dotmesh.KVReader) error {
		for key, data := range tx.Scan(bucket) {
			var value T
			if err := fastjson.Unmarshal(data, &value); err != nil {
				return dotmesh.E("read "+bucket, dotmesh.Corrupt, "this node's memory is damaged at %s/%s: %v", bucket, key, err)
			}
			all[key] = value
		}
		return nil
	})
	return all, dotmesh.Wrap("read this node's memory", err)
}
