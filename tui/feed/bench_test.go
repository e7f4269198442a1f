package feed

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"dotmesh.io/dotmesh"
)

// filled returns a feed that has listed n dots, outside of any Run.
func filled(n int) (*Feed, []dotmesh.BranchID) {
	f := New(nil, time.Now)
	ids := make([]dotmesh.BranchID, n)
	f.takeIn(listed(n, ids))
	f.mu.Lock()
	f.publish()
	f.mu.Unlock()
	return f, ids
}

// takeIn takes a whole listing in.
func (f *Feed) takeIn(all []dotmesh.DotStatus) {
	l := f.beginDots()
	for i := range all {
		f.sift(l, &all[i])
	}
	f.replaceDots(l)
}

func listed(n int, ids []dotmesh.BranchID) []dotmesh.DotStatus {
	all := make([]dotmesh.DotStatus, n)
	for i := range all {
		u := dotmesh.UUID{0: 1, 12: byte(i >> 24), 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}
		ids[i] = dotmesh.BranchID{UUID: u}
		all[i].Dot = dotmesh.Dot{ID: dotmesh.DotID{UUID: u}, Current: ids[i], Name: dotmesh.DotName{Namespace: "admin", Name: dotmesh.Name(fmt.Sprintf("dot-%06d", i))}}
		all[i].Branch.Branch = dotmesh.Branch{ID: ids[i], Dot: all[i].ID, Name: "master", Pointer: dotmesh.Pointer{Line: dotmesh.LineID{UUID: u}}}
		all[i].Branch.Current, all[i].Branches = true, 1
	}
	return all
}

// many is a service that hands so many dots out, and never a list of them all.
type many struct {
	dotmesh.Service
	dots []dotmesh.DotStatus
}

func (m many) EachDot(context.Context) iter.Seq2[dotmesh.DotStatus, error] {
	return func(yield func(dotmesh.DotStatus, error) bool) {
		for _, status := range m.dots {
			status.Name.Namespace = dotmesh.Name(strings.Clone(string(status.Name.Namespace))) // as one that was just read
			if !yield(status, nil) {
				return
			}
		}
	}
}

// TestWhatAListingTakes is the promise that a hundred thousand dots are in memory once: the
// listings that find nothing new keep nothing, and what all dots say alike is one text.
func TestWhatAListingTakes(t *testing.T) {
	const dots = 10_000
	f := New(many{dots: listed(dots, make([]dotmesh.BranchID, dots))}, time.Now)
	look := func() {
		if _, err := f.listDots(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	f.mu.Lock()
	f.publish()
	f.mu.Unlock()
	texts := map[*byte]bool{}
	for _, d := range f.picture.Dots {
		texts[unsafe.StringData(string(d.Name.Namespace))] = true
	}
	if len(f.picture.Dots) != dots || len(texts) != 1 {
		t.Errorf("%d dots are in %d namespaces, want %d in one", len(f.picture.Dots), len(texts), dots)
	}
	const most = dots + 100 // the text that each dot comes with
	if got := testing.AllocsPerRun(3, look); got > most {
		t.Errorf("a listing in which nothing is new makes %v allocations, want at most %v", got, most)
	}
}

func eachSize(b *testing.B, run func(b *testing.B, f *Feed, ids []dotmesh.BranchID)) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			f, ids := filled(n)
			b.ReportAllocs()
			run(b, f, ids)
		})
	}
}

func BenchmarkStats(b *testing.B) {
	eachSize(b, func(b *testing.B, f *Feed, ids []dotmesh.BranchID) {
		for i := 0; b.Loop(); i++ {
			f.event(&dotmesh.Event{Kind: dotmesh.EventStats, Cursor: "x-1", Stats: &dotmesh.Stats{Branch: ids[i*31%len(ids)], Size: int64(i)}})
		}
	})
}

func BenchmarkCommit(b *testing.B) {
	now := time.Now()
	eachSize(b, func(b *testing.B, f *Feed, ids []dotmesh.BranchID) {
		for i := 0; b.Loop(); i++ {
			line := dotmesh.LineID{UUID: ids[i*31%len(ids)].UUID}
			f.event(&dotmesh.Event{Kind: dotmesh.EventCommit, Time: now, Commit: &dotmesh.Commit{ID: dotmesh.CommitID(line), Line: line, Author: "ann", Message: "add march invoices"}})
		}
	})
}

// BenchmarkPicture is a tenth of a second at 1,000 events a second: those, and one picture.
func BenchmarkPicture(b *testing.B) {
	eachSize(b, func(b *testing.B, f *Feed, ids []dotmesh.BranchID) {
		for i := 0; b.Loop(); i++ {
			for j := range 100 {
				f.event(&dotmesh.Event{Kind: dotmesh.EventStats, Stats: &dotmesh.Stats{Branch: ids[(i*100+j)*31%len(ids)], Size: int64(i)}})
			}
			f.mu.Lock()
			f.publish()
			f.mu.Unlock()
		}
	})
}

// BenchmarkLook is a listing in which nothing is new.
func BenchmarkLook(b *testing.B) {
	eachSize(b, func(b *testing.B, f *Feed, ids []dotmesh.BranchID) {
		all := listed(len(ids), ids)
		for b.Loop() {
			f.takeIn(all)
		}
	})
}
