package democluster_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/democluster"
	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
)

// since returns the events after a cursor that there are by now, the last of which the
// service may know of.
func since(t *testing.T, c *democluster.Cluster, s dotmesh.Service, cursor string) (all []dotmesh.Event) {
	t.Helper()
	last := eventCount(t, c)
	if number(cursor) == last {
		return nil
	}
	for e, err := range s.Events(t.Context(), cursor) {
		ok(t, err)
		if all = append(all, e); number(e.Cursor) == last {
			break
		}
	}
	return all
}

// eventCount returns how many events there ever were.
func eventCount(t *testing.T, c *democluster.Cluster) int {
	t.Helper()
	next, err := strconv.Atoi(must(c.State(t.Context(), "registry.cursor"))(t)["registry.cursor"])
	ok(t, err)
	return next - 1
}

// number returns the number that a cursor ends in.
func number(cursor string) int {
	_, text, _ := strings.Cut(cursor, "-")
	n, _ := strconv.Atoi(text)
	return n
}

// start returns a cursor that names now.
func start(t *testing.T, c *democluster.Cluster) string {
	t.Helper()
	for e, err := range c.Events(t.Context(), "00000000-7") {
		ok(t, err)
		if e.Kind != dotmesh.EventGap {
			t.Fatalf("a strange cursor is answered with %+v, want a gap", e)
		}
		return e.Cursor
	}
	return ""
}

func kinds(all []dotmesh.Event) map[dotmesh.EventKind]int {
	n := map[dotmesh.EventKind]int{}
	for _, e := range all {
		n[e.Kind]++
	}
	return n
}

func TestEveryChangeMakesItsEvents(t *testing.T) {
	branch := dotmesh.BranchRequest{Dot: shop, Branch: "test"}
	for _, test := range []struct {
		name string
		do   func(t *testing.T, u *user)
		want []dotmesh.EventKind
	}{
		{"a dot is made", func(t *testing.T, u *user) { must(u.CreateDot(u.ctx(), dotmesh.CreateDot{Dot: name(t, "other")}))(t) }, []dotmesh.EventKind{"dot", "branch", "commit"}},
		{"a dot is changed", func(t *testing.T, u *user) {
			must(u.SetDot(u.ctx(), dotmesh.SetDot{Dot: shop, AddCollaborator: "ann"}))(t)
		}, []dotmesh.EventKind{"dot"}},
		{"a dot is deleted", func(t *testing.T, u *user) { ok(t, u.DeleteDot(u.ctx(), dotmesh.DeleteDot{Dot: shop})) }, []dotmesh.EventKind{"dot"}},
		{"a commit is made", func(_ *testing.T, u *user) { u.commit("x") }, []dotmesh.EventKind{"commit", "branch", "stats"}},
		{"a commit is deleted", func(t *testing.T, u *user) {
			ok(t, u.DeleteCommit(u.ctx(), dotmesh.CommitRef{Dot: shop, Ref: "HEAD~2"}))
		}, []dotmesh.EventKind{"commit", "branch"}},
		{"a branch is made", func(_ *testing.T, u *user) { u.branch("more", dotmesh.CommitRef{}) }, []dotmesh.EventKind{"branch", "stats"}},
		{"a branch is deleted", func(t *testing.T, u *user) { ok(t, u.DeleteBranch(u.ctx(), branch)) }, []dotmesh.EventKind{"branch"}},
		{"a branch is checked out", func(t *testing.T, u *user) { must(u.Checkout(u.ctx(), branch))(t) }, []dotmesh.EventKind{"dot", "branch"}},
		{"a branch is reset", func(_ *testing.T, u *user) { u.reset("HEAD^") }, []dotmesh.EventKind{"branch", "stats"}},
		{"something is written", func(_ *testing.T, u *user) { u.write("", "a", "more") }, []dotmesh.EventKind{"stats"}},
		{"a volume is mounted", func(t *testing.T, u *user) { must(u.mount("shop", "web", false))(t) }, []dotmesh.EventKind{"branch"}},
		{"a branch moves", func(t *testing.T, u *user) {
			must(u.Move(u.ctx(), dotmesh.MoveRequest{Dot: shop, Node: "node-2"}))(t)
			u.Step(10 * time.Second)
		}, []dotmesh.EventKind{"transfer", "branch", "node", "log"}},
		{"a node falls silent", func(t *testing.T, u *user) { ok(t, u.Silence("node-3", true)) }, []dotmesh.EventKind{"node", "log"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := &user{t, empty()}
			u.init()
			for _, m := range []string{"first", "second", "third", "fourth"} {
				u.commit(m)
			}
			u.branch("test", dotmesh.CommitRef{})
			u.commit("fifth")
			u.Step(time.Second)
			at := start(t, u.Cluster)
			test.do(t, u)
			got := kinds(since(t, u.Cluster, u.Cluster, at))
			for _, kind := range test.want {
				if got[kind] == 0 {
					t.Errorf("no event of kind %q; there are %v", kind, got)
				}
			}
		})
	}
}

