package democluster

import (
	"context"
	"slices"

	"dotmesh.io/dotmesh"
)

// mounts is where a node would mount things, below which only ids are names.
const mounts = "/var/lib/dotmesh/mnt/"

// attachment is a volume name in use on a node, and who holds it.
type attachment struct {
	node    *node
	volume  dotmesh.Volume
	holders []dotmesh.Container
}

// Mount implements dotmesh.Service. The path does not exist.
func (s *service) Mount(ctx context.Context, r dotmesh.MountRequest) (dotmesh.Mounted, error) {
	return change(ctx, s, func() (dotmesh.Mounted, error) {
		if err := s.adminOnly(); err != nil {
			return dotmesh.Mounted{}, err
		}
		b, err := s.branchToMount(r)
		if err != nil {
			return dotmesh.Mounted{}, err
		}
		if err := s.attach(b, r); err != nil {
			return dotmesh.Mounted{}, err
		}
		path := mounts + "volumes/" + dotmesh.UUID{}.Derive(r.Volume.String()).String()
		return dotmesh.Mounted{Path: path, Branch: b.ID}, nil
	})
}

// branchToMount returns the branch that the volume means, of a dot that it makes if need be.
func (s *service) branchToMount(r dotmesh.MountRequest) (*branch, error) {
	d, err := s.dot(r.Volume.Dot, mayAll)
	if dotmesh.KindOf(err) == dotmesh.NotFound && r.Create && !r.Volume.Pinned() {
		d, err = s.createDot(dotmesh.CreateDot{Dot: r.Volume.Dot})
	}
	if err != nil {
		return nil, err
	}
	b, err := d.branch(r.Volume.Branch)
	switch {
	case err != nil:
		return nil, err
	case b.Stash == nil && b.Pointer.Master != s.at.ID:
		return nil, dotmesh.E("democluster.Mount", dotmesh.Conflict,
			"branch %s is written on node %s; run the command there, or move it here", b.Name, s.c.node(b.Pointer.Master).Name)
	}
	return b, s.c.changeable(b)
}

// attach adds a holder to a volume. What others hold is not taken from another branch.
func (s *service) attach(b *branch, r dotmesh.MountRequest) error {
	old, from := s.attached(r.Volume)
	next := &attachment{node: s.at, volume: r.Volume}
	if old != nil {
		next.holders = without(old.holders, r.Holder)
		if from != b && len(next.holders) > 0 {
			return heldBy(&attachment{volume: r.Volume, holders: next.holders})
		}
		from.used = slices.DeleteFunc(from.used, func(a *attachment) bool { return a == old })
	}
	if r.Holder != "" {
		next.holders = append(next.holders, dotmesh.Container{ID: r.Holder, Name: r.Holder})
		slices.SortFunc(next.holders, compareContainers)
	}
	b.used = append(b.used, next)
	if from != nil && from != b {
		s.c.emitBranch(from, false)
	}
	s.c.look(b)
	s.c.emitBranch(b, false)
	return nil
}

// attached returns what this node has attached under a volume's name, and the branch that
// it shows, or nil.
func (s *service) attached(v dotmesh.Volume) (*attachment, *branch) {
	d := s.c.dotNamed(v.Dot)
	if d == nil {
		return nil, nil
	}
	for _, b := range d.branches {
		for _, a := range b.used {
			if a.node == s.at && a.volume.String() == v.String() {
				return a, b
			}
		}
	}
	return nil, nil
}

func compareContainers(a, b dotmesh.Container) int {
	switch {
	case a.Name < b.Name:
		return -1
	case a.Name > b.Name:
		return 1
	}
	return 0
}

func without(holders []dotmesh.Container, one string) []dotmesh.Container {
	return slices.DeleteFunc(slices.Clone(holders), func(h dotmesh.Container) bool { return h.ID == one || h.Name == one })
}

// Unmount implements dotmesh.Service.
func (s *service) Unmount(ctx context.Context, r dotmesh.MountRequest) error {
	return alter(ctx, s, func() error {
		if err := s.adminOnly(); err != nil {
			return err
		}
		a, b := s.attached(r.Volume)
		if !r.Commit.IsZero() || a == nil {
			return nil
		}
		left := without(a.holders, r.Holder)
		switch {
		case len(left) > 0 && r.Holder == "":
			return heldBy(&attachment{volume: a.volume, holders: left})
		case len(left) > 0:
			a.holders = left
		default:
			b.used = slices.DeleteFunc(b.used, func(o *attachment) bool { return o == a })
		}
		s.c.look(b)
		s.c.emitBranch(b, false)
		return nil
	})
}

// MountCommit implements dotmesh.Service. The path does not exist.
func (s *service) MountCommit(ctx context.Context, r dotmesh.CommitRef) (dotmesh.Mounted, error) {
	return ask(ctx, s, func() (dotmesh.Mounted, error) {
		if err := s.adminOnly(); err != nil {
			return dotmesh.Mounted{}, err
		}
		b, m, err := s.resolve(r, mayAll)
		if err != nil {
			return dotmesh.Mounted{}, err
		}
		if !m.on(s.at) {
			return dotmesh.Mounted{}, dotmesh.E("democluster.MountCommit", dotmesh.Conflict, "this node does not hold commit %s yet; ask node %s", m.ID, s.c.node(b.Pointer.Master).Name)
		}
		return dotmesh.Mounted{Path: mounts + "commits/" + m.ID.String(), Branch: b.ID, Commit: m.ID}, nil
	})
}

// inUse names whoever holds a volume of the branch, or returns nil.
func (c *Cluster) inUse(b *branch) error {
	for _, a := range b.used {
		if len(a.holders) > 0 {
			return heldBy(a)
		}
	}
	return nil
}

func heldBy(a *attachment) error {
	return dotmesh.E("democluster.inUse", dotmesh.Busy, "%s is in use by %s; stop that first", a.volume, joinNames(a.holders))
}

// followers returns the attachments that mean the dot's current branch.
func (d *dot) followers() (all []*attachment) {
	for _, b := range d.branches {
		for _, a := range b.used {
			if !a.volume.Pinned() {
				all = append(all, a)
			}
		}
	}
	return all
}

// repoint makes attachments of a dot show another of its branches.
func (d *dot) repoint(follow []*attachment, to *branch) {
	for _, b := range d.branches {
		b.used = slices.DeleteFunc(b.used, func(a *attachment) bool { return slices.Contains(follow, a) })
	}
	to.used = append(to.used, follow...)
}
