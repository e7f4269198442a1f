package tui

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"strconv"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/tui/feed"
)

// The figures here are printed by make bench; what is asserted are counts.

// manyDots are dots as a cluster has them.
func manyDots(n int) []*dotmesh.DotStatus {
	all := make([]*dotmesh.DotStatus, n)
	for i := range all {
		id := func(kind string) (u dotmesh.UUID) {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(kind), uint64(i)))
			copy(u[:], sum[:])
			return u
		}
		now := time.Unix(1_700_000_000, 0)
		dot := dotmesh.Dot{
			ID: dotmesh.DotID{UUID: id("dot")}, Current: dotmesh.BranchID{UUID: id("branch")}, Created: now,
			Name: dotmesh.DotName{Namespace: "admin", Name: dotmesh.Name(fmt.Sprintf("dot-%06d", i))},
		}
		all[i] = &dotmesh.DotStatus{Dot: dot, Branches: 1, Branch: dotmesh.BranchStatus{
			Branch: dotmesh.Branch{
				ID: dot.Current, Dot: dot.ID, Name: "master", Created: now,
				Pointer: dotmesh.Pointer{
					Line: dotmesh.LineID{UUID: id("line")}, Tip: dotmesh.CommitID{UUID: id("tip")}, Count: uint64(i % 97),
					Master: "0123456789abcdef", State: dotmesh.State{Phase: dotmesh.Held},
				},
			},
			Current: true, MasterName: "node-1", Size: int64(i) << 16,
			Dirty: dotmesh.Bytes{Bytes: int64(i*7919%10_000) << 10, AsOf: now, Exact: true},
		}}
	}
	return all
}

// bigUI is a UI that shows so many dots on a screen of 160x45.
func bigUI(tb testing.TB, dots int) *ui {
	tb.Helper()
	o := &Options{Now: time.Now, Palette: PaletteDark, Where: "bench"}
	u := newUI(tb.Context(), o, feed.New(nil, time.Now))
	u.Update(tea.WindowSizeMsg{Width: 160, Height: 45})
	u.Update(pictureMsg{&feed.Picture{Rev: 2, State: feed.Live, Dots: manyDots(dots)}})
	return u
}

// step moves the cursor down, and from the last row to the first.
func step(u *ui) {
	key := press("j")
	if u.browse.dots.Index() == u.browse.dots.Len()-1 {
		key = press("g")
	}
	u.Update(key)
	_ = u.View()
}

// TestKeyAllocations is the promise that lets a key be held down, however many dots there are.
// Some 450 are made, and a hundred more where the race detector counts along.
func TestKeyAllocations(t *testing.T) {
	const most = 600
	for _, dots := range []int{10_000, 100_000} {
		u := bigUI(t, dots)
		if got := testing.AllocsPerRun(300, func() { step(u) }); got > most {
			t.Errorf("%d dots: a step of the cursor makes %v allocations, want at most %d", dots, got, most)
		} else {
			t.Logf("%d dots: %v allocations", dots, got)
		}
	}
}

func BenchmarkCursor(b *testing.B) {
	for _, dots := range []int{10_000, 100_000} {
		b.Run(strconv.Itoa(dots), func(b *testing.B) {
			u := bigUI(b, dots)
			b.ReportAllocs()
			for b.Loop() {
				step(u)
			}
		})
	}
}

// BenchmarkPicture is a picture in which a screenful of dots changed, taken in and drawn.
func BenchmarkPicture(b *testing.B) {
	for _, sorted := range []string{"name", "dirty"} {
		b.Run(sorted, func(b *testing.B) {
			u := bigUI(b, 10_000)
			for sorted != "name" && u.browse.columns[u.browse.column].Title != "DIRTY" {
				u.browse.sort(false)
			}
			pictures := [2][]*dotmesh.DotStatus{u.pic.Dots, append([]*dotmesh.DotStatus(nil), u.pic.Dots...)}
			for i := range 42 {
				d := *pictures[1][i]
				d.Branch.Dirty.Bytes += 1 << 20
				pictures[1][i] = &d
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				u.Update(pictureMsg{&feed.Picture{Rev: uint64(i + 3), State: feed.Live, Dots: pictures[i%2]}})
				_ = u.View()
			}
		})
	}
}

