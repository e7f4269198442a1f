package dotmesh

import (
	"context"
	"iter"
	"time"
)

// Service is what Dotmesh does for its users. Every door hands its callers one that acts
// for them (server.Node.As); what the caller may not know of is [NotFound], what they may
// not do is [Denied]. Implementations: server.Node, api.Client, and the one in memory in
// internal/democluster; all pass dotmeshtest.RunServiceTests.
//
// A mutating call ends in ok, failed (no effect, ever) or [Unknown]. Its Request id, if
// given, names what it makes: repeated with the same id it does nothing twice and returns
// what the first call did. A read sees every mutation that ended before it began.
// Results are the caller's to keep and change.
type Service interface {
	// Version says which version, node and cluster answer.
	Version(ctx context.Context) (Version, error)
	// Whoami returns the caller, without hashes.
	Whoami(ctx context.Context) (User, error)

	// Dots lists the dots that the caller may see, by name, with their current branch.
	Dots(ctx context.Context) ([]DotStatus, error)
	// Dot shows one dot with all its branches, stashes last.
	Dot(ctx context.Context, dot DotName) (DotDetail, error)
	// CreateDot makes a dot with its master branch and an initial commit. [Exists] if the
	// name is taken.
	CreateDot(ctx context.Context, r CreateDot) (DotStatus, error)
	// ForkDot makes a dot out of a commit of another one and of the history before it. It is
	// the caller's, who must be able to read the other one. Data are copied, and the commits
	// have ids of their own, so that nothing that is done to either dot changes the other.
	// [Exists] if the name is taken.
	ForkDot(ctx context.Context, r ForkDot) (DotStatus, error)
	// DeleteDot frees the name at once and keeps the data until retention ends. [Busy]
	// with the holders' names while it is in use.
	DeleteDot(ctx context.Context, r DeleteDot) error
	// SetDot changes the settings that are not nil.
	SetDot(ctx context.Context, r SetDot) (DotStatus, error)

	// CreateBranch makes a branch from a commit, without copying data.
	CreateBranch(ctx context.Context, r CreateBranch) (BranchStatus, error)
	// DeleteBranch drops a branch or stash; undoable until retention ends. [Busy] while it
	// is in use, [Conflict] for the master branch.
	DeleteBranch(ctx context.Context, r BranchRequest) error
	// Checkout makes a branch the dot's current one and re-points the attachments that
	// follow it; all of it or, on failure, nothing.
	Checkout(ctx context.Context, r BranchRequest) (BranchStatus, error)

	// Commit makes a commit of the branch's data as it is now.
	Commit(ctx context.Context, r CommitRequest) (Commit, error)
	// Log returns a branch's commits, newest first, across the lines it was forked from.
	Log(ctx context.Context, r LogRequest) (LogPage, error)
	// Reset points the branch at the state of a commit. What is dropped, dirty data included,
	// becomes a stash.
	Reset(ctx context.Context, r ResetRequest) (Changed, error)
	// Discard is Reset to HEAD, whatever commit the request names.
	Discard(ctx context.Context, r ResetRequest) (Changed, error)
	// DeleteCommit removes one commit from a branch's history. [Conflict] for the tip and
	// for one that a branch was made from.
	DeleteCommit(ctx context.Context, r CommitRef) error
	// Diff yields the files that differ between two states, by path.
	Diff(ctx context.Context, r DiffRequest) iter.Seq2[FileChange, error]
	// ReadFile returns a part of a regular file as a commit has it. [NotFound] if there is no
	// such file, what lies behind a symbolic link included; [Invalid] if it is something else
	// than a regular file.
	ReadFile(ctx context.Context, r FileRequest) (FilePart, error)
	// Check reads every commit of a dot that this node holds, or of all dots, and compares
	// each with what it was when it was first checked. It yields every commit as soon as it
	// has been read; a commit that is damaged is one of them and no error. It changes
	// nothing but the node's notes. Owners may check their dots, administrators all.
	Check(ctx context.Context, r CheckRequest) iter.Seq2[Checked, error]

	// Undo reverses the newest operation that was not undone yet, or the one numbered N.
	Undo(ctx context.Context, r UndoRequest) (Undone, error)
	// Ops returns the operation log, newest first.
	Ops(ctx context.Context, r OpsRequest) ([]Op, error)

	// Status returns a branch with its dirty bytes, flushed first if Fresh.
	Status(ctx context.Context, r StatusRequest) (BranchStatus, error)

	// Mount makes a volume ready on this node and returns where. Holders are a set: each
	// is added once and removed by Unmount with its name.
	Mount(ctx context.Context, r MountRequest) (Mounted, error)
	// Unmount takes a holder from a volume, which is unmounted when none is left, or unmounts
	// a commit. What is not mounted is no error; [Busy] with the holders' names if there are
	// some and the request names none.
	Unmount(ctx context.Context, r MountRequest) error
	// MountCommit mounts a commit read-only on this node and returns where. It stays until
	// it is unmounted, by an Unmount that names its id.
	MountCommit(ctx context.Context, r CommitRef) (Mounted, error)

	// Move hands a branch to another node, with its master's consent, and returns the
	// transfer that carries it, which goes on without the caller. Until the target takes
	// the branch a cancelled transfer leaves it where it was. [Busy] with the holders' names
	// while the branch is in use, [Conflict] if that node is its master already.
	Move(ctx context.Context, r MoveRequest) (Transfer, error)
	// Takeover makes this node, or another one, the master without the old one's consent.
	// Administrators only; [Conflict] unless the epoch and tip are those the caller saw.
	Takeover(ctx context.Context, r TakeoverRequest) (Changed, error)

	// Transfers lists what is under way and what ended within the last hour, newest first,
	// of the dots that the caller may see.
	Transfers(ctx context.Context) ([]Transfer, error)
	// CancelTransfer ends a transfer; one that is cancelled stays so. [Conflict] if it has
	// come too far for that.
	CancelTransfer(ctx context.Context, id UUID) error
	// RetryTransfer goes on with a transfer that failed, was cancelled or waits for its next
	// try; one that is running runs on. [Conflict] if it is done.
	RetryTransfer(ctx context.Context, id UUID) error

	Members

	// Events yields what happens from now on, or from cursor. A Gap event means that some
	// were missed: list again.
	Events(ctx context.Context, cursor string) iter.Seq2[Event, error]

	Users
	Maintenance
}

