package dotmeshtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

var requestTests = []registryCase{
	{"a request is told to whom it asks, and its work and its response come together", testAsk},
	{"a request is made once, and only of what is there", testAskRefused},
	{"every verb that can be asked for ends its request", testReplies},
	{"a request that was answered or taken back does nothing", testAnswered},
	{"a request whose time is over does nothing, and its response goes with it", testExpired},
	{"of taking a request back and doing it exactly one succeeds", testWithdrawOrDo},
	{"of many who do the same request exactly one succeeds", testDoneOnce},
	{"requests are not exported and stay when everything is replaced", testRequestsStay},
}

// request returns a request to node a that concerns a branch.
func (r *registryTest) request(b dotmesh.Branch) dotmesh.Request {
	return dotmesh.Request{
		ID: dotmesh.NewUUID(), Node: r.a, From: r.b, Branch: b.ID, Expect: b.Pointer,
		Call: "commit", Body: []byte("<\x00>"), Life: dotmesh.MaxAsk,
	}
}

// asked makes a request to node a and returns the reply with which a verb ends it.
func (r *registryTest) asked(b dotmesh.Branch) *dotmesh.Reply {
	r.t.Helper()
	q := r.request(b)
	r.must(r.Ask(r.ctx, q))
	return &dotmesh.Reply{Node: q.Node, ID: q.ID, Body: []byte("done")}
}

// wantAnswer fails the test unless a request has ended with a response of that kind.
func (r *registryTest) wantAnswer(reply *dotmesh.Reply, kind dotmesh.Kind) {
	r.t.Helper()
	s := r.list()
	if got := s.responses[reply.ID]; s.requests[reply.ID] != nil || got == nil || got.Kind != kind {
		r.t.Errorf("the response is %+v and the request %+v, want one of kind %q and none", got, s.requests[reply.ID], kind)
	}
}

// withdraw takes a request back and returns how it ended.
func (r *registryTest) withdraw(reply *dotmesh.Reply) (dotmesh.Kind, error) {
	ended, err := r.Answer(r.ctx, reply.Node, dotmesh.Response{ID: reply.ID, Kind: dotmesh.Canceled, Text: "nobody waits any more"})
	return ended.Kind, err
}

func testAsk(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	s := r.list()
	next := r.updates(s.cursor)
	q := r.request(b)
	s.until(next, r.must(r.Ask(r.ctx, q)))
	if got := s.requests[q.ID]; got == nil || fmt.Sprint(*got) != fmt.Sprint(q) {
		t.Fatalf("the request was told as %+v, want %+v", got, q)
	}
	reg := r.next(b, "one")
	reg.Reply = &dotmesh.Reply{Node: q.Node, ID: q.ID, Body: []byte("done")}
	cursor := r.must(r.Register(r.ctx, reg))
	u := next()
	if s.apply(u); u.Cursor != cursor || len(u.Changes) != 4 {
		t.Errorf("the work was told as %+v, want branch, commit, request and response at %d", u, cursor)
	}
	got := s.responses[q.ID]
	if s.requests[q.ID] != nil || got == nil || got.Kind != "" || string(got.Body) != "done" {
		t.Errorf("the response is %+v and the request %+v, want one that says done and none", got, s.requests[q.ID])
	}
	if tip := s.branches[b.ID].Pointer.Tip; tip != reg.Commit.ID {
		t.Errorf("tip = %s, want %s", tip, reg.Commit.ID)
	}
	for range 2 { // late retries
		r.must(r.Register(r.ctx, reg))
		r.must(r.Ask(r.ctx, q))
	}
	r.wantAnswer(reg.Reply, "")
}

