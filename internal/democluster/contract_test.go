package democluster_test

import (
	"context"
	"io/fs"
	"maps"
	"path"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/democluster"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
)

func TestService(t *testing.T) {
	dotmeshtest.RunServiceTests(t, func(*testing.T) dotmeshtest.Cluster {
		c := empty()
		v := &volumes{memory: c, mounted: map[string]place{}}
		return dotmeshtest.Cluster{Gate: c, Admin: v, Files: v}
	})
}

// volumes is a cluster whose paths lead somewhere: it remembers what they were for.
type volumes struct {
	*memory // not by its own name, which is a method of dotmesh.Service
	mounted map[string]place
}

type memory = democluster.Cluster

// place is what a path leads to.
type place struct {
	volume dotmesh.Volume
	commit dotmesh.CommitID // zero: the data as they are now
}

func (v *volumes) Mount(ctx context.Context, r dotmesh.MountRequest) (dotmesh.Mounted, error) {
	at, err := v.memory.Mount(ctx, r)
	if err == nil {
		v.mounted[at.Path] = place{volume: r.Volume}
	}
	return at, err
}

func (v *volumes) MountCommit(ctx context.Context, r dotmesh.CommitRef) (dotmesh.Mounted, error) {
	at, err := v.memory.MountCommit(ctx, r)
	if err == nil {
		v.mounted[at.Path] = place{dotmesh.Volume{Dot: r.Dot, Subdot: dotmesh.RootSubdot}, at.Commit}
	}
	return at, err
}

func (v *volumes) Unmount(ctx context.Context, r dotmesh.MountRequest) error {
	maps.DeleteFunc(v.mounted, func(_ string, p place) bool { return !r.Commit.IsZero() && p.commit == r.Commit })
	return v.memory.Unmount(ctx, r)
}

// find returns what a path leads to, and the path from the top of the branch.
func (v *volumes) find(name string) (place, string, error) {
	for mounted, p := range v.mounted {
		below, ok := strings.CutPrefix(name, mounted+"/")
		if ok && (!p.commit.IsZero() || v.Attached(p.volume)) {
			if p.volume.Subdot != dotmesh.RootSubdot {
				below = path.Join(string(p.volume.Subdot), below)
			}
			return p, below, nil
		}
	}
	return place{}, "", fs.ErrNotExist
}

// Write implements dotmeshtest.Files.
func (v *volumes) Write(name, content string) error {
	p, below, err := v.find(name)
	if err != nil {
		return err
	}
	return v.memory.Write(p.volume.Dot, p.volume.Branch, below, content)
}

// Read implements dotmeshtest.Files.
func (v *volumes) Read(name string) (string, error) {
	p, below, err := v.find(name)
	if err != nil {
		return "", err
	}
	if p.commit.IsZero() {
		return v.memory.Read(p.volume.Dot, p.volume.Branch, below)
	}
	part, err := v.ReadFile(context.Background(), dotmesh.FileRequest{
		CommitRef: dotmesh.CommitRef{Dot: p.volume.Dot, Ref: p.commit.String()}, Path: below,
	})
	return string(part.Data), err
}

// Remove implements dotmeshtest.Files.
func (v *volumes) Remove(name string) error {
	p, below, err := v.find(name)
	if err != nil {
		return err
	}
	return v.memory.Remove(p.volume.Dot, p.volume.Branch, below)
}

func TestWhatIsWrittenIsDirtyUntilItIsCommittedOrDropped(t *testing.T) {
	u := &user{t, empty()}
	u.init()
	dirty := func() int64 { return status(t, u.Cluster, "shop", "").Dirty.Bytes }
	u.write("", "a", "dirty")
	if n := dirty(); n != 5 {
		t.Errorf("%d bytes are dirty, want 5", n)
	}
	u.commit("first")
	if n := dirty(); n != 0 {
		t.Errorf("after a commit %d bytes are dirty", n)
	}
	u.write("", "a", "more")
	u.reset("HEAD")
	if n := dirty(); n != 0 {
		t.Errorf("after a reset %d bytes are dirty", n)
	}
}

