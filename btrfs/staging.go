//go:build linux

package btrfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/frame"
)

// staging is a hidden, writable subvolume in which a commit is made from a stream. The
// commit itself is a read-only snapshot of it, which the kernel makes in one transaction:
// with all data, the metadata and the name, or not at all. So the next commit can be made
// of the same staging, as long as that is what the newest commit is.
//
// Nothing of it is believed by another process: Open removes it.
type staging struct {
	dir     *os.File    // its root
	base    dotmesh.Ref // the commit that it is the same as, but for partial; zero: it is empty
	partial *partial    // what was applied of the next commit
	spoiled bool        // what was applied is of no use
	parent  bool        // commits were taken of it, so that its lineage tells about theirs
}

// partial is what has come of a commit.
type partial struct {
	header  frame.Header
	digest  *frame.Digest
	parser  parser
	applier *applier
}

// stagingPrefix begins the names of stagings, which lie beside the commits.
const stagingPrefix = ".receive-"

func (s *Store) stagingPath(line dotmesh.LineID) string {
	return filepath.Join(s.commitsDir(line), stagingPrefix+dotmesh.NewUUID().String())
}

// makeStaging makes a staging that is what a commit is, or an empty one.
func (s *Store) makeStaging(line dotmesh.LineID, base dotmesh.Ref) (*staging, error) {
	path := s.stagingPath(line)
	var err error
	if base.IsZero() {
		err = createSubvol(path)
	} else {
		err = snapshot(s.at(base), path, false)
	}
	if err != nil {
		return nil, err
	}
	var dir *os.File
	if base.IsZero() { // the place of the pool may pass something on
		err = disinherit(path)
	}
	if err == nil {
		dir, err = openDir(path)
	}
	if err != nil {
		return nil, join(err, s.destroyTree(context.Background(), path))
	}
	return &staging{dir: dir, base: base}, nil
}

// close gives back the descriptors.
func (st *staging) close() error {
	if st.partial != nil {
		st.partial.close()
	}
	return st.dir.Close()
}

func (p *partial) close() {
	p.applier.close()
	if src := p.applier.src; src != nil {
		_ = src.root.Close() // only read
	}
}

// destroyStagings removes stagings, and remembers first what their commits descend from.
func (s *Store) destroyStagings(ctx context.Context, stagings ...*staging) error {
	var lost []lineage
	var ids []uint64
	var errs []error
	for _, st := range stagings {
		v, err := subvolOf(st.dir)
		if err == nil {
			ids = append(ids, v.id)
		}
		if err == nil && st.parent {
			lost = append(lost, v.lineage())
		}
		errs = append(errs, err, st.close())
	}
	errs = append(errs, s.lending(func() error {
		if err := s.rememberLineages(lost); err != nil {
			return err
		}
		for _, id := range ids {
			if err := s.destroyID(ctx, id); err != nil {
				return err
			}
		}
		return nil
	}))
	return join(errs...)
}

// maxNamesakes bounds the subvolumes with the same guid. There is one commit, and the staging
// that it was made of, unless somebody else chooses guids.
const maxNamesakes = 100

// mayBeCalled refuses a guid that many have already. All of them are in one item of a tree,
// which has room for some hundreds or thousands. What the next one does depends on the kernel:
// many stop writing to the whole file system.
func (s *Store) mayBeCalled(ctx context.Context, guid dotmesh.UUID) error {
	return newFinder(s.lines, smallSearch).search(ctx, ofUUID(guid, receivedKey), func(i item) error {
		if len(i.data)/8 >= maxNamesakes {
			return dotmesh.E("", dotmesh.Exists, "many other commits here have the guid %s; send one with a guid of its own", guid)
		}
		return nil
	})
}

// setReceived says what a subvolume is called where it comes from.
func setReceived(dir *os.File, guid dotmesh.UUID, transid uint64) error {
	type moment struct {
		sec  uint64
		nsec uint32
		_    uint32
	}
	a := struct {
		uuid               [16]byte
		stransid, rtransid uint64
		stime, rtime       moment
		flags              uint64
		_                  [16]uint64
	}{uuid: guid, stransid: transid}
	if err := ioctl(dir, request(read|write, 37, unsafe.Sizeof(a)), unsafe.Pointer(&a)); err != nil {
		return &fs.PathError{Op: "set received uuid", Path: dir.Name(), Err: err}
	}
	return nil
}

// discard removes what streams into a line have left. The caller has the turn.
func (s *Store) discard(ctx context.Context, a *arrival) error {
	if a == nil {
		return nil
	}
	var err error
	if st := a.staging; st != nil {
		a.staging = nil
		err = s.destroyStagings(ctx, st)
	}
	if err == nil && a.unborn {
		err = s.unmake(a)
	}
	return err
}

// unmake takes back a line that was made for a stream of which nothing came.
func (s *Store) unmake(a *arrival) error {
	r, _, err := s.record(a.line)
	if err == nil {
		err = s.unfork(a.line)
	}
	if err != nil && !errors.Is(err, errNotEmpty) {
		return err
	}
	s.children.remove(r.Origin, a.line)
	s.incoming.setUnborn(a, false)
	return nil
}
