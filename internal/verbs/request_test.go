package verbs_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/verbs"
)

// routed is a backend whose verbs are asked for by another node.
type routed struct {
	verbs.Calls
	*backend
	t *testing.T
}

func newRouted(t *testing.T) (routed, dotmesh.Branch) {
	t.Helper()
	b, branch := born(t)
	for _, id := range []string{"aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"} {
		b.put("nodes/"+id, fmt.Appendf(nil, `{"id":%q,"name":%q,"pool":"","version":"","v":1}`, id, id[:1]))
	}
	return routed{t: t, backend: b, Calls: func(ctx context.Context, name string, verb verbs.Verb) (dotmesh.Cursor, error) {
		return verbs.Do(ctx, b, name, verb)
	}}, branch
}

// asked makes a request on lease 7 and returns the reply that ends it.
func (r routed) asked() *dotmesh.Reply {
	r.t.Helper()
	q := dotmesh.Request{ID: dotmesh.NewUUID(), Node: "aaaaaaaaaaaaaaaa", From: "bbbbbbbbbbbbbbbb", Call: "do", Life: time.Minute}
	r.must(r.Calls(r.t.Context(), "Ask", verbs.Ask(q, 7)))
	return &dotmesh.Reply{Node: q.Node, ID: q.ID}
}

func (r routed) must(_ dotmesh.Cursor, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r routed) has(key string) bool { return r.items[key].Mod != 0 }

func TestWorkWhoseAnswerWasLostHasEndedItsRequest(t *testing.T) {
	for name, lose := range map[string][]func(func()){
		"it was done":              {done},
		"it was not, and is now":   {dropped},
		"it was not, twice":        {dropped, dropped, done},
		"nothing of it was unsure": nil,
	} {
		t.Run(name, func(t *testing.T) {
			r, branch := newRouted(t)
			reg := registration(branch)
			reg.Reply = r.asked()
			r.lose = lose
			r.must(r.Register(t.Context(), reg))
			if r.has("requests/aaaaaaaaaaaaaaaa/"+reg.Reply.ID.String()) || !r.has("responses/"+reg.Reply.ID.String()) {
				t.Error("the request is there, or its response is not")
			}
		})
	}
	t.Run("it was taken back meanwhile", func(t *testing.T) {
		r, branch := newRouted(t)
		reg := registration(branch)
		reg.Reply = r.asked()
		r.lose = []func(func()){func(func()) {
			lose := r.lose
			r.lose = nil
			if _, err := r.Answer(t.Context(), reg.Reply.Node, dotmesh.Response{ID: reg.Reply.ID, Kind: dotmesh.Canceled}); err != nil {
				t.Error(err)
			}
			r.lose = lose
		}}
		if _, err := r.Register(t.Context(), reg); dotmesh.KindOf(err) != dotmesh.Unknown {
			t.Errorf("err = %v, want one of kind %q", err, dotmesh.Unknown)
		}
		if r.has("commits/" + reg.Commit.Line.String() + "/00000000000000000001") {
			t.Error("the commit is registered")
		}
	})
}

// TestTransactionsAreSmall does the largest verbs as they are asked for by another node.
// Only a creation with many commits, and the deletion of a commit that many branches count,
// may be larger.
func TestTransactionsAreSmall(t *testing.T) {
	r, b := newRouted(t)
	ctx := t.Context()
	line := dotmesh.Line{
		ID: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Dot: b.Dot, Owner: b.ID,
		Origin: dotmesh.Origin{Line: b.Pointer.Line, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}, OriginSeq: 1,
	}
	reg := registration(b)
	reg.Commit.ID = line.Origin.Commit
	reg.Commit.Chain = b.Pointer.Chain.After(&reg.Commit)
	reg.Reply = r.asked()
	r.must(r.Register(ctx, reg))
	b.Pointer.Tip, b.Pointer.Head, b.Pointer.Chain = reg.Commit.ID, reg.Commit.ID, reg.Commit.Chain
	b.Pointer.Seq, b.Pointer.Count = 1, 1

	fork := dotmesh.Branch{ID: dotmesh.BranchID{UUID: dotmesh.NewUUID()}, Dot: b.Dot, Name: "wip", Pointer: b.Pointer}
	own := line
	own.ID, own.Owner = dotmesh.LineID{UUID: dotmesh.NewUUID()}, fork.ID
	fork.Pointer.Line, fork.Pointer.Seq = own.ID, 0
	r.must(r.Create(ctx, dotmesh.Creation{
		Branch: fork, Line: own, Op: dotmesh.Op{Verb: dotmesh.VerbBranch}, Reply: r.asked(),
		Holder: &dotmesh.Position{Node: "aaaaaaaaaaaaaaaa", Line: own.ID},
	}))

	next, keep := b.Pointer, b.Pointer
	next.Line, next.Seq = line.ID, 0
	next.Epoch++
	r.must(r.Swing(ctx, dotmesh.Swinging{
		Branch: b.ID, Expect: b.Pointer, Next: next, Line: line, Op: dotmesh.Op{Verb: dotmesh.VerbReset}, Reply: r.asked(),
		Stash: &dotmesh.Branch{
			ID: dotmesh.BranchID{UUID: dotmesh.NewUUID()}, Dot: b.Dot, Name: "stash", Pointer: keep, Stash: &dotmesh.Stash{Of: b.ID},
		},
	}))
	if r.most > 12 || r.most < 8 {
		t.Errorf("the largest transaction writes %d keys, want the eight of the swing and no more than 12", r.most)
	}
}
