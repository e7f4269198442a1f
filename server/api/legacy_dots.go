package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
)

// VolumeName is a dot's name on the original's wire.
type VolumeName struct {
	Namespace string
	Name      string
}

func volumeName(d dotmesh.DotName) VolumeName {
	return VolumeName{string(d.Namespace), string(d.Name)}
}

// dot checks the name; no namespace is admin's.
func (v VolumeName) dot() (dotmesh.DotName, error) {
	if v.Namespace == "" {
		v.Namespace = string(dotmesh.AdminNamespace)
	}
	return dotmesh.ParseDotName(v.Namespace + "/" + v.Name)
}

// BranchName is a branch's full name on the original's wire.
type BranchName struct {
	Namespace string
	Name      string
	Branch    string // empty: master
}

// parse checks the names.
func (b BranchName) parse() (dotmesh.DotName, dotmesh.Name, error) {
	dot, err := VolumeName{b.Namespace, b.Name}.dot()
	if err != nil {
		return dotmesh.DotName{}, "", err
	}
	branch, err := branchName(b.Branch)
	return dot, branch, err
}

// branchName reads a branch's name; the empty one is master, not the current branch.
func branchName(s string) (dotmesh.Name, error) {
	if s == "" {
		return dotmesh.MasterBranch, nil
	}
	return dotmesh.ParseName(s)
}

// DotmeshVolume is a branch of a dot.
type DotmeshVolume struct {
	Id                   string
	Name                 VolumeName
	Branch               string // empty: master
	Master               string
	SizeBytes            int64
	DirtyBytes           int64
	CommitCount          int64
	ServerStates         map[string]string
	ServerStatuses       map[string]string
	ForkParentId         string
	ForkParentSnapshotId string
}

func dotmeshVolume(dot dotmesh.DotName, b *dotmesh.BranchStatus) DotmeshVolume {
	v := DotmeshVolume{
		Id: b.ID.String(), Name: volumeName(dot), Master: string(b.Pointer.Master),
		SizeBytes: b.Size, DirtyBytes: b.Dirty.Bytes, CommitCount: int64(b.Pointer.Count),
		ServerStates: map[string]string{}, ServerStatuses: map[string]string{},
	}
	if b.Name != dotmesh.MasterBranch {
		v.Branch = string(b.Name)
	}
	v.state(b.Pointer.Master, "active", b.Pointer.Count, b.Pointer.Epoch)
	for _, r := range b.Replicas {
		if r.Node != b.Pointer.Master {
			v.state(r.Node, "inactive", b.Pointer.Count-min(b.Pointer.Count, uint64(len(r.Missing))), b.Pointer.Epoch)
		}
	}
	return v
}

// state says how a branch is on a node, in the original's words.
func (v *DotmeshVolume) state(node dotmesh.NodeID, state string, snapshots, version uint64) {
	v.ServerStates[string(node)] = state
	v.ServerStatuses[string(node)] = fmt.Sprintf("%s: waiting, %d snaps (v%d)", state, snapshots, version)
}

// masters yields every dot that the caller may see with its master branch.
func masters(ctx context.Context, s dotmesh.Service) ([]dotmesh.DotStatus, error) {
	dots, err := s.Dots(ctx)
	if err != nil {
		return nil, err
	}
	for i := range dots {
		d := &dots[i]
		if d.Current.UUID == d.ID.UUID {
			continue
		}
		b, err := s.Status(ctx, dotmesh.StatusRequest{Dot: d.Name, Branch: dotmesh.MasterBranch})
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		d.Branch = b
	}
	return dots, nil
}

// gone reports whether something was deleted since it was listed.
func gone(err error) bool { return errors.Is(err, dotmesh.NotFound) }

// allDetails returns every dot that the caller may see with all its branches.
func allDetails(ctx context.Context, s dotmesh.Service) ([]dotmesh.DotDetail, error) {
	dots, err := s.Dots(ctx)
	if err != nil {
		return nil, err
	}
	details := make([]dotmesh.DotDetail, 0, len(dots))
	for i := range dots {
		d, err := s.Dot(ctx, dots[i].Name)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		details = append(details, d)
	}
	return details, nil
}