func TestAForkIsACopyAndGoesItsOwnWay(t *testing.T) {
	u := &user{t, empty()}
	u.init()
	u.write("", "a", "one")
	first := u.commit("first")
	u.commit("second")
	mine := name(t, "mine")
	r := dotmesh.ForkDot{From: dotmesh.CommitRef{Dot: shop, Ref: "HEAD^", Request: dotmesh.NewUUID()}, Dot: mine}
	made := must(u.ForkDot(t.Context(), r))(t)
	if again := must(u.ForkDot(t.Context(), r))(t); again.ID != made.ID {
		t.Fatalf("the same request made %s and %s", made.ID, again.ID)
	}
	if o := made.Origin; o.Name != shop || o.Commit != first.ID || made.Branch.Origin != nil || made.Branch.Pointer.Count != 2 {
		t.Fatalf("fork is %+v: want first of shop as its origin, and two commits", made)
	}
	_, err := u.ForkDot(t.Context(), dotmesh.ForkDot{From: dotmesh.CommitRef{Dot: shop}, Dot: mine})
	wantError(t, err, dotmesh.Exists, "mine exists already")
	ok(t, u.DeleteCommit(t.Context(), dotmesh.CommitRef{Dot: shop, Ref: "HEAD^"}))
	ok(t, u.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}))
	page := must(u.Log(t.Context(), dotmesh.LogRequest{Dot: mine}))(t)
	if len(page.Commits) != 2 || page.Commits[0].Message != "first" || page.Commits[0].ID == first.ID {
		t.Fatalf("log of the fork is %+v: want copies of two commits", page.Commits)
	}
	part := must(u.ReadFile(t.Context(), dotmesh.FileRequest{CommitRef: dotmesh.CommitRef{Dot: mine}, Path: "__default__/a"}))(t)
	if string(part.Data) != "one" {
		t.Errorf("the file in the fork is %q, want one", part.Data)
	}
	must(u.Undo(t.Context(), dotmesh.UndoRequest{Dot: mine}))(t)
	_, err = u.Dot(t.Context(), mine)
	wantError(t, err, dotmesh.NotFound, `no dot called "mine"`)
}

func TestAForkBelongsToWhoMadeIt(t *testing.T) {
	u := &user{t, empty()}
	u.init()
	alice, key, err := u.CreateUser(t.Context(), dotmesh.CreateUser{Name: "alice"})
	ok(t, err)
	a := u.As(must(u.Authenticate(t.Context(), "alice", key))(t))
	copied := dotmesh.ForkDot{From: dotmesh.CommitRef{Dot: shop}, Dot: name(t, "alice/copy")}
	_, err = a.ForkDot(t.Context(), copied)
	wantError(t, err, dotmesh.NotFound, "no dot called")
	must(u.SetDot(t.Context(), dotmesh.SetDot{Dot: shop, AddCollaborator: "alice"}))(t)
	if d := must(a.ForkDot(t.Context(), copied))(t); d.Owner != alice.ID {
		t.Errorf("alice's fork belongs to %s", d.Owner)
	}
}

func TestOnlyTheAdministratorMayLookAfterTheCluster(t *testing.T) {
	c := empty()
	_, key, err := c.CreateUser(t.Context(), dotmesh.CreateUser{Name: "alice"})
	ok(t, err)
	a := c.As(must(c.Authenticate(t.Context(), "alice", key))(t))
	_, err = c.Authenticate(t.Context(), "alice", "wrong")
	wantError(t, err, dotmesh.Unauthenticated, "Permission denied")
	for what, call := range adminCalls {
		wantError(t, call(t.Context(), a), dotmesh.Denied, "only the administrator may do this")
		wantError(t, call(t.Context(), c.As(dotmesh.Principal{})), dotmesh.Unauthenticated, "log in first")
		if t.Failed() {
			t.Fatal(what)
		}
	}
}

// adminCalls are what only administrators may do.
var adminCalls = map[string]func(context.Context, dotmesh.Service) error{
	"mount": func(ctx context.Context, s dotmesh.Service) error {
		_, err := s.Mount(ctx, dotmesh.MountRequest{})
		return err
	},
	"unmount": func(ctx context.Context, s dotmesh.Service) error { return s.Unmount(ctx, dotmesh.MountRequest{}) },
	"takeover": func(ctx context.Context, s dotmesh.Service) error {
		_, err := s.Takeover(ctx, dotmesh.TakeoverRequest{})
		return err
	},
	"cluster": func(ctx context.Context, s dotmesh.Service) error { _, err := s.Cluster(ctx); return err },
	"drain": func(ctx context.Context, s dotmesh.Service) error {
		_, err := s.Drain(ctx, dotmesh.DrainRequest{})
		return err
	},
	"token": func(ctx context.Context, s dotmesh.Service) error {
		_, _, err := s.CreateToken(ctx, dotmesh.TokenRequest{})
		return err
	},
	"revoke": func(ctx context.Context, s dotmesh.Service) error { return s.RevokeToken(ctx, dotmesh.UUID{}) },
	"user": func(ctx context.Context, s dotmesh.Service) error {
		_, _, err := s.CreateUser(ctx, dotmesh.CreateUser{})
		return err
	},
	"find": func(ctx context.Context, s dotmesh.Service) error {
		_, err := s.FindUser(ctx, dotmesh.UserQuery{})
		return err
	},
	"export":  func(ctx context.Context, s dotmesh.Service) error { _, err := s.Export(ctx); return err },
	"import":  func(ctx context.Context, s dotmesh.Service) error { return s.Import(ctx, nil) },
	"recover": func(ctx context.Context, s dotmesh.Service) error { _, err := s.Recover(ctx); return err },
	"state":   func(ctx context.Context, s dotmesh.Service) error { _, err := s.State(ctx, ""); return err },
}

func TestWhatItSaysOfNodesIsTheCallersToChange(t *testing.T) {
	c := empty()
	must(c.Nodes(t.Context()))(t)[0].Addresses[0] = "elsewhere"
	if got := must(c.Nodes(t.Context()))(t)[0].Addresses[0]; got == "elsewhere" {
		t.Error("a caller changed the address of a node")
	}
}
