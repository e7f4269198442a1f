package server

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
)

// Where things are mounted, below Config.MountDir. Only ids become paths.
const (
	branchesDir = "branches"
	volumesDir  = "volumes"
)

func (n *Node) branchDir(id dotmesh.BranchID) string {
	return filepath.Join(n.cfg.MountDir, branchesDir, id.String())
}

func (n *Node) volumeDir(v dotmesh.Volume) string {
	return filepath.Join(n.cfg.MountDir, volumesDir, dotmesh.UUID{}.Derive(v.String()).String())
}

func (n *Node) commitDir(id dotmesh.CommitID) string {
	return filepath.Join(n.cfg.MountDir, "commits", id.String())
}

// Mount implements dotmesh.Service.
func (s *service) Mount(ctx context.Context, r dotmesh.MountRequest) (dotmesh.Mounted, error) {
	const op = "server.Mount"
	if err := s.adminOnly(); err != nil {
		return dotmesh.Mounted{}, err
	}
	d, err := s.dotToMount(ctx, r)
	if err != nil {
		return dotmesh.Mounted{}, err
	}
	b, err := s.branchOf(d, r.Volume.Branch)
	if err != nil {
		return dotmesh.Mounted{}, err
	}
	release, err := s.node.locks.acquire(ctx, b.ID.UUID)
	if err != nil {
		return dotmesh.Mounted{}, err
	}
	defer release()
	if b, err = s.node.writable(ctx, b.ID); err != nil {
		return dotmesh.Mounted{}, err
	}
	if old := s.node.view.attachment(s.node.ID(), r.Volume.String()); old != nil && old.Branch != b.ID {
		if err := s.node.cfg.Mounter.Unmount(ctx, s.node.volumeDir(r.Volume)); err != nil {
			return dotmesh.Mounted{}, dotmesh.Wrap(op, err)
		}
	}
	path, err := s.node.mountVolume(ctx, b, r.Volume)
	if err != nil {
		return dotmesh.Mounted{}, dotmesh.Wrap(op, err)
	}
	if err := s.node.hold(ctx, b, r.Volume, r.Holder); err != nil {
		return dotmesh.Mounted{}, dotmesh.Wrap(op, err)
	}
	s.node.stats.watch(b.ID)
	return dotmesh.Mounted{Path: path, Branch: b.ID}, nil
}

// volume adds what the server asks of a volume's name.
type volume struct{ dotmesh.Volume }

// follows reports whether the volume means whichever branch is the current one of d.
func (v volume) follows(d *dotmesh.Dot) bool { return !v.Pinned() && v.Dot == d.Name }

func (s *service) dotToMount(ctx context.Context, r dotmesh.MountRequest) (*dotmesh.Dot, error) {
	d, err := s.dot(r.Volume.Dot, mayAll)
	if dotmesh.KindOf(err) != dotmesh.NotFound || !r.Create || r.Volume.Pinned() {
		return d, err
	}
	_, err = s.CreateDot(ctx, dotmesh.CreateDot{Dot: r.Volume.Dot})
	if err != nil && dotmesh.KindOf(err) != dotmesh.Exists {
		return nil, err
	}
	return s.dot(r.Volume.Dot, mayAll)
}

// mountVolume mounts the branch, and the volume's subdot from it, and returns where.
func (n *Node) mountVolume(ctx context.Context, b *dotmesh.Branch, v dotmesh.Volume) (string, error) {
	if err := n.mountBranch(ctx, b.ID, b.Pointer.Line); err != nil {
		return "", err
	}
	path := n.volumeDir(v)
	return path, n.cfg.Mounter.Bind(ctx, n.branchDir(b.ID), v.Subdot, path)
}

