//go:build linux

package btrfs

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"math"

	"dotmesh.io/dotmesh"
)

// lineage says what a subvolume is a snapshot of, as of which transaction. The kernel
// forgets it with the subvolume; the KV keeps it, for those that were taken from it.
type lineage struct {
	uuid    [16]byte
	parent  [16]byte // zero: it began empty
	transid uint64
}

func (s *subvol) lineage() lineage {
	return lineage{uuid: s.uuid, parent: s.parentUUID, transid: s.otransid}
}

// common returns the newest transaction up to which a and b were one and the same, by
// going up from both to what they have in common; find knows the lineage of a uuid. What
// either holds in blocks of later transactions is all in which they can differ. Without
// anything in common it is 0.
func common(a, b lineage, find func([16]byte) (lineage, error)) (uint64, error) {
	left := map[[16]byte]uint64{} // the transaction in which a's way left a subvolume
	err := ascend(a, find, func(uuid [16]byte, transid uint64) bool {
		left[uuid] = transid
		return true
	})
	if err != nil {
		return 0, err
	}
	var since uint64
	err = ascend(b, find, func(uuid [16]byte, transid uint64) bool {
		at, met := left[uuid]
		if met {
			since = min(at, transid)
		}
		return !met
	})
	return since, err
}

// ascend visits a subvolume and what it descends from, each with the transaction in which
// the way from l left it, until visit returns false or nothing more is known.
func ascend(l lineage, find func([16]byte) (lineage, error), visit func([16]byte, uint64) bool) error {
	seen := map[[16]byte]bool{}
	leaving := uint64(math.MaxUint64)
	for visit(l.uuid, leaving) && l.parent != [16]byte{} && !seen[l.uuid] {
		seen[l.uuid] = true
		leaving = l.transid
		next, err := find(l.parent)
		if errors.Is(err, fs.ErrNotExist) {
			visit(l.parent, leaving)
			return nil
		}
		if err != nil {
			return err
		}
		l = next
	}
	return nil
}

// since is common for two subvolumes of this pool.
func (s *Store) since(ctx context.Context, a, b *subvol) (uint64, error) {
	f := newFinder(s.lines, smallSearch)
	return common(a.lineage(), b.lineage(), func(uuid [16]byte) (lineage, error) {
		return s.lineageOf(ctx, f, uuid)
	})
}

// lineageOf looks a subvolume up in the file system, or where it is gone in the KV.
func (s *Store) lineageOf(ctx context.Context, f *finder, uuid [16]byte) (lineage, error) {
	id, err := subvolByUUID(ctx, f, uuid)
	if err != nil {
		return lineage{}, err
	}
	found := lineage{}
	if id != 0 {
		err = f.search(ctx, of(rootTree, id, rootItem, rootItem), func(i item) error {
			r, err := parseRoot(i.data)
			found = r.lineage
			return err
		})
	} else {
		err = s.kv.View(func(r dotmesh.KVReader) error {
			found = decodeLineage(uuid, r.Get(lineageBucket, hex.EncodeToString(uuid[:])))
			return nil
		})
	}
	if err == nil && found.uuid != uuid {
		err = fs.ErrNotExist
	}
	return found, err
}

// subvolByUUID returns a subvolume's id, 0 if there is none.
func subvolByUUID(ctx context.Context, f *finder, uuid [16]byte) (id uint64, err error) {
	err = f.search(ctx, ofUUID(uuid, uuidKey), func(i item) error {
		if len(i.data) < 8 {
			return errShort
		}
		id = binary.LittleEndian.Uint64(i.data)
		return nil
	})
	return id, err
}

// ofUUID is the item that lists the subvolumes with a uuid: the one that it is the own one
// of, or all that were received under it.
func ofUUID(uuid [16]byte, kind uint32) keys {
	k := of(uuidTree, binary.LittleEndian.Uint64(uuid[:]), kind, kind)
	k.minOffset = binary.LittleEndian.Uint64(uuid[8:])
	k.maxOffset = k.minOffset
	return k
}

const lineageBucket = "store/lineage"

// remember keeps the lineage of a subvolume that is about to be destroyed.
func remember(w dotmesh.KVWriter, l lineage) error {
	if l.parent == [16]byte{} {
		return nil
	}
	value := binary.LittleEndian.AppendUint64(l.parent[:], l.transid)
	return w.Put(lineageBucket, hex.EncodeToString(l.uuid[:]), value)
}

// decodeLineage returns the zero lineage for what remember did not write.
func decodeLineage(uuid [16]byte, value []byte) lineage {
	if len(value) != 24 {
		return lineage{}
	}
	return lineage{uuid: uuid, parent: [16]byte(value), transid: binary.LittleEndian.Uint64(value[16:])}
}

// forgetLineages removes what the KV keeps of subvolumes that none of those there descends
// from any more.
func (s *Store) forgetLineages(there []placed) error {
	kept := map[[16]byte]lineage{}
	err := s.kv.View(func(r dotmesh.KVReader) error {
		for key, value := range r.Scan(lineageBucket) {
			if uuid, err := hex.DecodeString(key); err == nil && len(uuid) == 16 {
				kept[[16]byte(uuid)] = decodeLineage([16]byte(uuid), value)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	lost := unneeded(kept, there)
	if len(lost) == 0 {
		return nil
	}
	return s.kv.Update(func(w dotmesh.KVWriter) error {
		for uuid := range lost {
			if err := w.Delete(lineageBucket, hex.EncodeToString(uuid[:])); err != nil {
				return err
			}
		}
		return nil
	})
}

// unneeded takes away from kept what one of those there descends from, and returns the rest.
func unneeded(kept map[[16]byte]lineage, there []placed) map[[16]byte]lineage {
	for _, v := range there {
		for uuid := v.parent; ; {
			l, known := kept[uuid]
			if !known {
				break
			}
			delete(kept, uuid)
			uuid = l.parent
		}
	}
	return kept
}
