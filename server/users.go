package server

import (
	"context"
	"maps"

	"dotmesh.io/dotmesh"
)

// Whoami implements dotmesh.Service.
func (s *service) Whoami(context.Context) (dotmesh.User, error) {
	if err := s.known(); err != nil {
		return dotmesh.User{}, err
	}
	u := s.node.view.user(s.who.User)
	if u == nil {
		return dotmesh.User{}, noUser()
	}
	return public(u), nil
}

// public returns a user without what only the gate needs.
func public(u *dotmesh.User) dotmesh.User {
	c := *u
	c.KeyHash, c.PasswordHash, c.Metadata = "", "", maps.Clone(u.Metadata)
	return c
}

func noUser() error {
	return dotmesh.E("server.User", dotmesh.NotFound, "no such user")
}

// CreateUser implements dotmesh.Service.
func (s *service) CreateUser(ctx context.Context, r dotmesh.CreateUser) (dotmesh.User, dotmesh.Secret, error) {
	const op = "server.CreateUser"
	if err := s.adminOnly(); err != nil {
		return dotmesh.User{}, "", err
	}
	if r.Name == "" {
		return dotmesh.User{}, "", dotmesh.E(op, dotmesh.Invalid, "a user needs a name")
	}
	if err := s.node.mayChange(ctx); err != nil {
		return dotmesh.User{}, "", err
	}
	key := newKey()
	u := dotmesh.User{ID: dotmesh.UserID{UUID: dotmesh.NewUUID()}, Name: r.Name, Email: r.Email}
	u.KeyHash = hashKey(u.ID, key)
	if r.Password != "" {
		hash, err := hashPassword(r.Password)
		if err != nil {
			return dotmesh.User{}, "", err
		}
		u.PasswordHash = hash
	}
	if err := s.node.sees(ctx)(s.node.reg.PutUser(ctx, nil, u)); err != nil {
		return dotmesh.User{}, "", dotmesh.Wrap(op, err)
	}
	return public(&u), key, nil
}

// FindUser implements dotmesh.Service.
func (s *service) FindUser(_ context.Context, q dotmesh.UserQuery) (dotmesh.User, error) {
	if err := s.adminOnly(); err != nil {
		return dotmesh.User{}, err
	}
	u := s.node.view.findUser(func(u *dotmesh.User) bool {
		switch {
		case q.ByID:
			return u.ID == q.ID
		case q.Name != "":
			return u.Name == q.Name
		case q.Email != "":
			return u.Email == q.Email
		}
		return q.Field != "" && u.Metadata[q.Field] == q.FieldValue
	})
	if u == nil {
		return dotmesh.User{}, noUser()
	}
	return public(u), nil
}

// SetUser implements dotmesh.Service.
func (s *service) SetUser(ctx context.Context, r dotmesh.SetUser) (dotmesh.User, error) {
	const op = "server.SetUser"
	own := !s.who.IsZero() && r.User == s.who.User
	switch {
	case s.who.Admin:
	case !own || r.Metadata != nil || r.Email != nil:
		return dotmesh.User{}, s.adminOnly()
	case !s.who.Password:
		return dotmesh.User{}, dotmesh.E(op, dotmesh.Denied, "log in with your password to change it; an API key is not enough")
	}
	u := s.node.view.user(r.User)
	if u == nil {
		return dotmesh.User{}, noUser()
	}
	if err := s.node.mayChange(ctx); err != nil {
		return dotmesh.User{}, err
	}
	next, err := edit(*u, r)
	if err != nil {
		return dotmesh.User{}, err
	}
	if err := s.node.sees(ctx)(s.node.reg.PutUser(ctx, u, next)); err != nil {
		return dotmesh.User{}, dotmesh.Wrap(op, err)
	}
	return public(&next), nil
}

func edit(u dotmesh.User, r dotmesh.SetUser) (dotmesh.User, error) {
	if r.Email != nil {
		u.Email = *r.Email
	}
	if r.Password != nil {
		hash, err := hashPassword(*r.Password)
		if err != nil {
			return u, err
		}
		u.PasswordHash = hash
	}
	u.Metadata = maps.Clone(u.Metadata)
	for field, value := range r.Metadata {
		if value == nil {
			delete(u.Metadata, field)
			continue
		}
		if u.Metadata == nil {
			u.Metadata = map[string]string{}
		}
		u.Metadata[field] = *value
	}
	return u, nil
}

// ResetKey implements dotmesh.Service.
func (s *service) ResetKey(ctx context.Context) (dotmesh.Secret, error) {
	const op = "server.ResetKey"
	if err := s.known(); err != nil {
		return "", err
	}
	if !s.who.Password {
		return "", dotmesh.E(op, dotmesh.Denied, "log in with your password to get a new API key; a key is not enough")
	}
	u := s.node.view.user(s.who.User)
	if u == nil {
		return "", noUser()
	}
	if err := s.node.mayChange(ctx); err != nil {
		return "", err
	}
	key := newKey()
	next := *u
	next.KeyHash = hashKey(u.ID, key)
	err := s.node.surely(ctx, func(ctx context.Context) (dotmesh.Cursor, error) { return s.node.reg.PutUser(ctx, u, next) })
	if dotmesh.KindOf(err) == dotmesh.Unknown {
		return "", &dotmesh.Error{
			Op: op, Kind: dotmesh.Unknown, Err: err,
			Text: "the answer was lost: the old API key may be valid still, or none may be; reset it again",
		}
	}
	if err != nil {
		return "", dotmesh.Wrap(op, err)
	}
	if u.ID == dotmesh.AdminID && s.node.cfg.SaveAdminKey != nil {
		if err := s.node.cfg.SaveAdminKey(key); err != nil {
			s.node.log.Error("the administrator's new API key could not be saved; save it by hand", "err", err)
		}
	}
	return key, nil
}
