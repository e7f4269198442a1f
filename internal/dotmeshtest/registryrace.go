package dotmeshtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"dotmesh.io/dotmesh"
)

var raceTests = []registryCase{
	{"of many callers who expect the same pointer exactly one wins", testOneWins},
	{"of Take and Abort exactly one succeeds", testTakeOrAbort},
	{"callers who do not concern each other all succeed", testAllWin},
	{"the history of a branch is linearizable", testLinearizable},
}

func testOneWins(t *testing.T, r *registryTest) {
	const callers = 8
	register := func(b dotmesh.Branch, i int) func() error {
		reg := r.next(b, fmt.Sprint(i))
		return func() error { _, err := r.Register(r.ctx, reg); return err }
	}
	swing := func(b dotmesh.Branch, i int) func() error {
		s := r.reset(b, dotmesh.Name(fmt.Sprintf("stash-%d", i)))
		return func() error { _, err := r.Swing(r.ctx, s); return err }
	}
	begin := func(b dotmesh.Branch, _ int) func() error {
		m := r.move(b)
		return func() error { _, err := r.BeginMove(r.ctx, m); return err }
	}
	bury := func(b dotmesh.Branch, i int) func() error {
		burial := r.tombstone(b, dotmesh.BuriedDot)
		burial.Tombstone.By = fmt.Sprintf("user-%d", i)
		return func() error { _, err := r.Bury(r.ctx, burial); return err }
	}
	for name, verbs := range map[string][]func(dotmesh.Branch, int) func() error{
		"Register":    {register},
		"Swing":       {swing},
		"BeginMove":   {begin},
		"Bury":        {bury},
		"all of them": {register, swing, begin, bury},
	} {
		t.Run(name, func(t *testing.T) {
			b := r.dot(dotmesh.Name(fmt.Sprintf("dot-%d", len(r.list().branches))))
			calls, errs := make([]func() error, callers), make([]error, callers)
			for i := range calls {
				calls[i] = verbs[i%len(verbs)](b, i)
			}
			together(callers, func(i int) { errs[i] = calls[i]() })
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
				} else if kind := dotmesh.KindOf(err); kind != dotmesh.Conflict && kind != dotmesh.NotFound {
					t.Errorf("a loser got %v, want one of kind %q", err, dotmesh.Conflict)
				}
			}
			if won != 1 {
				t.Errorf("%d callers won, want one", won)
			}
		})
	}
}

// together calls f for 0 to n-1 at the same time and waits for all.
func together(n int, f func(i int)) {
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() { f(i) })
	}
	calls.Wait()
}

func testTakeOrAbort(t *testing.T, r *registryTest) {
	for i := range 10 {
		b := r.dot(dotmesh.Name(fmt.Sprintf("dot-%d", i)))
		m := r.released(b)
		var took, aborted error
		together(2, func(i int) {
			if i == 0 {
				_, took = r.Take(r.ctx, m, r.arrival(m))
			} else {
				_, aborted = r.Abort(r.ctx, m)
			}
		})
		if (took == nil) == (aborted == nil) {
			t.Fatalf("Take = %v and Abort = %v, want one success", took, aborted)
		}
		want := r.a
		if took == nil {
			want = r.b
		}
		if got := r.branch(b.ID).Pointer; got.Master != want || got.Epoch != 2 {
			t.Errorf("pointer = %+v, want master %s and epoch 2", got, want)
		}
	}
}

func testAllWin(t *testing.T, r *registryTest) {
	const callers = 8
	b := r.dot("shop")
	var branches [callers]dotmesh.Branch
	together(callers, func(i int) {
		f := r.fork(b, dotmesh.Name(fmt.Sprintf("wip-%d", i)))
		if _, err := r.Create(r.ctx, f); err != nil {
			t.Errorf("Create: %v", err)
		}
		branches[i] = f.Branch
	})
	together(callers, func(i int) {
		if _, err := r.Register(r.ctx, r.next(branches[i], "one")); err != nil {
			t.Errorf("Register: %v", err)
		}
	})
	ops, err := r.Ops(r.ctx, b.Dot, 0, 100)
	if err != nil || len(ops) != 2*callers+1 {
		t.Errorf("Ops = %d entries, %v; want %d", len(ops), err, 2*callers+1)
	}
	for i, op := range ops {
		if want := uint64(len(ops) - i); op.N != want {
			t.Errorf("entry %d is numbered %d", want, op.N)
		}
	}
	if l := r.list().lines[b.Pointer.Line]; len(l.Children) != callers {
		t.Errorf("%d children, want %d", len(l.Children), callers)
	}
}

// step is an operation of the history that porcupine judges: a change of a branch's
// pointer from one state to another, or a look at it.
type step struct {
	verb         string
	expect, next dotmesh.Pointer
}

// outcome is how a step ended: with the pointer that was seen, or in one of three ways.
type outcome struct {
	seen dotmesh.Pointer
	kind dotmesh.Kind // "" for success
}

// branchModel says what a branch may do: it is its whole pointer, compared and replaced.
func branchModel(first dotmesh.Pointer) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return first },
		Step: func(state, input, output any) (bool, any) {
			at, in, out := state.(dotmesh.Pointer), input.(step), output.(outcome)
			switch {
			case in.verb == "look":
				return out.seen == at, at
			case out.kind == "" && in.ended(at):
				return true, at
			case out.kind == "":
				return at == in.expect, in.next
			case out.kind == dotmesh.Unknown && at == in.expect:
				return true, in.next
			case out.kind == dotmesh.Unknown:
				return true, at
			}
			return at != in.expect, at
		},
		Equal: func(a, b any) bool { return a == b },
		DescribeOperation: func(input, output any) string {
			in, out := input.(step), output.(outcome)
			return fmt.Sprintf("%s %d/%d %s", in.verb, in.next.Epoch, in.next.Seq, out.kind)
		},
	}
}