// findBranch finds a branch by its id, which the original calls a filesystem id.
func findBranch(ctx context.Context, s dotmesh.Service, id string) (dotmesh.DotName, *dotmesh.BranchStatus, error) {
	none := dotmesh.E("api.findBranch", dotmesh.NotFound, "No such filesystem %q", clip(id))
	want, err := dotmesh.ParseUUID(id)
	if err != nil {
		return dotmesh.DotName{}, nil, none
	}
	dots, err := s.Dots(ctx)
	if err != nil {
		return dotmesh.DotName{}, nil, err
	}
	// Most dots have nothing but a master branch, whose id is the dot's: those that have
	// more are looked into only if none of those is meant.
	if i := slices.IndexFunc(dots, func(d dotmesh.DotStatus) bool { return d.ID.UUID == want }); i >= 0 {
		dots = dots[i : i+1]
	}
	for i := range dots {
		if dots[i].ID.UUID != want && dots[i].Branches+dots[i].Stashes < 2 {
			continue
		}
		d, err := s.Dot(ctx, dots[i].Name)
		if err != nil && !gone(err) {
			return dotmesh.DotName{}, nil, err
		}
		if at := slices.IndexFunc(d.All, func(b dotmesh.BranchStatus) bool { return b.ID.UUID == want }); at >= 0 {
			return d.Name, &d.All[at], nil
		}
	}
	return dotmesh.DotName{}, nil, none
}

// noSuch tells of a dot or branch that is not there in the original's words.
func noSuch(err error) error {
	if !gone(err) {
		return err
	}
	return &dotmesh.Error{Op: "api.legacy", Kind: dotmesh.NotFound, Text: "No such filesystem", Err: err}
}

// List shows the master branches, by namespace and name.
func (legacy) List(r *http.Request, _ *none, out *map[string]map[string]DotmeshVolume) error {
	dots, err := masters(r.Context(), serviceOf(r))
	*out = byName(dots, func(d *dotmesh.DotStatus) DotmeshVolume { return dotmeshVolume(d.Name, &d.Branch) })
	return err
}

// byName sorts values into the original's two maps.
func byName[T any](dots []dotmesh.DotStatus, value func(*dotmesh.DotStatus) T) map[string]map[string]T {
	all := map[string]map[string]T{}
	for i := range dots {
		namespace := string(dots[i].Name.Namespace)
		if all[namespace] == nil {
			all[namespace] = map[string]T{}
		}
		all[namespace][string(dots[i].Name.Name)] = value(&dots[i])
	}
	return all
}

// DockerContainer is a container that uses a branch.
type DockerContainer struct {
	Name string
	Id   string
}

func dockerContainers(b *dotmesh.BranchStatus) []DockerContainer {
	all := []DockerContainer{}
	for _, c := range b.Containers {
		all = append(all, DockerContainer{c.Name, c.ID})
	}
	return all
}

// VolumeContainers is a volume and who uses it.
type VolumeContainers struct {
	Volume     DotmeshVolume
	Containers []DockerContainer
}

func (legacy) ListWithContainers(r *http.Request, _ *none, out *map[string]map[string]VolumeContainers) error {
	dots, err := masters(r.Context(), serviceOf(r))
	*out = byName(dots, func(d *dotmesh.DotStatus) VolumeContainers {
		return VolumeContainers{dotmeshVolume(d.Name, &d.Branch), dockerContainers(&d.Branch)}
	})
	return err
}

func (legacy) Get(r *http.Request, in *string, out *DotmeshVolume) error {
	dot, b, err := findBranch(r.Context(), serviceOf(r), *in)
	if err == nil {
		*out = dotmeshVolume(dot, b)
	}
	return err
}

// AllDots are all dots with all branches, and the nodes.
type AllDots struct {
	Dots    []TopLevelFilesystem
	Servers []ServerAddresses
}

// TopLevelFilesystem is a dot with its branches.
type TopLevelFilesystem struct {
	MasterBranch         DotmeshVolume
	OtherBranches        []DotmeshVolume
	Owner                SafeUser
	Collaborators        []SafeUser
	ForkParentId         string
	ForkParentSnapshotId string
}

// ServerAddresses says where a node is.
type ServerAddresses struct {
	Id        string
	Addresses []string
}

func (legacy) AllDotsAndBranches(r *http.Request, _ *none, out *AllDots) error {
	ctx, service := r.Context(), serviceOf(r)
	details, err := allDetails(ctx, service)
	if err != nil {
		return err
	}
	people := newPeople(service)
	out.Dots, out.Servers = []TopLevelFilesystem{}, []ServerAddresses{}
	for i := range details {
		dot, err := topLevelFilesystem(ctx, &details[i], people)
		if err != nil {
			return err
		}
		out.Dots = append(out.Dots, dot)
	}
	nodes, err := service.Nodes(ctx)
	for _, n := range nodes {
		out.Servers = append(out.Servers, ServerAddresses{string(n.ID), slices.Concat([]string{}, n.Addresses)})
	}
	return err
}

