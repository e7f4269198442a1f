//go:build linux

package btrfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"math"
	"slices"
	"testing"

	"dotmesh.io/dotmesh"
)

// FuzzItems feeds what a tree search may leave in its buffer to all parsers: none may
// read beyond the item, and what they accept must be made of the item's own bytes.
func FuzzItems(f *testing.F) {
	f.Add(encodeItem(inodeRef, 256, append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 3, 0}, "abc"...)), uint32(1))
	f.Add(encodeItem(inodeExtref, 1, append(make([]byte, 16), 2, 0, 'x', 'y')), uint32(1))
	f.Add(encodeItem(dirIndex, 2, append(make([]byte, 27), 1, 0, 1, 'n')), uint32(1))
	f.Add(encodeItem(inodeItem, 0, make([]byte, 160)), uint32(1))
	f.Add(encodeItem(extentData, 0, append(make([]byte, 20), 1)), uint32(1))
	f.Add(encodeItem(extentData, 0, make([]byte, 53)), uint32(2))
	f.Add(encodeItem(rootItem, 0, make([]byte, 439)), uint32(1))
	f.Add(encodeItem(rootItem, 0, make([]byte, 239)), uint32(1))
	f.Add(encodeItem(rootBackref, 5, append(make([]byte, 16), 1, 0, 'r')), uint32(1))
	f.Add(encodeItem(xattrItem, 5, make([]byte, 40)), uint32(math.MaxUint32))
	f.Add(encodeItem(xattrItem, 5, append(make([]byte, 25), 1, 0, 1, 0, 8, 'n', 'v')), uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, n uint32) {
		var seen int
		last, err := eachItem(b, n, func(i item) error {
			seen += 32 + len(i.data)
			parseAll(t, i)
			return nil
		})
		if seen > len(b) {
			t.Errorf("%d bytes of items in %d", seen, len(b))
		}
		if err == nil && n > 0 {
			if next := last.successor(all(0, 0)); next != nil && !less(last, *next) {
				t.Errorf("%+v is not after %+v", next, last)
			}
		}
	})
}

func less(a, b item) bool {
	if a.object != b.object {
		return a.object < b.object
	}
	if a.kind != b.kind {
		return a.kind < b.kind
	}
	return a.offset < b.offset
}

func parseAll(t *testing.T, i item) {
	t.Helper()
	refs, err := parseRefs(i)
	total := 0
	for _, r := range refs {
		total += len(r.name)
		if !bytes.Contains(i.data, []byte(r.name)) {
			t.Errorf("name %q is not in the item", r.name)
		}
	}
	if total > len(i.data) || err != nil && refs != nil {
		t.Errorf("refs = %+v, %v", refs, err)
	}
	if e, err := parseEntry(i.data); err == nil && !bytes.Contains(i.data, []byte(e.name)) {
		t.Errorf("entry = %+v", e)
	}
	if r, err := parseRootRef(i.data); err == nil && !bytes.Contains(i.data, []byte(r.name)) {
		t.Errorf("root ref = %+v", r)
	}
	if e, err := parseExtent(i.data); err == nil && e.at == 0 && e.bytes > int64(len(i.data)) {
		t.Errorf("extent = %+v", e)
	}
	held := 0
	attributes, err := parseAttributes(i.data)
	for _, a := range attributes {
		held += 30 + len(a.name) + len(a.value)
	}
	if err == nil && held != len(i.data) {
		t.Errorf("attributes = %+v", attributes)
	}
	if _, err := parseInode(i.data); (err == nil) != (len(i.data) >= inodeSize) {
		t.Errorf("inode: %v", err)
	}
	if _, err := parseRoot(i.data); (err == nil) != (len(i.data) >= 239) {
		t.Errorf("root: %v", err)
	}
	if s := stable(i); len(s) != len(i.data) {
		t.Errorf("stable has %d bytes, want %d", len(s), len(i.data))
	}
}

