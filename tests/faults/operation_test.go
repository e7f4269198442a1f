//go:build failpoints

package faults_test

import (
	"context"
	"slices"

	"dotmesh.io/dotmesh"
)

// operation is a call under test. It is repeated with the same request.
type operation struct {
	name    string
	prepare func(*node) *dot
	before  picture // what prepare leaves
	run     func(context.Context, *dot) error
	after   picture // what run leaves
}

// grownPicture is that of a grown dot.
func grownPicture() picture {
	return picture{"master", map[string]branch{"master": {"two, one, Initial commit", "two", "dirty"}}}
}

func operations() []operation {
	return []operation{
		{
			name:    "init",
			prepare: (*node).newDot,
			run: func(ctx context.Context, d *dot) error {
				_, err := d.CreateDot(ctx, dotmesh.CreateDot{Dot: d.name, Request: d.request})
				return err
			},
			after: picture{"master", map[string]branch{"master": {log: "Initial commit"}}},
		},
		{
			name:    "commit",
			prepare: (*node).grown,
			before:  grownPicture(),
			run: func(ctx context.Context, d *dot) error {
				_, err := d.Commit(ctx, dotmesh.CommitRequest{Dot: d.name, Message: "dirty", ID: dotmesh.CommitID{UUID: d.request}})
				return err
			},
			after: picture{"master", map[string]branch{"master": {"dirty, two, one, Initial commit", "dirty", "dirty"}}},
		},
		{
			name:    "branch",
			prepare: (*node).grown,
			before:  grownPicture(),
			run: func(ctx context.Context, d *dot) error {
				from := d.ref("HEAD^")
				from.Request = d.request
				_, err := d.CreateBranch(ctx, dotmesh.CreateBranch{Name: "side", From: from})
				return err
			},
			after: picture{"master", map[string]branch{
				"master": {"two, one, Initial commit", "two", "dirty"},
				"side":   {"one, Initial commit", "one", ""},
			}},
		},
		{
			name:    "reset",
			prepare: (*node).grown,
			before:  grownPicture(),
			run: func(ctx context.Context, d *dot) error {
				to := d.ref("HEAD^")
				to.Request = d.request
				_, err := d.Reset(ctx, dotmesh.ResetRequest{CommitRef: to})
				return err
			},
			after: picture{"master", map[string]branch{
				"master":         {"one, Initial commit", "one", "one"},
				"stash of dirty": {"two, one, Initial commit", "dirty", ""},
			}},
		},
		{
			name:    "undo of a reset",
			prepare: func(n *node) *dot { d := n.grown(); d.reset("HEAD^"); d.write("", "again"); return d },
			before: picture{"master", map[string]branch{
				"master":         {"one, Initial commit", "one", "again"},
				"stash of dirty": {"two, one, Initial commit", "dirty", ""},
			}},
			run: undo,
			after: picture{"master", map[string]branch{
				"master":         {"two, one, Initial commit", "two", "dirty"},
				"stash of dirty": {"two, one, Initial commit", "dirty", ""},
				"stash of again": {"one, Initial commit", "again", ""},
			}},
		},
		{
			name:    "deleting a branch",
			prepare: withSide,
			before: picture{"master", map[string]branch{
				"master": {"two, one, Initial commit", "two", "dirty"},
				"side":   {"one, Initial commit", "one", "aside"},
			}},
			run: func(ctx context.Context, d *dot) error {
				return d.DeleteBranch(ctx, dotmesh.BranchRequest{Dot: d.name, Branch: "side", Request: d.request})
			},
			after: grownPicture(),
		},
		{
			name:    "deleting a dot",
			prepare: (*node).grown,
			before:  grownPicture(),
			run: func(ctx context.Context, d *dot) error {
				return d.DeleteDot(ctx, dotmesh.DeleteDot{Dot: d.name, Request: d.request})
			},
		},
		{
			name: "undo of a deletion",
			prepare: func(n *node) *dot {
				d := n.grown()
				n.must(d.DeleteDot(n.Context(), dotmesh.DeleteDot{Dot: d.name}))
				return d
			},
			run:   undo,
			after: picture{"master", map[string]branch{"master": {"two, one, Initial commit", "two", ""}}},
		},
		{
			name:    "checking out",
			prepare: withSide,
			before: picture{"master", map[string]branch{
				"master": {"two, one, Initial commit", "two", "dirty"},
				"side":   {"one, Initial commit", "one", "aside"},
			}},
			run: func(ctx context.Context, d *dot) error {
				_, err := d.Checkout(ctx, dotmesh.BranchRequest{Dot: d.name, Branch: "side", Request: d.request})
				return err
			},
			after: picture{"side", map[string]branch{
				"master": {"two, one, Initial commit", "two", ""},
				"side":   {"one, Initial commit", "one", "aside"},
			}},
		},
	}
}

func operationCalled(name string) operation {
	all := operations()
	return all[slices.IndexFunc(all, func(op operation) bool { return op.name == name })]
}

// withSide returns a grown dot with a mounted branch "side".
func withSide(n *node) *dot {
	d := n.grown()
	d.branch("side", "HEAD^")
	d.mount("side")
	d.write("side", "aside")
	return d
}

func undo(ctx context.Context, d *dot) error {
	_, err := d.Undo(ctx, dotmesh.UndoRequest{Dot: d.name, Request: d.request})
	return err
}