func testLinearizable(t *testing.T, r *registryTest) {
	b := r.dot("shop")
	h := &history{start: time.Now()}
	together(5, func(client int) {
		for i := range 12 {
			h.look(r, client, b.ID)
			switch at := h.last(client); at.State.Phase {
			case dotmesh.Held:
				if (client+i)%3 == 0 {
					h.beginMove(r, client, b, at)
				} else if (client+i)%3 == 1 {
					h.swing(r, client, b, at, i)
				} else {
					h.register(r, client, b, at)
				}
			case dotmesh.Moving:
				h.release(r, client, b, at)
			case dotmesh.Released:
				h.end(r, client, b, at, client%2 == 0)
			}
		}
	})
	if got := porcupine.CheckOperationsTimeout(branchModel(b.Pointer), h.operations, time.Minute); got != porcupine.Ok {
		t.Errorf("the history of %d operations is %s", len(h.operations), got)
	}
}

// history collects the operations of several clients.
type history struct {
	start time.Time

	mu         sync.Mutex // guards what follows
	operations []porcupine.Operation
	seen       map[int]dotmesh.Pointer
}

func (h *history) last(client int) dotmesh.Pointer {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.seen[client]
}

func (h *history) record(client int, in step, call func() outcome) {
	begin := time.Since(h.start)
	out := call()
	end := time.Since(h.start)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, porcupine.Operation{
		ClientId: client, Input: in, Output: out, Call: int64(begin), Return: int64(end),
	})
	if in.verb == "look" {
		if h.seen == nil {
			h.seen = map[int]dotmesh.Pointer{}
		}
		h.seen[client] = out.seen
	}
}

func (h *history) change(client int, in step, call func() error) {
	h.record(client, in, func() outcome { return outcome{kind: dotmesh.KindOf(call())} })
}

func (h *history) look(r *registryTest, client int, id dotmesh.BranchID) {
	h.record(client, step{verb: "look"}, func() outcome { return outcome{seen: r.branch(id).Pointer} })
}

func (h *history) register(r *registryTest, client int, b dotmesh.Branch, at dotmesh.Pointer) {
	b.Pointer = at
	reg := r.next(b, fmt.Sprint(client))
	next := at
	next.Tip, next.Head, next.Chain = reg.Commit.ID, reg.Commit.ID, reg.Commit.Chain
	next.Seq++
	next.Count++
	h.change(client, step{"register", at, next}, func() error { _, err := r.Register(r.ctx, reg); return err })
}

func (h *history) swing(r *registryTest, client int, b dotmesh.Branch, at dotmesh.Pointer, i int) {
	b.Pointer = at
	s := r.reset(b, dotmesh.Name(fmt.Sprintf("stash-%d-%d", client, i)))
	h.change(client, step{"swing", at, s.Next}, func() error { _, err := r.Swing(r.ctx, s); return err })
}

func (h *history) beginMove(r *registryTest, client int, b dotmesh.Branch, at dotmesh.Pointer) {
	b.Pointer = at
	m := r.move(b)
	if at.Master == r.b {
		m.To = r.a
	}
	next := at
	next.State = dotmesh.State{Phase: dotmesh.Moving, To: m.To, Move: m.ID, Deadline: m.Deadline}
	h.change(client, step{"begin", at, next}, func() error { _, err := r.BeginMove(r.ctx, m); return err })
}

func (h *history) release(r *registryTest, client int, b dotmesh.Branch, at dotmesh.Pointer) {
	m := dotmesh.Move{Branch: b.ID, Expect: at, ID: at.State.Move, To: at.State.To}
	closing := r.next(dotmesh.Branch{ID: b.ID, Dot: b.Dot, Pointer: at}, fmt.Sprintf("closing %d", client)).Commit
	next := at
	next.Tip, next.Head, next.Chain = closing.ID, closing.ID, closing.Chain
	next.Seq++
	next.Count++
	next.State = dotmesh.State{Phase: dotmesh.Released, To: m.To, Move: m.ID, Commit: closing.ID, GUID: closing.GUID}
	h.change(client, step{"release", at, next}, func() error { _, err := r.Release(r.ctx, m, &closing); return err })
}

func (h *history) end(r *registryTest, client int, b dotmesh.Branch, at dotmesh.Pointer, take bool) {
	m := dotmesh.Move{Branch: b.ID, Expect: at, ID: at.State.Move, To: at.State.To}
	next := at
	next.Epoch++
	next.State = dotmesh.State{Phase: dotmesh.Held}
	if !take {
		h.change(client, step{"abort", at, next}, func() error { _, err := r.Abort(r.ctx, m); return err })
		return
	}
	next.Master = m.To
	position := dotmesh.Position{Node: m.To, Line: at.Line, Seq: at.Seq, Commit: at.Tip, Chain: at.Chain}
	h.change(client, step{"take", at, next}, func() error { _, err := r.Take(r.ctx, m, position); return err })
}

// ended reports whether a pointer shows that the move which a step ends has ended so, for
// which another caller's success serves as well.
func (in step) ended(at dotmesh.Pointer) bool {
	return (in.verb == "take" || in.verb == "abort") &&
		at.Epoch == in.next.Epoch && at.Line == in.next.Line && at.Master == in.next.Master
}
