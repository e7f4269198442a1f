package server

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"dotmesh.io/dotmesh"
)

// settleMounts makes what is noted, registered and mounted here agree: a crash or a lost
// answer may have come between them, or a branch may have been deleted or checked out
// meanwhile. What cannot be done, because somebody uses it, is logged and left to the next
// time. It takes the locks of what it works on, so the caller holds none.
func (n *Node) settleMounts(ctx context.Context) {
	names := slices.Sorted(maps.Keys(n.allAttached()))
	for _, name := range names {
		if err := n.settleVolume(ctx, name); err != nil {
			n.log.Error("volume not settled", "volume", name, "err", err)
		}
	}
	for _, folder := range []string{volumesDir, branchesDir} {
		if err := n.unmountOthers(ctx, folder); err != nil {
			n.log.Error("mounts that nobody asked for were not all unmounted", "folder", folder, "err", err)
		}
	}
}

// allAttached returns everything that is recorded to be attached to this node, by volume:
// what the registry says and, where it says nothing, what is noted.
func (n *Node) allAttached() map[string]dotmesh.Attachment {
	all, err := n.mem.mounts()
	if err != nil {
		n.log.Error("noted mounts not looked at", "err", err)
		all = map[string]dotmesh.Attachment{}
	}
	for _, a := range n.view.attachmentsOf(n.ID()) {
		all[a.Volume] = *a
	}
	return all
}

// settleVolume mounts an attached volume from the branch that it means and records it as
// it is. If that branch was deleted, it lets go of the volume.
func (n *Node) settleVolume(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	v, err := dotmesh.ParseVolume(name)
	if err != nil {
		return err
	}
	var a *dotmesh.Attachment
	var b *dotmesh.Branch
	release, err := n.locks.acquireFor(ctx, func() (ids []dotmesh.UUID, err error) {
		if a, err = n.attached(name); a == nil {
			return nil, err
		}
		ids = []dotmesh.UUID{volume{v}.id(), a.Branch.UUID}
		if b = n.meantBy(a, volume{v}); b != nil {
			ids = append(ids, b.ID.UUID)
		}
		return ids, nil
	})
	if err != nil {
		return err
	}
	defer release()
	switch {
	case a == nil:
		return nil
	case b == nil:
		return n.detach(ctx, a, v)
	}
	return n.moveTo(ctx, b, attachment{a, volume{v}})
}

// meantBy returns the branch that an attached volume is to show, nil if it was deleted.
func (n *Node) meantBy(a *dotmesh.Attachment, v volume) *dotmesh.Branch {
	b := n.view.branch(a.Branch)
	if n.deleted(b) {
		return nil
	}
	if d := n.view.dotByID(b.Dot); d != nil && v.follows(d) {
		return n.view.branch(d.Current)
	}
	return b
}

// deleted reports whether a branch is not there any more, or its dot is not.
func (n *Node) deleted(b *dotmesh.Branch) bool {
	return b == nil || n.buried(b) || n.view.dotByID(b.Dot) == nil
}

// wanted returns the ids of what is to be mounted below Config.MountDir: attached volumes
// and their branches, unless those were deleted.
func (n *Node) wanted() map[string]bool {
	keep := map[string]bool{}
	for name, a := range n.allAttached() {
		if v, err := dotmesh.ParseVolume(name); err == nil && !n.deleted(n.view.branch(a.Branch)) {
			keep[volume{v}.id().String()], keep[a.Branch.String()] = true, true
		}
	}
	return keep
}

// unmountOthers unmounts what is mounted in a folder of the mount directory and is not
// wanted there.
func (n *Node) unmountOthers(ctx context.Context, folder string) error {
	entries, err := os.ReadDir(filepath.Join(n.cfg.MountDir, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	keep := n.wanted()
	for _, e := range entries {
		if !keep[e.Name()] {
			err = errors.Join(err, n.unmountOther(ctx, folder, e.Name()))
		}
	}
	return err
}

// unmountOther unmounts one volume or branch, unless it is wanted by now.
func (n *Node) unmountOther(ctx context.Context, folder, name string) error {
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	id, err := dotmesh.ParseUUID(name)
	if err != nil {
		return err
	}
	release, err := n.locks.acquire(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	if n.wanted()[name] {
		return nil
	}
	n.stats.unwatch(dotmesh.BranchID{UUID: id})
	return n.cfg.Mounter.Unmount(ctx, filepath.Join(n.cfg.MountDir, folder, name))
}
