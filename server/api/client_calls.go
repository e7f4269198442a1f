package api

import (
	"context"

	"dotmesh.io/dotmesh"
)

// Version asks the server what it is.
func (c *Client) Version(ctx context.Context) (dotmesh.Version, error) {
	return invoke[dotmesh.Version](ctx, c, read, "Version", nil)
}

// Whoami returns who the server takes the caller for.
func (c *Client) Whoami(ctx context.Context) (dotmesh.User, error) {
	return invoke[dotmesh.User](ctx, c, read, "Whoami", nil)
}

// Dot shows one dot with all its branches.
func (c *Client) Dot(ctx context.Context, dot dotmesh.DotName) (dotmesh.DotDetail, error) {
	return invoke[dotmesh.DotDetail](ctx, c, read, "Dot", dot)
}

// CreateDot makes a dot.
func (c *Client) CreateDot(ctx context.Context, r dotmesh.CreateDot) (dotmesh.DotStatus, error) {
	r.Request = named(r.Request)
	return invoke[dotmesh.DotStatus](ctx, c, again, "CreateDot", r)
}

// ForkDot makes a dot out of a commit of another one.
func (c *Client) ForkDot(ctx context.Context, r dotmesh.ForkDot) (dotmesh.DotStatus, error) {
	r.From.Request = named(r.From.Request)
	return invoke[dotmesh.DotStatus](ctx, c, again, "ForkDot", r)
}

// DeleteDot deletes a dot.
func (c *Client) DeleteDot(ctx context.Context, r dotmesh.DeleteDot) error {
	r.Request = named(r.Request)
	_, err := invoke[none](ctx, c, again, "DeleteDot", r)
	return err
}

// SetDot changes a dot's settings.
func (c *Client) SetDot(ctx context.Context, r dotmesh.SetDot) (dotmesh.DotStatus, error) {
	return invoke[dotmesh.DotStatus](ctx, c, again, "SetDot", r)
}

// CreateBranch makes a branch.
func (c *Client) CreateBranch(ctx context.Context, r dotmesh.CreateBranch) (dotmesh.BranchStatus, error) {
	r.From.Request = named(r.From.Request)
	return invoke[dotmesh.BranchStatus](ctx, c, again, "CreateBranch", r)
}

// DeleteBranch deletes a branch or stash.
func (c *Client) DeleteBranch(ctx context.Context, r dotmesh.BranchRequest) error {
	r.Request = named(r.Request)
	_, err := invoke[none](ctx, c, again, "DeleteBranch", r)
	return err
}

// Checkout makes a branch the dot's current one.
func (c *Client) Checkout(ctx context.Context, r dotmesh.BranchRequest) (dotmesh.BranchStatus, error) {
	r.Request = named(r.Request)
	return invoke[dotmesh.BranchStatus](ctx, c, again, "Checkout", r)
}

// Commit makes a commit.
func (c *Client) Commit(ctx context.Context, r dotmesh.CommitRequest) (dotmesh.Commit, error) {
	r.ID.UUID = named(r.ID.UUID)
	return invoke[dotmesh.Commit](ctx, c, again, "Commit", r)
}

// Log returns a page of a branch's commits.
func (c *Client) Log(ctx context.Context, r dotmesh.LogRequest) (dotmesh.LogPage, error) {
	return invoke[dotmesh.LogPage](ctx, c, read, "Log", r)
}

// Reset points a branch at the state of a commit.
func (c *Client) Reset(ctx context.Context, r dotmesh.ResetRequest) (dotmesh.Changed, error) {
	r.Request = named(r.Request)
	return invoke[dotmesh.Changed](ctx, c, again, "Reset", r)
}

// Discard points a branch at the state of HEAD.
func (c *Client) Discard(ctx context.Context, r dotmesh.ResetRequest) (dotmesh.Changed, error) {
	r.Request = named(r.Request)
	return invoke[dotmesh.Changed](ctx, c, again, "Discard", r)
}

// DeleteCommit removes a commit from a branch's history.
func (c *Client) DeleteCommit(ctx context.Context, r dotmesh.CommitRef) error {
	r.Request = named(r.Request)
	_, err := invoke[none](ctx, c, again, "DeleteCommit", r)
	return err
}

// ReadFile returns a part of a file as a commit has it.
func (c *Client) ReadFile(ctx context.Context, r dotmesh.FileRequest) (dotmesh.FilePart, error) {
	return invoke[dotmesh.FilePart](ctx, c, read, "ReadFile", fileRequest(r))
}

// Undo reverses an operation.
func (c *Client) Undo(ctx context.Context, r dotmesh.UndoRequest) (dotmesh.Undone, error) {
	r.Request = named(r.Request)
	return invoke[dotmesh.Undone](ctx, c, again, "Undo", r)
}

// Ops returns entries of a dot's operation log.
func (c *Client) Ops(ctx context.Context, r dotmesh.OpsRequest) ([]dotmesh.Op, error) {
	return invoke[[]dotmesh.Op](ctx, c, read, "Ops", r)
}

// Status returns a branch with its dirty bytes.
func (c *Client) Status(ctx context.Context, r dotmesh.StatusRequest) (dotmesh.BranchStatus, error) {
	return invoke[dotmesh.BranchStatus](ctx, c, read, "Status", r)
}

