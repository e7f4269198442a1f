package server

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"dotmesh.io/dotmesh"
)

const (
	// logsAtOnce is how many operation logs are read for one write of the mirror.
	logsAtOnce = 64
	// logsTime is how long that may take, and again the look at the registry afterwards: a
	// node stops by so much later if its registry does not answer.
	logsTime = time.Second
)

// The operation logs are too many to be watched, so the mirror reads them. Every entry
// comes with a change of its dot, of a branch or of a tombstone: the dots of such records
// are owed a look at their logs. The pool holds for every dot either a log as new as its
// records or a note that it is owed, so a start reads only what the last run left owing.

// oweLogs adds the dots whose log may have changed with the pending records, and with all
// those that the pool says are owed.
func (n *Node) oweLogs(all bool, pending map[string]dotmesh.Record) error {
	owe := func(id dotmesh.DotID, noted bool) {
		if !id.IsZero() {
			n.mirror.owed[id] = n.mirror.owed[id] || noted
		}
	}
	return dotmesh.Wrap("look for changed operation logs", n.store.KV().View(func(tx dotmesh.KVReader) error {
		for key, r := range pending {
			if r == nil { // gone: what it was says of which dot
				var err error
				if r, err = mirroredAt(tx, key); err != nil {
					return err
				}
			}
			owe(loggedDot(r), false)
		}
		if !all {
			return nil
		}
		for key := range tx.Scan(bucketOwed) {
			id, err := dotmesh.ParseUUID(key)
			if err != nil {
				return err
			}
			owe(dotmesh.DotID{UUID: id}, true)
		}
		return nil
	}))
}

// mirroredAt returns a record as the mirror has it, nil if it has none.
func mirroredAt(tx dotmesh.KVReader, key string) (dotmesh.Record, error) {
	data := tx.Get(bucketMirror, key)
	if data == nil {
		return nil, nil
	}
	return mirrored(key, data)
}

// loggedDot returns the dot whose operation log may have grown together with a change of
// the record, zero for none.
func loggedDot(r dotmesh.Record) dotmesh.DotID {
	switch r := r.(type) {
	case *dotmesh.Dot:
		return r.ID
	case *dotmesh.Branch:
		return r.Dot
	case *dotmesh.Tombstone:
		return r.Dot.ID
	}
	return dotmesh.DotID{}
}

// readLog is an operation log as the mirror is to keep it; with drop none, and without a
// text as it is there.
type readLog struct {
	text []byte
	drop bool
}

// readLogs reads the logs of dots that are owed, as many as there is time for. If there is
// none, all stay owed until the registry is heard of again.
//
// A registry that was wiped or set back just now, which no watch has told yet, has less
// history than was seen. What it says of the logs must not reach the mirror.
func (n *Node) readLogs(ctx context.Context, seen dotmesh.Cursor) map[dotmesh.DotID]readLog {
	if len(n.mirror.owed) == 0 {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	read, err := n.readOwed(ctx)
	var at dotmesh.Cursor
	if len(read) > 0 {
		ask, cancel := context.WithTimeout(ctx, logsTime)
		defer cancel()
		at, err = n.reg.Latest(ask)
	}
	if err != nil || at < seen {
		n.log.Warn("the pool's copy of the operation logs is not up to date", "seen", seen, "latest", at, "err", err)
		return nil
	}
	return read
}

// readOwed reads logs until there are logsAtOnce, logsTime is over or a read fails.
func (n *Node) readOwed(ctx context.Context) (map[dotmesh.DotID]readLog, error) {
	ctx, cancel := context.WithTimeout(ctx, logsTime)
	defer cancel()
	read := map[dotmesh.DotID]readLog{}
	for id := range n.mirror.owed {
		log, err := n.readLog(ctx, id)
		if err != nil {
			return read, err
		}
		if read[id] = log; len(read) == logsAtOnce {
			break
		}
	}
	return read, nil
}

// readLog reads the newest entries of a dot's log. Where there are none though the dot is
// there, what the mirror has stays: absence never means delete.
func (n *Node) readLog(ctx context.Context, id dotmesh.DotID) (readLog, error) {
	ops, err := n.reg.Ops(ctx, id, 0, keepOps)
	if err != nil {
		return readLog{}, err
	}
	if len(ops) == 0 {
		return readLog{drop: !n.view.knows(id)}, nil
	}
	text, err := packOps(ops)
	return readLog{text: text}, err
}

// putLogs writes what was read, and notes what is owed still.
func (n *Node) putLogs(tx dotmesh.KVWriter, read map[dotmesh.DotID]readLog) error {
	var err error
	for id, log := range read {
		switch key := id.String(); {
		case log.drop:
			err = errors.Join(err, tx.Delete(bucketOps, key))
		case log.text != nil && !bytes.Equal(tx.Get(bucketOps, key), log.text):
			err = errors.Join(err, tx.Put(bucketOps, key, log.text))
		}
	}
	for id, noted := range n.mirror.owed {
		_, done := read[id]
		switch {
		case done && noted:
			err = errors.Join(err, tx.Delete(bucketOwed, id.String()))
		case !done && !noted:
			err = errors.Join(err, tx.Put(bucketOwed, id.String(), []byte{1}))
		}
	}
	return err
}

// settleLogs forgets what is not owed any more once the pool has it, and goes on with the
// rest in the next round, unless the registry does not answer.
func (n *Node) settleLogs(read map[dotmesh.DotID]readLog) {
	for id := range n.mirror.owed {
		if _, done := read[id]; done {
			delete(n.mirror.owed, id)
		} else {
			n.mirror.owed[id] = true
		}
	}
	if len(n.mirror.owed) > 0 && len(read) > 0 {
		poke(n.mirror.moved)
	}
}

// logs returns the entries of the operation logs in the pool's mirror.
func (m memory) logs() ([]dotmesh.Op, error) {
	var all []dotmesh.Op
	err := m.kv.View(func(tx dotmesh.KVReader) error {
		for key, text := range tx.Scan(bucketOps) {
			ops, err := unpackOps(text)
			if err != nil {
				return dotmesh.E("server.logs", dotmesh.Corrupt, "the pool's copy of the operation log of dot %s is damaged: %v", key, err)
			}
			all = append(all, ops...)
		}
		return nil
	})
	return all, dotmesh.Wrap("read the pool's copy of the operation logs", err)
}

// packOps compresses entries: their ids repeat, and a pool's memory is small.
func packOps(ops []dotmesh.Op) ([]byte, error) {
	var text bytes.Buffer
	w, err := flate.NewWriter(&text, flate.BestSpeed)
	if err == nil {
		err = errors.Join(json.NewEncoder(w).Encode(ops), w.Close())
	}
	return text.Bytes(), err
}

func unpackOps(text []byte) ([]dotmesh.Op, error) {
	var ops []dotmesh.Op
	data, err := io.ReadAll(flate.NewReader(bytes.NewReader(text)))
	if err == nil {
		err = json.Unmarshal(data, &ops)
	}
	return ops, err
}
