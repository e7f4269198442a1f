package server

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"dotmesh.io/dotmesh"
)

// settleMounts makes what is noted, registered and mounted here agree: a crash may have
// come between them, or a branch may have been deleted or checked out meanwhile. What
// cannot be done, because somebody uses it, is logged and left as it is.
func (n *Node) settleMounts(ctx context.Context) {
	n.attachNoted(ctx)
	keep := map[string]bool{}
	for _, a := range n.view.attachmentsOf(n.ID()) {
		if err := n.settleMount(ctx, a); err != nil {
			n.log.Error("volume not mounted", "volume", a.Volume, "branch", a.Branch, "err", err)
		}
	}
	for _, a := range n.view.attachmentsOf(n.ID()) {
		keep[n.branchDir(a.Branch)] = true
		if v, err := dotmesh.ParseVolume(a.Volume); err == nil {
			keep[n.volumeDir(v)] = true
		}
	}
	for _, kind := range []string{volumesDir, branchesDir} {
		if err := n.unmountOthers(ctx, kind, keep); err != nil {
			n.log.Error("mounts that nobody asked for were not all unmounted", "err", err)
		}
	}
}

// attachNoted registers again what is noted and not registered: the registry was rebuilt,
// or the Mount that noted it was cut off.
func (n *Node) attachNoted(ctx context.Context) {
	notes, err := load[dotmesh.Attachment](n.store.KV(), bucketMounts)
	if err != nil {
		n.log.Error("volumes not attached again", "err", err)
		return
	}
	for name, a := range notes {
		if n.view.attachment(n.ID(), name) != nil {
			continue
		}
		if err := n.sees(ctx)(n.reg.Attach(ctx, a)); err != nil {
			n.log.Error("volume not attached again", "volume", name, "err", err)
		}
	}
}

// settleMount mounts an attached volume from the branch that it means.
func (n *Node) settleMount(ctx context.Context, a *dotmesh.Attachment) error {
	v, err := dotmesh.ParseVolume(a.Volume)
	if err != nil {
		return err
	}
	b := n.meantBy(a, volume{v})
	if b == nil {
		return n.detach(ctx, a, v)
	}
	if b.ID != a.Branch {
		if err := n.cfg.Mounter.Unmount(ctx, n.volumeDir(v)); err != nil {
			return err
		}
		n.handOver(ctx, a.Branch, b, []attachment{{a, volume{v}}})
		return nil
	}
	n.stats.watch(b.ID)
	_, err = n.mountVolume(ctx, b, v)
	return err
}

// meantBy returns the branch that an attached volume is to show, nil if it was deleted.
func (n *Node) meantBy(a *dotmesh.Attachment, v volume) *dotmesh.Branch {
	b := n.view.branch(a.Branch)
	if b == nil || n.buried(b) {
		return nil
	}
	d := n.view.dotByID(b.Dot)
	if d == nil {
		return nil
	}
	if v.follows(d) {
		return n.view.branch(d.Current)
	}
	return b
}

// unmountOthers unmounts what is mounted in a folder of the mount directory and is not to
// be kept.
func (n *Node) unmountOthers(ctx context.Context, folder string, keep map[string]bool) error {
	entries, err := os.ReadDir(filepath.Join(n.cfg.MountDir, folder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if path := filepath.Join(n.cfg.MountDir, folder, e.Name()); !keep[path] {
			err = errors.Join(err, n.cfg.Mounter.Unmount(ctx, path))
		}
	}
	return err
}
