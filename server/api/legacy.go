package api

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"dotmesh.io/dotmesh"
)

// legacyPrefix begins the names of the original Dotmesh's methods.
const legacyPrefix = "DotmeshRPC."

// legacy are the DotmeshRPC.* methods, for clients made for the original Dotmesh: its
// names, parameters, results and words, told in terms of dotmesh.Service. A filesystem id
// is a branch's id, the empty branch is master, and what the caller may do is the
// service's to say. Where the original did harm, this does not: see docs/api.md.
type legacy struct{}

// legacyReads reports whether a DotmeshRPC.* method changes nothing. One that is not
// listed is taken for one that does, and is written to the audit log.
func legacyReads(method string) bool {
	switch method {
	case "Ping", "Version", "Config", "CurrentUser", "AuthenticatedUser", "UserFromName", "UserFromEmail", "UserFromCustomerId",
		"List", "ListWithContainers", "Get", "AllDotsAndBranches", "Exists", "Lookup", "CheckNameIsValid",
		"GetReplicationLatencyForBranch", "LastModified", "Diff", "Commits", "CommitsById", "Branches",
		"Containers", "ContainersById", "DumpInternalState":
		return true
	}
	return false
}

// yes is the result of a method that has nothing else to say.
func yes(out *bool, err error) error {
	*out = err == nil
	return err
}

// Ping answers true.
func (legacy) Ping(_ *http.Request, _ *none, out *bool) error { return yes(out, nil) }

// VersionInfo is what the original says of itself. This server asks nobody whether there
// is a newer one.
type VersionInfo struct {
	InstalledVersion    string `json:"installed_version"`
	CurrentVersion      string `json:"current_version"`
	CurrentReleaseDate  int    `json:"current_release_date"`
	CurrentDownloadURL  string `json:"current_download_url"`
	CurrentChangelogURL string `json:"current_changelog_url"`
	ProjectWebsite      string `json:"project_website"`
	Outdated            bool   `json:"outdated"`
}

func (legacy) Version(r *http.Request, _ *none, out *VersionInfo) error {
	v, err := serviceOf(r).Version(r.Context())
	*out = VersionInfo{InstalledVersion: v.Version, CurrentVersion: v.Version, ProjectWebsite: "https://dotmesh.io"}
	return err
}

// Config shows the server's settings to administrators.
func (legacy) Config(r *http.Request, _ *none, out *map[string]string) error {
	return to(out)(serviceOf(r).State(r.Context(), "config"))
}

func (legacy) DumpInternalState(r *http.Request, in *json.RawMessage, out *map[string]string) error {
	var prefix string
	if len(*in) > 0 && json.Unmarshal(*in, &prefix) != nil {
		return dotmesh.E("api.DumpInternalState", dotmesh.Invalid, "the prefix must be a string")
	}
	return to(out)(serviceOf(r).State(r.Context(), prefix))
}

// SafeUser is a user as everybody may see them.
type SafeUser struct {
	Id        string
	Name      string
	Email     string
	EmailHash string
	Metadata  map[string]string
}

func safeUser(u dotmesh.User) SafeUser {
	hash := md5.Sum([]byte(strings.ToLower(u.Email))) // what avatar services are asked with; no secret
	return SafeUser{Id: u.ID.String(), Name: string(u.Name), Email: u.Email, EmailHash: hex.EncodeToString(hash[:]), Metadata: u.Metadata}
}

// toUser puts a user where the codec finds it.
func toUser(out *SafeUser) func(dotmesh.User, error) error {
	return func(u dotmesh.User, err error) error {
		if err == nil {
			*out = safeUser(u)
		}
		return err
	}
}

func (legacy) CurrentUser(r *http.Request, _ *none, out *SafeUser) error {
	return toUser(out)(serviceOf(r).Whoami(r.Context()))
}

// AuthenticatedUser is CurrentUser for who logged in with a password.
func (legacy) AuthenticatedUser(r *http.Request, _ *none, out *SafeUser) error {
	if !callOf(r.Context()).principal.Password {
		return dotmesh.E("api.AuthenticatedUser", dotmesh.Denied, "a password is needed for this, not an API key")
	}
	return toUser(out)(serviceOf(r).Whoami(r.Context()))
}

// ApiKey is an API key in clear.
type ApiKey struct {
	ApiKey string
}

// GetApiKey echoes the key that the call came with: the server itself knows no key.
func (legacy) GetApiKey(r *http.Request, _ *none, out *ApiKey) error {
	const op = "api.GetApiKey"
	switch c := callOf(r.Context()); {
	case c.presented == "":
		return dotmesh.E(op, dotmesh.Unsupported, "no key was used for this call; the administrator's is in the file admin-api-key of the server's data directory")
	case c.principal.Password:
		return dotmesh.E(op, dotmesh.Unsupported, "the server keeps no key that it could show; make a new one with ResetApiKey")
	default:
		out.ApiKey = string(c.presented)
		return nil
	}
}