func testAskRefused(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	q := r.request(b)
	for range 2 {
		r.must(r.Ask(r.ctx, q))
	}
	for name, c := range map[string]struct {
		change func(q *dotmesh.Request)
		kind   dotmesh.Kind
	}{
		"another request with its id":   {func(q *dotmesh.Request) { q.Call = "reset" }, dotmesh.Exists},
		"a node that is none":           {func(q *dotmesh.Request) { q.ID, q.Node = dotmesh.NewUUID(), "cccccccccccccccc" }, dotmesh.NotFound},
		"a branch that has moved on":    {func(q *dotmesh.Request) { q.ID, q.Expect.Epoch = dotmesh.NewUUID(), 7 }, dotmesh.Conflict},
		"a branch that is none":         {func(q *dotmesh.Request) { q.ID, q.Branch.UUID = dotmesh.NewUUID(), dotmesh.NewUUID() }, dotmesh.NotFound},
		"nobody who asks":               {func(q *dotmesh.Request) { q.From = "" }, dotmesh.Invalid},
		"no id":                         {func(q *dotmesh.Request) { q.ID = dotmesh.UUID{} }, dotmesh.Invalid},
		"more patience than there may":  {func(q *dotmesh.Request) { q.Life += time.Second }, dotmesh.Invalid},
		"no patience":                   {func(q *dotmesh.Request) { q.Life = 0 }, dotmesh.Invalid},
		"more to say than there may be": {func(q *dotmesh.Request) { q.Body = make([]byte, dotmesh.MaxBody+1) }, dotmesh.Invalid},
	} {
		t.Run(name, func(*testing.T) {
			bad := q
			c.change(&bad)
			cursor, err := r.Ask(r.ctx, bad)
			r.refuse(c.kind, cursor, err)
		})
	}
	if all := r.list().requests; len(all) != 1 {
		t.Errorf("%d requests are there, want one", len(all))
	}
}

func testReplies(t *testing.T, r *registryTest) {
	moving := func(b dotmesh.Branch) dotmesh.Move {
		m := r.move(b)
		r.must(r.BeginMove(r.ctx, m))
		m.Expect = r.branch(b.ID).Pointer
		return m
	}
	for name, do := range map[string]func(b dotmesh.Branch, reply *dotmesh.Reply) (dotmesh.Cursor, error){
		"Create": func(b dotmesh.Branch, reply *dotmesh.Reply) (dotmesh.Cursor, error) {
			f := r.fork(b, "wip")
			f.Reply = reply
			return r.Create(r.ctx, f)
		},
		"Register": func(b dotmesh.Branch, reply *dotmesh.Reply) (dotmesh.Cursor, error) {
			reg := r.next(b, "one")
			reg.Reply = reply
			return r.Register(r.ctx, reg)
		},
		"Swing": func(b dotmesh.Branch, reply *dotmesh.Reply) (dotmesh.Cursor, error) {
			s := r.reset(b, "stash")
			s.Reply = reply
			return r.Swing(r.ctx, s)
		},
		"BeginMove": func(b dotmesh.Branch, reply *dotmesh.Reply) (dotmesh.Cursor, error) {
			m := r.move(b)
			m.Reply = reply
			return r.BeginMove(r.ctx, m)
		},
		"Release": func(b dotmesh.Branch, reply *dotmesh.Reply) (dotmesh.Cursor, error) {
			m := moving(b)
			m.Reply = reply
			return r.Release(r.ctx, m, nil)
		},
		"Take": func(b dotmesh.Branch, reply *dotmesh.Reply) (dotmesh.Cursor, error) {
			m := r.released(b)
			m.Reply = reply
			return r.Take(r.ctx, m, r.arrival(m))
		},
		"Abort": func(b dotmesh.Branch, reply *dotmesh.Reply) (dotmesh.Cursor, error) {
			m := moving(b)
			m.Reply = reply
			return r.Abort(r.ctx, m)
		},
		"Bury": func(b dotmesh.Branch, reply *dotmesh.Reply) (dotmesh.Cursor, error) {
			burial := r.tombstone(b, dotmesh.BuriedDot)
			burial.Reply = reply
			return r.Bury(r.ctx, burial)
		},
		"PutDot": func(b dotmesh.Branch, reply *dotmesh.Reply) (dotmesh.Cursor, error) {
			dot := r.tombstone(b, dotmesh.BuriedDot).Tombstone.Dot
			next := dot
			next.Replicas = "all"
			return r.PutDot(r.ctx, dot, next, dotmesh.Op{}, reply)
		},
		"PutDot that changes nothing": func(b dotmesh.Branch, reply *dotmesh.Reply) (dotmesh.Cursor, error) {
			dot := r.tombstone(b, dotmesh.BuriedDot).Tombstone.Dot
			return r.PutDot(r.ctx, dot, dot, dotmesh.Op{}, reply)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := r.dot(dotmesh.Name(fmt.Sprintf("dot-%d", len(r.list().branches))))
			reply := r.asked(b)
			if kind, err := r.withdraw(reply); kind != dotmesh.Canceled || err != nil {
				t.Fatalf("Answer = %q, %v; want %q", kind, err, dotmesh.Canceled)
			}
			branches := len(r.list().branches)
			cursor, err := do(b, reply)
			r.refuse(dotmesh.Conflict, cursor, err)
			if got := len(r.list().branches); got != branches {
				t.Errorf("%d branches are there, want %d as before", got, branches)
			}
			r.wantAnswer(reply, dotmesh.Canceled)

			b = r.abort(b)
			reply = r.asked(b)
			r.must(do(b, reply))
			r.wantAnswer(reply, "")
		})
	}
}

