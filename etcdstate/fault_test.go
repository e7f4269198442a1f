package etcdstate_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/etcdstate"
)

// newDot returns a dot to be made, with its first commit.
func newDot(name dotmesh.Name) dotmesh.Creation {
	id, line := dotmesh.NewUUID(), dotmesh.LineID{UUID: dotmesh.NewUUID()}
	dot, branch := dotmesh.DotID{UUID: id}, dotmesh.BranchID{UUID: id}
	commit := dotmesh.Commit{ID: dotmesh.CommitID{UUID: dotmesh.NewUUID()}, Line: line, Seq: 1, Kind: dotmesh.InitialCommit, Author: "admin"}
	commit.Chain = dotmesh.Chain{}.After(&commit)
	return dotmesh.Creation{
		Dot: &dotmesh.Dot{ID: dot, Name: dotmesh.DotName{Namespace: "admin", Name: name}, Current: branch},
		Branch: dotmesh.Branch{ID: branch, Dot: dot, Name: dotmesh.MasterBranch, Pointer: dotmesh.Pointer{
			Line: line, Tip: commit.ID, Seq: 1, Chain: commit.Chain, Head: commit.ID, Count: 1,
			Master: "aaaaaaaaaaaaaaaa", Epoch: 1, State: dotmesh.State{Phase: dotmesh.Held},
		}},
		Line:    dotmesh.Line{ID: line, Dot: dot, Owner: branch},
		Commits: []dotmesh.Commit{commit},
	}
}

// follow returns the registration of a commit after a pointer, and the pointer then.
func follow(b dotmesh.BranchID, p dotmesh.Pointer, message string) (dotmesh.Registration, dotmesh.Pointer) {
	c := dotmesh.Commit{
		ID: dotmesh.CommitID{UUID: dotmesh.NewUUID()}, Line: p.Line, Seq: p.Seq + 1, Parent: p.Tip,
		Kind: dotmesh.UserCommit, Author: "admin", Message: message,
	}
	c.Chain = p.Chain.After(&c)
	next := p
	next.Tip, next.Head, next.Chain = c.ID, c.ID, c.Chain
	next.Seq++
	next.Count++
	return dotmesh.Registration{Branch: b, Expect: p, Commit: c, Op: dotmesh.Op{Verb: dotmesh.VerbCommit, By: "admin"}}, next
}

// known is what a watch tells of commits.
type known struct {
	cursor  dotmesh.Cursor
	resets  int
	broken  bool
	errors  int
	commits map[dotmesh.CommitID]bool
	ended   map[dotmesh.UUID]dotmesh.Kind // requests, by how
	places  map[string]dotmesh.CommitID
	alive   map[dotmesh.NodeID]bool
}

func (k *known) apply(u dotmesh.Update) {
	if u.Err != nil {
		k.errors++
		k.broken = true
		return
	}
	k.broken = false
	if u.Reset {
		k.resets++
		k.ended = map[dotmesh.UUID]dotmesh.Kind{}
		k.commits, k.places, k.alive = map[dotmesh.CommitID]bool{}, map[string]dotmesh.CommitID{}, map[dotmesh.NodeID]bool{}
	}
	if u.Cursor > 0 {
		k.cursor = u.Cursor
	}
	for _, c := range u.Changes {
		switch r := c.Record.(type) {
		case *dotmesh.Commit:
			place := fmt.Sprint(r.Line, r.Seq)
			delete(k.commits, k.places[place])
			if !c.Deleted {
				k.commits[r.ID], k.places[place] = true, r.ID
			}
		case *dotmesh.Response:
			if k.ended[r.ID] = r.Kind; c.Deleted {
				delete(k.ended, r.ID)
			}
		case *dotmesh.Alive:
			k.alive[r.Node] = !c.Deleted
		}
	}
}

// watch follows a registry and returns what it tells, once that is as wanted.
func watch(t *testing.T, r *etcdstate.Registry, from dotmesh.Cursor) func(want func(*known) bool) *known {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
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
	t.Cleanup(func() { cancel(); <-ended })
	k := &known{}
	return func(want func(*known) bool) *known {
		t.Helper()
		for !want(k) {
			select {
			case u := <-updates:
				k.apply(u)
			case <-ended:
				t.Fatalf("the watch ended; %d commits at %d, %d resets, %d errors", len(k.commits), k.cursor, k.resets, k.errors)
			}
		}
		return k
	}
}

func listed(k *known) bool { return k.cursor > 0 && !k.broken }

