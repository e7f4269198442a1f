//go:build linux

package zfs

import (
	"encoding/json"
	"fmt"
	"slices"

	"dotmesh.io/dotmesh"
)

// The store's buckets in the KV.
const (
	lineBucket = "store/lines"
	metaBucket = "store/meta" // by line/commit, so that a commit without metadata is in it, too
)

// record is what the KV knows of a line and ZFS does not. Most lines have none. What is
// noted here is noted before it is begun, and what is left half-done is finished by it.
type record struct {
	// Origin is where the line was forked, while it has no dataset that would say so.
	Origin dotmesh.Origin `json:"origin,omitzero"`
	// Headless: the head was given up, or never asked for. The dataset, if there is one, is
	// at the newest commit; Rolling: it has still to be taken there.
	Headless bool `json:"headless,omitempty"`
	Rolling  bool `json:"rolling,omitempty"`
	// Mounted: it was handed out for writing, so it may have a log that was not replayed.
	Mounted bool `json:"mounted,omitempty"`
	// Incoming: its first commit is on its way. Until that is there, so is no line.
	Incoming bool `json:"incoming,omitempty"`
	// Partial says what of a commit has come by a stream that broke off.
	Partial string `json:"partial,omitempty"`
	// Unchecked is a commit that a stranger has sent, and that is hidden until its files
	// have been looked at. What is still unchecked after a crash is not kept.
	Unchecked dotmesh.CommitID `json:"unchecked,omitzero"`
	// Doomed: it is being destroyed, and hidden.
	Doomed bool `json:"doomed,omitempty"`
}

// since returns what is to be thought of a line that was looked at while its record was
// changed: it may have been met half-made or half-destroyed.
func (r record) since(before record) record {
	r.Doomed = r.Doomed || before.Doomed
	r.Incoming = r.Incoming || before.Incoming
	return r
}

// record returns what is known of a line; nothing, if nothing is.
func (s *Store) record(line dotmesh.LineID) (r record, err error) {
	err = s.kv.View(func(tx dotmesh.KVReader) (err error) {
		r, err = getRecord(tx, line)
		return err
	})
	return r, err
}

func getRecord(tx dotmesh.KVReader, line dotmesh.LineID) (r record, err error) {
	if value := tx.Get(lineBucket, line.String()); value != nil {
		err = decodeRecord(line.String(), value, &r)
	}
	return r, err
}

func decodeRecord(line string, value []byte, r *record) error {
	if err := json.Unmarshal(value, r); err != nil {
		return &dotmesh.Error{Kind: dotmesh.Corrupt, Text: fmt.Sprintf("the record of line %s cannot be read", line), Err: err}
	}
	return nil
}

// update changes what is known of a line.
func (s *Store) update(line dotmesh.LineID, change func(*record)) error {
	return s.kv.Update(func(tx dotmesh.KVWriter) error { return updateRecord(tx, line, change) })
}

func updateRecord(tx dotmesh.KVWriter, line dotmesh.LineID, change func(*record)) error {
	r, err := getRecord(tx, line)
	if err != nil {
		return err
	}
	change(&r)
	if r == (record{}) {
		return tx.Delete(lineBucket, line.String())
	}
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.Put(lineBucket, line.String(), value)
}

func metaKey(r dotmesh.Ref) string { return r.Line.String() + "/" + r.Commit.String() }

// meta returns the metadata of a commit; found tells whether there ever were any.
func (s *Store) meta(r dotmesh.Ref) (meta []byte, found bool, err error) {
	err = s.kv.View(func(tx dotmesh.KVReader) error {
		meta, found = getMeta(tx, r)
		return nil
	})
	return meta, found, err
}

func getMeta(tx dotmesh.KVReader, r dotmesh.Ref) (meta []byte, found bool) {
	value := tx.Get(metaBucket, metaKey(r))
	return slices.Clone(value), value != nil
}

// dropMetas forgets the metadata of commits.
func (s *Store) dropMetas(refs ...dotmesh.Ref) error {
	if len(refs) == 0 {
		return nil
	}
	return s.kv.Update(func(tx dotmesh.KVWriter) error {
		for _, r := range refs {
			if err := tx.Delete(metaBucket, metaKey(r)); err != nil {
				return err
			}
		}
		return nil
	})
}
