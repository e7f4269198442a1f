package dotmeshtest

import (
	"math"
	"testing"

	"dotmesh.io/dotmesh"
)

var historyTests = []registryCase{
	{"a dot is born with its master branch, line, commit, position and log entry", testCreateDot},
	{"a creation finds its own success", testCreateAgain},
	{"a dot's name and a branch's name are given once", testCreateTaken},
	{"a creation that contradicts itself is refused", testCreateInvalid},
	{"a branch is forked from a line of its dot, which remembers it", testFork},
	{"a commit moves tip, head, count and chain", testRegister},
	{"a system commit moves the tip and not the head", testRegisterSystem},
	{"a commit that does not follow the tip is refused", testRegisterInvalid},
	{"a commit is refused when the pointer has changed", testRegisterConflict},
	{"a commit id means one content for ever", testRegisterOther},
	{"a swing points at the new line and gives the old one to a stash", testSwing},
	{"a swing that contradicts itself is refused", testSwingInvalid},
	{"only a takeover changes the master or interrupts a move", testTakeover},
	{"a move ends with the target as master", testMove},
	{"an aborted move ends with the source as master and a higher epoch", testAbort},
	{"the steps of a move are refused out of order", testMoveOrder},
	{"the last epoch is the end", testLastEpoch},
}

func testCreateDot(t *testing.T, r *registryTest) {
	c := r.creation("shop")
	r.must(r.Create(r.ctx, c))
	s := r.list()
	if got := s.branches[c.Branch.ID]; got == nil || got.Pointer != c.Branch.Pointer {
		t.Errorf("branch = %+v, want %+v", got, c.Branch)
	}
	if got := s.dots[c.Dot.Name]; got == nil || got.ID != c.Dot.ID {
		t.Errorf("dot = %+v, want %+v", got, c.Dot)
	}
	if len(s.lines) != 1 || len(s.commits) != 1 || len(s.positions) != 1 {
		t.Errorf("%d lines, %d commits, %d positions; want one of each", len(s.lines), len(s.commits), len(s.positions))
	}
	ops, err := r.Ops(r.ctx, c.Dot.ID, 0, 10)
	if err != nil || len(ops) != 1 || ops[0].N != 1 || ops[0].Verb != dotmesh.VerbInit {
		t.Errorf("Ops = %+v, %v; want the init as entry 1", ops, err)
	}
}

func testCreateAgain(t *testing.T, r *registryTest) {
	c := r.creation("shop")
	r.must(r.Create(r.ctx, c))
	b, _ := r.commit(c.Branch, "later")
	r.must(r.Create(r.ctx, c))
	f := r.fork(b, "wip")
	r.must(r.Create(r.ctx, f))
	r.must(r.Create(r.ctx, f))
	ops, err := r.Ops(r.ctx, c.Dot.ID, 0, 10)
	if err != nil || len(ops) != 3 {
		t.Errorf("Ops = %d entries, %v; want the init, the commit and the branch once each", len(ops), err)
	}
	f.Branch.Name = "other"
	cursor, err := r.Create(r.ctx, f)
	r.refuse(dotmesh.Exists, cursor, err)
}

func testCreateTaken(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	cursor, err := r.Create(r.ctx, r.creation("shop"))
	r.refuse(dotmesh.Exists, cursor, err)
	r.must(r.Create(r.ctx, r.fork(b, "wip")))
	cursor, err = r.Create(r.ctx, r.fork(b, "wip"))
	r.refuse(dotmesh.Exists, cursor, err)
	if n := len(r.list().lines); n != 2 {
		t.Errorf("%d lines, want those of the two that succeeded", n)
	}
}