// Mount makes a volume ready on the server's node.
func (c *Client) Mount(ctx context.Context, r dotmesh.MountRequest) (dotmesh.Mounted, error) {
	return invoke[dotmesh.Mounted](ctx, c, again, "Mount", r)
}

// Unmount lets a volume go.
func (c *Client) Unmount(ctx context.Context, r dotmesh.MountRequest) error {
	_, err := invoke[none](ctx, c, again, "Unmount", r)
	return err
}

// MountCommit mounts a commit read-only on the server's node.
func (c *Client) MountCommit(ctx context.Context, r dotmesh.CommitRef) (dotmesh.Mounted, error) {
	return invoke[dotmesh.Mounted](ctx, c, again, "MountCommit", r)
}

// Move hands a branch to another node.
func (c *Client) Move(ctx context.Context, r dotmesh.MoveRequest) (dotmesh.Transfer, error) {
	r.Request = named(r.Request)
	return invoke[dotmesh.Transfer](ctx, c, again, "Move", r)
}

// Takeover forces a change of master.
func (c *Client) Takeover(ctx context.Context, r dotmesh.TakeoverRequest) (dotmesh.Changed, error) {
	r.Request = named(r.Request)
	return invoke[dotmesh.Changed](ctx, c, again, "Takeover", r)
}

// Transfers lists what is under way and what ended a short while ago.
func (c *Client) Transfers(ctx context.Context) ([]dotmesh.Transfer, error) {
	return invoke[[]dotmesh.Transfer](ctx, c, read, "Transfers", nil)
}

// CancelTransfer ends a transfer.
func (c *Client) CancelTransfer(ctx context.Context, id dotmesh.UUID) error {
	_, err := invoke[none](ctx, c, again, "CancelTransfer", Named{id})
	return err
}

// RetryTransfer goes on with a transfer.
func (c *Client) RetryTransfer(ctx context.Context, id dotmesh.UUID) error {
	_, err := invoke[none](ctx, c, again, "RetryTransfer", Named{id})
	return err
}

// Nodes lists the cluster's nodes.
func (c *Client) Nodes(ctx context.Context) ([]dotmesh.NodeStatus, error) {
	return invoke[[]dotmesh.NodeStatus](ctx, c, read, "Nodes", nil)
}

// Cluster describes the cluster as a whole.
func (c *Client) Cluster(ctx context.Context) (dotmesh.ClusterStatus, error) {
	return invoke[dotmesh.ClusterStatus](ctx, c, read, "Cluster", nil)
}

// Drain moves every branch away from a node.
func (c *Client) Drain(ctx context.Context, r dotmesh.DrainRequest) ([]dotmesh.Transfer, error) {
	return invoke[[]dotmesh.Transfer](ctx, c, again, "Drain", r)
}

// CreateToken makes a token with which one node may join.
func (c *Client) CreateToken(ctx context.Context, r dotmesh.TokenRequest) (dotmesh.Token, dotmesh.Secret, error) {
	made, err := invoke[NewToken](ctx, c, once, "CreateToken", r)
	return made.Token, dotmesh.Secret(made.Secret), err
}

// RevokeToken makes a token useless.
func (c *Client) RevokeToken(ctx context.Context, id dotmesh.UUID) error {
	_, err := invoke[none](ctx, c, again, "RevokeToken", Named{id})
	return err
}

// CreateUser makes a user and returns the API key.
func (c *Client) CreateUser(ctx context.Context, r dotmesh.CreateUser) (dotmesh.User, dotmesh.Secret, error) {
	made, err := invoke[NewKey](ctx, c, once, "CreateUser", NewUser{Name: r.Name, Email: r.Email, Password: string(r.Password)})
	return made.User, dotmesh.Secret(made.Key), err
}

// FindUser looks a user up.
func (c *Client) FindUser(ctx context.Context, q dotmesh.UserQuery) (dotmesh.User, error) {
	return invoke[dotmesh.User](ctx, c, read, "FindUser", userQuery(q))
}

// SetUser changes a user.
func (c *Client) SetUser(ctx context.Context, r dotmesh.SetUser) (dotmesh.User, error) {
	return invoke[dotmesh.User](ctx, c, again, "SetUser", UserChange{User: r.User, Email: r.Email, Password: (*string)(r.Password), Metadata: r.Metadata})
}

// ResetKey gives the caller a new API key.
func (c *Client) ResetKey(ctx context.Context) (dotmesh.Secret, error) {
	made, err := invoke[NewKey](ctx, c, once, "ResetKey", nil)
	return dotmesh.Secret(made.Key), err
}

// Import replaces the registry.
func (c *Client) Import(ctx context.Context, entries []dotmesh.Entry) error {
	_, err := invoke[none](ctx, c, again, "Import", Entries{entries})
	return err
}

// Recover rebuilds the registry from the server's pool.
func (c *Client) Recover(ctx context.Context) (dotmesh.Recovered, error) {
	return invoke[dotmesh.Recovered](ctx, c, once, "Recover", nil)
}

// State describes the server's inside.
func (c *Client) State(ctx context.Context, prefix string) (map[string]string, error) {
	return invoke[map[string]string](ctx, c, read, "State", Prefix{prefix})
}

// named returns a request's id, or a new one.
func named(id dotmesh.UUID) dotmesh.UUID {
	if id.IsZero() {
		return dotmesh.NewUUID()
	}
	return id
}
