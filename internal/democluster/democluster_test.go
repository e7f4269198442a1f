package democluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/democluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// clock is a clock that stands still unless a test moves it.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// filled returns a cluster with the hand-made dots, at noon.
func filled() *democluster.Cluster {
	return democluster.New(democluster.Options{Seed: 7, Now: (&clock{noon}).Now})
}

// empty returns a cluster without dots, at noon.
func empty() *democluster.Cluster {
	return democluster.New(democluster.Options{Dots: -1, Seed: 7, Now: (&clock{noon}).Now})
}

var shop = dotmesh.DotName{Namespace: "admin", Name: "shop"}

func name(t testing.TB, s string) dotmesh.DotName {
	t.Helper()
	return must(dotmesh.ParseDotName(s))(t)
}

// must returns a function that returns v, and fails the test if there is an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatalf("unexpected error: %v", err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// wantError fails the test unless err is of that kind and says that.
func wantError(t testing.TB, err error, kind dotmesh.Kind, text string) {
	t.Helper()
	if dotmesh.KindOf(err) != kind || !strings.Contains(dotmesh.Text(err), text) {
		t.Fatalf("got %q (%s), want %q (%s)", dotmesh.Text(err), dotmesh.KindOf(err), text, kind)
	}
}

// eventually lets time pass, second by second, until so is true.
func eventually(t testing.TB, c *democluster.Cluster, what string, so func() bool) {
	t.Helper()
	for range 3600 {
		if so() {
			return
		}
		c.Step(time.Second)
	}
	t.Fatalf("after an hour it is still not so that %s", what)
}

func status(t testing.TB, s dotmesh.Service, dot, branch string) dotmesh.BranchStatus {
	t.Helper()
	return must(s.Status(t.Context(), dotmesh.StatusRequest{Dot: name(t, dot), Branch: dotmesh.Name(branch)}))(t)
}

func nodeStatus(t testing.TB, s dotmesh.Service, name dotmesh.Name) dotmesh.NodeStatus {
	t.Helper()
	for _, n := range must(s.Nodes(t.Context()))(t) {
		if n.Name == name {
			return n
		}
	}
	t.Fatalf("there is no %s", name)
	return dotmesh.NodeStatus{}
}

func transferOf(t testing.TB, s dotmesh.Service, id dotmesh.UUID) dotmesh.Transfer {
	t.Helper()
	for _, tr := range must(s.Transfers(t.Context()))(t) {
		if tr.ID == id {
			return tr
		}
	}
	t.Fatalf("transfer %s is not listed", id)
	return dotmesh.Transfer{}
}

// user is the administrator of a cluster with a test's manners: what fails, fails the test.
type user struct {
	t *testing.T
	*democluster.Cluster
}

func (u *user) ctx() context.Context { return u.t.Context() }

func (u *user) init() dotmesh.DotStatus {
	u.t.Helper()
	return must(u.CreateDot(u.ctx(), dotmesh.CreateDot{Dot: shop}))(u.t)
}

func (u *user) write(branch dotmesh.Name, file, text string) {
	u.t.Helper()
	ok(u.t, u.Write(shop, branch, "__default__/"+file, text))
}

func (u *user) commit(message string) dotmesh.Commit {
	u.t.Helper()
	return must(u.Commit(u.ctx(), dotmesh.CommitRequest{Dot: shop, Message: message}))(u.t)
}

func (u *user) reset(ref string) dotmesh.Changed {
	u.t.Helper()
	return must(u.Reset(u.ctx(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: shop, Ref: ref}}))(u.t)
}

func (u *user) branch(name dotmesh.Name, from dotmesh.CommitRef) dotmesh.BranchStatus {
	u.t.Helper()
	from.Dot = shop
	return must(u.CreateBranch(u.ctx(), dotmesh.CreateBranch{From: from, Name: name}))(u.t)
}

func (u *user) mount(volume, holder string, create bool) (dotmesh.Mounted, error) {
	u.t.Helper()
	v := must(dotmesh.ParseVolume(volume))(u.t)
	return u.Mount(u.ctx(), dotmesh.MountRequest{Volume: v, Holder: holder, Create: create})
}
