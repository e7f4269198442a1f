package api

import (
	"net/http"

	"dotmesh.io/dotmesh"
)

// methodPrefix begins the name of every method that says what dotmesh.Service says.
const methodPrefix = "Dotmesh."

// methods are the Dotmesh.* calls. Each hands its parameters to the caller's service and
// its result back: what they mean stands at dotmesh.Service. Diff and Events have no
// end that is known beforehand and are streams, see stream.go.
type methods struct{}

type none = struct{}

// to puts a result where the codec finds it.
func to[T any](out *T) func(T, error) error {
	return func(result T, err error) error {
		*out = result
		return err
	}
}

func (methods) Version(r *http.Request, _ *none, out *dotmesh.Version) error {
	return to(out)(serviceOf(r).Version(r.Context()))
}

func (methods) Whoami(r *http.Request, _ *none, out *dotmesh.User) error {
	return to(out)(serviceOf(r).Whoami(r.Context()))
}

func (methods) Dots(r *http.Request, _ *none, out *[]dotmesh.DotStatus) error {
	return to(out)(serviceOf(r).Dots(r.Context()))
}

func (methods) Dot(r *http.Request, in *dotmesh.DotName, out *dotmesh.DotDetail) error {
	return to(out)(serviceOf(r).Dot(r.Context(), *in))
}

func (methods) CreateDot(r *http.Request, in *dotmesh.CreateDot, out *dotmesh.DotStatus) error {
	return to(out)(serviceOf(r).CreateDot(r.Context(), *in))
}

func (methods) ForkDot(r *http.Request, in *dotmesh.ForkDot, out *dotmesh.DotStatus) error {
	return to(out)(serviceOf(r).ForkDot(r.Context(), *in))
}

func (methods) DeleteDot(r *http.Request, in *dotmesh.DeleteDot, _ *none) error {
	return serviceOf(r).DeleteDot(r.Context(), *in)
}

func (methods) SetDot(r *http.Request, in *dotmesh.SetDot, out *dotmesh.DotStatus) error {
	return to(out)(serviceOf(r).SetDot(r.Context(), *in))
}

func (methods) CreateBranch(r *http.Request, in *dotmesh.CreateBranch, out *dotmesh.BranchStatus) error {
	return to(out)(serviceOf(r).CreateBranch(r.Context(), *in))
}

func (methods) DeleteBranch(r *http.Request, in *dotmesh.BranchRequest, _ *none) error {
	return serviceOf(r).DeleteBranch(r.Context(), *in)
}

func (methods) Checkout(r *http.Request, in *dotmesh.BranchRequest, out *dotmesh.BranchStatus) error {
	return to(out)(serviceOf(r).Checkout(r.Context(), *in))
}

func (methods) Commit(r *http.Request, in *dotmesh.CommitRequest, out *dotmesh.Commit) error {
	return to(out)(serviceOf(r).Commit(r.Context(), *in))
}

func (methods) Log(r *http.Request, in *dotmesh.LogRequest, out *dotmesh.LogPage) error {
	return to(out)(serviceOf(r).Log(r.Context(), *in))
}

func (methods) Reset(r *http.Request, in *dotmesh.ResetRequest, out *dotmesh.Changed) error {
	return to(out)(serviceOf(r).Reset(r.Context(), *in))
}

func (methods) Discard(r *http.Request, in *dotmesh.ResetRequest, out *dotmesh.Changed) error {
	return to(out)(serviceOf(r).Discard(r.Context(), *in))
}

func (methods) DeleteCommit(r *http.Request, in *dotmesh.CommitRef, _ *none) error {
	return serviceOf(r).DeleteCommit(r.Context(), *in)
}

func (methods) ReadFile(r *http.Request, in *FileRequest, out *dotmesh.FilePart) error {
	return to(out)(serviceOf(r).ReadFile(r.Context(), in.request()))
}

func (methods) Undo(r *http.Request, in *dotmesh.UndoRequest, out *dotmesh.Undone) error {
	return to(out)(serviceOf(r).Undo(r.Context(), *in))
}

func (methods) Ops(r *http.Request, in *dotmesh.OpsRequest, out *[]dotmesh.Op) error {
	return to(out)(serviceOf(r).Ops(r.Context(), *in))
}

func (methods) Status(r *http.Request, in *dotmesh.StatusRequest, out *dotmesh.BranchStatus) error {
	return to(out)(serviceOf(r).Status(r.Context(), *in))
}

