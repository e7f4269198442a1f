//go:build failpoints

package faults_test

import (
	"fmt"

	"dotmesh.io/dotmesh"
)

// step is a failpoint, and at which of its turns.
type step struct {
	point string
	nth   int
}

func (s step) String() string { return fmt.Sprintf("%s, time %d", s.point, s.nth) }

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

// killServer kills the server at every step of the operation.
func (op operation) killServer(n *node) {
	n.start()
	for _, at := range op.trace(n) {
		d := op.prepare(n)
		n.arm(fmt.Sprintf("%s=kill@%d", at.point, at.nth))
		err := op.run(n.Context(), d)
		n.died()
		n.arm("")
		n.start()
		op.judge(d, err, at)
	}
	n.wantNoWaste()
}

// judge checks what is left of an operation that ended in err.
func (op operation) judge(d *dot, err error, at step) {
	d.Helper()
	failed := d.Failed()
	d.verdict(op, err)
	d.must(op.run(d.Context(), d))
	d.want(op.after)
	if len(op.after.branches) > 0 {
		d.wantToWork()
	}
	if d.Failed() && !failed {
		d.Errorf("^ after %s, which ended in %v", at, err)
	}
}

// verdict checks that the outcome is what the caller was told.
func (d *dot) verdict(op operation, err error) {
	d.Helper()
	switch dotmesh.KindOf(err) {
	case "":
		d.want(op.after)
	case dotmesh.Unknown:
		d.wantEither(op.before, op.after)
	default:
		d.want(op.before)
	}
}
