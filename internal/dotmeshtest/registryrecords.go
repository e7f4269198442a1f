package dotmeshtest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

var recordTests = []registryCase{
	{"a cluster is founded once", testFound},
	{"a node's name is its own", testPutNode},
	{"a dot changes when it is as expected", testPutDot},
	{"a position never goes back", testPutPosition},
	{"an attachment is written as a whole and removed", testAttach},
	{"a user's name is its own, and the administrator stays", testUsers},
	{"the operation log is numbered without gaps and read backwards", testOps},
	{"trimmed commits leave the branch alone", testTrimCommits},
	{"an export is imported as it was", testExport},
	{"the latest cursor is no earlier than what was done before", testLatest},
	{"a registry is rebuilt from its records", testRebuild},
	{"there is no cluster while a registry is replaced", testLoadOrder},
	{"what cannot be read is not imported", testImportRefused},
	{"fields of a later release survive every verb", testUnknownFields},
	{"values of a later release and garbage are refused", testForeignValues},
	{"a call whose context has ended does nothing", testEnded},
	{"a closed registry does nothing", testClosed},
}

func testFound(t *testing.T, r *registryTest) {
	first := dotmesh.Cluster{ID: dotmesh.ClusterID{UUID: dotmesh.NewUUID()}, Feature: 1, Created: time.Unix(1700000000, 0).UTC()}
	got, err := r.Found(r.ctx, first)
	if err != nil || got != first {
		t.Fatalf("Found = %+v, %v; want %+v", got, err, first)
	}
	second := dotmesh.Cluster{ID: dotmesh.ClusterID{UUID: dotmesh.NewUUID()}, Feature: 1}
	if got, err = r.Found(r.ctx, second); err != nil || got != first {
		t.Errorf("Found = %+v, %v; want the first cluster %+v", got, err, first)
	}
	s := r.list()
	if admin := s.users[dotmesh.AdminID]; admin == nil || admin.Name != dotmesh.AdminNamespace || *s.cluster != first {
		t.Errorf("admin = %+v, cluster = %+v", admin, s.cluster)
	}
	if err := r.Confirm(r.ctx); err != nil {
		t.Errorf("Confirm: %v", err)
	}
}

func testPutNode(t *testing.T, r *registryTest) {
	node := dotmesh.Node{ID: r.a, Name: "renamed", Addresses: []string{"192.0.2.5:32607"}}
	for range 2 {
		r.must(r.PutNode(r.ctx, node))
	}
	node.ID = "cccccccccccccccc"
	cursor, err := r.PutNode(r.ctx, node)
	r.refuse(dotmesh.Exists, cursor, err)
	cursor, err = r.PutNode(r.ctx, dotmesh.Node{ID: "cccccccccccccccc"})
	r.refuse(dotmesh.Invalid, cursor, err)
	if nodes := r.list().nodes; len(nodes) != 2 || nodes[r.a].Name != "renamed" {
		t.Errorf("nodes = %v, want two, one renamed", nodes)
	}
}

func testPutDot(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	f := r.fork(b, "wip")
	r.must(r.Create(r.ctx, f))
	old := *r.list().dots[dotmesh.DotName{Namespace: dotmesh.AdminNamespace, Name: "shop"}]
	next := old
	next.Current, next.Replicas = f.Branch.ID, "all"
	op := dotmesh.Op{Verb: dotmesh.VerbCheckout, Before: old.Current, By: "admin"}
	for range 2 {
		r.must(r.PutDot(r.ctx, old, next, op, nil))
	}
	if ops, err := r.Ops(r.ctx, b.Dot, 0, 1); err != nil || len(ops) != 1 || ops[0].N != 3 || ops[0].Verb != dotmesh.VerbCheckout {
		t.Errorf("Ops = %+v, %v; want the checkout as entry 3", ops, err)
	}
	third := old
	third.Replicas = "none"
	cursor, err := r.PutDot(r.ctx, old, third, dotmesh.Op{}, nil)
	r.refuse(dotmesh.Conflict, cursor, err)
	third = next
	third.Name.Name = "other"
	cursor, err = r.PutDot(r.ctx, next, third, dotmesh.Op{}, nil)
	r.refuse(dotmesh.Invalid, cursor, err)
	third = next
	third.Current = r.dot("other").ID
	cursor, err = r.PutDot(r.ctx, next, third, dotmesh.Op{}, nil)
	r.refuse(dotmesh.NotFound, cursor, err)
	absent := r.creation("absent").Dot
	cursor, err = r.PutDot(r.ctx, *absent, *absent, dotmesh.Op{}, nil)
	r.refuse(dotmesh.NotFound, cursor, err)
}