func testCreateInvalid(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	for name, spoil := range map[string]func(*dotmesh.Creation){
		"no name":                func(c *dotmesh.Creation) { c.Branch.Name = "" },
		"no epoch":               func(c *dotmesh.Creation) { c.Branch.Pointer.Epoch = 0 },
		"no master":              func(c *dotmesh.Creation) { c.Branch.Pointer.Master = "" },
		"moving":                 func(c *dotmesh.Creation) { c.Branch.Pointer.State.Phase = dotmesh.Moving },
		"another line":           func(c *dotmesh.Creation) { c.Branch.Pointer.Line = b.Pointer.Line },
		"another owner":          func(c *dotmesh.Creation) { c.Line.Owner = b.ID },
		"a tip off the line":     func(c *dotmesh.Creation) { c.Branch.Pointer.Tip = newCommitID() },
		"half an origin":         func(c *dotmesh.Creation) { c.Line.Origin.Commit = dotmesh.CommitID{} },
		"another line's holder":  func(c *dotmesh.Creation) { c.Holder.Line = b.Pointer.Line },
		"another dot's entry":    func(c *dotmesh.Creation) { c.Op.Dot = dotmesh.DotID{UUID: dotmesh.NewUUID()} },
		"a master without a dot": func(c *dotmesh.Creation) { c.Branch.ID, c.Line.Owner = b.ID, b.ID },
	} {
		t.Run(name, func(t *testing.T) {
			c := r.fork(b, "wip")
			spoil(&c)
			cursor, err := r.Create(r.ctx, c)
			r.refuse(dotmesh.Invalid, cursor, err)
		})
	}
	c := r.creation("other")
	c.Commits[0].Metadata = map[string]string{"x": string(make([]byte, dotmesh.MaxMessage))}
	cursor, err := r.Create(r.ctx, c)
	r.refuse(dotmesh.Invalid, cursor, err)
	if s := r.list(); len(s.branches) != 1 || len(s.lines) != 1 {
		t.Errorf("%d branches and %d lines are there, want those of the first dot", len(s.branches), len(s.lines))
	}
}

func testFork(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	f := r.fork(b, "wip")
	r.must(r.Create(r.ctx, f))
	want := dotmesh.Child{Line: f.Line.ID, Commit: b.Pointer.Tip, Seq: b.Pointer.Seq}
	origin := r.list().lines[b.Pointer.Line]
	if len(origin.Children) != 1 || origin.Children[0] != want || !origin.Forked(b.Pointer.Tip) {
		t.Errorf("children = %v, want %v", origin.Children, want)
	}
	gone := r.fork(b, "gone")
	gone.Line.Origin.Line = dotmesh.LineID{UUID: dotmesh.NewUUID()}
	cursor, err := r.Create(r.ctx, gone)
	r.refuse(dotmesh.NotFound, cursor, err)
	foreign := r.fork(r.dot("other"), "foreign")
	foreign.Branch.Dot, foreign.Line.Dot = b.Dot, b.Dot
	cursor, err = r.Create(r.ctx, foreign)
	r.refuse(dotmesh.Invalid, cursor, err)
	orphan := r.fork(b, "orphan")
	orphan.Branch.Dot = dotmesh.DotID{UUID: dotmesh.NewUUID()}
	orphan.Line.Dot = orphan.Branch.Dot
	cursor, err = r.Create(r.ctx, orphan)
	r.refuse(dotmesh.NotFound, cursor, err)
}

func testRegister(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	reg := r.next(b, "one")
	reg.Commit.Metadata = map[string]string{"build": "17"}
	reg.Commit.Chain = b.Pointer.Chain.After(&reg.Commit)
	for range 2 { // the second time it finds its own success
		r.must(r.Register(r.ctx, reg))
	}
	s := r.list()
	want := b.Pointer
	want.Tip, want.Head, want.Seq, want.Count, want.Chain = reg.Commit.ID, reg.Commit.ID, 2, 2, reg.Commit.Chain
	if got := s.branches[b.ID].Pointer; got != want {
		t.Errorf("pointer = %+v, want %+v", got, want)
	}
	got := s.commits[place{want.Line, 2}]
	if got == nil || got.ID != reg.Commit.ID || got.Metadata["build"] != "17" || got.GUID != "guid-one" {
		t.Errorf("commit = %+v, want %+v", got, reg.Commit)
	}
	r.must(0, r.TrimCommits(r.ctx, want.Line, 3))
	r.must(r.Register(r.ctx, reg)) // the tip still says that it was done
}

func testRegisterSystem(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	reg := r.next(b, "kept")
	reg.Commit.Kind = dotmesh.SystemCommit
	reg.Commit.Chain = b.Pointer.Chain.After(&reg.Commit)
	reg.Op = dotmesh.Op{}
	r.must(r.Register(r.ctx, reg))
	got := r.branch(b.ID).Pointer
	if got.Tip != reg.Commit.ID || got.Head != b.Pointer.Head || got.Count != 1 || got.Seq != 2 {
		t.Errorf("pointer = %+v, want a new tip and the old head", got)
	}
	if ops, err := r.Ops(r.ctx, b.Dot, 0, 10); err != nil || len(ops) != 1 {
		t.Errorf("Ops = %d entries, %v; want no new one", len(ops), err)
	}
}