// abort ends the move that a branch is on, if it is, and returns the branch.
func (r *registryTest) abort(b dotmesh.Branch) dotmesh.Branch {
	r.t.Helper()
	if b = r.branch(b.ID); b.Pointer.State.Phase != dotmesh.Held {
		r.must(r.Abort(r.ctx, dotmesh.Move{Branch: b.ID, Expect: b.Pointer, ID: b.Pointer.State.Move, To: b.Pointer.State.To}))
	}
	return r.branch(b.ID)
}

func testAnswered(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	reply := r.asked(b)
	no := dotmesh.Response{ID: reply.ID, Kind: dotmesh.Busy, Text: "somebody uses it"}
	if got, err := r.Answer(r.ctx, r.a, no); err != nil || fmt.Sprint(got) != fmt.Sprint(no) {
		t.Errorf("Answer = %+v, %v; want %+v", got, err, no)
	}
	if kind, err := r.withdraw(reply); err != nil || kind != dotmesh.Busy {
		t.Errorf("taken back after the answer: %q, %v; want the answer %q", kind, err, dotmesh.Busy)
	}
	reg := r.next(b, "one")
	reg.Reply = reply
	cursor, err := r.Register(r.ctx, reg)
	r.refuse(dotmesh.Conflict, cursor, err)
	if got := r.branch(b.ID).Pointer; got != b.Pointer {
		t.Errorf("pointer = %+v, want %+v", got, b.Pointer)
	}
	done := r.asked(b)
	reg.Reply = done
	r.must(r.Register(r.ctx, reg))
	if kind, err := r.withdraw(done); err != nil || kind != "" {
		t.Errorf("taken back after the work: %q, %v; want that it is done", kind, err)
	}
	if ops, err := r.Ops(r.ctx, b.Dot, 0, 10); err != nil || len(ops) != 2 {
		t.Errorf("%d entries in the log, %v; want two", len(ops), err)
	}
	for name, bad := range map[string]dotmesh.Response{
		"a done without work": {ID: r.asked(r.branch(b.ID)).ID},
		"no id":               {Kind: dotmesh.Busy},
		"too much to say":     {ID: reply.ID, Kind: dotmesh.Busy, Body: make([]byte, dotmesh.MaxBody+1)},
	} {
		t.Run(name, func(*testing.T) {
			_, err := r.Answer(r.ctx, r.a, bad)
			r.refuse(dotmesh.Invalid, 0, err)
		})
	}
	_, err = r.Answer(r.ctx, r.a, dotmesh.Response{ID: dotmesh.NewUUID(), Kind: dotmesh.Busy})
	r.refuse(dotmesh.NotFound, 0, err)
}

