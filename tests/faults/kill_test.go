//go:build failpoints

package faults_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"dotmesh.io/dotmesh"
)

// step is a failpoint, and at which of its turns.
type step struct {
	point string
	nth   int
}

func (s step) String() string { return fmt.Sprintf("%s, time %d", s.point, s.nth) }

// inStore reports whether it is a step of the store.
func (s step) inStore() bool { return strings.HasPrefix(s.point, storePoints) }

// steps are the failpoints that were reached since arm, in their order.
func (n *node) steps() (all []step) {
	n.Helper()
	count := map[string]int{}
	for _, point := range n.reached() {
		count[point]++
		all = append(all, step{point, count[point]})
	}
	return all
}

// trace does the operation undisturbed, and returns the steps that it takes.
func (op operation) trace(n *node) []step {
	n.Helper()
	d := op.prepare(n)
	d.want(op.before)
	n.arm("")
	n.must(op.run(n.Context(), d))
	steps := n.steps()
	d.want(op.after)
	if len(steps) == 0 {
		n.Fatal("the operation came by no failpoint")
	}
	return steps
}

// killServer kills the server at the steps of the operation that are tested on this kind of
// store.
func (op operation) killServer(n *node) {
	n.start()
	var all []*dot
	for _, at := range killedAt(op.trace(n)) {
		d := op.prepare(n)
		n.armAt(at, "kill")
		err := op.run(n.Context(), d)
		n.died()
		n.Logf("killed at %s", at)
		n.arm("")
		n.start()
		op.judge(d, err, at)
		if !stayMounted {
			d.unmount()
		}
		d.last = d.look()
		all = append(all, d)
	}
	for _, d := range all {
		d.want(d.last) // the crashes that followed undid nothing
	}
	n.wantNoWaste()
}

// afterwards are points that only mark a place: nothing that fails there takes back what
// was registered before.
var afterwards = []string{"commit.after-register", "swing.after-register", "swing.after-mount"}

// failSteps has every step of the operation fail. Only what follows the transaction may
// fail after the fact.
func (op operation) failSteps(n *node) {
	n.start()
	for _, at := range op.trace(n) {
		if at.point == "swing.after-own" {
			continue // it is between two steps and cannot fail itself
		}
		d := op.prepare(n)
		n.armAt(at, "error")
		err := op.run(n.Context(), d)
		n.arm("")
		if slices.Contains(afterwards, at.point) {
			err = dotmesh.Unknown
		}
		op.judge(d, err, at)
	}
	n.restart() // a snapshot that may have come to be is cleared away then
	n.wantNoWaste()
}

// fewKills is how often an etcd may end before its supervisor makes long pauses.
const fewKills = 3

// killEtcd kills etcd at every step of the operation, which then goes on. Steps of the
// store that follow each other are one: the store knows nothing of etcd.
func (op operation) killEtcd(n *node) {
	n.start()
	steps := op.trace(n)
	steps = slices.CompactFunc(steps, func(a, b step) bool { return a.inStore() && b.inStore() })
	for i, at := range steps {
		if i%fewKills == fewKills-1 {
			n.restart()
		}
		d := op.prepare(n)
		goOn := n.path(fmt.Sprint("go-on-", i))
		n.armAt(at, "wait:"+goOn)
		ended := make(chan error, 1)
		go func() { ended <- op.run(n.Context(), d) }()
		n.await(at.String()+" is reached", func() bool { return slices.Contains(n.steps(), at) })
		n.killEtcd()
		n.must(os.WriteFile(goOn, nil, 0o600))
		err := <-ended
		n.arm("")
		n.awaitRegistry()
		op.judge(d, err, at)
	}
	n.wantNoWaste()
}

// armAt says what happens at a step.
func (n *node) armAt(at step, action string) {
	n.Helper()
	n.arm(fmt.Sprintf("%s=%s@%d", at.point, action, at.nth))
}

// killEtcd ends etcd as a crash does.
func (n *node) killEtcd() {
	n.Helper()
	pid := n.etcd()
	if pid == 0 {
		n.Fatal("no etcd runs")
	}
	n.must(syscall.Kill(pid, syscall.SIGKILL))
	n.await("etcd has ended", func() bool { return n.etcd() != pid })
}

// awaitRegistry returns when the node can change things, and has seen all that happened.
func (n *node) awaitRegistry() {
	n.Helper()
	d := n.newDot()
	n.await("the registry is back", func() bool {
		_, err := n.CreateDot(n.Context(), dotmesh.CreateDot{Dot: d.name, Request: d.request})
		return err == nil
	})
}

// judge checks what is left of an operation that ended in err: the operation can be
// repeated, and the node goes on working.
func (op operation) judge(d *dot, err error, at step) {
	d.Helper()
	failed := d.Failed()
	switch dotmesh.KindOf(err) {
	case "":
		d.want(op.after)
	case dotmesh.Unknown:
		d.wantEither(op.before, op.after)
	default:
		d.want(op.before)
	}
	d.must(op.run(d.Context(), d))
	d.want(op.after)
	if op.after.branches != nil {
		d.wantToWork()
	}
	if d.Failed() && !failed {
		d.Errorf("^ after %s, which ended in %v", at, err)
	}
}

// killStart crashes a server in the middle of things, and then kills it at one step of
// its start after the other, until it gets through.
func killStart(n *node) {
	n.Args = append(n.Args, "--log-level", "debug")
	n.start()
	for _, crash := range []struct{ operation, point string }{
		{"init", "create.before-register"},
		{"commit", "commit.before-register"},
		{"branch", "create.after-fork"},
		{"reset", "closing.before-flush"},
		{"reset", "swing.after-fork"},
		{"reset", "swing.before-register"},
		{"undo of a reset", "swing.after-register"},
		{"deleting a branch", "registry.after-txn"},
		{"checking out", "registry.after-txn"},
	} {
		op := operationCalled(crash.operation)
		d := op.prepare(n)
		n.arm(crash.point + "=kill@1")
		err := op.run(n.Context(), d)
		n.died()
		at := n.killSteps()
		op.judge(d, err, at)
	}
	n.wantNoWaste()
}

// killEtcdAtStart crashes a server in the middle of a reset, and then kills etcd at one
// step of the next start after the other.
func killEtcdAtStart(n *node) {
	n.start()
	op := operationCalled("reset")
	for i, at := range []step{{"settle.after-step", 1}, {"registry.before-txn", 1}, {"registry.after-txn", 1}, {"settle.after-step", 3}} {
		d := op.prepare(n)
		n.arm("swing.before-register=kill@1")
		err := op.run(n.Context(), d)
		n.died()
		goOn := n.path(fmt.Sprint("go-on-", i))
		n.armAt(at, "wait:"+goOn)
		n.launch()
		n.await(at.String()+" is reached", func() bool { return slices.Contains(n.steps(), at) })
		n.killEtcd()
		n.must(os.WriteFile(goOn, nil, 0o600))
		n.awaitRegistry()
		op.judge(d, err, at)
	}
	n.wantNoWaste()
}

// killSteps kills the server at one step of its start after the other, until it is ready, and
// has collected its garbage, before it comes to the next one. It returns the last. The server
// must log for debugging.
func (n *node) killSteps() (last step) {
	n.Helper()
	for killed := []step(nil); ; killed = append(killed, last) {
		n.armStart(killed)
		n.launch()
		n.await("the server has swept, or was killed", func() bool { return !n.Running() || n.said("msg=swept") })
		if n.Running() {
			n.arm("")
			return last
		}
		n.died()
		steps := n.steps()
		last = steps[len(steps)-1]
		n.Logf("killed while it starts at %s", last)
	}
}