func TestOnlyOurAttributesAreTakenForMetadata(t *testing.T) {
	id := dotmesh.CommitID{UUID: dotmesh.NewUUID()}
	if got, piece := parseMetaName(metaName(id, 12)); got != id || piece != 12 {
		t.Errorf("got %s, %d", got, piece)
	}
	for _, name := range []string{"", "user.dotmesh." + id.String() + ".0", "trusted.dotmesh", "trusted.dotmesh." + id.String(), "trusted.dotmesh.x.0"} {
		if got, _ := parseMetaName(name); !got.IsZero() {
			t.Errorf("%q is taken for %s", name, got)
		}
	}
}

func encodeItem(kind uint32, offset uint64, data []byte) []byte {
	b := binary.NativeEndian.AppendUint64(nil, 7)
	b = binary.NativeEndian.AppendUint64(b, 300)
	b = binary.NativeEndian.AppendUint64(b, offset)
	b = binary.NativeEndian.AppendUint32(b, kind)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

func TestWhatTwoSubvolumesHaveInCommonIsFoundByTheirLineage(t *testing.T) {
	id := func(b byte) [16]byte { return [16]byte{b} }
	known := map[[16]byte]lineage{}
	for _, l := range []lineage{
		{id(1), id(0), 5},  // a head that began empty
		{id(2), id(1), 10}, // its commits
		{id(3), id(1), 20},
		{id(4), id(2), 30},  // a fork from the first commit
		{id(5), id(4), 40},  // and its commit
		{id(6), id(99), 50}, // two of a head that is gone
		{id(7), id(99), 60},
		{id(8), id(9), 1}, // what no file system holds: a circle
		{id(9), id(8), 2},
	} {
		known[l.uuid] = l
	}
	find := func(uuid [16]byte) (lineage, error) {
		l, ok := known[uuid]
		if !ok {
			return lineage{}, fs.ErrNotExist
		}
		return l, nil
	}
	for _, test := range []struct {
		a, b byte
		want uint64
	}{
		{2, 3, 10},
		{3, 2, 10},
		{1, 3, 20},
		{5, 3, 10},
		{5, 2, 30},
		{4, 5, 40},
		{5, 1, 10},
		{6, 7, 50},
		{6, 2, 0},
		{8, 2, 0},
		{8, 9, 1},
		{3, 3, math.MaxUint64},
	} {
		got, err := common(known[id(test.a)], known[id(test.b)], find)
		if err != nil || got != test.want {
			t.Errorf("common(%d, %d) = %d, %v, want %d", test.a, test.b, got, err, test.want)
		}
	}
	broken := errors.New("broken")
	if _, err := common(known[id(2)], known[id(3)], func([16]byte) (lineage, error) { return lineage{}, broken }); !errors.Is(err, broken) {
		t.Errorf("err = %v", err)
	}
}

func TestOnlyWhatDescendsFromALostSubvolumeKeepsItsLineage(t *testing.T) {
	id := func(b byte) [16]byte { return [16]byte{b} }
	lost := func() map[[16]byte]lineage {
		return map[[16]byte]lineage{
			id(1): {id(1), id(9), 5}, // 9 is there, or was never kept
			id(2): {id(2), id(1), 10},
			id(3): {id(3), id(1), 20},
			id(4): {id(4), id(5), 1}, // a circle
			id(5): {id(5), id(4), 2},
			id(6): {}, // not readable
		}
	}
	for _, test := range []struct {
		there []placed
		want  []byte
	}{
		{nil, []byte{1, 2, 3, 4, 5, 6}},
		{[]placed{{parent: id(0)}, {parent: id(9)}}, []byte{1, 2, 3, 4, 5, 6}},
		{[]placed{{parent: id(2)}}, []byte{3, 4, 5, 6}},
		{[]placed{{parent: id(2)}, {parent: id(3)}, {parent: id(3)}}, []byte{4, 5, 6}},
		{[]placed{{parent: id(4)}, {parent: id(6)}}, []byte{1, 2, 3}},
	} {
		got := slices.SortedFunc(maps.Keys(unneeded(lost(), test.there)), func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
		var want [][16]byte
		for _, b := range test.want {
			want = append(want, id(b))
		}
		if !slices.Equal(got, want) {
			t.Errorf("unneeded(%v) = %v, want %v", test.there, got, want)
		}
	}
}