func closing(t *testing.T, r *etcdstate.Registry) *etcdstate.Registry {
	t.Helper()
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

func must(t *testing.T) func(dotmesh.Cursor, error) dotmesh.Cursor {
	return func(c dotmesh.Cursor, err error) dotmesh.Cursor {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}

func TestNothingAcknowledgedIsLostWhenEtcdIsKilled(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	r := closing(t, e.open(t, ""))
	var mu sync.Mutex
	outcomes := map[dotmesh.CommitID]dotmesh.Kind{}
	enough := make(chan struct{}, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for i := range 3 {
		c := newDot(dotmesh.Name(fmt.Sprintf("dot-%d", i)))
		must(t)(r.Create(ctx, c))
		writers.Go(func() {
			p := c.Branch.Pointer
			for ctx.Err() == nil {
				reg, next := follow(c.Branch.ID, p, "x")
				_, err := r.Register(context.WithoutCancel(ctx), reg)
				mu.Lock()
				outcomes[reg.Commit.ID] = dotmesh.KindOf(err)
				mu.Unlock()
				switch kind := dotmesh.KindOf(err); kind {
				case "":
					p = next
					select {
					case enough <- struct{}{}:
					default:
					}
				case dotmesh.Unreachable, dotmesh.Timeout: // had no effect: go on from where it was
				case dotmesh.Unknown, dotmesh.Conflict:
					return // the branch is somewhere else now
				default:
					t.Errorf("Register: %v", err)
					return
				}
			}
		})
	}
	for range 3 {
		for range 60 {
			<-enough
		}
		e.kill()
		e.start()
	}
	for range 60 {
		<-enough
	}
	cancel()
	writers.Wait()
	have := watch(t, r, 0)(listed).commits
	counts := map[dotmesh.Kind]int{}
	for id, kind := range outcomes {
		counts[kind]++
		switch {
		case kind == "" && !have[id]:
			t.Errorf("commit %s was acknowledged and is lost", id)
		case kind != "" && kind != dotmesh.Unknown && have[id]:
			t.Errorf("commit %s was refused as %q and is there", id, kind)
		}
	}
	t.Logf("outcomes: %v", counts)
}

func TestWatchTellsOfAnOutageOnceAndGoesOn(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	r := closing(t, e.open(t, ""))
	c := newDot("shop")
	must(t)(r.Create(t.Context(), c))
	until := watch(t, r, 0)
	until(listed)
	e.kill()
	until(func(k *known) bool { return k.broken })
	if err := r.Confirm(t.Context()); dotmesh.KindOf(err) != dotmesh.Unreachable {
		t.Errorf("Confirm = %v, want one of kind %q", err, dotmesh.Unreachable)
	}
	reg, _ := follow(c.Branch.ID, c.Branch.Pointer, "x")
	if _, err := r.Register(t.Context(), reg); dotmesh.KindOf(err) != dotmesh.Unreachable {
		t.Errorf("Register = %v, want one of kind %q", err, dotmesh.Unreachable)
	}
	e.start()
	until(listed)
	cursor := must(t)(r.Register(t.Context(), reg))
	k := until(func(k *known) bool { return k.cursor >= cursor })
	if k.resets != 1 || k.errors != 1 || !k.commits[reg.Commit.ID] {
		t.Errorf("%d resets and %d errors, want one of each; the commit is known: %v", k.resets, k.errors, k.commits[reg.Commit.ID])
	}
}

func TestAWipedRegistryIsToldAsAReset(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	r := closing(t, e.open(t, ""))
	for i := range 5 {
		must(t)(r.Create(t.Context(), newDot(dotmesh.Name(fmt.Sprintf("dot-%d", i)))))
	}
	until := watch(t, r, 0)
	old := until(func(k *known) bool { return listed(k) && len(k.commits) == 5 }).cursor
	e.kill()
	if err := os.RemoveAll(e.dataDir()); err != nil {
		t.Fatal(err)
	}
	e.start()
	k := until(func(k *known) bool { return k.resets == 2 && len(k.commits) == 0 && k.cursor < old })
	if k.cursor == 0 {
		t.Error("the new registry has no cursor")
	}
	if k := watch(t, r, old)(listed); k.resets != 1 || k.cursor >= old {
		t.Errorf("a watch from the old cursor went on at %d with %d resets", k.cursor, k.resets)
	}
	// More writes than before the loss do not make the new one look like the old one.
	for i := range 10 {
		must(t)(r.Create(t.Context(), newDot(dotmesh.Name(fmt.Sprintf("dot-%d", i)))))
	}
	until(func(k *known) bool { return len(k.commits) == 10 })
}

func TestARestoredRegistryIsToldAsAReset(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	r := closing(t, e.open(t, ""))
	must(t)(r.Create(t.Context(), newDot("kept")))
	until := watch(t, r, 0)
	until(func(k *known) bool { return len(k.commits) == 1 })
	e.kill()
	backup := e.dir + "/backup"
	if err := os.CopyFS(backup, os.DirFS(e.dataDir())); err != nil {
		t.Fatal(err)
	}
	e.start()
	var last dotmesh.Cursor
	for i := range 5 {
		last = must(t)(r.Create(t.Context(), newDot(dotmesh.Name(fmt.Sprintf("dot-%d", i)))))
	}
	before := until(func(k *known) bool { return k.cursor >= last })
	resets := before.resets
	e.kill()
	if err := errors.Join(os.RemoveAll(e.dataDir()), os.Rename(backup, e.dataDir())); err != nil {
		t.Fatal(err)
	}
	e.start()
	k := until(func(k *known) bool { return k.resets > resets && listed(k) && k.cursor < last })
	if len(k.commits) != 1 {
		t.Errorf("%d commits are known, want the one of the backup", len(k.commits))
	}
}

func TestACompactedCursorListsEverything(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	r := closing(t, e.open(t, ""))
	first := must(t)(r.Create(t.Context(), newDot("one")))
	running := watch(t, r, 0)
	running(listed)
	must(t)(r.Create(t.Context(), newDot("two")))
	last := must(t)(r.Create(t.Context(), newDot("three")))
	if _, err := e.raw(t).Compact(t.Context(), int64(last)); err != nil {
		t.Fatal(err)
	}
	if k := watch(t, r, first)(listed); k.resets != 1 || len(k.commits) != 3 {
		t.Errorf("%d resets and %d commits, want 1 and 3", k.resets, len(k.commits))
	}
	fourth := must(t)(r.Create(t.Context(), newDot("four")))
	if k := running(func(k *known) bool { return k.cursor >= fourth }); k.resets != 1 || len(k.commits) != 4 {
		t.Errorf("the running watch had %d resets and %d commits, want 1 and 4", k.resets, len(k.commits))
	}
}

func TestAFullRegistrySaysSoAndRecovers(t *testing.T) {
	t.Parallel()
	e := startEtcd(t, "--quota", fmt.Sprint(16<<20), "--maintain", "300ms")
	r := closing(t, e.open(t, ""))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	user := dotmesh.User{ID: dotmesh.UserID{UUID: dotmesh.NewUUID()}, Name: "alice"}
	must(t)(r.PutUser(ctx, nil, user))
	write := func(i int) error { // history is what fills it up
		next := user
		next.Metadata = map[string]string{"x": fmt.Sprint(i) + strings.Repeat("x", 256<<10)}
		_, err := r.PutUser(ctx, &user, next)
		if err == nil {
			user = next
		}
		return err
	}
	i := 0
	for ; ; i++ {
		if err := write(i); err != nil {
			if dotmesh.KindOf(err) != dotmesh.NoSpace {
				t.Fatalf("PutUser = %v, want one of kind %q", err, dotmesh.NoSpace)
			}
			break
		}
	}
	for ; ; i++ {
		err := write(i)
		if err == nil {
			break
		}
		if dotmesh.KindOf(err) != dotmesh.NoSpace {
			t.Fatalf("PutUser = %v, want one of kind %q", err, dotmesh.NoSpace)
		}
	}
}

func TestANodeThatIsKilledIsNotAliveForLong(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	prefix := prefixOf(t)
	r := closing(t, e.open(t, prefix))
	node := dotmesh.NewNodeID()
	cmd := exec.Command(os.Args[0], "alive", e.endpoint(), prefix, string(node))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until := watch(t, r, 0)
	until(func(k *known) bool { return k.alive[node] })
	if err := errors.Join(cmd.Process.Kill(), ignoreExit(cmd.Wait())); err != nil {
		t.Fatal(err)
	}
	until(func(k *known) bool { return !k.alive[node] })
}

func ignoreExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

func TestAWriteElsewhereInEtcdMovesTheCursor(t *testing.T) {
	t.Parallel()
	e := startEtcd(t)
	r := closing(t, e.open(t, prefixOf(t)))
	until := watch(t, r, 0)
	at := until(listed).cursor
	if _, err := e.raw(t).Do(t.Context(), clientv3.OpPut("/elsewhere", "x")); err != nil {
		t.Fatal(err)
	}
	until(func(k *known) bool { return k.cursor > at })
}