func testRegisterInvalid(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	for name, spoil := range map[string]func(*dotmesh.Registration){
		"another parent":      func(reg *dotmesh.Registration) { reg.Commit.Parent = newCommitID() },
		"another line":        func(reg *dotmesh.Registration) { reg.Commit.Line = dotmesh.LineID{UUID: dotmesh.NewUUID()} },
		"a gap":               func(reg *dotmesh.Registration) { reg.Commit.Seq++ },
		"another chain":       func(reg *dotmesh.Registration) { reg.Commit.Message += "!" },
		"no id":               func(reg *dotmesh.Registration) { reg.Commit.ID = dotmesh.CommitID{} },
		"no kind":             func(reg *dotmesh.Registration) { reg.Commit.Kind = "" },
		"no branch":           func(reg *dotmesh.Registration) { reg.Branch = dotmesh.BranchID{} },
		"another dot's entry": func(reg *dotmesh.Registration) { reg.Op.Dot = dotmesh.DotID{UUID: dotmesh.NewUUID()} },
	} {
		t.Run(name, func(t *testing.T) {
			reg := r.next(b, "one")
			spoil(&reg)
			cursor, err := r.Register(r.ctx, reg)
			r.refuse(dotmesh.Invalid, cursor, err)
		})
	}
	if got := r.branch(b.ID).Pointer; got != b.Pointer {
		t.Errorf("pointer = %+v, want %+v", got, b.Pointer)
	}
}

func testRegisterConflict(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	for name, spoil := range map[string]func(*dotmesh.Pointer){
		"epoch":  func(p *dotmesh.Pointer) { p.Epoch++ },
		"master": func(p *dotmesh.Pointer) { p.Master = r.b },
		"count":  func(p *dotmesh.Pointer) { p.Count++ },
		"moving": func(p *dotmesh.Pointer) { p.State = dotmesh.State{Phase: dotmesh.Moving} },
	} {
		t.Run(name, func(t *testing.T) {
			reg := r.next(b, "one")
			spoil(&reg.Expect)
			cursor, err := r.Register(r.ctx, reg)
			r.refuse(dotmesh.Conflict, cursor, err)
		})
	}
	late := r.next(b, "late")
	r.commit(b, "early")
	cursor, err := r.Register(r.ctx, late)
	r.refuse(dotmesh.Conflict, cursor, err)
	gone := r.next(b, "gone")
	gone.Branch = dotmesh.BranchID{UUID: dotmesh.NewUUID()}
	gone.Commit.Line = dotmesh.LineID{UUID: dotmesh.NewUUID()}
	gone.Expect.Line = gone.Commit.Line
	cursor, err = r.Register(r.ctx, gone)
	r.refuse(dotmesh.NotFound, cursor, err)
}

func testRegisterOther(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	reg := r.next(b, "one")
	r.must(r.Register(r.ctx, reg))
	reg.Commit.GUID = "another snapshot"
	cursor, err := r.Register(r.ctx, reg)
	r.refuse(dotmesh.Conflict, cursor, err)
}

func testSwing(t *testing.T, r *registryTest) {
	b, _ := r.commit(r.dot("shop"), "one")
	s := r.reset(b, "master-RESET-1")
	for range 2 { // the second time it finds its own success
		r.must(r.Swing(r.ctx, s))
	}
	have := r.list()
	if got := have.branches[b.ID].Pointer; got != s.Next {
		t.Errorf("pointer = %+v, want %+v", got, s.Next)
	}
	if old := have.lines[b.Pointer.Line]; old.Owner != s.Stash.ID || !old.Forked(b.Pointer.Tip) {
		t.Errorf("old line = %+v, want it owned by the stash and forked", old)
	}
	if stash := have.branches[s.Stash.ID]; stash == nil || stash.Pointer != s.Stash.Pointer || stash.Stash.Of != b.ID {
		t.Errorf("stash = %+v, want %+v", stash, s.Stash)
	}
	again := r.reset(r.branch(b.ID), "master-RESET-1")
	cursor, err := r.Swing(r.ctx, again)
	r.refuse(dotmesh.Exists, cursor, err)
	again.Stash = nil // nothing was on the line, so it is not worth keeping
	r.must(r.Swing(r.ctx, again))
	r.must(r.Swing(r.ctx, s)) // long after
	cursor, err = r.Swing(r.ctx, r.reset(b, "late"))
	r.refuse(dotmesh.Conflict, cursor, err)
	// The stash takes its master's closing commits, and nothing else changes it.
	stash, _ := r.commit(r.branch(s.Stash.ID), "closing")
	cursor, err = r.Swing(r.ctx, r.reset(stash, "another"))
	r.refuse(dotmesh.Invalid, cursor, err)
	cursor, err = r.BeginMove(r.ctx, r.move(stash))
	r.refuse(dotmesh.Invalid, cursor, err)
}