func TestEventsGoOnAfterACursor(t *testing.T) {
	u := &user{t, empty()}
	at := start(t, u.Cluster)
	u.init()
	all := since(t, u.Cluster, u.Cluster, at)
	for i, e := range all {
		rest := since(t, u.Cluster, u.Cluster, e.Cursor)
		if len(rest) != len(all)-i-1 {
			t.Errorf("after event %d there are %d more, want %d", i, len(rest), len(all)-i-1)
		}
		if e.Time != noon {
			t.Errorf("event %+v is not of noon", e)
		}
	}
	for _, err := range u.Events(t.Context(), "no cursor") {
		wantError(t, err, dotmesh.Invalid, `invalid cursor "no cursor"`)
	}
}

func TestEventsThatAreTooOldAreAGap(t *testing.T) {
	u := &user{t, empty()}
	u.init()
	at := start(t, u.Cluster)
	n := 0
	for n < 10_000 {
		u.write("", "a", fmt.Sprint(n))
		n++
	}
	if got := kinds(since(t, u.Cluster, u.Cluster, at)); got[dotmesh.EventGap] != 0 {
		t.Errorf("after %d events there is a gap: %v", n, got)
	}
	u.write("", "a", "one more")
	if got := kinds(since(t, u.Cluster, u.Cluster, at)); got[dotmesh.EventGap] != 1 || len(got) != 1 {
		t.Errorf("after more than can be kept there is %v, want a gap", got)
	}
}

func TestEventsAreHeardLiveAndEndWithABrokenServer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		u := &user{t, empty()}
		u.init()
		heard, ended := make(chan dotmesh.Event, 10), make(chan error, 1)
		go func() {
			for e, err := range u.Events(t.Context(), "") {
				if err != nil {
					ended <- err
					return
				}
				heard <- e
			}
		}()
		synctest.Wait()
		m := u.commit("seen")
		if e := <-heard; e.Kind != dotmesh.EventCommit || e.Commit.ID != m.ID {
			t.Errorf("heard %+v", e)
		}
		u.Break(errors.New("gone"))
		wantError(t, <-ended, dotmesh.Unreachable, "gone")
	})
}

func TestEventsOfOthersAreNotTold(t *testing.T) {
	u := &user{t, empty()}
	at := start(t, u.Cluster)
	u.init()
	must(u.CreateDot(t.Context(), dotmesh.CreateDot{Dot: name(t, "ann/own")}))(t)
	ann := u.As(must(u.Authenticate(t.Context(), "ann", democluster.DemoKey))(t))
	all := since(t, u.Cluster, ann, at)
	for _, e := range all {
		if e.Dot != nil && e.Dot.Name != name(t, "ann/own") {
			t.Errorf("ann hears of %+v", e.Dot)
		}
	}
	if got := kinds(all); got[dotmesh.EventDot] != 1 || got[dotmesh.EventCommit] != 1 {
		t.Errorf("ann hears %v", got)
	}
}
