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
	return filepath.Join(n.cfg.MountDir, volumesDir, volume{v}.id().String())
}

func (n *Node) commitDir(id dotmesh.CommitID) string {
	return filepath.Join(n.cfg.MountDir, "commits", id.String())
}

// volume adds what the server asks of a volume's name.
type volume struct{ dotmesh.Volume }

// id names the volume's lock and its place below Config.MountDir.
func (v volume) id() dotmesh.UUID { return dotmesh.UUID{}.Derive(v.String()) }

// follows reports whether the volume means whichever branch is the current one of d.
func (v volume) follows(d *dotmesh.Dot) bool { return !v.Pinned() && v.Dot == d.Name }

// Mount implements dotmesh.Service.
func (s *service) Mount(ctx context.Context, r dotmesh.MountRequest) (dotmesh.Mounted, error) {
	const op = "server.Mount"
	if err := s.adminOnly(); err != nil {
		return dotmesh.Mounted{}, err
	}
	n := s.node
	var b *dotmesh.Branch
	var old *dotmesh.Attachment
	release, err := n.locks.acquireFor(ctx, func() (ids []dotmesh.UUID, err error) {
		if b, err = s.branchToMount(ctx, r); err != nil {
			return nil, err
		}
		ids = []dotmesh.UUID{volume{r.Volume}.id(), b.ID.UUID}
		if old, err = n.attached(r.Volume.String()); old != nil {
			ids = append(ids, old.Branch.UUID)
		}
		return ids, err
	})
	if err != nil {
		return dotmesh.Mounted{}, err
	}
	defer release()
	if b, err = n.writable(ctx, b.ID); err != nil {
		return dotmesh.Mounted{}, err
	}
	if err := n.addHolder(ctx, b, r, old); err != nil {
		n.putBack(ctx, r.Volume, old, err)
		n.rest(ctx, b.ID)
		return dotmesh.Mounted{}, dotmesh.Wrap(op, err)
	}
	return dotmesh.Mounted{Path: n.volumeDir(r.Volume), Branch: b.ID}, nil
}

// branchToMount returns the branch that the volume means, of a dot that it makes if need be.
func (s *service) branchToMount(ctx context.Context, r dotmesh.MountRequest) (*dotmesh.Branch, error) {
	d, err := s.dot(r.Volume.Dot, mayAll)
	if dotmesh.KindOf(err) == dotmesh.NotFound && r.Create && !r.Volume.Pinned() {
		_, err = s.CreateDot(ctx, dotmesh.CreateDot{Dot: r.Volume.Dot})
		if err == nil || dotmesh.KindOf(err) == dotmesh.Exists {
			d, err = s.dot(r.Volume.Dot, mayAll)
		}
	}
	if err != nil {
		return nil, err
	}
	return s.branchOf(d, r.Volume.Branch)
}

// addHolder mounts a volume from branch b for one more holder. What others hold is not
// taken from another branch.
func (n *Node) addHolder(ctx context.Context, b *dotmesh.Branch, r dotmesh.MountRequest, old *dotmesh.Attachment) error {
	var holders []string
	if old != nil {
		holders = without(old.Holders, r.Holder)
		if old.Branch != b.ID && len(holders) > 0 {
			return heldBy(old.Volume, holders)
		}
	}
	if r.Holder != "" {
		holders = append(holders, r.Holder)
		slices.Sort(holders)
	}
	return n.attach(ctx, b, r.Volume, old, holders)
}

func without(holders []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(holders), func(h string) bool { return h == one })
}

// attach mounts volume v from branch b and records it. old is what was recorded before; if
// that was of another branch, that one is let go. The caller holds the locks of both.
func (n *Node) attach(ctx context.Context, b *dotmesh.Branch, v dotmesh.Volume, old *dotmesh.Attachment, holders []string) error {
	if err := n.mountVolume(ctx, b, v); err != nil {
		return err
	}
	err := n.record(ctx, dotmesh.Attachment{Node: n.ID(), Volume: v.String(), Branch: b.ID, Holders: holders})
	if err != nil {
		return err
	}
	n.stats.watch(b.ID)
	if old != nil && old.Branch != b.ID {
		n.rest(ctx, old.Branch)
	}
	return nil
}