// mountBranch mounts a line as the branch's writable file system. Only a branch that this
// node's own memory calls its own is mounted, whatever the registry says.
func (n *Node) mountBranch(ctx context.Context, id dotmesh.BranchID, line dotmesh.LineID) error {
	a, ok, err := n.mem.authority(id)
	if err != nil {
		return err
	}
	if !ok || a.Phase != mine || a.Line != line {
		return dotmesh.E("server.mountBranch", dotmesh.Conflict,
			"this node may not write to branch %s now; try again, and if it stays so look into the server's log", id)
	}
	if _, err := n.store.Fence(ctx, line, false); err != nil {
		return err
	}
	device, err := n.store.Live(ctx, line)
	if err != nil {
		return err
	}
	return n.cfg.Mounter.Mount(ctx, device, n.branchDir(id))
}

// hold records the attachment with one more holder. An attachment that is recorded so
// already needs no registry.
func (n *Node) hold(ctx context.Context, b *dotmesh.Branch, v dotmesh.Volume, holder string) error {
	a := dotmesh.Attachment{Node: n.ID(), Volume: v.String(), Branch: b.ID}
	if old := n.view.attachment(a.Node, a.Volume); old != nil {
		a.Holders = slices.Clone(old.Holders)
		if old.Branch == b.ID && (holder == "" || slices.Contains(a.Holders, holder)) {
			return nil
		}
	}
	if holder != "" && !slices.Contains(a.Holders, holder) {
		a.Holders = append(a.Holders, holder)
		slices.Sort(a.Holders)
	}
	return n.putAttachment(ctx, a)
}

func (n *Node) putAttachment(ctx context.Context, a dotmesh.Attachment) error {
	if err := n.mem.noteMount(a.Volume, &a); err != nil {
		return err
	}
	if err := fail.Point("attach.after-note"); err != nil {
		return err
	}
	return n.sees(ctx)(n.reg.Attach(ctx, a))
}

// Unmount implements dotmesh.Service.
func (s *service) Unmount(ctx context.Context, r dotmesh.MountRequest) error {
	n := s.node
	if err := s.adminOnly(); err != nil {
		return err
	}
	if !r.Commit.IsZero() {
		return n.cfg.Mounter.Unmount(ctx, n.commitDir(r.Commit))
	}
	a := n.view.attachment(n.ID(), r.Volume.String())
	if a == nil {
		return n.cfg.Mounter.Unmount(ctx, n.volumeDir(r.Volume))
	}
	release, err := n.locks.acquire(ctx, a.Branch.UUID)
	if err != nil {
		return err
	}
	defer release()
	left := slices.DeleteFunc(slices.Clone(a.Holders), func(h string) bool { return h == r.Holder })
	switch {
	case len(left) > 0 && r.Holder == "":
		return heldBy(a.Volume, left)
	case len(left) > 0:
		b := *a
		b.Holders = left
		return n.putAttachment(ctx, b)
	}
	return n.detach(ctx, a, r.Volume)
}

func heldBy(volume string, holders []string) error {
	return dotmesh.E("server.inUse", dotmesh.Busy, "%s is in use by %s; stop that first", volume, strings.Join(holders, ", "))
}

// detach lets go of a volume that nobody holds, and of its branch if it was the last.
func (n *Node) detach(ctx context.Context, a *dotmesh.Attachment, v dotmesh.Volume) error {
	if err := n.cfg.Mounter.Unmount(ctx, n.volumeDir(v)); err != nil {
		return err
	}
	if err := fail.Point("detach.after-unmount"); err != nil {
		return err
	}
	if err := n.mem.noteMount(a.Volume, nil); err != nil {
		return err
	}
	if err := fail.Point("detach.after-note"); err != nil {
		return err
	}
	if err := n.sees(ctx)(n.reg.Detach(ctx, a.Node, a.Volume)); err != nil {
		return err
	}
	if len(n.attachments(a.Branch)) > 0 {
		return nil
	}
	n.measure(ctx, a.Branch, true)
	n.stats.unwatch(a.Branch)
	return n.cfg.Mounter.Unmount(ctx, n.branchDir(a.Branch))
}

// attachment is an attachment of this node with its volume's parts.
type attachment struct {
	*dotmesh.Attachment
	volume volume
}

