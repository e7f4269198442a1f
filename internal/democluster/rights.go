package democluster

import (
	"slices"

	"dotmesh.io/dotmesh"
)

// administrator is who a Cluster itself acts for, as the local socket lets them in.
var administrator = dotmesh.Principal{User: dotmesh.AdminID, Name: dotmesh.AdminNamespace, Admin: true, Password: true, Origin: "demo"}

// right is what a principal may do with a dot. Each includes those before it.
type right int

const (
	mayNothing right = iota
	maySee           // list, show, log, diff
	mayWrite         // commit, branch, check out
	mayOwn           // reset, delete, share, move, change settings
	mayAll           // mount, take over: what touches a node itself
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

// known refuses whoever did not say who they are.
func (s *service) known() error {
	if s.who.IsZero() {
		return dotmesh.E("democluster.authorize", dotmesh.Unauthenticated, "log in first, with a user name and an API key")
	}
	return nil
}

// adminOnly returns nil for administrators.
func (s *service) adminOnly() error {
	if s.who.Admin {
		return nil
	}
	return dotmesh.E("democluster.authorize", dotmesh.Denied, "only the administrator may do this")
}

// mayCreateIn says whether the caller may make dots in a namespace.
func (s *service) mayCreateIn(namespace dotmesh.Name) error {
	if s.who.Admin || s.who.Name == namespace {
		return nil
	}
	return dotmesh.E("democluster.authorize", dotmesh.Denied, "namespace %q is not yours; your own is %q", namespace, s.who.Name)
}

// dot returns the dot of that name if the caller has the right. Whoever may not even see
// it is told the same as if there were none.
func (s *service) dot(name dotmesh.DotName, need right) (*dot, error) {
	d := s.c.dotNamed(name)
	have := mayNothing
	if d != nil {
		have = rightOf(s.who, &d.Dot)
	}
	switch {
	case have < maySee:
		return nil, dotmesh.E("democluster.Dot", dotmesh.NotFound, `no dot called %q; "dm list" shows the dots on this cluster`, name.String())
	case have >= need:
		return d, nil
	case need == mayAll:
		return nil, s.adminOnly()
	}
	return nil, dotmesh.E("democluster.authorize", dotmesh.Denied, "You are not the owner of %s; ask its owner or the administrator", d.Name)
}

// branch returns a branch or stash of a dot; the empty name is the current branch.
func (s *service) branch(dot dotmesh.DotName, name dotmesh.Name, need right) (*branch, error) {
	d, err := s.dot(dot, need)
	if err != nil {
		return nil, err
	}
	return d.branch(name)
}

// writable is branch for what changes its history: it must be held, and its master alive.
func (s *service) writable(dot dotmesh.DotName, name dotmesh.Name, need right) (*branch, error) {
	b, err := s.branch(dot, name, need)
	if err != nil {
		return nil, err
	}
	return b, s.c.changeable(b)
}

// changeable says why a branch's history cannot be changed now, or nil.
func (c *Cluster) changeable(b *branch) error {
	const op = "democluster.changeable"
	switch {
	case b.Stash != nil:
		return dotmesh.E(op, dotmesh.Conflict, `%s is a stash, which never changes; "dm checkout -b NAME %s" makes a branch of it`, b.Name, b.Name)
	case b.Pointer.State.Phase != dotmesh.Held:
		return dotmesh.E(op, dotmesh.Busy, "branch %s is on its way to node %s; wait until it has arrived", b.Name, c.node(b.Pointer.State.To).Name)
	}
	return c.reachable(c.node(b.Pointer.Master), b.Name)
}

// reachable says that the master of a branch does not answer, or nil.
func (c *Cluster) reachable(n *node, name dotmesh.Name) error {
	if n.alive {
		return nil
	}
	return dotmesh.E("democluster.reachable", dotmesh.Unreachable,
		"node %s, the master of %s, does not answer; nothing was done, try again when it is back", n.Name, name)
}

// author is who the caller's commits and operations are by.
func (s *service) author() string {
	if s.who.Name != "" {
		return string(s.who.Name)
	}
	return string(dotmesh.AdminNamespace)
}