// Gate is the only way in: it says who a caller is, and gives them a service that may do
// what they may do.
type Gate interface {
	// Authenticate returns whose user name and API key or password these are, or
	// [Unauthenticated]; [TooMany] after too many wrong ones.
	Authenticate(ctx context.Context, user Name, secret Secret) (Principal, error)
	// As returns the service that acts for p. It does no I/O.
	As(p Principal) Service
}

// Users is the part of Service that is about users.
type Users interface {
	// CreateUser makes a user and returns the API key, which is shown this once.
	CreateUser(ctx context.Context, r CreateUser) (User, Secret, error)
	// FindUser looks a user up by name, email or a metadata field. Administrators only.
	FindUser(ctx context.Context, q UserQuery) (User, error)
	// SetUser changes email, metadata or password. A password needs a caller who is an
	// administrator, or the user logged in with the old password.
	SetUser(ctx context.Context, r SetUser) (User, error)
	// ResetKey gives the caller a new API key; the old one is refused from then on. It
	// needs a login by password, or the local socket.
	ResetKey(ctx context.Context) (Secret, error)
}

// Members is the part of Service that is about the cluster's nodes. All but Nodes is for
// administrators.
type Members interface {
	// Nodes describes the nodes of the cluster.
	Nodes(ctx context.Context) ([]NodeStatus, error)
	// Cluster describes the cluster as a whole.
	Cluster(ctx context.Context) (ClusterStatus, error)
	// Drain moves every branch that a node is the master of to other nodes, and keeps new
	// ones away from it until it is called with Stop. It returns the transfers; a branch
	// that is in use stays, and waits in one of them.
	Drain(ctx context.Context, r DrainRequest) ([]Transfer, error)
	// CreateToken makes a token with which one node may join; it is shown this once.
	CreateToken(ctx context.Context, r TokenRequest) (Token, Secret, error)
	// RevokeToken makes a token useless at once; one that is useless stays so.
	RevokeToken(ctx context.Context, id UUID) error
}

// Maintenance is the part of Service that is for administrators.
type Maintenance interface {
	// Export returns the registry's entries.
	Export(ctx context.Context) ([]Entry, error)
	// Import replaces the registry by what Export returned.
	Import(ctx context.Context, entries []Entry) error
	// Recover rebuilds the registry from this node's pool and the registry's copy in it.
	Recover(ctx context.Context) (Recovered, error)
	// State describes the server's inside for a bug report: keys are dotted paths.
	State(ctx context.Context, prefix string) (map[string]string, error)
}

// Secret is a password or key. It prints as stars, so that it cannot reach a log.
type Secret string

// String hides the secret.
func (Secret) String() string { return "***" }

// GoString hides the secret.
func (Secret) GoString() string { return "***" }