func topLevelFilesystem(ctx context.Context, d *dotmesh.DotDetail, people *people) (t TopLevelFilesystem, err error) {
	t.OtherBranches, t.Collaborators = []DotmeshVolume{}, []SafeUser{}
	for i := range d.All {
		switch v := dotmeshVolume(d.Name, &d.All[i]); {
		case d.All[i].ID.UUID == d.ID.UUID:
			t.MasterBranch = v
		case shown(&d.All[i]):
			t.OtherBranches = append(t.OtherBranches, v)
		}
	}
	if t.Owner, err = people.get(ctx, d.Owner); err != nil {
		return t, err
	}
	if t.Owner.Name == "" {
		t.Owner.Name = d.OwnerName
	}
	for _, id := range d.Collaborators {
		u, err := people.get(ctx, id)
		if err != nil {
			return t, err
		}
		t.Collaborators = append(t.Collaborators, u)
	}
	return t, nil
}

// shown reports whether the original's clients see a branch: ordinary ones, and those
// that keep what diverged, as the original made them. What resets dropped is not shown.
func shown(b *dotmesh.BranchStatus) bool {
	return b.Stash == nil || b.Stash.Reason == dotmesh.StashDiverged
}

// people looks users up, each once. Who may not know more of a user gets the id.
type people struct {
	service dotmesh.Service
	known   map[dotmesh.UserID]SafeUser
}

func newPeople(s dotmesh.Service) *people {
	return &people{service: s, known: map[dotmesh.UserID]SafeUser{}}
}

func (p *people) get(ctx context.Context, id dotmesh.UserID) (SafeUser, error) {
	if u, ok := p.known[id]; ok {
		return u, nil
	}
	u, err := p.service.FindUser(ctx, dotmesh.UserQuery{ID: id, ByID: true})
	if err != nil && !errors.Is(err, dotmesh.Denied) && !gone(err) {
		return SafeUser{}, err
	}
	p.known[id] = SafeUser{Id: id.String()}
	if err == nil {
		p.known[id] = safeUser(u)
	}
	return p.known[id], nil
}

func (legacy) Create(r *http.Request, in *VolumeName, out *bool) error {
	dot, err := in.dot()
	if err == nil {
		_, err = serviceOf(r).CreateDot(r.Context(), dotmesh.CreateDot{Dot: dot})
	}
	return yes(out, err)
}

// Exists returns the branch's id, or nothing if there is no such branch.
func (l legacy) Exists(r *http.Request, in *BranchName, out *string) error {
	if err := l.Lookup(r, in, out); err != nil && !gone(err) {
		return err
	}
	return nil
}

// Lookup returns the branch's id.
func (legacy) Lookup(r *http.Request, in *BranchName, out *string) error {
	dot, branch, err := in.parse()
	if err != nil {
		return err
	}
	d, err := serviceOf(r).Dot(r.Context(), dot)
	if err != nil {
		return noSuch(err)
	}
	for i := range d.All {
		if d.All[i].Name == branch {
			*out = d.All[i].ID.String()
			return nil
		}
	}
	return dotmesh.E("api.Lookup", dotmesh.NotFound, "No such filesystem: %s has no branch %q", dot, branch)
}

// CheckNameIsValid returns what is wrong with a name, or nothing.
func (legacy) CheckNameIsValid(_ *http.Request, in *VolumeName, out *string) error {
	if _, err := in.dot(); err != nil {
		*out = dotmesh.Text(err)
	}
	return nil
}

func (legacy) Delete(r *http.Request, in *VolumeName, out *bool) error {
	dot, err := in.dot()
	if err == nil {
		err = serviceOf(r).DeleteDot(r.Context(), dotmesh.DeleteDot{Dot: dot})
	}
	if errors.Is(err, dotmesh.Busy) {
		err = &dotmesh.Error{Op: "api.Delete", Kind: dotmesh.Busy, Text: "cannot delete the volume", Err: err}
	}
	return yes(out, noSuch(err))
}

// Collaboration says who is to be, or no longer to be, a collaborator of a dot.
type Collaboration struct {
	MasterBranchID string
	Collaborator   string
}

func (legacy) AddCollaborator(r *http.Request, in *Collaboration, out *bool) error {
	return yes(out, collaborate(r, in, func(set *dotmesh.SetDot, who dotmesh.Name) { set.AddCollaborator = who }))
}

func (legacy) RemoveCollaborator(r *http.Request, in *Collaboration, out *bool) error {
	return yes(out, collaborate(r, in, func(set *dotmesh.SetDot, who dotmesh.Name) { set.RemoveCollaborator = who }))
}

