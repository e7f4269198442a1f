package dotmeshtest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"dotmesh.io/dotmesh"
)

var watchTests = []registryCase{
	{"a watch begins with what there is", testWatchList},
	{"a watch of nothing has a cursor", testWatchEmpty},
	{"a transaction is one update, in order", testWatchDeltas},
	{"a watch goes on from its cursor", testWatchResume},
	{"a cursor from the future lists everything", testWatchFuture},
	{"no update is lost under concurrent writes", testWatchRace},
	{"a big listing comes in parts", testWatchParts},
	{"a node is alive as long as it says so", testStayAlive},
}

func testWatchList(t *testing.T, r *registryTest) {
	b, c := r.commit(r.dot("shop"), "one")
	cursor := r.must(r.Attach(r.ctx, dotmesh.Attachment{Node: r.a, Volume: "shop", Branch: b.ID}))
	s := r.list()
	if s.cursor < cursor {
		t.Errorf("the listing is as of %d, before %d", s.cursor, cursor)
	}
	if s.branches[b.ID].Pointer != b.Pointer || s.commits[place{c.Line, c.Seq}].Message != "one" || len(s.nodes) != 2 || len(s.attachments) != 1 {
		t.Errorf("listed %+v", s)
	}
}

func testWatchEmpty(t *testing.T, r *registryTest) {
	r.must(r.Import(r.ctx, nil, true))
	if s := r.list(); s.cursor == 0 || len(s.nodes) != 0 {
		t.Errorf("listed %+v, want nothing at a cursor", s)
	}
}

// updates runs a watch in the background; next returns one update after the other.
func (r *registryTest) updates(from dotmesh.Cursor) (next func() dotmesh.Update) {
	ctx, cancel := context.WithCancel(r.ctx)
	updates, ended := make(chan dotmesh.Update), make(chan struct{})
	go func() {
		defer close(ended)
		for u := range r.Watch(ctx, from) {
			select {
			case updates <- u:
			case <-ctx.Done():
			}
		}
	}()
	r.t.Cleanup(func() { cancel(); <-ended })
	return func() dotmesh.Update {
		r.t.Helper()
		select {
		case u := <-updates:
			if u.Err != nil {
				r.t.Fatalf("Watch: %v", u.Err)
			}
			return u
		case <-ended:
			r.t.Fatal("the watch ended")
		}
		return dotmesh.Update{}
	}
}

// until applies updates until the watcher has come as far as cursor.
func (s *state) until(next func() dotmesh.Update, cursor dotmesh.Cursor) {
	for s.cursor < cursor {
		s.apply(next())
	}
}

func testWatchDeltas(t *testing.T, r *registryTest) {
	next := r.updates(0)
	s := newState()
	s.until(next, 1)
	b := r.dot("shop")
	u := next()
	kinds := map[string]bool{}
	for _, c := range u.Changes {
		kinds[fmt.Sprintf("%T", c.Record)] = true
	}
	want := []string{"*dotmesh.Branch", "*dotmesh.Commit", "*dotmesh.Dot", "*dotmesh.Line", "*dotmesh.Position"}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, want) || u.Reset {
		t.Errorf("the creation was told as %v (reset: %v), want %v in one update", got, u.Reset, want)
	}
	s.apply(u)
	last := u.Cursor
	for i := range 5 {
		reg := r.next(b, fmt.Sprint(i))
		cursor := r.must(r.Register(r.ctx, reg))
		u := next()
		if len(u.Changes) != 2 || u.Cursor != cursor || u.Cursor <= last {
			t.Errorf("the commit was told as %+v after %d, want branch and commit at %d", u, last, cursor)
		}
		s.apply(u)
		last = u.Cursor
		b = *s.branches[b.ID]
		if b.Pointer.Tip != reg.Commit.ID {
			t.Errorf("tip = %s, want %s", b.Pointer.Tip, reg.Commit.ID)
		}
	}
	cursor := r.must(0, r.TrimCommits(r.ctx, b.Pointer.Line, 3)) + last + 1
	s.until(next, cursor)
	if len(s.commits) != 4 {
		t.Errorf("%d commits are known, want the four that were not trimmed", len(s.commits))
	}
}