func testPutPosition(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	first := dotmesh.Position{Node: r.b, Line: b.Pointer.Line, Seq: 1, Commit: b.Pointer.Tip, Chain: b.Pointer.Chain}
	b, _ = r.commit(b, "one")
	second := dotmesh.Position{Node: r.b, Line: b.Pointer.Line, Seq: 2, Commit: b.Pointer.Tip, Chain: b.Pointer.Chain}
	r.must(r.PutPosition(r.ctx, first))
	r.must(r.PutPosition(r.ctx, second))
	r.must(r.PutPosition(r.ctx, first)) // a late retry
	if got := r.list().positions[held{r.b, b.Pointer.Line}]; *got != second {
		t.Errorf("position = %+v, want %+v", got, second)
	}
	second.Commit = newCommitID()
	cursor, err := r.PutPosition(r.ctx, second)
	r.refuse(dotmesh.Conflict, cursor, err)
	second.Line = dotmesh.LineID{UUID: dotmesh.NewUUID()}
	cursor, err = r.PutPosition(r.ctx, second)
	r.refuse(dotmesh.NotFound, cursor, err)
}

func testAttach(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	at := dotmesh.Attachment{Node: r.a, Volume: "ns/shop@wip.sub", Branch: b.ID, Holders: []string{"c1", "c2"}}
	for range 2 {
		r.must(r.Attach(r.ctx, at))
	}
	at.Holders = []string{"c2"}
	r.must(r.Attach(r.ctx, at))
	if got := r.list().attachments[attached{r.a, at.Volume}]; got == nil || !slices.Equal(got.Holders, at.Holders) {
		t.Errorf("attachment = %+v, want %+v", got, at)
	}
	for range 2 {
		r.must(r.Detach(r.ctx, r.a, at.Volume))
	}
	if got := r.list().attachments; len(got) != 0 {
		t.Errorf("attachments = %v, want none", got)
	}
	at.Volume = "../shop"
	cursor, err := r.Attach(r.ctx, at)
	r.refuse(dotmesh.Invalid, cursor, err)
	at.Volume, at.Branch = "shop", dotmesh.BranchID{UUID: dotmesh.NewUUID()}
	cursor, err = r.Attach(r.ctx, at)
	r.refuse(dotmesh.NotFound, cursor, err)
}

func testUsers(t *testing.T, r *registryTest) {
	alice := dotmesh.User{ID: dotmesh.UserID{UUID: dotmesh.NewUUID()}, Name: "alice", KeyHash: "1"}
	for range 2 {
		r.must(r.PutUser(r.ctx, nil, alice))
	}
	next := alice
	next.KeyHash = "2"
	for range 2 {
		r.must(r.PutUser(r.ctx, &alice, next))
	}
	late := alice
	late.KeyHash = "3"
	cursor, err := r.PutUser(r.ctx, &alice, late)
	r.refuse(dotmesh.Conflict, cursor, err)
	cursor, err = r.PutUser(r.ctx, nil, late)
	r.refuse(dotmesh.Exists, cursor, err)
	other := dotmesh.User{ID: dotmesh.UserID{UUID: dotmesh.NewUUID()}, Name: "alice"}
	cursor, err = r.PutUser(r.ctx, nil, other)
	r.refuse(dotmesh.Exists, cursor, err)
	for range 2 {
		r.must(r.DropUser(r.ctx, alice.ID))
	}
	cursor, err = r.PutUser(r.ctx, &next, late)
	r.refuse(dotmesh.NotFound, cursor, err)
	r.must(r.PutUser(r.ctx, nil, other))
	cursor, err = r.DropUser(r.ctx, dotmesh.AdminID)
	r.refuse(dotmesh.Denied, cursor, err)
	if users := r.list().users; len(users) != 1 || users[other.ID] == nil {
		t.Errorf("users = %v, want the second alice", users)
	}
}