// mountVolume mounts the branch, and the volume's subdot from it. If something else is
// mounted in the volume's place, that is unmounted first.
func (n *Node) mountVolume(ctx context.Context, b *dotmesh.Branch, v dotmesh.Volume) error {
	if err := n.mountBranch(ctx, b.ID, b.Pointer.Line); err != nil {
		return err
	}
	err := n.cfg.Mounter.Bind(ctx, n.branchDir(b.ID), v.Subdot, n.volumeDir(v))
	if dotmesh.KindOf(err) != dotmesh.Busy {
		return err
	}
	if err := n.cfg.Mounter.Unmount(ctx, n.volumeDir(v)); err != nil {
		return err
	}
	return n.cfg.Mounter.Bind(ctx, n.branchDir(b.ID), v.Subdot, n.volumeDir(v))
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

// attached returns what is recorded of a volume on this node, nil if nothing is: what the
// registry says or, where it says nothing, what the node has noted.
func (n *Node) attached(volume string) (*dotmesh.Attachment, error) {
	if a := n.view.attachment(n.ID(), volume); a != nil {
		return a, nil
	}
	return n.mem.mount(volume)
}

// record notes an attachment and registers it. One that is recorded so already needs no
// registry.
func (n *Node) record(ctx context.Context, a dotmesh.Attachment) error {
	noted, err := n.mem.mount(a.Volume)
	if err != nil {
		return err
	}
	if !sameAttachment(noted, &a) {
		if err := n.mem.noteMount(a.Volume, &a); err != nil {
			return err
		}
		if err := fail.Point("attach.after-note"); err != nil {
			return err
		}
	}
	if sameAttachment(n.view.attachment(a.Node, a.Volume), &a) {
		return nil
	}
	return n.surely(ctx, func(ctx context.Context) (dotmesh.Cursor, error) { return n.reg.Attach(ctx, a) })
}

func sameAttachment(a, b *dotmesh.Attachment) bool {
	return a != nil && a.Node == b.Node && a.Volume == b.Volume && a.Branch == b.Branch && slices.Equal(a.Holders, b.Holders)
}

// putBack makes what is noted and mounted of a volume what it was, old or nothing, after a
// change that failed. Where nobody knows whether it failed, a sweep has to find out.
func (n *Node) putBack(ctx context.Context, v dotmesh.Volume, old *dotmesh.Attachment, cause error) {
	if dotmesh.KindOf(cause) == dotmesh.Unknown {
		n.Sweep()
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	err := n.mem.noteMount(v.String(), old)
	switch {
	case err != nil:
	case old == nil:
		err = n.cfg.Mounter.Unmount(ctx, n.volumeDir(v))
	default:
		if b := n.view.branch(old.Branch); b != nil {
			err = n.mountVolume(ctx, b, v)
		}
	}
	if err != nil {
		n.log.Error("volume not as it was", "volume", v, "err", err, "after", cause)
		n.Sweep()
	}
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
	var a *dotmesh.Attachment
	release, err := n.locks.acquireFor(ctx, func() (ids []dotmesh.UUID, err error) {
		ids = []dotmesh.UUID{volume{r.Volume}.id()}
		if a, err = n.attached(r.Volume.String()); a != nil {
			ids = append(ids, a.Branch.UUID)
		}
		return ids, err
	})
	if err != nil {
		return err
	}
	defer release()
	if a == nil {
		return n.cfg.Mounter.Unmount(ctx, n.volumeDir(r.Volume))
	}
	if err := n.dropHolder(ctx, a, r); err != nil {
		n.putBack(ctx, r.Volume, a, err)
		return dotmesh.Wrap("server.Unmount", err)
	}
	return nil
}

// dropHolder lets go of a volume for one holder, and altogether if that was the last.
func (n *Node) dropHolder(ctx context.Context, a *dotmesh.Attachment, r dotmesh.MountRequest) error {
	left := without(a.Holders, r.Holder)
	switch {
	case len(left) > 0 && r.Holder == "":
		return heldBy(a.Volume, left)
	case len(left) > 0:
		fewer := *a
		fewer.Holders = left
		return n.record(ctx, fewer)
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
	err := n.surely(ctx, func(ctx context.Context) (dotmesh.Cursor, error) { return n.reg.Detach(ctx, a.Node, a.Volume) })
	if err != nil {
		return err
	}
	n.rest(ctx, a.Branch)
	return nil
}

// rest unmounts a branch that no volume shows any more. If that fails, a sweep tries again.
func (n *Node) rest(ctx context.Context, id dotmesh.BranchID) {
	if len(n.attachments(id)) > 0 {
		return
	}
	if err := n.measure(ctx, id, true); err != nil {
		n.log.Warn("branch not measured", "branch", id, "err", err)
	}
	n.stats.unwatch(id)
	if err := n.cfg.Mounter.Unmount(ctx, n.branchDir(id)); err != nil {
		n.log.Warn("branch still mounted, though no volume shows it", "branch", id, "err", err)
	}
}

// attachment is an attachment of this node with its volume's parts.
type attachment struct {
	*dotmesh.Attachment
	volume volume
}

// attachments returns this node's attachments of a branch: the registered ones, and those
// that are noted and not registered, since they may be mounted.
func (n *Node) attachments(id dotmesh.BranchID) []attachment {
	all := n.view.attachmentsTo(n.ID(), id)
	noted, err := n.mem.mounts()
	if err != nil {
		n.log.Error("noted mounts not looked at", "branch", id, "err", err)
	}
	for name, a := range noted {
		if a.Branch == id && n.view.attachment(n.ID(), name) == nil {
			all = append(all, &a)
		}
	}
	return n.parse(all)
}

func (n *Node) parse(all []*dotmesh.Attachment) []attachment {
	var parsed []attachment
	for _, a := range all {
		v, err := dotmesh.ParseVolume(a.Volume)
		if err != nil {
			n.log.Error("attachment with a bad volume name", "volume", a.Volume, "err", err)
			continue
		}
		parsed = append(parsed, attachment{a, volume{v}})
	}
	return parsed
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
	n.bindAll(ctx, n.attachments(b.ID))
}

// bindAll mounts volumes from the branches that they are attached to.
func (n *Node) bindAll(ctx context.Context, all []attachment) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
	defer cancel()
	for _, a := range all {
		b, err := n.branchNow(a.Branch)
		if err == nil {
			err = n.mountVolume(ctx, b, a.volume.Volume)
		}
		if err != nil {
			n.log.Error("volume not mounted", "volume", a.Volume, "branch", a.Branch, "err", err)
		}
	}
}

// remount mounts what the node's own memory says was mounted: containers that restart
// with their machine must not wait for the registry.
func (n *Node) remount(ctx context.Context) {
	mounts, err := n.mem.mounts()
	if err != nil {
		n.log.Error("nothing mounted again", "err", err)
		return
	}
	for name, a := range mounts {
		if err := n.remountOne(ctx, name, a); err != nil {
			n.log.Error("volume not mounted again", "volume", name, "err", err)
		}
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
	n.stats.watch(a.Branch)
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
