package plan_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/plan"
)

var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

func line() dotmesh.LineID     { return dotmesh.LineID{UUID: dotmesh.NewUUID()} }
func commit() dotmesh.CommitID { return dotmesh.CommitID{UUID: dotmesh.NewUUID()} }

func TestParseRef(t *testing.T) {
	for text, want := range map[string]plan.Ref{
		"":                {Start: "HEAD"},
		"HEAD":            {Start: "HEAD"},
		"HEAD^":           {Start: "HEAD", Back: 1},
		"HEAD^^^":         {Start: "HEAD", Back: 3},
		"HEAD~12":         {Start: "HEAD", Back: 12},
		"HEAD~2^":         {Start: "HEAD", Back: 3},
		"^":               {Start: "HEAD", Back: 1},
		"master":          {Start: "master"},
		"0b5f7c1e-3f0a^^": {Start: "0b5f7c1e-3f0a", Back: 2},
	} {
		if got, err := plan.ParseRef(text); err != nil || got != want {
			t.Errorf("%q is read as %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"..", "-o", "a b", "HEAD~", "HEAD~-1", "HEAD~9999999", "@", "a/b", "HEAD^1", "\x1b[31m", "a~1~2"} {
		if got, err := plan.ParseRef(text); dotmesh.KindOf(err) != dotmesh.Invalid {
			t.Errorf("%q is read as %+v, %v; want it to be invalid", text, got, err)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	for _, seed := range []string{"", "HEAD^^", "HEAD~3", "0b5f7c1e^", "~", "^~^", "HEAD~18446744073709551615"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := plan.ParseRef(text)
		if err != nil {
			return
		}
		if _, err := dotmesh.ParseName(r.Start); err != nil || r.Back < 0 {
			t.Errorf("%q is accepted as %+v", text, r)
		}
	})
}

func TestIdentify(t *testing.T) {
	ours, other := dotmesh.ClusterID{UUID: dotmesh.NewUUID()}, dotmesh.ClusterID{UUID: dotmesh.NewUUID()}
	cluster := &dotmesh.Cluster{ID: ours, Feature: dotmesh.FeatureLevel}
	for _, test := range []struct {
		name  string
		have  dotmesh.ClusterID
		seen  dotmesh.Cursor
		found *dotmesh.Cluster
		at    dotmesh.Cursor
		want  plan.Verdict
	}{
		{"a new node and an empty registry", dotmesh.ClusterID{}, 0, nil, 1, plan.Virgin},
		{"a new node and a cluster", dotmesh.ClusterID{}, 0, cluster, 7, plan.Joinable},
		{"the registry as it was left", ours, 7, cluster, 7, plan.Ours},
		{"the registry has gone on", ours, 7, cluster, 9, plan.Ours},
		{"the registry was wiped", ours, 7, nil, 1, plan.Lost},
		{"the registry was restored from a backup", ours, 7, cluster, 6, plan.Older},
		{"somebody else's registry", other, 7, cluster, 9, plan.Foreign},
		{"a registry of the future", ours, 7, &dotmesh.Cluster{ID: ours, Feature: dotmesh.FeatureLevel + 1}, 9, plan.TooNew},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := plan.Identify(test.have, test.seen, test.found, test.at)
			if got != test.want {
				t.Fatalf("verdict is %d, want %d", got, test.want)
			}
			mayWork := got == plan.Virgin || got == plan.Ours || got == plan.Joinable
			if (got.Fault() == nil) != mayWork {
				t.Errorf("fault is %v", got.Fault())
			}
		})
	}
}

func TestUndoable(t *testing.T) {
	ops := []dotmesh.Op{ // newest first
		{N: 6, Verb: dotmesh.VerbUndo, Undoes: 4, Old: dotmesh.Tip{Line: line(), Commit: commit()}},
		{N: 5, Verb: dotmesh.VerbDeleteBranch, Undoes: 3},
		{N: 4, Verb: dotmesh.VerbReset},
		{N: 3, Verb: dotmesh.VerbBranch},
		{N: 2, Verb: dotmesh.VerbCommit},
		{N: 1, Verb: dotmesh.VerbInit},
	}
	for _, test := range []struct {
		name string
		ops  []dotmesh.Op
		n    uint64
		want uint64
		kind dotmesh.Kind
	}{
		{"the newest that was neither undone nor an undo", ops, 0, 2, ""},
		{"an undo by its number", ops, 6, 6, ""},
		{"what was undone already", ops, 4, 0, dotmesh.Conflict},
		{"what was never done", ops, 9, 0, dotmesh.NotFound},
		{"what was undone and done again", append([]dotmesh.Op{{N: 7, Verb: dotmesh.VerbUndo, Undoes: 6}}, ops...), 0, 4, ""},
		{"nothing left", ops[:2], 0, 0, dotmesh.NotFound},
		{"nothing at all", nil, 0, 0, dotmesh.NotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := plan.Undoable(test.ops, test.n)
			if dotmesh.KindOf(err) != test.kind || err == nil && got.N != test.want {
				t.Errorf("got operation %d, %v; want %d, %q", got.N, err, test.want, test.kind)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	l, tip := line(), commit()
	b := &dotmesh.Branch{Pointer: dotmesh.Pointer{Line: l, Tip: tip, Seq: 5}}
	registered := []dotmesh.Commit{{ID: commit(), Line: l, Seq: 3}, {ID: tip, Line: l, Seq: 5}}
	for _, test := range []struct {
		name string
		c    dotmesh.Commit
		want plan.Fate
	}{
		{"a registered commit stays", registered[0], plan.Leave},
		{"the one after the tip is completed", dotmesh.Commit{ID: commit(), Line: l, Seq: 6, Parent: tip}, plan.Complete},
		{"one whose place is taken is removed", dotmesh.Commit{ID: commit(), Line: l, Seq: 3}, plan.Remove},
		{"one in a gap stays", dotmesh.Commit{ID: commit(), Line: l, Seq: 4}, plan.Leave},
		{"the loser of the tip's place is removed", dotmesh.Commit{ID: commit(), Line: l, Seq: 5}, plan.Remove},
		{"one older than the registry keeps stays", dotmesh.Commit{ID: commit(), Line: l, Seq: 2}, plan.Leave},
		{"one that follows nothing known stays", dotmesh.Commit{ID: commit(), Line: l, Seq: 7, Parent: commit()}, plan.Leave},
		{"one of another line stays", dotmesh.Commit{ID: commit(), Line: line(), Seq: 6, Parent: tip}, plan.Leave},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := plan.Judge(&test.c, b, registered); got != test.want {
				t.Errorf("fate is %d, want %d", got, test.want)
			}
		})
	}
}

func TestNext(t *testing.T) {
	for _, test := range []struct {
		fates []plan.Fate
		want  int
	}{
		{[]plan.Fate{plan.Complete, plan.Remove, plan.Complete, plan.Leave}, 2},
		{[]plan.Fate{plan.Remove, plan.Leave}, 0},
		{[]plan.Fate{plan.Complete}, 0},
	} {
		if got := plan.Next(test.fates); got != test.want {
			t.Errorf("of %v number %d comes first, want %d", test.fates, got, test.want)
		}
	}
}

func TestChain(t *testing.T) {
	l := line()
	commits := make([]dotmesh.Commit, 5)
	b := branchOn(l, commits)
	phantom := dotmesh.Commit{ID: commit(), Line: l, Seq: 4, Parent: commits[2].ID}
	seqs := func(chain []dotmesh.Commit) (all []uint64) {
		for _, c := range chain {
			all = append(all, c.Seq)
		}
		return all
	}
	for _, test := range []struct {
		name    string
		commits []dotmesh.Commit
		tip     dotmesh.CommitID
		want    []uint64
	}{
		{"goes from parent to parent", commits, b.Pointer.Tip, []uint64{5, 4, 3, 2, 1}},
		{"begins at the tip", commits, commits[2].ID, []uint64{3, 2, 1}},
		{"goes around what was never registered", append([]dotmesh.Commit{phantom}, commits...), b.Pointer.Tip, []uint64{5, 4, 3, 2, 1}},
		{"goes on below a deleted commit", append(slices.Clone(commits[:2]), commits[3:]...), b.Pointer.Tip, []uint64{5, 4, 2, 1}},
		{"is empty for a tip of another line", commits, commit(), nil},
		{"is empty without commits", nil, b.Pointer.Tip, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := plan.Chain(test.commits, test.tip)
			if !slices.Equal(seqs(got), test.want) {
				t.Errorf("got %v, want %v", seqs(got), test.want)
			}
			for _, c := range got {
				if c.ID == phantom.ID {
					t.Error("it holds a snapshot that was never registered")
				}
			}
		})
	}
}

func TestDue(t *testing.T) {
	for _, test := range []struct {
		name string
		t    dotmesh.Tombstone
		want bool
	}{
		{"not before retention ends", dotmesh.Tombstone{Keep: now.Add(1)}, false},
		{"when retention has ended", dotmesh.Tombstone{Keep: now}, true},
		{"what was sealed, whatever the clock says", dotmesh.Tombstone{Keep: now.Add(1), Sealed: true}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := plan.Due(&test.t, now); got != test.want {
				t.Errorf("due is %v, want %v", got, test.want)
			}
		})
	}
}

func TestCollect(t *testing.T) {
	parent, child, outside := line(), line(), line()
	at := commit()
	lines := map[dotmesh.LineID]*dotmesh.Line{
		parent: {ID: parent, Children: []dotmesh.Child{{Line: child, Commit: at}}},
		child:  {ID: child, Origin: dotmesh.Origin{Line: parent, Commit: at}},
	}
	find := func(id dotmesh.LineID) *dotmesh.Line { return lines[id] }
	of := func(ids ...dotmesh.LineID) (covers []dotmesh.Cover) {
		for _, id := range ids {
			covers = append(covers, dotmesh.Cover{Line: id})
		}
		return covers
	}
	for _, test := range []struct {
		name   string
		kind   dotmesh.TombstoneKind
		covers []dotmesh.Cover
		want   plan.Collectable
	}{
		{"children go before the line they came from", dotmesh.BuriedDot, of(parent, child), plan.Collectable{Lines: of(child, parent)}},
		{"an origin of something that stays only shrinks", dotmesh.BuriedBranch, of(parent), plan.Collectable{Shrink: of(parent)}},
		{"a line goes though another one must stay for now", dotmesh.BuriedDot, of(outside, child), plan.Collectable{Lines: of(child)}},
		{"what is gone already is no work", dotmesh.BuriedBranch, of(outside), plan.Collectable{}},
		{"a commit goes alone", dotmesh.BuriedCommit, of(parent), plan.Collectable{Commits: of(parent)}},
		{"a commit of a line that is gone is no work", dotmesh.BuriedCommit, of(outside), plan.Collectable{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := plan.Collect(&dotmesh.Tombstone{Kind: test.kind, Covers: test.covers}, find)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if got.Empty() != reflect.DeepEqual(got, plan.Collectable{}) {
				t.Errorf("empty is %v", got.Empty())
			}
		})
	}
}

func TestDroppable(t *testing.T) {
	a, b, c := commit(), commit(), commit()
	l := &dotmesh.Line{Children: []dotmesh.Child{{Line: line(), Commit: b}}}
	if got := plan.Droppable(l, []dotmesh.CommitID{a, b, c}); !slices.Equal(got, []dotmesh.CommitID{c}) {
		t.Errorf("got %v, want only what is newer than the last child's origin", got)
	}
	if got := plan.Droppable(&dotmesh.Line{}, []dotmesh.CommitID{a, b}); len(got) != 0 {
		t.Errorf("got %v: a line without children is nobody's origin and is not shrunk", got)
	}
}

func TestExact(t *testing.T) {
	l := line()
	c := dotmesh.Commit{ID: commit(), Line: l}
	c.Chain = dotmesh.Chain{}.After(&c)
	cover := dotmesh.Cover{Line: l, Commit: c.ID, Chain: c.Chain}
	earlier := dotmesh.Commit{ID: commit(), Line: l, Seq: 4}
	registered := []dotmesh.Commit{earlier, c}
	for _, test := range []struct {
		name string
		held plan.Held
		want bool
	}{
		{"what the tombstone names", plan.Held{Newest: &c, Head: true}, true},
		{"dirty data", plan.Held{Newest: &c, Head: true, Dirty: 1}, false},
		{"another commit", plan.Held{Newest: &dotmesh.Commit{ID: commit(), Line: l, Seq: 9}}, false},
		{"the same id with another history", plan.Held{Newest: &dotmesh.Commit{ID: c.ID, Line: l}}, false},
		{"a fork without a commit", plan.Held{Head: true}, true},
		{"a head on an older commit", plan.Held{Newest: &earlier, Head: true}, false},
		{"a line that was shrunk to an older commit", plan.Held{Newest: &earlier}, true},
		{"one shrunk to a commit older than the registry keeps", plan.Held{Newest: &dotmesh.Commit{ID: commit(), Line: l, Seq: 2}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := plan.Exact(test.held, registered, cover); got != test.want {
				t.Errorf("exact is %v, want %v", got, test.want)
			}
		})
	}
}

// branchOn returns a branch whose tip is the last of commits, which it numbers and chains.
func branchOn(l dotmesh.LineID, commits []dotmesh.Commit) *dotmesh.Branch {
	var chain dotmesh.Chain
	b := &dotmesh.Branch{ID: dotmesh.BranchID{UUID: dotmesh.NewUUID()}, Name: "master"}
	for i := range commits {
		c := &commits[i]
		c.ID, c.Line, c.Seq, c.Kind, c.Parent = commit(), l, uint64(i+1), dotmesh.UserCommit, b.Pointer.Tip
		chain = chain.After(c)
		c.Chain = chain
		b.Pointer = dotmesh.Pointer{Line: l, Tip: c.ID, Seq: c.Seq, Chain: chain, Head: c.ID, Count: c.Seq, Epoch: 3}
	}
	return b
}

func TestRebuild(t *testing.T) {
	l := line()
	commits := make([]dotmesh.Commit, 4)
	b := branchOn(l, commits)
	known := plan.Remains{
		Branches: []*dotmesh.Branch{b}, Lines: []*dotmesh.Line{{ID: l, Owner: b.ID}},
		Pool: map[dotmesh.LineID][]dotmesh.Commit{l: commits},
	}
	t.Run("a branch comes back with its commits and a higher epoch", func(t *testing.T) {
		out := plan.Rebuild(known)
		got, ids := pointerOf(t, out)
		want := b.Pointer
		want.Epoch++
		want.State.Phase = dotmesh.Held
		if got != want || len(ids) != 4 || len(out.Missing)+len(out.Unknown) != 0 {
			t.Errorf("got %+v with %d commits, %+v; want %+v with 4", got, len(ids), out, want)
		}
	})
	t.Run("what was never seen registered is not made up", func(t *testing.T) {
		early := *b
		early.Pointer.Tip, early.Pointer.Seq, early.Pointer.Chain = commits[2].ID, 3, commits[2].Chain
		r := known
		r.Branches = []*dotmesh.Branch{&early}
		if _, ids := pointerOf(t, plan.Rebuild(r)); len(ids) != 3 {
			t.Errorf("%d commits are back, want the 3 up to the tip", len(ids))
		}
	})
	t.Run("a snapshot beside the history is not made part of it", func(t *testing.T) {
		r := known
		beside := dotmesh.Commit{ID: commit(), Line: l, Seq: 2, Parent: commits[0].ID}
		r.Pool = map[dotmesh.LineID][]dotmesh.Commit{l: append([]dotmesh.Commit{beside}, commits...)}
		if _, ids := pointerOf(t, plan.Rebuild(r)); len(ids) != 4 || slices.Contains(ids, beside.ID) {
			t.Errorf("%d commits are back, want the 4 of the history", len(ids))
		}
	})
	t.Run("a branch whose tip is lost goes back to the newest commit that is there", func(t *testing.T) {
		r := known
		r.Pool = map[dotmesh.LineID][]dotmesh.Commit{l: commits[:2]}
		out := plan.Rebuild(r)
		got, ids := pointerOf(t, out)
		if got.Tip != commits[1].ID || got.Seq != 2 || got.Chain != commits[1].Chain || len(ids) != 2 || len(out.Missing) != 1 {
			t.Errorf("got %+v with %d commits, missing %v", got, len(ids), out.Missing)
		}
	})
	t.Run("the log of what was done comes back with the dots that do", func(t *testing.T) {
		r := known
		there, deleted, gone := dotmesh.NewUUID(), dotmesh.NewUUID(), dotmesh.NewUUID()
		r.Dots = []*dotmesh.Dot{{ID: dotmesh.DotID{UUID: there}}}
		r.Tombstones = []*dotmesh.Tombstone{{ID: deleted, Kind: dotmesh.BuriedDot, Dot: dotmesh.Dot{ID: dotmesh.DotID{UUID: deleted}}}}
		for i, id := range []dotmesh.UUID{there, deleted, gone} {
			r.Ops = append(r.Ops, dotmesh.Op{Dot: dotmesh.DotID{UUID: id}, N: uint64(i + 7)})
		}
		if out := plan.Rebuild(r); !slices.Equal(out.Ops, r.Ops[:2]) {
			t.Errorf("got %+v, want %+v", out.Ops, r.Ops[:2])
		}
	})
	t.Run("a line that belongs to nothing is told and left alone", func(t *testing.T) {
		r := known
		stray := line()
		r.Pool = map[dotmesh.LineID][]dotmesh.Commit{l: commits, stray: nil}
		if out := plan.Rebuild(r); !slices.Equal(out.Unknown, []dotmesh.LineID{stray}) {
			t.Errorf("unknown lines are %v, want %v", out.Unknown, stray)
		}
	})
}

func pointerOf(t *testing.T, out plan.Rebuilt) (p dotmesh.Pointer, commits []dotmesh.CommitID) {
	t.Helper()
	for _, r := range out.Records {
		switch r := r.(type) {
		case *dotmesh.Branch:
			p = r.Pointer
		case *dotmesh.Commit:
			commits = append(commits, r.ID)
		}
	}
	return p, commits
}