func testExpired(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	q, answered := r.request(b), r.request(b)
	q.Life, answered.Life = time.Second, time.Second
	s := r.list()
	next := r.updates(s.cursor)
	r.must(r.Ask(r.ctx, q))
	s.until(next, r.must(r.Ask(r.ctx, answered)))
	if _, err := r.Answer(r.ctx, r.a, dotmesh.Response{ID: answered.ID, Kind: dotmesh.Busy}); err != nil {
		t.Fatal(err)
	}
	for s.responses[answered.ID] == nil {
		s.apply(next())
	}
	for s.requests[q.ID] != nil || s.responses[answered.ID] != nil {
		s.apply(next())
	}
	reg := r.next(b, "one")
	reg.Reply = &dotmesh.Reply{Node: q.Node, ID: q.ID}
	cursor, err := r.Register(r.ctx, reg)
	r.refuse(dotmesh.NotFound, cursor, err)
	_, err = r.withdraw(reg.Reply)
	r.refuse(dotmesh.NotFound, 0, err)
	if got := r.branch(b.ID).Pointer; got != b.Pointer {
		t.Errorf("pointer = %+v, want %+v", got, b.Pointer)
	}
}

func testWithdrawOrDo(t *testing.T, r *registryTest) {
	done := 0
	for i := range 12 {
		b := r.dot(dotmesh.Name(fmt.Sprintf("dot-%d", i)))
		reg := r.next(b, "one")
		reg.Reply = r.asked(b)
		var kind dotmesh.Kind
		var did, took error
		together(2, func(i int) {
			if i == 0 {
				_, did = r.Register(r.ctx, reg)
			} else {
				kind, took = r.withdraw(reg.Reply)
			}
		})
		moved := r.branch(b.ID).Pointer != b.Pointer
		if took != nil || (did == nil) != moved || (kind == "") != moved {
			t.Fatalf("the work ended with %v and taking back with %q, %v, and the branch has moved: %v", did, kind, took, moved)
		}
		if !moved && dotmesh.KindOf(did) != dotmesh.Conflict {
			t.Errorf("the work was refused with %v, want one of kind %q", did, dotmesh.Conflict)
		}
		r.wantAnswer(reg.Reply, kind)
		if moved {
			done++
		}
	}
	t.Logf("%d of 12 were done", done)
}

func testDoneOnce(t *testing.T, r *registryTest) {
	const callers = 8
	var regs [callers]dotmesh.Registration
	reply := r.asked(dotmesh.Branch{})
	for i := range regs { // that do not concern each other, but for the request
		regs[i] = r.next(r.dot(dotmesh.Name(fmt.Sprintf("dot-%d", i))), "one")
		regs[i].Reply = reply
	}
	var errs [callers]error
	together(callers, func(i int) { _, errs[i] = r.Register(r.ctx, regs[i]) })
	s, won := r.list(), 0
	for i, err := range errs {
		moved := s.branches[regs[i].Branch].Pointer != regs[i].Expect
		if (err == nil) != moved || err != nil && dotmesh.KindOf(err) != dotmesh.Conflict {
			t.Errorf("caller %d got %v, and its branch has moved: %v", i, err, moved)
		}
		if moved {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d callers won, want one", won)
	}
	r.wantAnswer(reply, "")
}

func testRequestsStay(t *testing.T, r *registryTest) {
	open, ended := r.asked(r.dot("shop")), r.asked(dotmesh.Branch{})
	if _, err := r.withdraw(ended); err != nil {
		t.Fatal(err)
	}
	all := r.export()
	for key := range all {
		if strings.HasPrefix(key, "requests/") || strings.HasPrefix(key, "responses/") {
			t.Errorf("%s was exported", key)
		}
	}
	r.must(r.Import(r.ctx, entriesOf(all), true))
	if s := r.list(); s.requests[open.ID] == nil || s.responses[ended.ID] == nil {
		t.Errorf("requests = %v and responses = %v, want one of each as before", s.requests, s.responses)
	}
}
