package democluster

import (
	"maps"
	"slices"

	"dotmesh.io/dotmesh"
)

// Copies share nothing that can be changed with what they are copies of.

func copied[T any](p *T, copyOf func(T) T) *T {
	if p == nil {
		return nil
	}
	c := copyOf(*p)
	return &c
}

func same[T any](v T) T { return v }

func copyDot(d dotmesh.Dot) dotmesh.Dot {
	d.Collaborators = slices.Clone(d.Collaborators)
	return d
}

func copyBranch(b dotmesh.Branch) dotmesh.Branch {
	b.Stash = copied(b.Stash, same)
	return b
}

func copyCommit(m dotmesh.Commit) dotmesh.Commit {
	m.Metadata = maps.Clone(m.Metadata)
	return m
}

func copyNode(n dotmesh.Node) dotmesh.Node {
	n.Addresses = slices.Clone(n.Addresses)
	return n
}

func copyEvent(e dotmesh.Event) dotmesh.Event {
	e.Dot, e.Branch = copied(e.Dot, copyDot), copied(e.Branch, copyBranch)
	e.Commit, e.Node = copied(e.Commit, copyCommit), copied(e.Node, copyNode)
	e.Stats, e.Transfer, e.Log = copied(e.Stats, same), copied(e.Transfer, same), copied(e.Log, same)
	return e
}
