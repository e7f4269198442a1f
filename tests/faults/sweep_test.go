//go:build failpoints

package faults_test

import (
	"time"

	"dotmesh.io/dotmesh"
)

// retention is longer than anything is kept that was dropped.
const retention = 800 * time.Hour

// killSweep kills a server at one step of its garbage collection after the other.
func killSweep(n *node) {
	n.Args = append(n.Args, "--log-level", "debug")
	n.start()
	kept := n.grown()
	kept.reset("HEAD^") // the stash goes, but what the branch was forked from stays
	kept.write("", "new")
	kept.branch("side", "HEAD")
	want := picture{"master", map[string]branch{
		"master": {"one, Initial commit", "one", "new"},
		"side":   {"one, Initial commit", "one", ""},
	}}
	thinned := n.grown()
	n.must(thinned.DeleteCommit(n.Context(), thinned.ref("HEAD^")))
	thinned.reset("HEAD")
	pruned := withSide(n)
	n.must(pruned.DeleteBranch(n.Context(), dotmesh.BranchRequest{Dot: pruned.name, Branch: "side"}))
	gone := withSide(n)
	gone.reset("HEAD^")
	n.must(gone.DeleteDot(n.Context(), dotmesh.DeleteDot{Dot: gone.name}))
	n.stop()

	n.ahead(retention)
	n.killSteps()
	n.restart()
	kept.want(want)
	thinned.want(picture{"master", map[string]branch{"master": {"two, Initial commit", "two", "two"}}})
	pruned.want(grownPicture())
	gone.want(picture{})
	for _, d := range []*dot{kept, thinned, pruned} {
		d.wantToWork()
		n.must(d.DeleteDot(n.Context(), dotmesh.DeleteDot{Dot: d.name}))
	}
	n.wantNoWaste()

	n.ahead(2 * retention)
	n.killSteps()
	n.restart()
	n.wantNoWaste()
	if left := n.inventory(); len(left) > n.dots {
		n.Errorf("%d lines are left in the pool: %v", len(left), left)
	}
}

// ahead sets the clock of the next server ahead.
func (n *node) ahead(d time.Duration) {
	n.Env = append(n.Env, "DOTMESH_FAILPOINTS_AHEAD="+d.String())
}