func BenchmarkFilter(b *testing.B) {
	u := bigUI(b, 10_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := u.browse.setFilter([]string{"dot-00", "99"}[i%2]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSort(b *testing.B) {
	for at, c := range bigUI(b, 1).browse.columns {
		if c.Title != "NAME" && c.Title != "DIRTY" {
			continue
		}
		b.Run(c.Title, func(b *testing.B) {
			u := bigUI(b, 10_000)
			u.browse.column = at
			b.ReportAllocs()
			for b.Loop() {
				u.browse.sort(true)
			}
		})
	}
}

// talker is a service that says a number of things, and then nothing more.
type talker struct {
	dotmesh.Service
	dots   []*dotmesh.DotStatus
	events int
	told   chan struct{}
}

func (*talker) Version(context.Context) (dotmesh.Version, error)      { return dotmesh.Version{}, nil }
func (*talker) Whoami(context.Context) (dotmesh.User, error)          { return dotmesh.User{}, nil }
func (*talker) Nodes(context.Context) ([]dotmesh.NodeStatus, error)   { return nil, nil }
func (*talker) Transfers(context.Context) ([]dotmesh.Transfer, error) { return nil, nil }
func (t *talker) Dots(context.Context) (all []dotmesh.DotStatus, _ error) {
	for _, d := range t.dots {
		all = append(all, *d)
	}
	return all, nil
}

func (t *talker) Events(ctx context.Context, _ string) iter.Seq2[dotmesh.Event, error] {
	return func(yield func(dotmesh.Event, error) bool) {
		<-t.told
		stats := make([]dotmesh.Stats, t.events)
		for i := range stats {
			b := &t.dots[i%len(t.dots)].Branch
			stats[i] = dotmesh.Stats{Branch: b.ID, Size: int64(i), Dirty: b.Dirty}
		}
		t.told <- struct{}{}
		for i := range stats {
			if !yield(dotmesh.Event{Kind: dotmesh.EventStats, Stats: &stats[i]}, nil) {
				return
			}
		}
		close(t.told)
		<-ctx.Done()
	}
}

// BenchmarkIngest is what an event costs before anything is drawn.
func BenchmarkIngest(b *testing.B) {
	s := &talker{dots: manyDots(10_000), events: b.N, told: make(chan struct{})}
	f := feed.New(s, time.Now)
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error)
	go func() { ended <- f.Run(ctx) }()
	for seen := uint64(0); ; {
		p, err := f.Next(ctx, seen)
		if err != nil {
			b.Fatal(err)
		}
		if seen = p.Rev; p.State == feed.Live {
			break
		}
	}
	s.told <- struct{}{}
	<-s.told
	b.ResetTimer()
	for range s.told { // until all has been said
	}
	b.StopTimer()
	stop()
	<-ended
}

// terminalFile is a terminal as far as the trace needs one.
type terminalFile struct{ *os.File }

func TestTraceCountsFrames(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var lines bytes.Buffer
	u := bigUI(t, 100)
	o := &Options{Now: time.Now, Trace: &lines, Out: terminalFile{null}}
	model := o.trace(u)
	for _, msg := range []tea.Msg{press("j"), tea.FocusMsg{}, press("j"), tea.WindowSizeMsg{Width: 100, Height: 30}} {
		model, _ = model.Update(msg)
		_ = model.View()
	}
	if _, err := io.WriteString(o.Out, "12345"); err != nil {
		t.Fatal(err)
	}
	var got frame
	if err := json.NewDecoder(bufio.NewReader(&lines)).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Cause != "key+size" || got.Views != 3 || got.Bytes != 5 {
		t.Errorf("got %+v, want 3 views of 5 bytes because of keys and a size", got)
	}
}
