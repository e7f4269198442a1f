package verbs_test

import (
	"context"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/verbs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is a map that counts what it is asked and loses answers.
type backend struct {
	items          map[string]verbs.Item
	cursor         dotmesh.Cursor
	loads, commits int
	lose           []func(commit func()) // for the next commits whose answer is lost
	interfere      func()                // before every commit
	unreachable    int                   // loads that fail, once a commit was lost
	most           int                   // writes of the largest transaction
}

func newBackend() *backend { return &backend{items: map[string]verbs.Item{}} }

func (b *backend) put(key string, value []byte) {
	b.cursor++
	b.items[key] = verbs.Item{Value: value, Mod: b.cursor}
}

func (b *backend) Load(ctx context.Context, wants verbs.Wants) (*verbs.View, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.commits > 0 && b.unreachable > 0 {
		b.unreachable--
		return nil, dotmesh.E("", dotmesh.Unreachable, "nobody there")
	}
	b.loads++
	view := &verbs.View{Cursor: b.cursor, Items: map[string]verbs.Item{}, Lists: map[string]map[string]verbs.Item{}, Tails: map[string]string{}}
	for _, key := range wants.Keys {
		view.Items[key] = b.items[key]
	}
	for _, prefix := range wants.Prefixes {
		view.Lists[prefix] = b.below(prefix)
	}
	for _, prefix := range wants.Tails {
		view.Tails[prefix] = ""
		for key := range b.below(prefix) {
			view.Tails[prefix] = max(view.Tails[prefix], key)
		}
	}
	return view, nil
}

func (b *backend) below(prefix string) map[string]verbs.Item {
	items := map[string]verbs.Item{}
	for key, item := range b.items {
		if strings.HasPrefix(key, prefix) {
			items[key] = item
		}
	}
	return items
}

func (b *backend) Commit(_ context.Context, txn verbs.Txn) (dotmesh.Cursor, bool, error) {
	b.commits++
	if b.interfere != nil {
		b.interfere()
	}
	for _, c := range txn.Conditions {
		if !c.Prefix && b.items[c.Key].Mod != c.Mod {
			return 0, false, nil
		}
	}
	apply := func() {
		b.most = max(b.most, len(txn.Writes))
		for _, w := range txn.Writes {
			if b.put(w.Key, w.Value); w.Value == nil {
				delete(b.items, w.Key)
			}
		}
	}
	if len(b.lose) > 0 {
		b.lose[0](apply)
		b.lose = b.lose[1:]
		return 0, false, dotmesh.E("", dotmesh.Unknown, "the answer was lost")
	}
	apply()
	return b.cursor, true, nil
}

func done(commit func()) { commit() }
func dropped(func())     {}

// put is a verb that is refused where another one's value is.
func attach(branch dotmesh.Branch, holder string) verbs.Verb {
	return verbs.Attach(dotmesh.Attachment{Node: "aaaaaaaaaaaaaaaa", Volume: "shop", Branch: branch.ID, Holders: []string{holder}})
}

// born returns a backend with a dot, and its master branch.
func born(t *testing.T) (*backend, dotmesh.Branch) {
	t.Helper()
	b := newBackend()
	id, line := dotmesh.NewUUID(), dotmesh.LineID{UUID: dotmesh.NewUUID()}
	dot, master := dotmesh.DotID{UUID: id}, dotmesh.BranchID{UUID: id}
	branch := dotmesh.Branch{ID: master, Dot: dot, Name: dotmesh.MasterBranch, Pointer: dotmesh.Pointer{
		Line: line, Master: "aaaaaaaaaaaaaaaa", Epoch: 1, State: dotmesh.State{Phase: dotmesh.Held},
	}}
	_, err := verbs.Do(t.Context(), b, "Create", verbs.Create(dotmesh.Creation{
		Dot:    &dotmesh.Dot{ID: dot, Name: dotmesh.DotName{Namespace: "admin", Name: "shop"}, Current: master},
		Branch: branch, Line: dotmesh.Line{ID: line, Dot: dot, Owner: master},
	}))
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	b.loads, b.commits = 0, 0
	return b, branch
}

func registration(b dotmesh.Branch) dotmesh.Registration {
	p := b.Pointer
	c := dotmesh.Commit{ID: dotmesh.CommitID{UUID: dotmesh.NewUUID()}, Line: p.Line, Seq: p.Seq + 1, Parent: p.Tip, Kind: dotmesh.UserCommit}
	c.Chain = p.Chain.After(&c)
	return dotmesh.Registration{Branch: b.ID, Expect: p, Commit: c, Op: dotmesh.Op{Dot: b.Dot, Verb: dotmesh.VerbCommit}}
}

func TestRegisterTakesTwoRoundTrips(t *testing.T) {
	b, branch := born(t)
	if _, err := verbs.Do(t.Context(), b, "Register", verbs.Register(registration(branch))); err != nil {
		t.Fatal(err)
	}
	if b.loads != 1 || b.commits != 1 {
		t.Errorf("%d reads and %d transactions, want one of each", b.loads, b.commits)
	}
}

func TestLostAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		lose        []func(func())
		unreachable int
		rival       bool // registers another commit while the answer is lost
		want        dotmesh.Kind
	}{
		"a commit that was made is found":                  {lose: []func(func()){done}},
		"a commit that was not made is made":               {lose: []func(func()){dropped}},
		"many lost answers are one commit":                 {lose: []func(func()){dropped, dropped, done}},
		"the registry is asked until it is back":           {lose: []func(func()){done}, unreachable: 5},
		"it stays unknown if another commit is there":      {lose: []func(func()){dropped}, rival: true, want: dotmesh.Unknown},
		"a rival alone, with no answer lost, is a refusal": {rival: true, want: dotmesh.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			b, branch := born(t)
			reg := registration(branch)
			b.lose, b.unreachable = c.lose, c.unreachable
			if c.rival {
				b.interfere = func() {
					if b.interfere = nil; len(b.lose) > 0 {
						b.lose = []func(func()){func(func()) { registerRival(t, b, branch) }}
					} else {
						registerRival(t, b, branch)
					}
				}
			}
			_, err := verbs.Do(t.Context(), b, "Register", verbs.Register(reg))
			if dotmesh.KindOf(err) != c.want {
				t.Errorf("err = %v, want kind %q", err, c.want)
			}
			entries := 0
			for key := range b.items {
				if len(key) > 4 && key[:4] == "ops/" {
					entries++
				}
			}
			if entries != 1 {
				t.Errorf("%d entries in the log, want one", entries)
			}
		})
	}
}

