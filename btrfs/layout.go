//go:build linux

package btrfs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fastjson"
)

// Names in the pool. Every other name is an id, or begins with a dot and is scratch.
const (
	linesName   = "lines"
	nodeName    = "node"
	headName    = "live"
	commitsName = "commits"
)

// lineBucket holds the lines' records in the KV. The store's buckets begin with "store/".
const lineBucket = "store/lines"

// record is what the KV knows of a line.
type record struct {
	Origin   dotmesh.Origin `json:"origin,omitzero"`
	Headless bool           `json:"headless,omitempty"` // having neither head nor commits, it is not half-made
	Doomed   bool           `json:"doomed,omitempty"`   // it is being destroyed, and hidden
}

// inPool returns where in the layout a ref lies: a head or a commit.
func inPool(r dotmesh.Ref) string {
	if r.Commit.IsZero() {
		return filepath.Join(linesName, r.Line.String(), headName)
	}
	return filepath.Join(linesName, r.Line.String(), commitsName, r.Commit.String())
}

func head(line dotmesh.LineID) dotmesh.Ref { return dotmesh.Ref{Line: line} }

// at returns a path to a head or commit.
func (s *Store) at(r dotmesh.Ref) string { return s.pool.path(inPool(r)) }

// lineDir returns a path to a line's directory.
func (s *Store) lineDir(line dotmesh.LineID) string {
	return s.pool.path(linesName, line.String())
}

func isScratch(name string) bool { return strings.HasPrefix(name, ".") }

// line returns a line's record. A line without one was put there by somebody else, and is
// taken as it stands.
func (s *Store) line(line dotmesh.LineID) (record, error) {
	r, found, err := s.record(line)
	if err == nil && !found && !line.IsZero() {
		if _, err = os.Lstat(s.lineDir(line)); err == nil {
			return record{}, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!found || r.Doomed || s.incoming.unborn(line)) {
		return r, dotmesh.E("", dotmesh.NotFound, "there is no line %s in this pool", line)
	}
	return r, err
}

func (s *Store) record(line dotmesh.LineID) (r record, found bool, err error) {
	err = s.kv.View(func(tx dotmesh.KVReader) error {
		value := tx.Get(lineBucket, line.String())
		found = value != nil
		if !found {
			return nil
		}
		return decodeRecord(line.String(), value, &r)
	})
	return r, found, err
}

func decodeRecord(line string, value []byte, r *record) error {
	if err := fastjson.Unmarshal(value, r); err != nil {
		return &dotmesh.Error{Kind: dotmesh.Corrupt, Text: fmt.Sprintf("the record of line %s cannot be read", line), Err: err}
	}
	return nil
}

func putRecord(w dotmesh.KVWriter, line dotmesh.LineID, r record) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return w.Put(lineBucket, line.String(), value)
}

// subvol returns what the kernel knows of a head or commit.
func (s *Store) subvol(r dotmesh.Ref) (*subvol, error) {
	if r.Line.IsZero() {
		return nil, dotmesh.E("", dotmesh.NotFound, "no line is named")
	}
	v, err := subvolAt(s.at(r))
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
		return v, err
	}
	if r.Commit.IsZero() {
		return nil, dotmesh.E("", dotmesh.NotFound, "line %s has no head in this pool", r.Line)
	}
	return nil, dotmesh.E("", dotmesh.NotFound, "there is no commit %s of line %s in this pool", r.Commit, r.Line)
}

// has reports whether a head or commit is there.
func (s *Store) has(r dotmesh.Ref) (bool, error) {
	_, err := s.subvol(r)
	if errors.Is(err, dotmesh.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// commits returns a line's commits, oldest first, from one look at its directory: the
// kernel numbers a directory's entries in the order in which they were made.
func (s *Store) commits(ctx context.Context, line dotmesh.LineID) ([]dotmesh.CommitID, error) {
	var st unix.Stat_t
	err := unix.Lstat(filepath.Join(s.lineDir(line), commitsName), &st)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []dotmesh.CommitID
	f := newFinder(s.lines, smallSearch)
	err = f.search(ctx, of(ownTree, st.Ino, dirIndex, dirIndex), func(i item) error {
		e, err := parseEntry(i.data)
		if id, bad := dotmesh.ParseCommitID(e.name); e.subvol && bad == nil {
			ids = append(ids, id)
		}
		return err
	})
	return ids, err
}

// newest returns what a head of the line would be made from: its newest commit, else its
// origin, else nothing.
func (s *Store) newest(ctx context.Context, line dotmesh.LineID, r record) (dotmesh.Ref, error) {
	ids, err := s.commits(ctx, line)
	if err != nil || len(ids) == 0 {
		return dotmesh.Ref(r.Origin), err
	}
	return dotmesh.Ref{Line: line, Commit: ids[len(ids)-1]}, nil
}