func collaborate(r *http.Request, in *Collaboration, how func(*dotmesh.SetDot, dotmesh.Name)) error {
	who, err := dotmesh.ParseName(in.Collaborator)
	if err != nil {
		return err
	}
	dot, _, err := findBranch(r.Context(), serviceOf(r), in.MasterBranchID)
	if err != nil {
		return err
	}
	set := dotmesh.SetDot{Dot: dot}
	how(&set, who)
	_, err = serviceOf(r).SetDot(r.Context(), set)
	return err
}

// GetReplicationLatencyForBranch returns the commits that each node lacks.
func (legacy) GetReplicationLatencyForBranch(r *http.Request, in *BranchName, out *map[string][]string) error {
	dot, branch, err := in.parse()
	if err != nil {
		return err
	}
	b, err := serviceOf(r).Status(r.Context(), dotmesh.StatusRequest{Dot: dot, Branch: branch})
	*out = map[string][]string{}
	for _, replica := range b.Replicas {
		missing := []string{}
		for _, id := range replica.Missing {
			missing = append(missing, id.String())
		}
		(*out)[string(replica.Node)] = missing
	}
	return noSuch(err)
}

// Modified is when a dot was last changed.
type Modified struct {
	Time time.Time
}

// LastModified is the time of the newest commit, or now if there are changes since.
func (legacy) LastModified(r *http.Request, in *VolumeName, out *Modified) error {
	ctx, service := r.Context(), serviceOf(r)
	dot, err := in.dot()
	if err != nil {
		return err
	}
	b, err := service.Status(ctx, dotmesh.StatusRequest{Dot: dot, Branch: dotmesh.MasterBranch, Fresh: true})
	if err != nil {
		return noSuch(err)
	}
	if b.Dirty.Bytes > 0 {
		out.Time = b.Dirty.AsOf
		return nil
	}
	page, err := service.Log(ctx, dotmesh.LogRequest{Dot: dot, Branch: dotmesh.MasterBranch, Limit: 1})
	if len(page.Commits) > 0 {
		out.Time = page.Commits[0].Time
	}
	return err
}

// DiffOf asks what changed in a branch since its last commit.
type DiffOf struct {
	FilesystemID string
}

// DiffFiles are the files that changed.
type DiffFiles struct {
	Files []DiffFile
}

// DiffFile is one of them: 1 added, 2 modified, 3 removed.
type DiffFile struct {
	Change   int    `json:"change"`
	Filename string `json:"filename"`
}

func (legacy) Diff(r *http.Request, in *DiffOf, out *DiffFiles) error {
	dot, b, err := findBranch(r.Context(), serviceOf(r), in.FilesystemID)
	if err != nil {
		return err
	}
	out.Files, err = defaultSubdotDiff(r.Context(), serviceOf(r), dotmesh.DiffRequest{Dot: dot, Branch: b.Name})
	return err
}

// defaultSubdotDiff lists what changed in the default subdot, by paths inside of it.
func defaultSubdotDiff(ctx context.Context, s dotmesh.Service, request dotmesh.DiffRequest) ([]DiffFile, error) {
	numbers := map[dotmesh.ChangeKind]int{dotmesh.Added: 1, dotmesh.Modified: 2, dotmesh.Removed: 3}
	files := []DiffFile{}
	for change, err := range s.Diff(ctx, request) {
		if err != nil {
			return nil, err
		}
		if path, ok := strings.CutPrefix(change.Path, string(dotmesh.DefaultSubdot)+"/"); ok {
			files = append(files, DiffFile{numbers[change.Kind], path})
		}
	}
	return files, nil
}

// legacyDiff answers GET /diff/{namespace}:{name}[/{snapshot}] with what changed since a
// commit, which is the newest if none is named.
func legacyDiff(w http.ResponseWriter, r *http.Request) {
	admin := callOf(r.Context()).principal.Admin
	namespace, name, _ := strings.Cut(r.PathValue("dot"), ":")
	dot, err := VolumeName{namespace, name}.dot()
	if err != nil {
		refuse(w, err, admin)
		return
	}
	files, err := defaultSubdotDiff(r.Context(), serviceOf(r), dotmesh.DiffRequest{Dot: dot, Branch: dotmesh.MasterBranch, From: r.PathValue("snapshot")})
	if err != nil {
		refuse(w, err, admin)
		return
	}
	body, _ := json.Marshal(files) // numbers and strings always marshal
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(append(body, '\n')) // who asked is gone: nobody is left to tell
}
