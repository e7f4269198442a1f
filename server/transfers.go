package server

import (
	"context"

	"dotmesh.io/dotmesh"
)

// Move implements dotmesh.Service.
func (s *service) Move(_ context.Context, r dotmesh.MoveRequest) (dotmesh.Transfer, error) {
	const op = "server.Move"
	n := s.node
	d, err := s.dot(r.Dot, mayOwn)
	if err != nil {
		return dotmesh.Transfer{}, err
	}
	b, err := s.branchOf(d, r.Branch)
	if err != nil {
		return dotmesh.Transfer{}, err
	}
	to, err := n.member(r.Node)
	switch {
	case err != nil:
		return dotmesh.Transfer{}, err
	case b.Stash != nil:
		return dotmesh.Transfer{}, dotmesh.E(op, dotmesh.Conflict, "%s is a stash, which stays where it is; make a branch from it and move that", b.Name)
	case b.Pointer.Master == to.ID:
		return dotmesh.Transfer{}, dotmesh.E(op, dotmesh.Conflict, "%s is the master of %s@%s already", to.Name, d.Name, b.Name)
	}
	return dotmesh.Transfer{}, notYet(op, "Moving a branch to another node")
}

// Transfers implements dotmesh.Service.
func (s *service) Transfers(context.Context) ([]dotmesh.Transfer, error) {
	return []dotmesh.Transfer{}, s.known()
}

// CancelTransfer implements dotmesh.Service.
func (s *service) CancelTransfer(_ context.Context, id dotmesh.UUID) error {
	return s.noTransfer("server.CancelTransfer", id)
}

// RetryTransfer implements dotmesh.Service.
func (s *service) RetryTransfer(_ context.Context, id dotmesh.UUID) error {
	return s.noTransfer("server.RetryTransfer", id)
}

func (s *service) noTransfer(op string, id dotmesh.UUID) error {
	if err := s.known(); err != nil {
		return err
	}
	return dotmesh.E(op, dotmesh.NotFound, `there is no transfer %s; "dm transfers" shows those there are`, id)
}
