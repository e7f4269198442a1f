package dotmeshtest

import "dotmesh.io/dotmesh"

// state is what a watcher knows.
type state struct {
	cursor      dotmesh.Cursor
	cluster     *dotmesh.Cluster
	nodes       map[dotmesh.NodeID]*dotmesh.Node
	alive       map[dotmesh.NodeID]bool
	dots        map[dotmesh.DotName]*dotmesh.Dot
	branches    map[dotmesh.BranchID]*dotmesh.Branch
	lines       map[dotmesh.LineID]*dotmesh.Line
	commits     map[place]*dotmesh.Commit
	positions   map[held]*dotmesh.Position
	attachments map[attached]*dotmesh.Attachment
	requests    map[dotmesh.UUID]*dotmesh.Request
	responses   map[dotmesh.UUID]*dotmesh.Response
	tombstones  map[dotmesh.UUID]*dotmesh.Tombstone
	transfers   map[dotmesh.UUID]*dotmesh.Transfer
	users       map[dotmesh.UserID]*dotmesh.User
}

type place struct {
	line dotmesh.LineID
	seq  uint64
}

type held struct {
	node dotmesh.NodeID
	line dotmesh.LineID
}

type attached struct {
	node   dotmesh.NodeID
	volume string
}

func newState() *state {
	return &state{
		nodes:       map[dotmesh.NodeID]*dotmesh.Node{},
		alive:       map[dotmesh.NodeID]bool{},
		dots:        map[dotmesh.DotName]*dotmesh.Dot{},
		branches:    map[dotmesh.BranchID]*dotmesh.Branch{},
		lines:       map[dotmesh.LineID]*dotmesh.Line{},
		commits:     map[place]*dotmesh.Commit{},
		positions:   map[held]*dotmesh.Position{},
		attachments: map[attached]*dotmesh.Attachment{},
		requests:    map[dotmesh.UUID]*dotmesh.Request{},
		responses:   map[dotmesh.UUID]*dotmesh.Response{},
		tombstones:  map[dotmesh.UUID]*dotmesh.Tombstone{},
		transfers:   map[dotmesh.UUID]*dotmesh.Transfer{},
		users:       map[dotmesh.UserID]*dotmesh.User{},
	}
}

// apply takes an update in.
func (s *state) apply(u dotmesh.Update) {
	if u.Reset {
		*s = *newState()
	}
	if u.Cursor > 0 {
		s.cursor = u.Cursor
	}
	for _, c := range u.Changes {
		s.change(c)
	}
}

func (s *state) change(c dotmesh.Change) {
	switch r := c.Record.(type) {
	case *dotmesh.Cluster:
		s.cluster = r
		if c.Deleted {
			s.cluster = nil
		}
	case *dotmesh.Node:
		set(s.nodes, r.ID, r, c.Deleted)
	case *dotmesh.Alive:
		set(s.alive, r.Node, true, c.Deleted)
	case *dotmesh.Dot:
		set(s.dots, r.Name, r, c.Deleted)
	case *dotmesh.Branch:
		set(s.branches, r.ID, r, c.Deleted)
	case *dotmesh.Line:
		set(s.lines, r.ID, r, c.Deleted)
	case *dotmesh.Commit:
		set(s.commits, place{r.Line, r.Seq}, r, c.Deleted)
	case *dotmesh.Position:
		set(s.positions, held{r.Node, r.Line}, r, c.Deleted)
	case *dotmesh.Attachment:
		set(s.attachments, attached{r.Node, r.Volume}, r, c.Deleted)
	case *dotmesh.Request:
		set(s.requests, r.ID, r, c.Deleted)
	case *dotmesh.Response:
		set(s.responses, r.ID, r, c.Deleted)
	case *dotmesh.Tombstone:
		set(s.tombstones, r.ID, r, c.Deleted)
	case *dotmesh.Transfer:
		set(s.transfers, r.ID, r, c.Deleted)
	case *dotmesh.User:
		set(s.users, r.ID, r, c.Deleted)
	}
}

func set[K comparable, V any](m map[K]V, key K, value V, deleted bool) {
	if deleted {
		delete(m, key)
	} else {
		m[key] = value
	}
}