func (legacy) ResetApiKey(r *http.Request, _ *none, out *ApiKey) error {
	key, err := serviceOf(r).ResetKey(r.Context())
	out.ApiKey = string(key)
	return err
}

// NewPassword is a password to set, for the caller or for another user.
type NewPassword struct {
	Id          string
	NewPassword string
}

func (legacy) UpdatePassword(r *http.Request, in *NewPassword, out *bool) error {
	password := dotmesh.Secret(in.NewPassword)
	_, err := serviceOf(r).SetUser(r.Context(), dotmesh.SetUser{User: callOf(r.Context()).principal.User, Password: &password})
	return yes(out, err)
}

func (legacy) UpdateUserPassword(r *http.Request, in *NewPassword, out *bool) error {
	password := dotmesh.Secret(in.NewPassword)
	return yes(out, changeUser(r, in.Id, dotmesh.SetUser{Password: &password}))
}

// NewLegacyUser is a user to make.
type NewLegacyUser struct {
	Name, Email, Password string
}

func (legacy) RegisterNewUser(r *http.Request, in *NewLegacyUser, out *SafeUser) error {
	name, err := dotmesh.ParseName(in.Name)
	if err != nil {
		return err
	}
	u, _, err := serviceOf(r).CreateUser(r.Context(), dotmesh.CreateUser{Name: name, Email: in.Email, Password: dotmesh.Secret(in.Password)})
	return toUser(out)(u, err)
}

// UserRef names a user: a string, or an object with the one field that the method needs.
type UserRef string

// UnmarshalJSON reads either form.
func (u *UserRef) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err == nil {
		*u = UserRef(text)
		return nil
	}
	var object struct{ Name, Email, CustomerId string }
	if err := json.Unmarshal(data, &object); err != nil {
		return err
	}
	*u = UserRef(object.Name + object.Email + object.CustomerId)
	return nil
}

func (legacy) UserFromName(r *http.Request, in *UserRef, out *SafeUser) error {
	name, err := dotmesh.ParseName(string(*in))
	if err != nil {
		return err
	}
	return toUser(out)(serviceOf(r).FindUser(r.Context(), dotmesh.UserQuery{Name: name}))
}

func (legacy) UserFromEmail(r *http.Request, in *UserRef, out *SafeUser) error {
	return toUser(out)(serviceOf(r).FindUser(r.Context(), dotmesh.UserQuery{Email: string(*in)}))
}

func (legacy) UserFromCustomerId(r *http.Request, in *UserRef, out *SafeUser) error {
	return toUser(out)(serviceOf(r).FindUser(r.Context(), dotmesh.UserQuery{Field: "CustomerId", FieldValue: string(*in)}))
}

// UserField is a field of a user to set or remove.
type UserField struct {
	Id    string
	Email string
	Field string
	Value string
}

func (legacy) SetUserEmail(r *http.Request, in *UserField, out *bool) error {
	return yes(out, changeUser(r, in.Id, dotmesh.SetUser{Email: &in.Email}))
}

func (legacy) SetUserMetadataField(r *http.Request, in *UserField, out *bool) error {
	return yes(out, changeUser(r, in.Id, dotmesh.SetUser{Metadata: map[string]*string{in.Field: &in.Value}}))
}

func (legacy) DeleteUserMetadataField(r *http.Request, in *UserField, out *bool) error {
	return yes(out, changeUser(r, in.Id, dotmesh.SetUser{Metadata: map[string]*string{in.Field: nil}}))
}

// changeUser changes the user with an id given as text. Administrators only, as in the
// original: a user changes their own password by UpdatePassword.
func changeUser(r *http.Request, id string, change dotmesh.SetUser) error {
	if !callOf(r.Context()).principal.Admin {
		return dotmesh.E("api.changeUser", dotmesh.Denied, "only the administrator may do this")
	}
	if err := change.User.UnmarshalText([]byte(id)); err != nil {
		return err
	}
	_, err := serviceOf(r).SetUser(r.Context(), change)
	return err
}

// Backup is the registry as a whole. Entries are what is restored; the other fields say
// the same in the original's terms, for programs that read its backups.
type Backup struct {
	Version             string               `json:"version"`
	Created             string               `json:"created"`
	Users               []SafeUser           `json:"users"`
	FilesystemMasters   []FilesystemMaster   `json:"filesystem_masters"`
	RegistryFilesystems []RegistryFilesystem `json:"registry_filesystems"`
	RegistryClones      []RegistryClone      `json:"registry_clones"`
	Entries             []dotmesh.Entry      `json:"dotmesh_entries"`
}

