package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
)

// mirror collects what has changed in the registry since the pool's copy of it was last
// written.
type mirror struct {
	mu      sync.Mutex // guards the rest
	all     bool       // a new listing: compare everything
	pending map[string]dotmesh.Record
	cursor  dotmesh.Cursor
	moved   chan struct{} // holds a token while something is pending

	// owed are the dots whose operation log is to be read. The value is true where the pool
	// says so, too. Only reflect uses it.
	owed map[dotmesh.DotID]bool
}

func newMirror() *mirror {
	return &mirror{pending: map[string]dotmesh.Record{}, moved: make(chan struct{}, 1), owed: map[dotmesh.DotID]bool{}}
}

// note takes an update in. A nil record stands for one that is gone.
func (m *mirror) note(u dotmesh.Update) {
	if u.Err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if u.Reset {
		m.all = true
		clear(m.pending)
	}
	for _, c := range u.Changes {
		key := mirrorKey(c.Record)
		switch {
		case key == "" || m.all:
		case c.Deleted:
			m.pending[key] = nil
		default:
			m.pending[key] = c.Record
		}
	}
	if u.Cursor > 0 {
		m.cursor = u.Cursor
		poke(m.moved)
	}
}

// take returns what is pending and forgets it.
func (m *mirror) take() (all bool, pending map[string]dotmesh.Record, cursor dotmesh.Cursor) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all, pending = m.all, m.pending
	m.all, m.pending = false, map[string]dotmesh.Record{}
	return all, pending, m.cursor
}

// again makes the next round compare everything.
func (m *mirror) again() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = true
	poke(m.moved)
}

// mirrorKey names a record in the mirror; "" if it is not kept there: commits describe
// themselves in the pool, and the rest is made anew by the nodes.
func mirrorKey(r dotmesh.Record) string {
	switch r := r.(type) {
	case *dotmesh.Dot:
		return "dot/" + string(r.Name.Namespace) + "/" + string(r.Name.Name)
	case *dotmesh.Branch:
		return "branch/" + r.ID.String()
	case *dotmesh.Line:
		return "line/" + r.ID.String()
	case *dotmesh.Tombstone:
		return "tombstone/" + r.ID.String()
	case *dotmesh.User:
		return "user/" + r.ID.String()
	}
	return ""
}

// reflect keeps a copy of the registry's records and of the newest entries of its operation
// logs in the pool's own memory, so that the registry can be rebuilt from it. The copy is at
// most mirrorEvery behind; where more than logsAtOnce dots change within that time, their
// logs are so by as much more. While the node is frozen it stays as it is: then it is what
// the registry will be rebuilt from.
func (n *Node) reflect(ctx context.Context) error {
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		if err := both(ctx, rest.C, n.mirror.moved); err != nil {
			n.writeMirror(ctx) // the last second's
			return err
		}
		n.writeMirror(ctx)
		rest.Reset(mirrorEvery)
	}
}

// both waits for both channels and gives up when ctx ends.
func both(ctx context.Context, rested <-chan time.Time, moved <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-rested:
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-moved:
		return nil
	}
}

// writeMirror brings the copy up to date, even if ctx has ended. What could not be written
// is compared anew.
func (n *Node) writeMirror(ctx context.Context) {
	if n.mayChangeNow() != nil {
		return
	}
	all, pending, cursor := n.mirror.take()
	if err := n.writePending(ctx, all, pending, cursor); err != nil {
		n.mirror.again()
		n.log.Error("the pool's copy of the registry is not up to date", "err", err)
	}
}

// writePending writes what has changed in one transaction.
func (n *Node) writePending(ctx context.Context, all bool, pending map[string]dotmesh.Record, cursor dotmesh.Cursor) error {
	if all {
		var err error
		if pending, err = n.compareMirror(); err != nil {
			return err
		}
	}
	if err := n.oweLogs(all, pending); err != nil {
		return err
	}
	read := n.readLogs(ctx, cursor)
	if len(pending)+len(read) == 0 {
		return nil
	}
	if n.mayChangeNow() != nil {
		return nil // what was read may be of the registry that froze the node
	}
	err := n.store.KV().Update(func(tx dotmesh.KVWriter) error {
		for key, r := range pending {
			if err := putRecord(tx, key, r); err != nil {
				return err
			}
		}
		return errors.Join(n.putLogs(tx, read), putCursor(tx, cursor))
	})
	if err == nil {
		n.settleLogs(read)
	}
	return err
}

func putRecord(tx dotmesh.KVWriter, key string, r dotmesh.Record) error {
	if r == nil {
		return tx.Delete(bucketMirror, key)
	}
	return putJSON(tx, bucketMirror, key, r)
}

// compareMirror returns what differs between the whole view and the copy.
func (n *Node) compareMirror() (map[string]dotmesh.Record, error) {
	want := map[string]dotmesh.Record{}
	for r := range n.view.records() {
		want[mirrorKey(r)] = r
	}
	err := n.store.KV().View(func(tx dotmesh.KVReader) error {
		for key, old := range tx.Scan(bucketMirror) {
			r, ok := want[key]
			if !ok {
				want[key] = nil
				continue
			}
			data, err := json.Marshal(r)
			if err != nil {
				return err
			}
			if bytes.Equal(old, data) {
				delete(want, key)
			}
		}
		return nil
	})
	return want, dotmesh.Wrap("compare the pool's copy of the registry", err)
}
