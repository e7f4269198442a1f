package server_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
	"dotmesh.io/dotmesh/internal/dotmeshtest/bubble"
	"dotmesh.io/dotmesh/server"
)

// user makes a user and returns the service as they see it, and their key.
func (w *world) user(name dotmesh.Name) (dotmesh.Service, dotmesh.Secret) {
	w.Helper()
	u, key, err := w.CreateUser(w.Context(), dotmesh.CreateUser{Name: name, Password: "a password"})
	w.must(err)
	return w.node.As(dotmesh.Principal{User: u.ID, Name: u.Name, Password: true, Origin: "test"}), key
}

func (w *world) share(add, remove dotmesh.Name) (dotmesh.DotStatus, error) {
	return w.SetDot(w.Context(), dotmesh.SetDot{Dot: shop, AddCollaborator: add, RemoveCollaborator: remove})
}

func TestRightsAreThoseOfTheMomentOfTheChange(t *testing.T) {
	shared := func(t *testing.T) (*world, *gate, dotmesh.Service) {
		g := &gate{}
		w := newWorld(t, func(cfg *server.Config) { cfg.Registry = &slowRegistry{cfg.Registry, g} })
		_, err := w.CreateDot(t.Context(), dotmesh.CreateDot{Dot: shop})
		w.must(err)
		bob, _ := w.user("bob")
		_, err = w.share("bob", "")
		w.must(err)
		return w, g, bob
	}
	removal := func(w *world) func() error {
		return func() error { _, err := w.share("", "bob"); return err }
	}
	t.Run("a deletion that waited is undone without the collaborator who went meanwhile", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			w, g, bob := shared(t)
			removed, deleted := w.race(g, removal(w), func() error {
				return w.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop})
			})
			w.must(removed)
			w.must(deleted)
			_, err := w.Undo(t.Context(), dotmesh.UndoRequest{Dot: shop})
			w.must(err)
			_, err = bob.Dot(t.Context(), shop)
			w.wantKind(err, dotmesh.NotFound)
		})
	})
	t.Run("a checkout that waited is refused to a collaborator who went meanwhile", func(t *testing.T) {
		bubble.Test(t, func(t *testing.T) {
			w, g, bob := shared(t)
			w.branch("b", "")
			removed, refused := w.race(g, removal(w), func() error {
				_, err := bob.Checkout(t.Context(), dotmesh.BranchRequest{Dot: shop, Branch: "b"})
				return err
			})
			w.must(removed)
			w.wantKind(refused, dotmesh.NotFound)
		})
	})
}

func TestCollaboratorsAreAddedAndRemovedAtOnce(t *testing.T) {
	w := newWorld(t)
	w.init()
	alice, _ := w.user("alice")
	bob, _ := w.user("bob")
	_, err := w.share("alice", "")
	w.must(err)
	_, err = w.share("bob", "alice")
	w.must(err)
	_, err = alice.Dot(t.Context(), shop)
	w.wantKind(err, dotmesh.NotFound)
	_, err = bob.Dot(t.Context(), shop)
	w.must(err)
}

// told returns what s is told of dots while f runs.
func (w *world) told(s dotmesh.Service, f func()) []dotmesh.Event {
	ctx, cancel := context.WithCancel(w.Context())
	defer cancel()
	all := make(chan []dotmesh.Event)
	go func() {
		var dots []dotmesh.Event
		for e := range s.Events(ctx, "") {
			if e.Kind == dotmesh.EventDot {
				dots = append(dots, e)
			}
		}
		all <- dots
	}()
	synctest.Wait()
	f()
	synctest.Wait()
	cancel()
	return <-all
}

func TestTheDeletionOfADotIsToldToThoseWhoSawIt(t *testing.T) {
	for name, want := range map[dotmesh.Name]int{"bob": 1, "mallory": 0} {
		t.Run(string(name), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.init()
				users := map[dotmesh.Name]dotmesh.Service{}
				users["bob"], _ = w.user("bob")
				users["mallory"], _ = w.user("mallory")
				d, err := w.share("bob", "")
				w.must(err)
				got := w.told(users[name], func() {
					w.must(w.DeleteDot(t.Context(), dotmesh.DeleteDot{Dot: shop}))
				})
				if len(got) != want {
					t.Fatalf("%s is told %+v, want %d events", name, got, want)
				}
				for _, e := range got {
					if !e.Deleted || e.Dot.ID != d.ID || e.Dot.Name != shop {
						t.Errorf("%s is told %+v of %+v, want the deletion of %s", name, e, e.Dot, shop)
					}
				}
			})
		})
	}
}

