package dotmesh

import "time"

// Dot is a versioned volume, as the registry has it.
type Dot struct {
	ID            DotID         `json:"id"`
	Name          DotName       `json:"name"`
	Owner         UserID        `json:"owner"`
	Collaborators []UserID      `json:"collaborators,omitempty"` // may read, commit and push
	Current       BranchID      `json:"current"`                 // what the plain name means; only Checkout changes it
	Replicas      string        `json:"replicas,omitempty"`      // which nodes keep its commits; empty means "all"
	RPO           time.Duration `json:"rpo,omitempty"`           // take a system commit this often; 0: never
	Expires       time.Duration `json:"expires,omitempty"`       // keep stashes this long; 0: the default of their reason
	Created       time.Time     `json:"created"`
	Origin        DotOrigin     `json:"origin,omitzero"` // zero: it began empty
}

// DotOrigin is the commit that a dot was forked from, and whose it was. Either may be
// deleted by now.
type DotOrigin struct {
	Dot    DotID    `json:"dot"`
	Name   DotName  `json:"name"` // as it was then
	Commit CommitID `json:"commit"`
}

// User is a person or program that may log in, as the registry has it. The registry
// never holds a key or password in clear.
type User struct {
	ID           UserID            `json:"id"`
	Name         Name              `json:"name"` // also the namespace that the user administers
	Email        string            `json:"email,omitempty"`
	KeyHash      string            `json:"key_hash,omitempty"`      // HMAC-SHA-256 of the API key, hexadecimal
	PasswordHash string            `json:"password_hash,omitempty"` // argon2id in its PHC string format
	Metadata     map[string]string `json:"metadata,omitempty"`
}

// Principal is whoever makes a call, as the door that let them in knows it. The zero
// Principal may do nothing.
type Principal struct {
	User     UserID
	Name     Name   // the user's name, and the author of their commits
	Admin    bool   // may do everything
	Password bool   // logged in with a password rather than an API key
	Origin   string // where the call came from, for the audit log: "unix:uid=1000", "127.0.0.1:5123"
}

// IsZero reports whether nobody is named.
func (p Principal) IsZero() bool { return p == Principal{} }