func registerRival(t *testing.T, b *backend, branch dotmesh.Branch) {
	t.Helper()
	lose := b.lose
	b.lose = nil
	if _, err := verbs.Do(t.Context(), b, "Register", verbs.Register(registration(branch))); err != nil {
		t.Errorf("the rival: %v", err)
	}
	b.lose = lose
}

func TestDoEndsWhenOthersAlwaysWin(t *testing.T) {
	b, branch := born(t)
	branchKey := "branch/" + branch.ID.String()
	b.interfere = func() { b.put(branchKey, b.items[branchKey].Value) } // as it is, but newer
	_, err := verbs.Do(t.Context(), b, "Attach", attach(branch, "c1"))
	if dotmesh.KindOf(err) != dotmesh.TooMany {
		t.Errorf("err = %v, want one of kind %q", err, dotmesh.TooMany)
	}
}

func TestDoEndsWithItsContext(t *testing.T) {
	b, branch := born(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.lose = []func(func()){func(func()) { cancel() }}
	_, err := verbs.Do(ctx, b, "Attach", attach(branch, "c1"))
	if dotmesh.KindOf(err) != dotmesh.Unknown {
		t.Errorf("err = %v, want one of kind %q: the answer was lost, and nobody looked", err, dotmesh.Unknown)
	}
	if _, err = verbs.Do(ctx, b, "Attach", attach(branch, "c2")); dotmesh.KindOf(err) != dotmesh.Canceled {
		t.Errorf("err = %v, want one of kind %q", err, dotmesh.Canceled)
	}
}