func testOps(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	for i := range 11 {
		b, _ = r.commit(b, fmt.Sprint(i))
	}
	numbers := func(before uint64, limit int) []uint64 {
		t.Helper()
		ops, err := r.Ops(r.ctx, b.Dot, before, limit)
		if err != nil {
			t.Fatalf("Ops: %v", err)
		}
		var all []uint64
		for _, op := range ops {
			all = append(all, op.N)
		}
		return all
	}
	for _, c := range []struct {
		before uint64
		limit  int
		want   []uint64
	}{{0, 3, []uint64{12, 11, 10}}, {10, 2, []uint64{9, 8}}, {2, 5, []uint64{1}}, {1, 5, nil}, {0, 0, nil}} {
		if got := numbers(c.before, c.limit); !slices.Equal(got, c.want) {
			t.Errorf("Ops(%d, %d) = %v, want %v", c.before, c.limit, got, c.want)
		}
	}
	r.must(0, r.TrimOps(r.ctx, b.Dot, 10))
	if got := numbers(0, 100); !slices.Equal(got, []uint64{12, 11, 10}) {
		t.Errorf("trimmed below 10: %v", got)
	}
	r.must(0, r.TrimOps(r.ctx, b.Dot, 100))
	r.commit(b, "after")
	if got := numbers(0, 100); !slices.Equal(got, []uint64{13, 12}) {
		t.Errorf("trimmed all and added one: %v, want 13 and 12", got)
	}
	if ops, err := r.Ops(r.ctx, dotmesh.DotID{UUID: dotmesh.NewUUID()}, 0, 10); err != nil || len(ops) != 0 {
		t.Errorf("Ops of no dot = %v, %v; want none", ops, err)
	}
}

func testTrimCommits(t *testing.T, r *registryTest) {
	b, _ := r.commit(r.dot("shop"), "one")
	b, _ = r.commit(b, "two")
	for range 2 {
		r.must(0, r.TrimCommits(r.ctx, b.Pointer.Line, 3))
	}
	s := r.list()
	if len(s.commits) != 1 || s.commits[place{b.Pointer.Line, 3}] == nil || s.branches[b.ID].Pointer != b.Pointer {
		t.Errorf("commits = %v, want the third alone", s.commits)
	}
	r.commit(b, "three")
}

// export returns all entries by key.
func (r *registryTest) export() map[string]string {
	r.t.Helper()
	all := map[string]string{}
	for e, err := range r.Export(r.ctx) {
		if err != nil {
			r.t.Fatalf("Export: %v", err)
		}
		all[e.Key] = string(e.Value)
	}
	return all
}

func entriesOf(all map[string]string) []dotmesh.Entry {
	var entries []dotmesh.Entry
	for key, value := range all {
		entries = append(entries, dotmesh.Entry{Key: key, Value: []byte(value)})
	}
	return entries
}

func testLatest(t *testing.T, r *registryTest) {
	for i := range 3 {
		c := r.creation(dotmesh.Name(fmt.Sprintf("shop-%d", i)))
		done := r.must(r.Create(r.ctx, c))
		if at := r.must(r.Latest(r.ctx)); at < done {
			t.Errorf("the latest cursor is %d, before %d", at, done)
		}
	}
}

func testExport(t *testing.T, r *registryTest) {
	found, err := r.Found(r.ctx, dotmesh.Cluster{ID: dotmesh.ClusterID{UUID: dotmesh.NewUUID()}, Feature: 1})
	if err != nil {
		t.Fatal(err)
	}
	b, _ := r.commit(r.dot("shop"), "one")
	before := r.export()
	r.commit(b, "two")
	r.dot("more")
	cursor, err := r.Import(r.ctx, entriesOf(before), false)
	r.refuse(dotmesh.Exists, cursor, err)
	r.must(r.Import(r.ctx, entriesOf(before), true))
	after := r.export()
	for key, value := range before {
		if after[key] != value {
			t.Errorf("%s = %s, want %s", key, after[key], value)
		}
	}
	if len(after) != len(before) || *r.list().cluster != found {
		t.Errorf("%d entries, want %d", len(after), len(before))
	}
	r.commit(b, "another two")
}