func TestWhatACallerChangesIsTheirsAlone(t *testing.T) {
	w := newWorld(t)
	dir := w.init()
	w.write(dir, "one")
	_, err := w.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "one", Metadata: map[string]string{"key": "value"}})
	w.must(err)
	changed, err := w.reset("HEAD^")
	w.must(err)
	w.user("bob")
	_, err = w.share("bob", "")
	w.must(err)

	d, err := w.Dot(t.Context(), shop)
	w.must(err)
	d.Collaborators[0] = dotmesh.UserID{}
	d.All[len(d.All)-1].Stash.Reason = "spoilt"
	changed.Stash.Stash.Reason = "spoilt"
	stash := changed.Stash.Name
	page, err := w.Log(t.Context(), dotmesh.LogRequest{Dot: shop, Branch: stash})
	w.must(err)
	page.Commits[0].Metadata["key"] = "spoilt"

	again, err := w.Dot(t.Context(), shop)
	w.must(err)
	if again.Collaborators[0].IsZero() {
		t.Error("the collaborators were changed for everybody")
	}
	if got := again.All[len(again.All)-1].Stash.Reason; got != dotmesh.StashReset {
		t.Errorf("the stash is %q for everybody", got)
	}
	page, err = w.Log(t.Context(), dotmesh.LogRequest{Dot: shop, Branch: stash})
	w.must(err)
	if got := page.Commits[0].Metadata["key"]; got != "value" {
		t.Errorf("the commit's metadata is %q for everybody", got)
	}
}

func TestANewKeyIsNotLostWithAnAnswer(t *testing.T) {
	w := newWorld(t)
	alice, old := w.user("alice")
	w.reg.FailNext("PutUser", dotmesh.Unknown)
	w.reg.FailNext("PutUser", dotmesh.Unreachable)
	_, err := alice.ResetKey(t.Context())
	w.wantKind(err, dotmesh.Unknown)
	_, err = w.node.Authenticate(t.Context(), "alice", old)
	w.must(err)
	w.reg.LoseNext("PutUser")
	key, err := alice.ResetKey(t.Context())
	w.must(err)
	_, err = w.node.Authenticate(t.Context(), "alice", key)
	w.must(err)
	_, err = w.node.Authenticate(t.Context(), "alice", old)
	w.wantKind(err, dotmesh.Unauthenticated)
}

func TestAFrozenNodeTellsStrangersNothing(t *testing.T) {
	w := newWorld(t)
	w.init()
	w.user("mallory")
	dump, err := w.Export(t.Context())
	w.must(err)
	for range 20 { // so that the dump is older than what the node has seen
		_, err := w.commit("x")
		w.must(err)
	}
	w.awaitMirror("shop")
	w.stop()
	w.reg = dotmeshtest.NewRegistry()
	t.Cleanup(func() { w.reg.Close() })
	_, err = w.reg.Import(t.Context(), dump, true)
	w.must(err)
	w.cfg.Registry = w.reg
	w.start()
	frozen, err := w.State(t.Context(), "node.frozen")
	w.must(err)
	if frozen["node.frozen"] == "" {
		t.Fatal("the node is not frozen")
	}
	u, err := w.FindUser(t.Context(), dotmesh.UserQuery{Name: "mallory"})
	w.must(err)
	mallory := w.node.As(dotmesh.Principal{User: u.ID, Name: u.Name, Origin: "test"})
	_, there := mallory.Dot(t.Context(), shop)
	_, absent := mallory.Dot(t.Context(), dotmesh.DotName{Namespace: "admin", Name: "none"})
	if dotmesh.KindOf(there) != dotmesh.KindOf(absent) || dotmesh.Text(there) != dotmesh.Text(absent) {
		t.Errorf("of a dot that is there she is told %v, of one that is not %v", there, absent)
	}
	_, err = w.Dot(t.Context(), shop)
	w.must(err)
}

func TestARefusedLoginTakesTheSameWorkForEverybody(t *testing.T) {
	w := newWorld(t)
	w.user("alice")
	_, _, err := w.CreateUser(t.Context(), dotmesh.CreateUser{Name: "bob"}) // no password
	w.must(err)
	for _, name := range []dotmesh.Name{"alice", "bob", "nobody"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := w.node.Authenticate(t.Context(), name, "wrong secret")
		runtime.ReadMemStats(&after)
		w.wantKind(err, dotmesh.Unauthenticated)
		if spent := after.TotalAlloc - before.TotalAlloc; spent < 19<<20 {
			t.Errorf("%s is refused with %d bytes of work, want a whole password's", name, spent)
		}
	}
}
