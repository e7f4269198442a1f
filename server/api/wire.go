package api

import (
	"unicode/utf8"

	"dotmesh.io/dotmesh"
)

// The parameters and results that differ on the wire from those of dotmesh.Service: the
// few that carry a secret, which would print as stars, those that are not one struct,
// and file names, which need not be text.

// NewUser is dotmesh.CreateUser.
type NewUser struct {
	Name     dotmesh.Name `json:"name"`
	Email    string       `json:"email,omitempty"`
	Password string       `json:"password,omitempty"`
}

func (u *NewUser) request() dotmesh.CreateUser {
	return dotmesh.CreateUser{Name: u.Name, Email: u.Email, Password: dotmesh.Secret(u.Password)}
}

// NewKey is a user's API key, shown this once, and whose it is where that is not the
// caller's own.
type NewKey struct {
	User dotmesh.User `json:"user,omitzero"`
	Key  string       `json:"key"`
}

// UserQuery is dotmesh.UserQuery.
type UserQuery struct {
	ID    *dotmesh.UserID `json:"id,omitempty"`
	Name  dotmesh.Name    `json:"name,omitempty"`
	Email string          `json:"email,omitempty"`
	Field string          `json:"field,omitempty"` // a metadata field and
	Value string          `json:"value,omitempty"` // its value
}

func (q *UserQuery) query() dotmesh.UserQuery {
	query := dotmesh.UserQuery{Name: q.Name, Email: q.Email, Field: q.Field, FieldValue: q.Value}
	if q.ID != nil {
		query.ID, query.ByID = *q.ID, true
	}
	return query
}

func userQuery(q dotmesh.UserQuery) UserQuery {
	wire := UserQuery{Name: q.Name, Email: q.Email, Field: q.Field, Value: q.FieldValue}
	if q.ByID {
		wire.ID = &q.ID
	}
	return wire
}

// UserChange is dotmesh.SetUser.
type UserChange struct {
	User     dotmesh.UserID     `json:"user"`
	Email    *string            `json:"email,omitempty"`
	Password *string            `json:"password,omitempty"`
	Metadata map[string]*string `json:"metadata,omitempty"`
}

func (c *UserChange) request() dotmesh.SetUser {
	return dotmesh.SetUser{User: c.User, Email: c.Email, Password: (*dotmesh.Secret)(c.Password), Metadata: c.Metadata}
}

// Entries are registry entries.
type Entries struct {
	Entries []dotmesh.Entry `json:"entries"`
}

// Prefix asks for what begins with it.
type Prefix struct {
	Prefix string `json:"prefix,omitempty"`
}

// Named asks for what has that id.
type Named struct {
	ID dotmesh.UUID `json:"id"`
}

// NewToken is a token with which a node may join, and its secret, shown this once.
type NewToken struct {
	Token  dotmesh.Token `json:"token"`
	Secret string        `json:"secret"`
}

// FileRequest is dotmesh.FileRequest. A path that is not UTF-8 goes as bytes.
type FileRequest struct {
	dotmesh.CommitRef
	Path   string `json:"path,omitempty"`
	Bytes  []byte `json:"path_bytes,omitempty"`
	Offset int64  `json:"offset,omitempty"`
	Limit  int    `json:"limit,omitempty"`
}

func (f *FileRequest) request() dotmesh.FileRequest {
	return dotmesh.FileRequest{CommitRef: f.CommitRef, Path: f.Path + string(f.Bytes), Offset: f.Offset, Limit: f.Limit}
}

func fileRequest(r dotmesh.FileRequest) FileRequest {
	wire := FileRequest{CommitRef: r.CommitRef, Path: r.Path, Offset: r.Offset, Limit: r.Limit}
	if !utf8.ValidString(r.Path) {
		wire.Path, wire.Bytes = "", []byte(r.Path)
	}
	return wire
}

// fileChange is a dotmesh.FileChange. JSON text cannot hold a path that is not UTF-8;
// such a one goes as bytes.
type fileChange struct {
	Path  string             `json:"path,omitempty"`
	Bytes []byte             `json:"path_bytes,omitempty"`
	Kind  dotmesh.ChangeKind `json:"kind"`
	Size  int64              `json:"size"`
}

func wireChange(c dotmesh.FileChange) fileChange {
	if !utf8.ValidString(c.Path) {
		return fileChange{Bytes: []byte(c.Path), Kind: c.Kind, Size: c.Size}
	}
	return fileChange{Path: c.Path, Kind: c.Kind, Size: c.Size}
}

func (c fileChange) change() dotmesh.FileChange {
	return dotmesh.FileChange{Path: c.Path + string(c.Bytes), Kind: c.Kind, Size: c.Size}
}