func (methods) Mount(r *http.Request, in *dotmesh.MountRequest, out *dotmesh.Mounted) error {
	return to(out)(serviceOf(r).Mount(r.Context(), *in))
}

func (methods) Unmount(r *http.Request, in *dotmesh.MountRequest, _ *none) error {
	return serviceOf(r).Unmount(r.Context(), *in)
}

func (methods) MountCommit(r *http.Request, in *dotmesh.CommitRef, out *dotmesh.Mounted) error {
	return to(out)(serviceOf(r).MountCommit(r.Context(), *in))
}

func (methods) Move(r *http.Request, in *dotmesh.MoveRequest, out *dotmesh.Transfer) error {
	return to(out)(serviceOf(r).Move(r.Context(), *in))
}

func (methods) Takeover(r *http.Request, in *dotmesh.TakeoverRequest, out *dotmesh.Changed) error {
	return to(out)(serviceOf(r).Takeover(r.Context(), *in))
}

func (methods) Transfers(r *http.Request, _ *none, out *[]dotmesh.Transfer) error {
	return to(out)(serviceOf(r).Transfers(r.Context()))
}

func (methods) CancelTransfer(r *http.Request, in *Named, _ *none) error {
	return serviceOf(r).CancelTransfer(r.Context(), in.ID)
}

func (methods) RetryTransfer(r *http.Request, in *Named, _ *none) error {
	return serviceOf(r).RetryTransfer(r.Context(), in.ID)
}

func (methods) Nodes(r *http.Request, _ *none, out *[]dotmesh.NodeStatus) error {
	return to(out)(serviceOf(r).Nodes(r.Context()))
}

func (methods) Cluster(r *http.Request, _ *none, out *dotmesh.ClusterStatus) error {
	return to(out)(serviceOf(r).Cluster(r.Context()))
}

func (methods) Drain(r *http.Request, in *dotmesh.DrainRequest, out *[]dotmesh.Transfer) error {
	return to(out)(serviceOf(r).Drain(r.Context(), *in))
}

func (methods) CreateToken(r *http.Request, in *dotmesh.TokenRequest, out *NewToken) (err error) {
	var secret dotmesh.Secret
	out.Token, secret, err = serviceOf(r).CreateToken(r.Context(), *in)
	out.Secret = string(secret)
	return err
}

func (methods) RevokeToken(r *http.Request, in *Named, _ *none) error {
	return serviceOf(r).RevokeToken(r.Context(), in.ID)
}

func (methods) CreateUser(r *http.Request, in *NewUser, out *NewKey) (err error) {
	var key dotmesh.Secret
	out.User, key, err = serviceOf(r).CreateUser(r.Context(), in.request())
	out.Key = string(key)
	return err
}

func (methods) FindUser(r *http.Request, in *UserQuery, out *dotmesh.User) error {
	return to(out)(serviceOf(r).FindUser(r.Context(), in.query()))
}

func (methods) SetUser(r *http.Request, in *UserChange, out *dotmesh.User) error {
	return to(out)(serviceOf(r).SetUser(r.Context(), in.request()))
}

func (methods) ResetKey(r *http.Request, _ *none, out *NewKey) error {
	key, err := serviceOf(r).ResetKey(r.Context())
	out.Key = string(key)
	return err
}

func (methods) Export(r *http.Request, _ *none, out *Entries) error {
	return to(&out.Entries)(serviceOf(r).Export(r.Context()))
}

func (methods) Import(r *http.Request, in *Entries, _ *none) error {
	return serviceOf(r).Import(r.Context(), in.Entries)
}

func (methods) Recover(r *http.Request, _ *none, out *dotmesh.Recovered) error {
	return to(out)(serviceOf(r).Recover(r.Context()))
}

func (methods) State(r *http.Request, in *Prefix, out *map[string]string) error {
	return to(out)(serviceOf(r).State(r.Context(), in.Prefix))
}

// reads reports whether a Dotmesh.* method changes nothing. One that is not listed is
// taken for one that does, and is written to the audit log.
func reads(method string) bool {
	switch method {
	case "Version", "Whoami", "Dots", "Dot", "Log", "Diff", "ReadFile", "Ops", "Status", "Transfers", "Nodes", "Cluster", "Events", "FindUser", "State":
		return true
	}
	return false
}
