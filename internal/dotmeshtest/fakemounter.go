package dotmeshtest

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"dotmesh.io/dotmesh"
)

// Mounter "mounts" the fake store's plain directories by symbolic links, so that tests can
// write through a mount path without root.
type Mounter struct {
	mu   sync.Mutex // guards busy
	busy map[string]string
}

// Mount links target to the device's directory.
func (m *Mounter) Mount(_ context.Context, device dotmesh.Device, target string) error {
	return link(device.Source, target)
}

// Bind links target to a subdot, which it makes.
func (m *Mounter) Bind(_ context.Context, root string, subdot dotmesh.Subdot, target string) error {
	dir, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	if subdot != dotmesh.RootSubdot {
		dir = filepath.Join(dir, string(subdot))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	return link(dir, target)
}

func link(source, target string) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	switch old, err := os.Readlink(target); {
	case err == nil && old == source:
		return nil
	case err == nil:
		return dotmesh.E("mount", dotmesh.Busy, "something else is mounted at %s", target)
	}
	return os.Symlink(source, target)
}

// Unmount removes the link, unless target was made busy.
func (m *Mounter) Unmount(ctx context.Context, target string) error {
	if err := m.InUse(ctx, target, nil); err != nil {
		return err
	}
	if err := os.Remove(target); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// SetBusy makes a target be in use by someone; an empty one ends that.
func (m *Mounter) SetBusy(target, someone string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy == nil {
		m.busy = map[string]string{}
	}
	m.busy[target] = someone
	if someone == "" {
		delete(m.busy, target)
	}
}

// InUse says who SetBusy named.
func (m *Mounter) InUse(_ context.Context, target string, _ []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if someone := m.busy[target]; someone != "" {
		return dotmesh.E("in use", dotmesh.Busy, "it is in use by %s; stop that first", someone)
	}
	return nil
}

// Mounted reports whether the link is there.
func (m *Mounter) Mounted(target string) (bool, error) {
	_, err := os.Lstat(target)
	return err == nil, nil
}