func testSwingInvalid(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	for name, spoil := range map[string]func(*dotmesh.Swinging){
		"the same epoch":         func(s *dotmesh.Swinging) { s.Next.Epoch-- },
		"a moving end":           func(s *dotmesh.Swinging) { s.Next.State.Phase = dotmesh.Moving },
		"the same line":          func(s *dotmesh.Swinging) { s.Next.Line = b.Pointer.Line },
		"no origin":              func(s *dotmesh.Swinging) { s.Line.Origin = dotmesh.Origin{} },
		"a tip off the line":     func(s *dotmesh.Swinging) { s.Next.Tip = newCommitID() },
		"another owner":          func(s *dotmesh.Swinging) { s.Line.Owner = s.Stash.ID },
		"another master":         func(s *dotmesh.Swinging) { s.Next.Master = r.b },
		"a stash that is none":   func(s *dotmesh.Swinging) { s.Stash.Stash = nil },
		"a stash of another tip": func(s *dotmesh.Swinging) { s.Stash.Pointer.Tip = newCommitID() },
	} {
		t.Run(name, func(t *testing.T) {
			s := r.reset(b, "stash")
			spoil(&s)
			cursor, err := r.Swing(r.ctx, s)
			r.refuse(dotmesh.Invalid, cursor, err)
		})
	}
	if s := r.list(); len(s.branches) != 1 || len(s.lines) != 1 || s.branches[b.ID].Pointer != b.Pointer {
		t.Error("a refused swing left something behind")
	}
}

func testTakeover(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	m := r.move(b)
	r.must(r.BeginMove(r.ctx, m))
	moving := r.branch(b.ID)
	s := r.reset(moving, "master-DIVERGED-1")
	s.Next.State = dotmesh.State{Phase: dotmesh.Held}
	s.Stash.Pointer.State = s.Next.State
	s.Next.Master = r.b
	cursor, err := r.Swing(r.ctx, s)
	r.refuse(dotmesh.Conflict, cursor, err)
	s.Op.Verb = dotmesh.VerbTakeover
	r.must(r.Swing(r.ctx, s))
	if got := r.branch(b.ID).Pointer; got != s.Next {
		t.Errorf("pointer = %+v, want %+v", got, s.Next)
	}
	m.Expect = moving.Pointer
	cursor, err = r.Release(r.ctx, m, nil)
	r.refuse(dotmesh.Conflict, cursor, err)
	cursor, err = r.Abort(r.ctx, m)
	r.refuse(dotmesh.Conflict, cursor, err)
}