// FilesystemMaster says which node masters a branch.
type FilesystemMaster struct {
	FilesystemID string `json:"filesystem_id"`
	NodeID       string `json:"node_id"`
}

// RegistryFilesystem is a dot in a backup.
type RegistryFilesystem struct {
	ID      string     `json:"id"`
	Name    VolumeName `json:"name"`
	OwnerID string     `json:"owner_id"`
}

// RegistryClone is a branch other than master in a backup.
type RegistryClone struct {
	TopLevelFilesystemID string `json:"top_level_filesystem_id"`
	Name                 string `json:"name"`
	FilesystemID         string `json:"filesystem_id"`
}

func (legacy) DumpEtcd(r *http.Request, _ *json.RawMessage, out *Backup) (err error) {
	ctx, service := r.Context(), serviceOf(r)
	if out.Entries, err = service.Export(ctx); err != nil {
		return err
	}
	details, err := allDetails(ctx, service)
	if err != nil {
		return err
	}
	out.Version, out.Created = "v1", callOf(ctx).began.UTC().Format("2006-01-02T15:04:05Z07:00")
	return out.describe(ctx, details, newPeople(service))
}

// describe fills in what the original's backups hold.
func (b *Backup) describe(ctx context.Context, details []dotmesh.DotDetail, people *people) error {
	users := map[dotmesh.UserID]SafeUser{}
	for i := range details {
		d := &details[i]
		b.RegistryFilesystems = append(b.RegistryFilesystems, RegistryFilesystem{d.ID.String(), volumeName(d.Name), d.Owner.String()})
		for _, br := range d.All {
			b.FilesystemMasters = append(b.FilesystemMasters, FilesystemMaster{br.ID.String(), string(br.Pointer.Master)})
			if br.ID.UUID != d.ID.UUID {
				b.RegistryClones = append(b.RegistryClones, RegistryClone{d.ID.String(), string(br.Name), br.ID.String()})
			}
		}
		for _, id := range append(slices.Clone(d.Collaborators), d.Owner) {
			u, err := people.get(ctx, id)
			if err != nil {
				return err
			}
			users[id] = u
		}
	}
	b.Users = slices.SortedFunc(maps.Values(users), func(a, b SafeUser) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// Restore is a backup to put in the place of the registry.
type Restore struct {
	Prefix string
	Dump   json.RawMessage // a backup, or a string that holds one
}

func (legacy) RestoreEtcd(r *http.Request, in *Restore, out *bool) error {
	const op = "api.RestoreEtcd"
	dump := []byte(in.Dump)
	var text string
	if json.Unmarshal(dump, &text) == nil {
		dump = []byte(text)
	}
	var backup Backup
	if err := json.Unmarshal(dump, &backup); err != nil {
		return dotmesh.E(op, dotmesh.Invalid, "this is no backup: %s", reason(err))
	}
	if len(backup.Entries) == 0 {
		return dotmesh.E(op, dotmesh.Unsupported, "this backup was made by the original Dotmesh; only those of this one can be restored")
	}
	return yes(out, serviceOf(r).Import(r.Context(), backup.Entries))
}

// notYet is the answer of the methods that need what this server does not have.
func notYet(method string) error {
	return dotmesh.E("api.legacy", dotmesh.Unsupported, "%s: not on this server yet", method)
}

func (legacy) Transfer(_ *http.Request, _ *json.RawMessage, _ *string) error {
	return notYet("Transfer")
}

func (legacy) GetTransfer(_ *http.Request, _ *json.RawMessage, _ *string) error {
	return notYet("GetTransfer")
}

func (legacy) S3Transfer(_ *http.Request, _ *json.RawMessage, _ *string) error {
	return notYet("S3Transfer")
}

func (legacy) RegisterTransfer(_ *http.Request, _ *json.RawMessage, _ *bool) error {
	return notYet("RegisterTransfer")
}

func (legacy) RegisterFilesystem(_ *http.Request, _ *json.RawMessage, _ *bool) error {
	return notYet("RegisterFilesystem")
}

func (legacy) DeducePathToTopLevelFilesystem(_ *http.Request, _ *json.RawMessage, _ *string) error {
	return notYet("DeducePathToTopLevelFilesystem")
}

func (legacy) PredictSize(_ *http.Request, _ *json.RawMessage, _ *int64) error {
	return notYet("PredictSize")
}

func (legacy) StashAfter(_ *http.Request, _ *json.RawMessage, _ *string) error {
	return notYet("StashAfter")
}

func (legacy) Fork(_ *http.Request, _ *json.RawMessage, _ *string) error {
	return notYet("Fork")
}

func (legacy) SetDebugFlag(_ *http.Request, _ *json.RawMessage, _ *string) error {
	return notYet("SetDebugFlag")
}
