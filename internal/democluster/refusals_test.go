package democluster_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

func TestRefusalsSayWhatIsWrongAndChangeNothing(t *testing.T) {
	c := filled()
	pay, copy, log, images := name(t, "payments-db"), name(t, "qa/payments-copy"), name(t, "payments-log"), name(t, "images")
	none, synonyms, fixtures := name(t, "none"), name(t, "search/synonyms"), name(t, "qa/fixtures")
	var stash dotmesh.Name
	for _, b := range must(c.Dot(t.Context(), shop))(t).All {
		if b.Stash != nil {
			stash = b.Name
		}
	}
	status := status(t, c, "payments-db", "")
	negative := -time.Hour
	before, events := picture(t, c), eventCount(t, c)
	for _, test := range []struct {
		name string
		call func(ctx context.Context) error
		kind dotmesh.Kind
		text string
	}{
		{
			"a dot that there is not", func(ctx context.Context) error { _, err := c.Dot(ctx, none); return err },
			dotmesh.NotFound, `no dot called "none"; "dm list" shows the dots on this cluster`,
		},
		{
			"a branch that there is not", func(ctx context.Context) error {
				_, err := c.Log(ctx, dotmesh.LogRequest{Dot: shop, Branch: "none"})
				return err
			},
			dotmesh.NotFound, `no branch called "none" in shop; "dm branch" shows its branches`,
		},
		{
			"a dot without a name", func(ctx context.Context) error { _, err := c.CreateDot(ctx, dotmesh.CreateDot{}); return err },
			dotmesh.Invalid, "give a namespace and a name",
		},
		{
			"a dot whose name is taken", func(ctx context.Context) error { _, err := c.CreateDot(ctx, dotmesh.CreateDot{Dot: shop}); return err },
			dotmesh.Exists, "shop exists already",
		},
		{
			"a dot that is in use goes", func(ctx context.Context) error { return c.DeleteDot(ctx, dotmesh.DeleteDot{Dot: pay}) },
			dotmesh.Busy, "payments-db is in use by payments-api-1, payments-api-2; stop that first",
		},
		{
			"a dot that moves goes", func(ctx context.Context) error { return c.DeleteDot(ctx, dotmesh.DeleteDot{Dot: images}) },
			dotmesh.Busy, "branch master is on its way to node node-1; wait until it has arrived",
		},
		{
			"a negative time to keep stashes", func(ctx context.Context) error {
				_, err := c.SetDot(ctx, dotmesh.SetDot{Dot: shop, Expires: &negative})
				return err
			},
			dotmesh.Invalid, "expires must not be negative",
		},
		{
			"a collaborator who is nobody", func(ctx context.Context) error {
				_, err := c.SetDot(ctx, dotmesh.SetDot{Dot: shop, AddCollaborator: "nobody"})
				return err
			},
			dotmesh.NotFound, "no such user",
		},
		{
			"a branch without a name", func(ctx context.Context) error {
				_, err := c.CreateBranch(ctx, dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: shop}})
				return err
			},
			dotmesh.Invalid, "a new branch needs a name",
		},
		{
			"a branch whose name is taken", func(ctx context.Context) error {
				_, err := c.CreateBranch(ctx, dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: shop}, Name: "master"})
				return err
			},
			dotmesh.Exists, "Branch already exists: master",
		},
		{"a branch of a commit that there is not", func(ctx context.Context) error {
			_, err := c.CreateBranch(ctx, dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: shop, Ref: "1234567"}, Name: "new"})
			return err
		}, dotmesh.NotFound, `no commit or branch called "1234567"`},
		{
			"no branch to delete", func(ctx context.Context) error { return c.DeleteBranch(ctx, dotmesh.BranchRequest{Dot: shop}) },
			dotmesh.Invalid, "name the branch to delete",
		},
		{
			"the master branch goes", func(ctx context.Context) error {
				return c.DeleteBranch(ctx, dotmesh.BranchRequest{Dot: copy, Branch: "master"})
			},
			dotmesh.Conflict, `the master branch goes only with its dot; "dm dot delete qa/payments-copy" deletes both`,
		},
		{
			"the current branch goes", func(ctx context.Context) error {
				return c.DeleteBranch(ctx, dotmesh.BranchRequest{Dot: copy, Branch: "fix-42"})
			},
			dotmesh.Conflict, "fix-42 is the current branch; check out another one first",
		},
		{
			"a branch on its way goes", func(ctx context.Context) error {
				return c.DeleteBranch(ctx, dotmesh.BranchRequest{Dot: synonyms, Branch: "welsh"})
			},
			dotmesh.Busy, "branch welsh is on its way to node node-2",
		},
		{
			"a checkout of a stash", func(ctx context.Context) error {
				_, err := c.Checkout(ctx, dotmesh.BranchRequest{Dot: shop, Branch: stash})
				return err
			},
			dotmesh.Conflict, "is a stash, which never changes",
		},
		{
			"a checkout while the dot is used", func(ctx context.Context) error {
				_, err := c.Checkout(ctx, dotmesh.BranchRequest{Dot: shop, Branch: "spring-sale"})
				return err
			},
			dotmesh.Busy, "shop is in use by shop-web-1, shop-web-2, shop-worker; stop that first",
		},
		{
			"a commit to a stash", func(ctx context.Context) error {
				_, err := c.Commit(ctx, dotmesh.CommitRequest{Dot: shop, Branch: stash})
				return err
			},
			dotmesh.Conflict, `"dm checkout -b NAME ` + string(stash),
		},
		{
			"a commit to a branch on its way", func(ctx context.Context) error {
				_, err := c.Commit(ctx, dotmesh.CommitRequest{Dot: images})
				return err
			},
			dotmesh.Busy, "on its way to node node-1",
		},
		{
			"a commit with too long a message", func(ctx context.Context) error {
				_, err := c.Commit(ctx, dotmesh.CommitRequest{Dot: shop, Message: strings.Repeat("x", 5000)})
				return err
			},
			dotmesh.Invalid, "message and metadata have 5005 bytes; at most 4096 are allowed",
		},
		{
			"a reset while it is used", func(ctx context.Context) error {
				_, err := c.Reset(ctx, dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: pay, Ref: "HEAD^"}})
				return err
			},
			dotmesh.Busy, "payments-db is in use by",
		},
		{
			"a reset beyond the beginning", func(ctx context.Context) error {
				_, err := c.Reset(ctx, dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: fixtures, Ref: "HEAD~99"}})
				return err
			},
			dotmesh.NotFound, "HEAD~99 goes back beyond the first commit",
		},
		{
			"a discard while it is used", func(ctx context.Context) error {
				_, err := c.Discard(ctx, dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: pay}})
				return err
			},
			dotmesh.Busy, "payments-db is in use by",
		},
		{
			"the newest commit goes", func(ctx context.Context) error { return c.DeleteCommit(ctx, dotmesh.CommitRef{Dot: log, Ref: "HEAD"}) },
			dotmesh.Conflict, "is the newest one of master; reset that branch first",
		},
		{
			"a commit that a branch was made from goes", func(ctx context.Context) error { return c.DeleteCommit(ctx, dotmesh.CommitRef{Dot: pay, Ref: "HEAD^"}) },
			dotmesh.Conflict, "a branch or stash was made from commit",
		},
		{
			"a file that there is not", func(ctx context.Context) error {
				_, err := c.ReadFile(ctx, dotmesh.FileRequest{CommitRef: dotmesh.CommitRef{Dot: fixtures}, Path: "__default__/none"})
				return err
			},
			dotmesh.NotFound, `there is no file "__default__/none"`,
		},
		{
			"a directory is read", func(ctx context.Context) error {
				_, err := c.ReadFile(ctx, dotmesh.FileRequest{CommitRef: dotmesh.CommitRef{Dot: fixtures}, Path: "__default__"})
				return err
			},
			dotmesh.Invalid, `"__default__" is a directory, and no regular file`,
		},
		{
			"a path that leads outside", func(ctx context.Context) error {
				_, err := c.ReadFile(ctx, dotmesh.FileRequest{CommitRef: dotmesh.CommitRef{Dot: fixtures}, Path: "../etc/passwd"})
				return err
			},
			dotmesh.Invalid, "give it from the top of the branch, as a diff shows it",
		},
		{"a symbolic link is read", func(ctx context.Context) error {
			stop := dotmesh.FileRequest{CommitRef: dotmesh.CommitRef{Dot: images, Ref: must(c.Log(ctx, dotmesh.LogRequest{Dot: images, System: true}))(t).Commits[0].ID.String()}, Path: "__default__/articles/latest"}
			_, err := c.ReadFile(ctx, stop)
			return err
		}, dotmesh.Invalid, "is a symbolic link, and no regular file"},
		{
			"a negative offset", func(ctx context.Context) error {
				_, err := c.ReadFile(ctx, dotmesh.FileRequest{CommitRef: dotmesh.CommitRef{Dot: fixtures}, Path: "__default__/users.json", Offset: -1})
				return err
			},
			dotmesh.Invalid, "neither offset nor limit can be negative",
		},
		{
			"an undo of what is not in the log", func(ctx context.Context) error {
				_, err := c.Undo(ctx, dotmesh.UndoRequest{Dot: shop, N: 999})
				return err
			},
			dotmesh.NotFound, `no operation 999 in the log; "dm op log" shows it`,
		},
		{
			"an undo while it is used", func(ctx context.Context) error { _, err := c.Undo(ctx, dotmesh.UndoRequest{Dot: pay}); return err },
			dotmesh.Busy, "payments-db is in use by",
		},
		{
			"a mount away from the master", func(ctx context.Context) error {
				_, err := c.Mount(ctx, dotmesh.MountRequest{Volume: dotmesh.Volume{Dot: pay}})
				return err
			},
			dotmesh.Conflict, "branch master is written on node node-2; run the command there, or move it here",
		},
		{
			"a move to a node that there is not", func(ctx context.Context) error {
				_, err := c.Move(ctx, dotmesh.MoveRequest{Dot: fixtures, Node: "node-9"})
				return err
			},
			dotmesh.NotFound, `there is no node "node-9"; "dm cluster status" shows those there are`,
		},
		{
			"a move to where it is", func(ctx context.Context) error {
				_, err := c.Move(ctx, dotmesh.MoveRequest{Dot: fixtures, Node: "node-1"})
				return err
			},
			dotmesh.Conflict, "node-1 is the master of qa/fixtures@master already",
		},
		{
			"a move of what moves", func(ctx context.Context) error {
				_, err := c.Move(ctx, dotmesh.MoveRequest{Dot: images, Node: "node-2"})
				return err
			},
			dotmesh.Busy, "on its way to node node-1",
		},
		{
			"a move of a stash", func(ctx context.Context) error {
				_, err := c.Move(ctx, dotmesh.MoveRequest{Dot: shop, Branch: stash, Node: "node-2"})
				return err
			},
			dotmesh.Conflict, "is a stash, which stays where it is; make a branch from it and move that",
		},
		{"a takeover by the master", func(ctx context.Context) error {
			_, err := c.Takeover(ctx, dotmesh.TakeoverRequest{Dot: pay, Node: status.Pointer.Master, Epoch: status.Pointer.Epoch})
			return err
		}, dotmesh.Conflict, "is the master of master already"},
		{
			"a takeover in another epoch", func(ctx context.Context) error {
				_, err := c.Takeover(ctx, dotmesh.TakeoverRequest{Dot: pay, Epoch: 9})
				return err
			},
			dotmesh.Conflict, "the epoch of master is 1, not 9; look again before you force anything",
		},
		{"a takeover from a commit of another history", func(ctx context.Context) error {
			_, err := c.Takeover(ctx, dotmesh.TakeoverRequest{Dot: pay, Epoch: 1, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}})
			return err
		}, dotmesh.NotFound, "is not in the history of master"},
		{
			"a drain of a node that there is not", func(ctx context.Context) error {
				_, err := c.Drain(ctx, dotmesh.DrainRequest{Node: "node-9"})
				return err
			},
			dotmesh.NotFound, `there is no node "node-9"`,
		},
		{
			"a transfer that there is not", func(ctx context.Context) error { return c.RetryTransfer(ctx, dotmesh.NewUUID()) },
			dotmesh.NotFound, `"dm transfers" shows those there are`,
		},
		{
			"a user whose name is taken", func(ctx context.Context) error {
				_, _, err := c.CreateUser(ctx, dotmesh.CreateUser{Name: "ann"})
				return err
			},
			dotmesh.Exists, "user ann exists already",
		},
		{
			"a user without a name", func(ctx context.Context) error { _, _, err := c.CreateUser(ctx, dotmesh.CreateUser{}); return err },
			dotmesh.Invalid, "a user needs a name",
		},
		{
			"a user who is nobody", func(ctx context.Context) error {
				_, err := c.FindUser(ctx, dotmesh.UserQuery{Name: "nobody"})
				return err
			},
			dotmesh.NotFound, "no such user",
		},
		{
			"an export of the registry", func(ctx context.Context) error { _, err := c.Export(ctx); return err },
			dotmesh.Unsupported, "there is no registry to be exported",
		},
		{
			"an import of a registry", func(ctx context.Context) error { return c.Import(ctx, nil) },
			dotmesh.Unsupported, "there is no registry to import into",
		},
		{
			"a recovery", func(ctx context.Context) error { _, err := c.Recover(ctx); return err },
			dotmesh.Unsupported, "there is no pool to recover from",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, test.call(t.Context()), test.kind, test.text)
			if n := eventCount(t, c) - events; n != 0 {
				t.Errorf("%d events tell of a change", n)
			}
		})
	}
	if picture(t, c) != before {
		t.Error("something has changed")
	}
}
