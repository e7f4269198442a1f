package feed

import (
	"maps"
	"slices"

	"dotmesh.io/dotmesh"
)

// same reports whether two statuses say the same, so that a listing in which nothing is
// new makes no new picture.
func same(a, b *dotmesh.DotStatus) bool {
	return a.Branches == b.Branches && a.Stashes == b.Stashes && sameDot(&a.Dot, &b.Dot) && sameBranch(&a.Branch, &b.Branch)
}

func sameDot(a, b *dotmesh.Dot) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Owner == b.Owner && a.Current == b.Current && a.Replicas == b.Replicas &&
		a.RPO == b.RPO && a.Expires == b.Expires && a.Created.Equal(b.Created) && a.Origin == b.Origin &&
		slices.Equal(a.Collaborators, b.Collaborators)
}

func sameBranch(a, b *dotmesh.BranchStatus) bool {
	return a.ID == b.ID && a.Dot == b.Dot && a.Name == b.Name && a.Pointer == b.Pointer && a.Created.Equal(b.Created) &&
		a.Current == b.Current && a.MasterName == b.MasterName && a.Mounted == b.Mounted &&
		a.Size == b.Size && sameBytes(a.Dirty, b.Dirty) && a.Missing == b.Missing && a.Behind == b.Behind && sameValue(a.Origin, b.Origin) && sameValue(a.Stash, b.Stash) &&
		slices.Equal(a.Containers, b.Containers) && slices.EqualFunc(a.Replicas, b.Replicas, sameReplica)
}

func sameBytes(a, b dotmesh.Bytes) bool {
	return a.Bytes == b.Bytes && a.Exact == b.Exact && a.AsOf.Equal(b.AsOf)
}

func sameReplica(a, b dotmesh.Replica) bool {
	return a.Node == b.Node && a.Name == b.Name && a.Alive == b.Alive && a.Behind == b.Behind && slices.Equal(a.Missing, b.Missing)
}

func sameUser(a, b *dotmesh.User) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Email == b.Email && maps.Equal(a.Metadata, b.Metadata)
}

func sameValue[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}