// testLoadOrder watches a registry that is replaced: whenever that is cut off, there must be
// no cluster, so that nobody takes what is missing for deleted.
func testLoadOrder(t *testing.T, r *registryTest) {
	if _, err := r.Found(r.ctx, dotmesh.Cluster{ID: dotmesh.ClusterID{UUID: dotmesh.NewUUID()}, Feature: 1}); err != nil {
		t.Fatal(err)
	}
	var records []dotmesh.Record
	for i := range 60 {
		r.dot(dotmesh.Name(fmt.Sprintf("shop-%d", i)))
	}
	s := r.list()
	for _, b := range s.branches {
		records = append(records, b)
	}
	records = append([]dotmesh.Record{s.cluster}, records...)
	entries := entriesOf(r.export())
	for name, load := range map[string]func() (dotmesh.Cursor, error){
		"Import":  func() (dotmesh.Cursor, error) { return r.Import(r.ctx, entries, true) },
		"Rebuild": func() (dotmesh.Cursor, error) { return r.Rebuild(r.ctx, records, nil) },
	} {
		next := r.updates(s.cursor)
		cursor := r.must(load())
		steps := 0
		for at := s.cursor; at < cursor; steps++ {
			u := next()
			there, deleted := false, false
			for _, c := range u.Changes {
				if _, ok := c.Record.(*dotmesh.Cluster); ok {
					there, deleted = !c.Deleted, c.Deleted
				}
			}
			at = u.Cursor
			if deleted != (steps == 0) || there != (at == cursor) {
				t.Errorf("%s: step %d ends at %d of %d with the cluster there: %v, deleted: %v", name, steps, at, cursor, there, deleted)
			}
		}
		if steps < 3 {
			t.Errorf("%s: %d steps were seen, want no less than three", name, steps)
		}
		s.cursor = cursor
	}
}

func testRebuild(t *testing.T, r *registryTest) {
	b, _ := r.commit(r.dot("shop"), "one")
	f, gone := r.fork(b, "wip"), r.fork(b, "gone")
	r.must(r.Create(r.ctx, f))
	r.must(r.Create(r.ctx, gone))
	r.must(r.Bury(r.ctx, r.tombstone(gone.Branch, dotmesh.BuriedBranch)))
	r.must(r.Bury(r.ctx, r.tombstone(r.dot("lost"), dotmesh.BuriedDot)))
	want := r.export()
	ops, err := r.Ops(r.ctx, b.Dot, 0, 2) // the newest, with numbers that do not begin at 1
	if err != nil {
		t.Fatal(err)
	}
	var records []dotmesh.Record
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	for u := range r.Watch(ctx, 0) {
		for _, c := range u.Changes {
			records = append(records, c.Record)
		}
		if u.Cursor > 0 {
			break
		}
	}
	r.must(r.Rebuild(r.ctx, records, ops))
	got := r.export()
	for key := range want {
		if !strings.HasPrefix(key, "ops/") && got[key] == "" {
			t.Errorf("%s is not there again", key)
		}
	}
	for key := range got {
		if want[key] == "" {
			t.Errorf("%s is new", key)
		}
	}
	if again, err := r.Ops(r.ctx, b.Dot, 0, 10); err != nil || !slices.Equal(again, ops) || len(ops) != 2 {
		t.Errorf("Ops = %+v, %v; want %+v", again, err, ops)
	}
	r.commit(r.branch(f.Branch.ID), "goes on")
	r.must(r.Unbury(r.ctx, gone.Branch.ID.UUID, dotmesh.Op{}))
	if last, err := r.Ops(r.ctx, b.Dot, 0, 1); err != nil || len(last) != 1 || last[0].N != ops[0].N+1 {
		t.Errorf("the next entry is %+v, %v; want it to follow %d", last, err, ops[0].N)
	}
}

func testImportRefused(t *testing.T, r *registryTest) {
	r.dot("shop")
	good := r.export()
	for name, bad := range map[string]dotmesh.Entry{
		"a collection that is none":   {Key: "secrets/1", Value: []byte(`{"v":1}`)},
		"a value that is not JSON":    {Key: "cluster", Value: []byte(`{`)},
		"a value without a format":    {Key: "cluster", Value: []byte(`{"feature":1}`)},
		"a key that is not its value": {Key: "nodes/cccccccccccccccc", Value: []byte(`{"v":1,"id":"dddddddddddddddd","name":"d"}`)},
	} {
		t.Run(name, func(t *testing.T) {
			cursor, err := r.Import(r.ctx, append(entriesOf(good), bad), true)
			if err == nil {
				t.Errorf("imported, with the cursor %d", cursor)
			}
		})
	}
	if after := r.export(); len(after) != len(good) {
		t.Errorf("%d entries are left of %d", len(after), len(good))
	}
}

