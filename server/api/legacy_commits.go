package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"dotmesh.io/dotmesh"
)

// commitIDKey is the metadata key by which the original's clients choose a commit's id.
const commitIDKey = "#commit-id"

// Snapshot is a commit.
type Snapshot struct {
	Id       string
	Metadata map[string]string
}

func snapshot(c *dotmesh.Commit) Snapshot {
	metadata := maps.Clone(c.Metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	metadata["author"] = c.Author
	metadata["message"] = c.Message
	metadata["timestamp"] = strconv.FormatInt(c.Time.UnixNano(), 10)
	if c.Kind == dotmesh.InitialCommit {
		metadata["type"] = "dotmesh.initial"
	}
	return Snapshot{c.ID.String(), metadata}
}

// snapshots returns all commits of a branch, oldest first.
func snapshots(ctx context.Context, s dotmesh.Service, dot dotmesh.DotName, branch dotmesh.Name) ([]Snapshot, error) {
	all := []Snapshot{}
	request := dotmesh.LogRequest{Dot: dot, Branch: branch, Limit: 1000}
	for more := true; more; {
		page, err := s.Log(ctx, request)
		if err != nil {
			return nil, noSuch(err)
		}
		for i := range page.Commits {
			all = append(all, snapshot(&page.Commits[i]))
			request.Before = page.Commits[i].ID
		}
		more = page.More && len(page.Commits) > 0
	}
	slices.Reverse(all)
	return all, nil
}

func (legacy) Commits(r *http.Request, in *BranchName, out *[]Snapshot) error {
	dot, branch, err := in.parse()
	if err != nil {
		return err
	}
	return to(out)(snapshots(r.Context(), serviceOf(r), dot, branch))
}

func (legacy) CommitsById(r *http.Request, in *string, out *[]Snapshot) error {
	dot, b, err := findBranch(r.Context(), serviceOf(r), *in)
	if err != nil {
		return err
	}
	return to(out)(snapshots(r.Context(), serviceOf(r), dot, b.Name))
}

// NewCommit asks for a commit.
type NewCommit struct {
	Namespace string
	Name      string
	Branch    string
	Message   string
	Metadata  map[string]string
}

// Commit makes a commit and returns its id.
func (legacy) Commit(r *http.Request, in *NewCommit, out *string) error {
	request, err := in.request()
	if err != nil {
		return err
	}
	c, err := serviceOf(r).Commit(r.Context(), request)
	if err == nil {
		*out = c.ID.String()
	}
	return noSuch(err)
}

func (in *NewCommit) request() (request dotmesh.CommitRequest, err error) {
	request.Message, request.Metadata = in.Message, maps.Clone(in.Metadata)
	if request.Dot, request.Branch, err = (BranchName{in.Namespace, in.Name, in.Branch}).parse(); err != nil {
		return request, err
	}
	if id, ok := request.Metadata[commitIDKey]; ok {
		delete(request.Metadata, commitIDKey)
		if request.ID, err = dotmesh.ParseCommitID(id); err != nil {
			return request, err
		}
	}
	for key := range request.Metadata {
		if first, _ := utf8.DecodeRuneInString(key); !unicode.IsLower(first) {
			return request, dotmesh.E("api.Commit", dotmesh.Invalid, "Metadata field names must start with lowercase characters: %s", clip(key))
		}
	}
	return request, nil
}

// RollbackTo asks for a branch to be reset.
type RollbackTo struct {
	Namespace  string
	Name       string
	Branch     string
	SnapshotId string
}

// Rollback resets a branch to a commit. Unlike the original it destroys nothing: what is
// dropped becomes a stash.
func (legacy) Rollback(r *http.Request, in *RollbackTo, out *bool) error {
	dot, branch, err := BranchName{in.Namespace, in.Name, in.Branch}.parse()
	if err != nil {
		return err
	}
	id, err := dotmesh.ParseCommitID(in.SnapshotId)
	if err != nil {
		return err
	}
	_, err = serviceOf(r).Reset(r.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: dot, Branch: branch, Ref: id.String()}})
	return yes(out, err)
}

// Branches returns the names of a dot's branches without master.
func (legacy) Branches(r *http.Request, in *VolumeName, out *[]string) error {
	dot, err := in.dot()
	if err != nil {
		return err
	}
	d, err := serviceOf(r).Dot(r.Context(), dot)
	*out = []string{}
	for i := range d.All {
		if d.All[i].Name != dotmesh.MasterBranch && shown(&d.All[i]) {
			*out = append(*out, string(d.All[i].Name))
		}
	}
	return noSuch(err)
}

