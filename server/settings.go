package server

import (
	"context"
	"slices"

	"dotmesh.io/dotmesh"
)

// SetDot implements dotmesh.Service.
func (s *service) SetDot(ctx context.Context, r dotmesh.SetDot) (dotmesh.DotStatus, error) {
	const op = "server.SetDot"
	d, err := s.dot(r.Dot, mayOwn)
	if err != nil {
		return dotmesh.DotStatus{}, err
	}
	release, err := s.node.locks.acquire(ctx, d.ID.UUID)
	if err != nil {
		return dotmesh.DotStatus{}, err
	}
	defer release()
	if err := s.node.mayChange(ctx); err != nil {
		return dotmesh.DotStatus{}, err
	}
	if d, err = s.dot(r.Dot, mayOwn); err != nil {
		return dotmesh.DotStatus{}, err
	}
	next, err := s.settings(*d, r)
	if err != nil {
		return dotmesh.DotStatus{}, err
	}
	if err := s.node.sees(ctx)(s.node.reg.PutDot(ctx, *d, next, dotmesh.Op{}, nil)); err != nil {
		return dotmesh.DotStatus{}, dotmesh.Wrap(op, err)
	}
	return s.node.dotStatus(&next), nil
}

// settings returns the dot with the asked-for changes, if they make sense.
func (s *service) settings(d dotmesh.Dot, r dotmesh.SetDot) (dotmesh.Dot, error) {
	const op = "server.settings"
	if r.Replicas != nil {
		if *r.Replicas != "all" {
			return d, dotmesh.E(op, dotmesh.Unsupported, "replicas can only be \"all\" on this server")
		}
		d.Replicas = ""
	}
	if r.RPO != nil {
		if *r.RPO != 0 {
			return d, dotmesh.E(op, dotmesh.Unsupported, "rpo can only be 0 on this server")
		}
		d.RPO = 0
	}
	if r.Expires != nil {
		if *r.Expires < 0 {
			return d, dotmesh.E(op, dotmesh.Invalid, "expires must not be negative")
		}
		d.Expires = *r.Expires
	}
	return s.share(d, r)
}

// share removes a collaborator and adds one, as far as asked for. Asking for what is so
// already is no error.
func (s *service) share(d dotmesh.Dot, r dotmesh.SetDot) (dotmesh.Dot, error) {
	all := slices.Clone(d.Collaborators)
	if r.RemoveCollaborator != "" {
		u := s.userNamed(r.RemoveCollaborator)
		if u == nil {
			return d, noUser()
		}
		all = slices.DeleteFunc(all, func(id dotmesh.UserID) bool { return id == u.ID })
	}
	if r.AddCollaborator != "" {
		u := s.userNamed(r.AddCollaborator)
		if u == nil {
			return d, noUser()
		}
		if !slices.Contains(all, u.ID) {
			all = append(all, u.ID)
		}
	}
	d.Collaborators = all
	return d, nil
}

func (s *service) userNamed(name dotmesh.Name) *dotmesh.User {
	return s.node.view.findUser(func(u *dotmesh.User) bool { return u.Name == name })
}