// attachments returns this node's attachments of a branch.
func (n *Node) attachments(id dotmesh.BranchID) []attachment {
	var all []attachment
	for _, a := range n.view.attachmentsOf(n.ID()) {
		if a.Branch != id {
			continue
		}
		v, err := dotmesh.ParseVolume(a.Volume)
		if err != nil {
			n.log.Error("attachment with a bad volume name", "volume", a.Volume, "err", err)
			continue
		}
		all = append(all, attachment{a, volume{v}})
	}
	return all
}

// letGo unmounts the branch everywhere, so that nothing can write to it, or returns
// [dotmesh.Busy] with everything mounted as before.
func (n *Node) letGo(ctx context.Context, b *dotmesh.Branch) error {
	held := n.attachments(b.ID)
	for _, a := range held {
		if len(a.Holders) > 0 {
			return heldBy(a.Volume, a.Holders)
		}
	}
	dir := n.branchDir(b.ID)
	mounted, err := n.cfg.Mounter.Mounted(dir)
	if err != nil || !mounted {
		return err
	}
	own := []string{dir}
	for _, a := range held {
		own = append(own, n.volumeDir(a.volume.Volume))
	}
	if err := n.cfg.Mounter.InUse(ctx, dir, own); err != nil {
		return err
	}
	for _, path := range slices.Backward(own) {
		if err := n.cfg.Mounter.Unmount(ctx, path); err != nil {
			n.takeUp(ctx, b)
			return err
		}
	}
	return nil
}

// takeUp mounts the branch and its volumes again, after letGo. A volume that cannot be
// mounted is logged and left to its next Mount: the change that it waits for is done.
func (n *Node) takeUp(ctx context.Context, b *dotmesh.Branch) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	for _, a := range n.attachments(b.ID) {
		if _, err := n.mountVolume(ctx, b, a.volume.Volume); err != nil {
			n.log.Error("volume not mounted", "volume", a.Volume, "branch", b.ID, "err", err)
		}
	}
}

// remount mounts what the node's own memory says was mounted: containers that restart
// with their machine must not wait for the registry.
func (n *Node) remount(ctx context.Context) {
	mounts, err := load[dotmesh.Attachment](n.store.KV(), bucketMounts)
	if err != nil {
		n.log.Error("nothing mounted again", "err", err)
		return
	}
	for name, a := range mounts {
		if err := n.remountOne(ctx, name, a); err != nil {
			n.log.Error("volume not mounted again", "volume", name, "err", err)
			continue
		}
		n.stats.watch(a.Branch)
	}
}

func (n *Node) remountOne(ctx context.Context, name string, a dotmesh.Attachment) error {
	v, err := dotmesh.ParseVolume(name)
	if err != nil {
		return err
	}
	own, ok, err := n.mem.authority(a.Branch)
	if err != nil || !ok || own.Phase != mine {
		return err
	}
	if err := n.mountBranch(ctx, a.Branch, own.Line); err != nil {
		return err
	}
	return n.cfg.Mounter.Bind(ctx, n.branchDir(a.Branch), v.Subdot, n.volumeDir(v))
}

// MountCommit implements dotmesh.Service.
func (s *service) MountCommit(ctx context.Context, r dotmesh.CommitRef) (dotmesh.Mounted, error) {
	if err := s.adminOnly(); err != nil {
		return dotmesh.Mounted{}, err
	}
	b, c, err := s.resolve(ctx, r, mayAll)
	if err != nil {
		return dotmesh.Mounted{}, err
	}
	ref := dotmesh.Ref{Line: c.Line, Commit: c.ID}
	device, err := s.node.store.View(ctx, ref)
	if err != nil {
		return dotmesh.Mounted{}, dotmesh.Wrap("server.MountCommit", err)
	}
	path := s.node.commitDir(c.ID)
	return dotmesh.Mounted{Path: path, Branch: b.ID, Commit: c.ID}, s.node.cfg.Mounter.Mount(ctx, device, path)
}