// NewBranch asks for a branch.
type NewBranch struct {
	Namespace      string
	Name           string
	SourceBranch   string
	NewBranchName  string
	SourceCommitId string
}

func (legacy) Branch(r *http.Request, in *NewBranch, out *bool) error {
	dot, source, err := BranchName{in.Namespace, in.Name, in.SourceBranch}.parse()
	if err != nil {
		return err
	}
	name, err := dotmesh.ParseName(in.NewBranchName)
	if err != nil {
		return err
	}
	from := dotmesh.CommitRef{Dot: dot, Branch: source, Ref: in.SourceCommitId}
	_, err = serviceOf(r).CreateBranch(r.Context(), dotmesh.CreateBranch{From: from, Name: name})
	return yes(out, err)
}

// CommitOf names a commit of a branch by ids.
type CommitOf struct {
	FilesystemId string
	CommitId     string
}

// MountCommit mounts a commit read-only and returns where.
func (legacy) MountCommit(r *http.Request, in *CommitOf, out *string) error {
	dot, b, err := findBranch(r.Context(), serviceOf(r), in.FilesystemId)
	if err != nil {
		return err
	}
	mounted, err := serviceOf(r).MountCommit(r.Context(), dotmesh.CommitRef{Dot: dot, Branch: b.Name, Ref: in.CommitId})
	*out = mounted.Path
	return err
}

// VolumeToProcure asks for a volume to be made ready. Name may be dot@branch.
type VolumeToProcure struct {
	Namespace string
	Name      string
	Subdot    string
}

// Procure mounts a volume, makes the dot if there is none, and returns where.
func (legacy) Procure(r *http.Request, in *VolumeToProcure, out *string) error {
	volume, err := in.volume()
	if err != nil {
		return err
	}
	mounted, err := serviceOf(r).Mount(r.Context(), dotmesh.MountRequest{Volume: volume, Create: true})
	*out = mounted.Path
	return err
}

func (in *VolumeToProcure) volume() (v dotmesh.Volume, err error) {
	name, branch, pinned := strings.Cut(in.Name, "@")
	if v.Dot, err = (VolumeName{in.Namespace, name}).dot(); err != nil {
		return v, err
	}
	if pinned {
		if v.Branch, err = dotmesh.ParseName(branch); err != nil {
			return v, err
		}
	}
	v.Subdot, err = dotmesh.ParseSubdot(in.Subdot)
	return v, err
}

// Switch asks for another branch to be the one that containers see.
type Switch struct {
	Namespace     string
	Name          string
	NewBranchName string
}

// SwitchContainers checks a branch out. The original switched the containers of one node;
// here it is the dot that switches, and its containers follow.
func (legacy) SwitchContainers(r *http.Request, in *Switch, out *bool) error {
	dot, branch, err := BranchName{in.Namespace, in.Name, in.NewBranchName}.parse()
	if err == nil {
		_, err = serviceOf(r).Checkout(r.Context(), dotmesh.BranchRequest{Dot: dot, Branch: branch})
	}
	return yes(out, err)
}

func (legacy) Containers(r *http.Request, in *BranchName, out *[]DockerContainer) error {
	dot, branch, err := in.parse()
	if err != nil {
		return err
	}
	b, err := serviceOf(r).Status(r.Context(), dotmesh.StatusRequest{Dot: dot, Branch: branch})
	*out = dockerContainers(&b)
	return noSuch(err)
}

func (legacy) ContainersById(r *http.Request, in *string, out *[]DockerContainer) error {
	_, b, err := findBranch(r.Context(), serviceOf(r), *in)
	if err == nil {
		*out = dockerContainers(b)
	}
	return err
}

// Mastery asks for a node to become a branch's master.
type Mastery struct {
	FilesystemId string
	Master       string
}

// ForceBranchMasterById takes a branch over. It gives way to any change that is made
// after it looked.
func (legacy) ForceBranchMasterById(r *http.Request, in *Mastery, out *bool) error {
	node, err := dotmesh.ParseNodeID(in.Master)
	if err != nil && in.Master != "" {
		return err
	}
	dot, b, err := findBranch(r.Context(), serviceOf(r), in.FilesystemId)
	if err == nil {
		_, err = serviceOf(r).Takeover(r.Context(), dotmesh.TakeoverRequest{
			Dot: dot, Branch: b.Name, Node: node, Epoch: b.Pointer.Epoch, Tip: b.Pointer.Tip,
		})
	}
	return yes(out, err)
}