// MarshalText hides the secret. Who means to send it converts it to a string first.
func (Secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

// Version is what a server says of itself.
type Version struct {
	Version string    `json:"version"`
	Node    NodeID    `json:"node"`
	Name    Name      `json:"name"`
	Cluster ClusterID `json:"cluster"`
	Feature int       `json:"feature"`
	Store   string    `json:"store"` // Caps.Pool
}

// DotStatus is a dot and its current branch.
type DotStatus struct {
	Dot
	Branch   BranchStatus `json:"branch"`
	Branches int          `json:"branches"` // ordinary ones, the master branch included
	Stashes  int          `json:"stashes"`
}

// DotDetail is a dot and all its branches: ordinary ones by name, then stashes by name.
type DotDetail struct {
	DotStatus
	OwnerName string         `json:"owner_name"`
	All       []BranchStatus `json:"all"`
}

// BranchStatus is a branch and what is known of it now.
type BranchStatus struct {
	Branch
	Current    bool       `json:"current,omitempty"`
	Origin     *ForkPoint `json:"origin,omitempty"` // nil: the dot began here
	MasterName Name       `json:"master_name"`
	Size       int64      `json:"size"`  // bytes reached from its head
	Dirty      Bytes      `json:"dirty"` // bytes that are not in HEAD
	// Missing is how many of the line's commits the node furthest behind has yet to fetch, as
	// far as the registry keeps them, and Behind the age of the oldest one.
	Missing    int           `json:"missing,omitempty"`
	Behind     time.Duration `json:"behind,omitempty"`
	Mounted    bool          `json:"mounted,omitempty"`
	Containers []Container   `json:"containers,omitempty"`
	Replicas   []Replica     `json:"replicas,omitempty"` // only in Dot and Status
}

// ForkPoint is where a branch was forked from another one, which may be deleted by now. The
// branch is never a stash: for what was forked from history that a reset dropped since, it
// is the one that was reset. A stash was forked where the branch was that it is of.
type ForkPoint struct {
	Branch BranchID `json:"branch"`
	Commit CommitID `json:"commit"`
}

// Container is a container that uses a branch.
type Container struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Replica is how far a node has come with a branch.
type Replica struct {
	Node    NodeID        `json:"node"`
	Name    Name          `json:"name"`
	Alive   bool          `json:"alive"`
	Missing []CommitID    `json:"missing,omitempty"` // oldest first, at most 100
	Behind  time.Duration `json:"behind,omitempty"`  // the age of the oldest one of them
}

// CreateDot asks for a new dot.
type CreateDot struct {
	Dot     DotName `json:"dot"`
	Request UUID    `json:"request,omitzero"`
}

// ForkDot asks for a new dot called Dot, from a commit of any branch of another one.
type ForkDot struct {
	From CommitRef `json:"from"`
	Dot  DotName   `json:"dot"`
}

// DeleteDot asks for a dot to go.
type DeleteDot struct {
	Dot     DotName `json:"dot"`
	Request UUID    `json:"request,omitzero"`
}

// SetDot asks for other settings; nil leaves one as it is.
type SetDot struct {
	Dot                DotName        `json:"dot"`
	Replicas           *string        `json:"replicas,omitempty"`
	RPO                *time.Duration `json:"rpo,omitempty"`
	Expires            *time.Duration `json:"expires,omitempty"`
	AddCollaborator    Name           `json:"add_collaborator,omitempty"`
	RemoveCollaborator Name           `json:"remove_collaborator,omitempty"`
}

// BranchRequest names a branch; an empty Branch is the dot's current one, except where a
// branch must be named.
type BranchRequest struct {
	Dot     DotName `json:"dot"`
	Branch  Name    `json:"branch,omitempty"`
	Request UUID    `json:"request,omitzero"`
}

// CommitRef names a commit: by id, as HEAD, HEAD^, HEAD^^, HEAD~3, by a unique beginning
// of its id of at least 7 characters, or by a branch's name (its HEAD). The empty Ref is HEAD.
type CommitRef struct {
	Dot     DotName `json:"dot"`
	Branch  Name    `json:"branch,omitempty"` // what HEAD is counted from; empty: the current one
	Ref     string  `json:"ref,omitempty"`
	Request UUID    `json:"request,omitzero"`
}

// CreateBranch asks for a branch called Name, from a commit of any branch.
type CreateBranch struct {
	From CommitRef `json:"from"`
	Name Name      `json:"name"`
}

// CommitRequest asks for a commit. ID, if given, becomes the commit's id.
type CommitRequest struct {
	Dot      DotName           `json:"dot"`
	Branch   Name              `json:"branch,omitempty"`
	Message  string            `json:"message"`
	Metadata map[string]string `json:"metadata,omitempty"`
	ID       CommitID          `json:"id,omitzero"`
}

// CheckRequest asks for a dot to be checked; the zero Dot means all of them.
type CheckRequest struct {
	Dot DotName `json:"dot,omitzero"`
}

// CheckState is what became of a commit that was read.
type CheckState string

const (
	// CheckNew: all of it could be read, for the first time; what it is was noted.
	CheckNew CheckState = "new"
	// CheckSame: it is what it was when it was noted.
	CheckSame CheckState = "same"
	// CheckDiffers: all of it could be read, and it is something else than was noted.
	CheckDiffers CheckState = "differs"
	// CheckUnreadable: the disk returns something else than was written.
	CheckUnreadable CheckState = "unreadable"
)

// Checked is a commit that was read.
type Checked struct {
	Dot    DotName    `json:"dot"`
	Branch Name       `json:"branch"` // that its line belongs to; it may be a stash
	Commit CommitID   `json:"commit"`
	State  CheckState `json:"state"`
	Tree   string     `json:"tree,omitempty"` // a hash over all its files, the same on every node
	Bytes  int64      `json:"bytes"`          // of its files
	Text   string     `json:"text,omitempty"` // what is wrong, and with which file
}

// Sound reports whether the commit is as it should be.
func (c *Checked) Sound() bool { return c.State == CheckNew || c.State == CheckSame }

// LogRequest asks for at most Limit commits (0: 200, at most 1000), older than Before.
type LogRequest struct {
	Dot    DotName  `json:"dot"`
	Branch Name     `json:"branch,omitempty"`
	Before CommitID `json:"before,omitzero"`
	Limit  int      `json:"limit,omitempty"`
	System bool     `json:"system,omitempty"` // system commits too
}

// LogPage is a part of a log, newest first.
type LogPage struct {
	Commits []Commit `json:"commits"`
	More    bool     `json:"more,omitempty"` // ask again with Before = the last one's id
}

// ResetRequest asks for a branch to be reset to a commit. The stash is kept for 30 days, or
// as long as the dot's Expires says; with Discard for an hour.
type ResetRequest struct {
	CommitRef
	Discard bool `json:"discard,omitempty"`
}

// Changed is what one change of history did.
type Changed struct {
	Branch BranchStatus `json:"branch"`
	Stash  *Branch      `json:"stash,omitempty"` // keeps what was dropped; nil: nothing was
}

// DiffRequest asks what changed from From to To. An empty From is HEAD; an empty To is the
// data as it is now.
type DiffRequest struct {
	Dot    DotName `json:"dot"`
	Branch Name    `json:"branch,omitempty"`
	From   string  `json:"from,omitempty"`
	To     string  `json:"to,omitempty"`
}

// UndoRequest asks to reverse an operation; 0 is the newest that was not undone yet.
type UndoRequest struct {
	Dot     DotName `json:"dot"`
	N       uint64  `json:"n,omitempty"`
	Request UUID    `json:"request,omitzero"`
}

// Undone is what an undo did: the entry that it reversed, and what became of the branch.
type Undone struct {
	Op     Op       `json:"op"`
	Change *Changed `json:"change,omitempty"` // nil where no history changed
}

// OpsRequest asks for at most Limit entries (0: 50, at most 1000) numbered below Before.
type OpsRequest struct {
	Dot    DotName `json:"dot"`
	Before uint64  `json:"before,omitempty"`
	Limit  int     `json:"limit,omitempty"`
}

// StatusRequest asks for one branch's state.
type StatusRequest struct {
	Dot    DotName `json:"dot"`
	Branch Name    `json:"branch,omitempty"`
	Fresh  bool    `json:"fresh,omitempty"`
}

// MountRequest asks for a volume to be mounted or let go.
type MountRequest struct {
	Volume Volume `json:"volume"`
	Create bool   `json:"create,omitempty"` // make the dot if there is none
	Holder string `json:"holder,omitempty"` // who needs it; empty: nobody in particular, so nothing is kept from being reset
	// Commit is for Unmount alone: what to unmount is this commit, not the volume.
	Commit CommitID `json:"commit,omitzero"`
}

// Mounted is where a volume or commit is mounted on the node that answered.
type Mounted struct {
	Path   string   `json:"path"`
	Branch BranchID `json:"branch"`
	Commit CommitID `json:"commit,omitzero"` // MountCommit: the one that is mounted
}

// FileRequest asks for at most Limit bytes (0: 64 KiB, at most 1 MiB) of a file from Offset
// on. The path is as Diff yields it, from the top of the branch, with any bytes but NUL.
// Past the file's end there are none.
type FileRequest struct {
	CommitRef
	Path   string `json:"path"`
	Offset int64  `json:"offset,omitempty"`
	Limit  int    `json:"limit,omitempty"`
}

// FilePart is a part of a file.
type FilePart struct {
	Data []byte `json:"data"`
	Size int64  `json:"size"` // of the whole file
}

// MoveRequest asks for a branch to go to a node, which is named by its name or id.
type MoveRequest struct {
	Dot     DotName `json:"dot"`
	Branch  Name    `json:"branch,omitempty"`
	Node    string  `json:"node"`
	Request UUID    `json:"request,omitzero"`
}

// TakeoverRequest asks for a forced change of master. Epoch, and Tip if given, must be
// what the branch has now.
type TakeoverRequest struct {
	Dot     DotName  `json:"dot"`
	Branch  Name     `json:"branch,omitempty"`
	Node    NodeID   `json:"node,omitempty"` // empty: the node that answers
	Epoch   uint64   `json:"epoch"`
	Tip     CommitID `json:"tip,omitzero"`
	Commit  CommitID `json:"commit,omitzero"` // an older one, where the node lacks the tip
	Request UUID     `json:"request,omitzero"`
}

// NodeStatus is a node and what is known of it now.
type NodeStatus struct {
	Node
	Alive    bool          `json:"alive"`
	Self     bool          `json:"self,omitempty"`     // it is the one that answers
	Voter    bool          `json:"voter,omitempty"`    // it has a vote in the registry
	Leader   bool          `json:"leader,omitempty"`   // it leads the registry
	Draining bool          `json:"draining,omitempty"` // it gives its branches away
	Masters  int           `json:"masters"`            // branches that it is the master of, without stashes and deleted ones
	Missing  int           `json:"missing,omitempty"`  // commits that it has yet to fetch
	Behind   time.Duration `json:"behind,omitempty"`   // the age of the oldest one
	RTT      time.Duration `json:"rtt,omitempty"`      // to it, from the node that answers
	Pool     PoolUsage     `json:"usage"`
	AsOf     time.Time     `json:"as_of,omitzero"` // when it was last heard from
}

// ClusterStatus is the cluster as a whole. Feature is 0 and Created zero while the registry
// has not been heard from.
type ClusterStatus struct {
	Cluster
	Voters       int           `json:"voters"`
	Quorum       bool          `json:"quorum"` // changes are possible now
	Certificates []Certificate `json:"certificates,omitempty"`
	Tokens       []Token       `json:"tokens,omitempty"` // that can still be used, newest first
}

// Certificate is what a node, or the cluster's own authority, proves itself with.
type Certificate struct {
	Name        string    `json:"name"`        // a node's, or "authority"
	Fingerprint string    `json:"fingerprint"` // SHA-256, hexadecimal
	Expires     time.Time `json:"expires"`
}

// Token lets one node join. The secret itself is in no answer but CreateToken's.
type Token struct {
	ID      UUID      `json:"id"`
	Voter   bool      `json:"voter,omitempty"` // the node gets a vote
	By      string    `json:"by"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
}

// TokenRequest asks for a token that is good for Lasts (0: one hour, at most a week).
type TokenRequest struct {
	Voter bool          `json:"voter,omitempty"`
	Lasts time.Duration `json:"lasts,omitempty"`
}

// DrainRequest names the node to be drained, by its name or id. With Stop it takes branches
// again.
type DrainRequest struct {
	Node string `json:"node"`
	Stop bool   `json:"stop,omitempty"`
}

// CreateUser asks for a new user. Without a Password only the API key logs in.
type CreateUser struct {
	Name     Name
	Email    string
	Password Secret
}

// UserQuery finds a user by the first of its fields that is not empty.
type UserQuery struct {
	ID         UserID
	ByID       bool
	Name       Name
	Email      string
	Field      string // a metadata field …
	FieldValue string // … and its value
}

// SetUser asks for changes to a user; nil leaves a field as it is.
type SetUser struct {
	User     UserID
	Email    *string
	Password *Secret
	Metadata map[string]*string // nil value: remove the field
}

// Recovered says what a recovery found and put back.
type Recovered struct {
	Dots     int      `json:"dots"`
	Branches int      `json:"branches"`
	Commits  int      `json:"commits"`
	Notes    []string `json:"notes,omitempty"`
}
