package server

import (
	"slices"

	"dotmesh.io/dotmesh"
)

// right is what a principal may do with a dot. Each includes those before it.
type right int

const (
	mayNothing right = iota
	maySee           // list, show, log, diff
	mayWrite         // commit, branch, check out
	mayOwn           // reset, delete, share, change settings
	mayAll           // mount, take over: what touches the node itself
)

// rightOf is the one place that says who may do what.
func rightOf(p dotmesh.Principal, d *dotmesh.Dot) right {
	switch {
	case p.IsZero():
		return mayNothing
	case p.Admin:
		return mayAll
	case p.User != dotmesh.AdminID && p.User == d.Owner, p.Name == d.Name.Namespace:
		return mayOwn
	case slices.Contains(d.Collaborators, p.User):
		return mayWrite
	}
	return mayNothing
}

// dot returns the dot of that name if the caller has the right. Whoever may not even see
// it is told the same as if there were none.
func (s *service) dot(name dotmesh.DotName, need right) (*dotmesh.Dot, error) {
	d := s.node.view.dot(name)
	have := mayNothing
	if d != nil {
		have = rightOf(s.who, d)
	}
	switch {
	case have < maySee:
		if frozen := s.node.mayChangeNow(); frozen != nil {
			return nil, frozen // what the registry lacks is not known to be absent
		}
		return nil, noDot(name)
	case have >= need:
		return d, nil
	case need == mayAll:
		return nil, s.adminOnly()
	}
	return nil, dotmesh.E("server.authorize", dotmesh.Denied, "You are not the owner of %s; ask its owner or the administrator", d.Name)
}

func noDot(name dotmesh.DotName) error {
	return dotmesh.E("server.Dot", dotmesh.NotFound, `no dot called %q; "dm list" shows the dots on this cluster`, name.String())
}

// adminOnly returns nil for administrators.
func (s *service) adminOnly() error {
	if s.who.Admin {
		return nil
	}
	return dotmesh.E("server.authorize", dotmesh.Denied, "only the administrator may do this")
}

// mayCreateIn says whether the caller may make dots in a namespace.
func (s *service) mayCreateIn(namespace dotmesh.Name) error {
	if s.who.Admin || !s.who.IsZero() && s.who.Name == namespace {
		return nil
	}
	return dotmesh.E("server.authorize", dotmesh.Denied, "namespace %q is not yours; your own is %q", namespace, s.who.Name)
}
