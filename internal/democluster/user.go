package democluster

import (
	"context"
	"maps"

	"dotmesh.io/dotmesh"
)

// minPassword is the least length of a password.
const minPassword = 7

// DemoKey is the API key of every user that a cluster is made with.
const DemoKey dotmesh.Secret = "demo"

// user is a user with their secrets, which go nowhere: the cluster dies with the program.
type user struct {
	dotmesh.User
	key, password dotmesh.Secret
}

func (c *Cluster) makeUsers() {
	c.users = append(c.users, &user{User: dotmesh.User{Name: dotmesh.AdminNamespace, Email: "ops@shop.example"}, key: DemoKey})
	for _, name := range []dotmesh.Name{"ann", "bob", "priya", "tomas"} {
		c.users = append(c.users, &user{key: DemoKey, User: dotmesh.User{
			ID: dotmesh.UserID{UUID: c.newID()}, Name: name, Email: string(name) + "@shop.example",
		}})
	}
}

func (c *Cluster) userWhere(fits func(*user) bool) *user {
	for _, u := range c.users {
		if fits(u) {
			return u
		}
	}
	return nil
}

func (c *Cluster) user(id dotmesh.UserID) *user {
	return c.userWhere(func(u *user) bool { return u.ID == id })
}

func (c *Cluster) userNamed(name dotmesh.Name) *user {
	return c.userWhere(func(u *user) bool { return u.Name == name })
}

func noUser() error { return dotmesh.E("democluster.User", dotmesh.NotFound, "no such user") }

// public returns a copy of the user as others may see it.
func (u *user) public() dotmesh.User {
	record := u.User
	record.Metadata = maps.Clone(u.Metadata)
	return record
}

// Authenticate implements dotmesh.Gate. The users that the cluster was made with have
// [DemoKey] as their key.
func (c *Cluster) Authenticate(ctx context.Context, name dotmesh.Name, secret dotmesh.Secret) (dotmesh.Principal, error) {
	return ask(ctx, c.service, func() (dotmesh.Principal, error) {
		u := c.userNamed(name)
		if u == nil || secret == "" || secret != u.key && secret != u.password {
			return dotmesh.Principal{}, dotmesh.E("democluster.Authenticate", dotmesh.Unauthenticated, "Permission denied: please check that your API key is still valid")
		}
		return dotmesh.Principal{User: u.ID, Name: u.Name, Admin: u.ID == dotmesh.AdminID, Password: secret == u.password, Origin: "demo"}, nil
	})
}

// Whoami implements dotmesh.Service.
func (s *service) Whoami(ctx context.Context) (dotmesh.User, error) {
	return ask(ctx, s, func() (dotmesh.User, error) {
		if u := s.c.user(s.who.User); u != nil {
			return u.public(), nil
		}
		return dotmesh.User{}, noUser()
	})
}

// made is a new user and their key.
type made struct {
	user dotmesh.User
	key  dotmesh.Secret
}

// CreateUser implements dotmesh.Service.
func (s *service) CreateUser(ctx context.Context, r dotmesh.CreateUser) (dotmesh.User, dotmesh.Secret, error) {
	m, err := change(ctx, s, func() (made, error) {
		const op = "democluster.CreateUser"
		if err := s.adminOnly(); err != nil {
			return made{}, err
		}
		switch {
		case r.Name == "":
			return made{}, dotmesh.E(op, dotmesh.Invalid, "a user needs a name")
		case s.c.userNamed(r.Name) != nil:
			return made{}, dotmesh.E(op, dotmesh.Exists, "user %s exists already", r.Name)
		case r.Password != "" && len(r.Password) < minPassword:
			return made{}, dotmesh.E(op, dotmesh.Invalid, "a password needs at least %d characters", minPassword)
		}
		u := &user{User: dotmesh.User{ID: dotmesh.UserID{UUID: s.c.newID()}, Name: r.Name, Email: r.Email}, key: s.c.newKey(), password: r.Password}
		s.c.users = append(s.c.users, u)
		return made{u.public(), u.key}, nil
	})
	return m.user, m.key, err
}

func (c *Cluster) newKey() dotmesh.Secret { return dotmesh.Secret("DEMO-" + c.newID().String()) }

// FindUser implements dotmesh.Service.
func (s *service) FindUser(ctx context.Context, q dotmesh.UserQuery) (dotmesh.User, error) {
	return ask(ctx, s, func() (dotmesh.User, error) {
		if err := s.adminOnly(); err != nil {
			return dotmesh.User{}, err
		}
		u := s.c.userWhere(func(u *user) bool {
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
		return u.public(), nil
	})
}

// SetUser implements dotmesh.Service.
func (s *service) SetUser(ctx context.Context, r dotmesh.SetUser) (dotmesh.User, error) {
	return change(ctx, s, func() (dotmesh.User, error) {
		const op = "democluster.SetUser"
		own := r.User == s.who.User
		switch {
		case s.who.Admin:
		case !own || r.Metadata != nil || r.Email != nil:
			return dotmesh.User{}, s.adminOnly()
		case !s.who.Password:
			return dotmesh.User{}, dotmesh.E(op, dotmesh.Denied, "log in with your password to change it; an API key is not enough")
		}
		u := s.c.user(r.User)
		switch {
		case u == nil:
			return dotmesh.User{}, noUser()
		case r.Password != nil && len(*r.Password) < minPassword:
			return dotmesh.User{}, dotmesh.E(op, dotmesh.Invalid, "a password needs at least %d characters", minPassword)
		}
		u.edit(r)
		return u.public(), nil
	})
}

func (u *user) edit(r dotmesh.SetUser) {
	if r.Email != nil {
		u.Email = *r.Email
	}
	if r.Password != nil {
		u.password = *r.Password
	}
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
}

// ResetKey implements dotmesh.Service.
func (s *service) ResetKey(ctx context.Context) (dotmesh.Secret, error) {
	return change(ctx, s, func() (dotmesh.Secret, error) {
		u := s.c.user(s.who.User)
		switch {
		case !s.who.Password:
			return "", dotmesh.E("democluster.ResetKey", dotmesh.Denied, "log in with your password to get a new API key; a key is not enough")
		case u == nil:
			return "", noUser()
		}
		u.key = s.c.newKey()
		return u.key, nil
	})
}
