package server

import (
	"cmp"
	"slices"

	"dotmesh.io/dotmesh"
)

// picture is everything in the registry at one moment.
type picture struct {
	cluster     *dotmesh.Cluster
	dots        map[dotmesh.DotID]*dotState
	names       map[dotmesh.DotName]dotmesh.DotID
	branches    map[dotmesh.BranchID]*dotmesh.Branch
	lines       map[dotmesh.LineID]*lineState
	commitLines map[dotmesh.CommitID]dotmesh.LineID
	nodes       map[dotmesh.NodeID]*dotmesh.Node
	alive       map[dotmesh.NodeID]bool
	positions   map[positionKey]dotmesh.Position
	attachments map[attachmentKey]*dotmesh.Attachment
	shown       map[dotmesh.BranchID]map[attachmentKey]bool // the attachments of each branch
	tombstones  map[dotmesh.UUID]*dotmesh.Tombstone
	users       map[dotmesh.UserID]*dotmesh.User
}

// dotState is a dot and the branches that belong to it, buried ones included.
type dotState struct {
	dot      *dotmesh.Dot // nil: only its branches are known, the dot is deleted
	branches map[dotmesh.BranchID]bool
}

// lineState is a line and the commits that the registry keeps of it, by Seq.
type lineState struct {
	line    *dotmesh.Line // nil: only commits are known
	commits []dotmesh.Commit
}

type positionKey struct {
	node dotmesh.NodeID
	line dotmesh.LineID
}

type attachmentKey struct {
	node   dotmesh.NodeID
	volume string
}

func newPicture() *picture {
	return &picture{
		dots:        map[dotmesh.DotID]*dotState{},
		names:       map[dotmesh.DotName]dotmesh.DotID{},
		branches:    map[dotmesh.BranchID]*dotmesh.Branch{},
		lines:       map[dotmesh.LineID]*lineState{},
		commitLines: map[dotmesh.CommitID]dotmesh.LineID{},
		nodes:       map[dotmesh.NodeID]*dotmesh.Node{},
		alive:       map[dotmesh.NodeID]bool{},
		positions:   map[positionKey]dotmesh.Position{},
		attachments: map[attachmentKey]*dotmesh.Attachment{},
		shown:       map[dotmesh.BranchID]map[attachmentKey]bool{},
		tombstones:  map[dotmesh.UUID]*dotmesh.Tombstone{},
		users:       map[dotmesh.UserID]*dotmesh.User{},
	}
}

// trim gives back the room for more commits that lines got while they were listed. Most of
// the node's memory are commits, and most lines get no more.
func (p *picture) trim() {
	for _, l := range p.lines {
		l.commits = slices.Clone(l.commits)
	}
}

func (p *picture) change(c dotmesh.Change) {
	switch r := c.Record.(type) {
	case *dotmesh.Cluster:
		p.cluster = r
		if c.Deleted {
			p.cluster = nil
		}
	case *dotmesh.Node:
		put(p.nodes, r.ID, r, c.Deleted)
	case *dotmesh.Alive:
		put(p.alive, r.Node, true, c.Deleted)
	case *dotmesh.Dot:
		p.changeDot(r, c.Deleted)
	case *dotmesh.Branch:
		p.changeBranch(r, c.Deleted)
	case *dotmesh.Line:
		p.changeLine(r, c.Deleted)
	case *dotmesh.Commit:
		p.changeCommit(r, c.Deleted)
	case *dotmesh.Position:
		put(p.positions, positionKey{r.Node, r.Line}, *r, c.Deleted)
	case *dotmesh.Attachment:
		p.changeAttachment(r, c.Deleted)
	case *dotmesh.Tombstone:
		put(p.tombstones, r.ID, r, c.Deleted)
	case *dotmesh.User:
		put(p.users, r.ID, r, c.Deleted)
	}
}

func put[K comparable, V any](m map[K]V, key K, value V, deleted bool) {
	if deleted {
		delete(m, key)
		return
	}
	m[key] = value
}

func (p *picture) dotState(id dotmesh.DotID) *dotState {
	d := p.dots[id]
	if d == nil {
		d = &dotState{branches: map[dotmesh.BranchID]bool{}}
		p.dots[id] = d
	}
	return d
}

func (p *picture) changeDot(d *dotmesh.Dot, deleted bool) {
	if !deleted {
		p.dotState(d.ID).dot = d
		p.names[d.Name] = d.ID
		return
	}
	id, ok := p.names[d.Name]
	if !ok {
		return
	}
	delete(p.names, d.Name)
	p.dots[id].dot = nil
	p.dropEmptyDot(id)
}

func (p *picture) changeBranch(b *dotmesh.Branch, deleted bool) {
	if !deleted {
		p.branches[b.ID] = b
		p.dotState(b.Dot).branches[b.ID] = true
		return
	}
	if old := p.branches[b.ID]; old != nil {
		delete(p.branches, b.ID)
		delete(p.dots[old.Dot].branches, b.ID)
		p.dropEmptyDot(old.Dot)
	}
}

func (p *picture) dropEmptyDot(id dotmesh.DotID) {
	if d := p.dots[id]; d.dot == nil && len(d.branches) == 0 {
		delete(p.dots, id)
	}
}

func (p *picture) lineState(id dotmesh.LineID) *lineState {
	l := p.lines[id]
	if l == nil {
		l = &lineState{}
		p.lines[id] = l
	}
	return l
}

func (p *picture) changeLine(l *dotmesh.Line, deleted bool) {
	s := p.lineState(l.ID)
	s.line = l
	if deleted {
		s.line = nil
		p.dropEmptyLine(l.ID, s)
	}
}

func (p *picture) changeCommit(c *dotmesh.Commit, deleted bool) {
	s := p.lineState(c.Line)
	at, found := slices.BinarySearchFunc(s.commits, c.Seq, func(have dotmesh.Commit, seq uint64) int {
		return cmp.Compare(have.Seq, seq)
	})
	switch {
	case deleted && found:
		delete(p.commitLines, s.commits[at].ID)
		s.commits = slices.Delete(s.commits, at, at+1)
		p.dropEmptyLine(c.Line, s)
	case deleted:
	case found:
		s.commits[at] = *c
		p.commitLines[c.ID] = c.Line
	default:
		s.commits = slices.Insert(s.commits, at, *c)
		p.commitLines[c.ID] = c.Line
	}
}

func (p *picture) dropEmptyLine(id dotmesh.LineID, s *lineState) {
	if s.line == nil && len(s.commits) == 0 {
		delete(p.lines, id)
	}
}

func (p *picture) changeAttachment(a *dotmesh.Attachment, deleted bool) {
	key := attachmentKey{a.Node, a.Volume}
	if old := p.attachments[key]; old != nil {
		delete(p.shown[old.Branch], key)
		if len(p.shown[old.Branch]) == 0 {
			delete(p.shown, old.Branch)
		}
	}
	put(p.attachments, key, a, deleted)
	if deleted {
		return
	}
	if p.shown[a.Branch] == nil {
		p.shown[a.Branch] = map[attachmentKey]bool{}
	}
	p.shown[a.Branch][key] = true
}