func testMove(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	m := r.move(b)
	for range 2 {
		r.must(r.BeginMove(r.ctx, m))
	}
	moving := r.branch(b.ID).Pointer
	if want := (dotmesh.State{Phase: dotmesh.Moving, To: r.b, Move: m.ID, Deadline: m.Deadline}); moving.State != want {
		t.Errorf("state = %+v, want %+v", moving.State, want)
	}
	m.Expect = moving
	closing := r.next(dotmesh.Branch{ID: b.ID, Dot: b.Dot, Pointer: moving}, "closing").Commit
	closing.Kind = dotmesh.SystemCommit
	closing.Chain = moving.Chain.After(&closing)
	for range 2 {
		r.must(r.Release(r.ctx, m, &closing))
	}
	released := r.branch(b.ID).Pointer
	want := dotmesh.State{Phase: dotmesh.Released, To: r.b, Move: m.ID, Commit: closing.ID, GUID: closing.GUID}
	if released.State != want || released.Tip != closing.ID || released.Head != b.Pointer.Head {
		t.Errorf("released = %+v, want the state %+v", released, want)
	}
	m.Expect = released
	for range 2 {
		r.must(r.Take(r.ctx, m, r.arrival(m)))
	}
	s := r.list()
	taken := s.branches[b.ID].Pointer
	if taken.Master != r.b || taken.Epoch != 2 || taken.State != (dotmesh.State{Phase: dotmesh.Held}) || taken.Line != b.Pointer.Line {
		t.Errorf("taken = %+v, want it held by the target with epoch 2", taken)
	}
	if p := s.positions[held{r.b, taken.Line}]; p == nil || p.Commit != closing.ID {
		t.Errorf("the target's position = %+v, want it at %s", p, closing.ID)
	}
	cursor, err := r.Abort(r.ctx, m)
	r.refuse(dotmesh.Conflict, cursor, err)
	r.commit(r.branch(b.ID), "on the target")
	r.must(r.Take(r.ctx, m, r.arrival(m))) // a late retry finds its own success
}

func testAbort(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	m := r.move(b)
	r.must(r.BeginMove(r.ctx, m))
	m.Expect = r.branch(b.ID).Pointer
	for range 2 {
		r.must(r.Abort(r.ctx, m))
	}
	got := r.branch(b.ID)
	if want := b.Pointer; got.Pointer.Master != want.Master || got.Pointer.Epoch != want.Epoch+1 || got.Pointer.State != want.State {
		t.Errorf("aborted = %+v, want it held by the source with a higher epoch", got.Pointer)
	}
	released := r.released(got)
	if released.Expect.State.GUID != "guid-1" {
		t.Errorf("released with the native id %q, want that of the tip", released.Expect.State.GUID)
	}
	r.must(r.Abort(r.ctx, released))
	cursor, err := r.Take(r.ctx, released, r.arrival(released))
	r.refuse(dotmesh.Conflict, cursor, err)
}

func testMoveOrder(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	m := r.move(b)
	for name, step := range map[string]func(dotmesh.Move) (dotmesh.Cursor, error){
		"release": func(m dotmesh.Move) (dotmesh.Cursor, error) { return r.Release(r.ctx, m, nil) },
		"take":    func(m dotmesh.Move) (dotmesh.Cursor, error) { return r.Take(r.ctx, m, r.arrival(m)) },
		"abort":   func(m dotmesh.Move) (dotmesh.Cursor, error) { return r.Abort(r.ctx, m) },
	} {
		t.Run(name+" of a held branch", func(t *testing.T) {
			cursor, err := step(m)
			r.refuse(dotmesh.Conflict, cursor, err)
		})
	}
	unknown := m
	unknown.To = "cccccccccccccccc"
	cursor, err := r.BeginMove(r.ctx, unknown)
	r.refuse(dotmesh.NotFound, cursor, err)
	same := m
	same.To = r.a
	cursor, err = r.BeginMove(r.ctx, same)
	r.refuse(dotmesh.Invalid, cursor, err)
	r.must(r.BeginMove(r.ctx, m))
	second := m
	second.ID = dotmesh.NewUUID()
	cursor, err = r.BeginMove(r.ctx, second)
	r.refuse(dotmesh.Conflict, cursor, err)
	second.Expect = r.branch(b.ID).Pointer
	cursor, err = r.Release(r.ctx, second, nil)
	r.refuse(dotmesh.Conflict, cursor, err)
	m.Expect = second.Expect
	r.must(r.Release(r.ctx, m, nil))
	m.Expect = r.branch(b.ID).Pointer
	early := r.arrival(m)
	early.Commit = newCommitID()
	cursor, err = r.Take(r.ctx, m, early)
	r.refuse(dotmesh.Invalid, cursor, err)
}

func testLastEpoch(t *testing.T, r *registryTest) {
	c := r.creation("shop")
	c.Branch.Pointer.Epoch = math.MaxUint64
	r.must(r.Create(r.ctx, c))
	s := r.reset(c.Branch, "stash") // whose epoch has gone round to 0
	cursor, err := r.Swing(r.ctx, s)
	r.refuse(dotmesh.Invalid, cursor, err)
	cursor, err = r.BeginMove(r.ctx, r.move(c.Branch))
	r.refuse(dotmesh.Invalid, cursor, err)
}
