package server

import (
	"maps"
	"slices"

	"dotmesh.io/dotmesh"
)

// What the view holds is shared by all readers and never changed. What a caller gets is
// theirs to change, so it is copied where it is handed out.

func copyOfDot(d dotmesh.Dot) dotmesh.Dot {
	d.Collaborators = slices.Clone(d.Collaborators)
	return d
}

func copyOfBranch(b dotmesh.Branch) dotmesh.Branch {
	if b.Stash != nil {
		stash := *b.Stash
		b.Stash = &stash
	}
	return b
}

func copyOfCommit(c dotmesh.Commit) dotmesh.Commit {
	c.Metadata = maps.Clone(c.Metadata)
	return c
}

func copyOfNode(n dotmesh.Node) dotmesh.Node {
	n.Addresses = slices.Clone(n.Addresses)
	return n
}

func copyOfEvent(e dotmesh.Event) dotmesh.Event {
	e.Dot = copied(e.Dot, copyOfDot)
	e.Branch = copied(e.Branch, copyOfBranch)
	e.Commit = copied(e.Commit, copyOfCommit)
	e.Node = copied(e.Node, copyOfNode)
	e.Stats = copied(e.Stats, func(s dotmesh.Stats) dotmesh.Stats { return s })
	e.Transfer = copied(e.Transfer, func(t dotmesh.Transfer) dotmesh.Transfer { return t })
	e.Log = copied(e.Log, func(l dotmesh.LogRecord) dotmesh.LogRecord { return l })
	return e
}

// copied returns a pointer to a copy of what p points to, nil for nil.
func copied[T any](p *T, copyOf func(T) T) *T {
	if p == nil {
		return nil
	}
	c := copyOf(*p)
	return &c
}