// testUnknownFields plants a field in every value, at every depth that is an object of
// ours, and looks for it after the verbs have rewritten the values.
func testUnknownFields(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	f := r.fork(b, "wip")
	r.must(r.Create(r.ctx, f))
	all := r.export()
	for key, value := range all {
		all[key] = strings.ReplaceAll(value, `{"`, `{"later":{"a":[1]},"`)
	}
	r.must(r.Import(r.ctx, entriesOf(all), true))

	b, _ = r.commit(b, "one")
	r.must(r.Abort(r.ctx, r.released(b)))
	r.must(r.Create(r.ctx, r.fork(r.branch(b.ID), "more")))
	r.must(r.Bury(r.ctx, r.tombstone(f.Branch, dotmesh.BuriedBranch)))
	dot := r.tombstone(r.branch(b.ID), dotmesh.BuriedDot)
	next := dot.Tombstone.Dot
	next.Replicas = "all"
	r.must(r.PutDot(r.ctx, dot.Tombstone.Dot, next, dotmesh.Op{}, nil))
	dot.Tombstone.Dot = next
	r.must(r.Bury(r.ctx, dot))
	r.must(r.Unbury(r.ctx, dot.Tombstone.ID, dotmesh.Op{}))
	r.must(r.PutNode(r.ctx, dotmesh.Node{ID: r.a, Name: "renamed"}))
	now := r.export()
	for _, key := range []string{
		"dots/admin/shop", "branch/" + b.ID.String(), "lines/" + b.Pointer.Line.String(), "nodes/" + string(r.a),
		"branches/" + b.Dot.String() + "/master",
	} {
		want, got := strings.Count(all[key], "later"), strings.Count(now[key], "later")
		if !json.Valid([]byte(now[key])) || got != want || want == 0 {
			t.Errorf("%s has %d of %d later fields: %s", key, got, want, now[key])
		}
	}
}

// poker is a registry into which anything can be written, as an etcd is.
type poker interface {
	Poke(key string, value []byte)
}

func testForeignValues(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	p, ok := r.Registry.(poker)
	if !ok {
		t.Fatalf("%T has no Poke(key, value), which this test needs", r.Registry)
	}
	key := "branch/" + b.ID.String()
	good := r.export()[key]
	for name, c := range map[string]struct {
		value string
		kind  dotmesh.Kind
	}{
		"a later format":  {strings.Replace(good, `"v":1`, `"v":2`, 1), dotmesh.Unsupported},
		"a later phase":   {strings.Replace(good, `"held"`, `"shared"`, 1), dotmesh.Unsupported},
		"garbage":         {"garbage", dotmesh.Corrupt},
		"a wrong type":    {strings.Replace(good, `"epoch":1`, `"epoch":"1"`, 1), dotmesh.Corrupt},
		"another's value": {strings.Replace(good, `"id":"`+b.ID.String(), `"id":"`+dotmesh.NewUUID().String(), 1), dotmesh.Corrupt},
	} {
		t.Run(name, func(t *testing.T) {
			p.Poke(key, []byte(c.value))
			defer p.Poke(key, []byte(good))
			cursor, err := r.Register(r.ctx, r.next(b, "one"))
			r.refuse(c.kind, cursor, err)
			ctx, cancel := context.WithCancel(r.ctx)
			defer cancel()
			for u := range r.Watch(ctx, 0) {
				if u.Err != nil {
					r.refuse(c.kind, 0, u.Err)
					return
				}
				if u.Cursor > 0 {
					t.Fatal("the watch skipped it")
				}
			}
		})
	}
	r.commit(b, "one")
}

func testEnded(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	cursor, err := r.Register(ctx, r.next(b, "one"))
	r.refuse(dotmesh.Canceled, cursor, err)
	late, cancel := context.WithDeadline(r.ctx, time.Unix(0, 0))
	defer cancel()
	cursor, err = r.Register(late, r.next(b, "one"))
	r.refuse(dotmesh.Timeout, cursor, err)
	if got := r.branch(b.ID).Pointer; got != b.Pointer {
		t.Errorf("pointer = %+v, want %+v", got, b.Pointer)
	}
}

func testClosed(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	watching, ended := make(chan struct{}), make(chan struct{})
	alive := make(chan error, 1)
	go func() {
		defer close(ended)
		first := true
		for u := range r.Watch(r.ctx, 0) {
			if u.Cursor > 0 && first {
				first = false
				close(watching)
			}
		}
	}()
	go func() { alive <- r.StayAlive(r.ctx, r.a) }()
	<-watching
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	<-ended
	if err := <-alive; dotmesh.KindOf(err) != dotmesh.Canceled {
		t.Errorf("StayAlive = %v, want one of kind %q", err, dotmesh.Canceled)
	}
	cursor, err := r.Register(r.ctx, r.next(b, "one"))
	r.refuse(dotmesh.Canceled, cursor, err)
	if err := r.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}