func testWatchResume(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	s := r.list()
	b, _ = r.commit(b, "one")
	reg := r.next(b, "two")
	cursor := r.must(r.Register(r.ctx, reg))
	next := r.updates(s.cursor)
	for s.cursor < cursor {
		u := next()
		if u.Reset {
			t.Fatal("everything was listed again")
		}
		s.apply(u)
	}
	if got := s.branches[b.ID].Pointer.Tip; got != reg.Commit.ID {
		t.Errorf("tip = %s, want %s", got, reg.Commit.ID)
	}
}

func testWatchFuture(t *testing.T, r *registryTest) {
	r.dot("shop")
	if u := r.updates(r.list().cursor + 1_000_000)(); !u.Reset {
		t.Errorf("the watch began with %+v, want a reset", u)
	}
}

func testWatchRace(t *testing.T, r *registryTest) {
	const dots, commits = 4, 15
	next := r.updates(0)
	var branches [dots]dotmesh.Branch
	for i := range branches {
		branches[i] = r.dot(dotmesh.Name(fmt.Sprintf("dot-%d", i)))
	}
	var cursors [dots]dotmesh.Cursor
	var writers sync.WaitGroup
	for i, b := range branches {
		writers.Go(func() {
			for n := range commits {
				reg := r.next(b, fmt.Sprint(n))
				cursor, err := r.Register(r.ctx, reg)
				if err != nil {
					t.Errorf("Register: %v", err)
					return
				}
				cursors[i] = cursor
				p := &b.Pointer
				p.Tip, p.Head, p.Chain = reg.Commit.ID, reg.Commit.ID, reg.Commit.Chain
				p.Seq++
				p.Count++
			}
		})
	}
	s, seen := newState(), map[dotmesh.BranchID]uint64{}
	writers.Add(1)
	go func() {
		defer writers.Done()
		for len(seen) < dots || slices.Min(slices.Collect(maps.Values(seen))) < commits+1 {
			u := next()
			s.apply(u)
			for _, c := range u.Changes {
				if b, ok := c.Record.(*dotmesh.Branch); ok {
					if seen[b.ID] > 0 && b.Pointer.Seq != seen[b.ID]+1 {
						t.Errorf("the watch went from commit %d to %d", seen[b.ID], b.Pointer.Seq)
					}
					seen[b.ID] = b.Pointer.Seq
				}
			}
		}
	}()
	writers.Wait()
	if s.cursor < slices.Max(cursors[:]) || len(s.commits) != dots*(commits+1) {
		t.Errorf("%d commits at %d, want %d at %d", len(s.commits), s.cursor, dots*(commits+1), slices.Max(cursors[:]))
	}
}

func testWatchParts(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	all := r.export()
	c := r.next(b, "x").Commit
	for i := range 2500 {
		c.Seq = uint64(i + 2)
		text := fmt.Sprintf(`{"v":1,"id":%q,"line":%q,"seq":%d,"kind":"user","author":"a","time":"2026-01-01T00:00:00Z","chain":%q}`,
			newCommitID(), c.Line, c.Seq, c.Chain)
		all[fmt.Sprintf("commits/%s/%020d", c.Line, c.Seq)] = text
	}
	r.must(r.Import(r.ctx, entriesOf(all), true))
	next, s, parts := r.updates(0), newState(), 0
	for s.cursor == 0 {
		u := next()
		if u.Reset != (parts == 0) {
			t.Errorf("part %d has reset %v", parts, u.Reset)
		}
		s.apply(u)
		parts++
	}
	if parts < 2 || len(s.commits) != 2501 {
		t.Errorf("%d commits in %d parts, want 2501 in several", len(s.commits), parts)
	}
}

func testStayAlive(t *testing.T, r *registryTest) {
	ctx, cancel := context.WithCancel(r.ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.StayAlive(ctx, r.a) }()
	next, s := r.updates(0), newState()
	for !s.alive[r.a] {
		s.apply(next())
	}
	cancel()
	for s.alive[r.a] {
		s.apply(next())
	}
	if err := <-ended; err != nil {
		t.Errorf("StayAlive = %v, want nil at the end of its context", err)
	}
	if err := r.StayAlive(r.ctx, "not a node"); dotmesh.KindOf(err) != dotmesh.Invalid {
		t.Errorf("StayAlive = %v, want one of kind %q", err, dotmesh.Invalid)
	}
}
