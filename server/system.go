package server

import (
	"context"
	"os"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"dotmesh.io/dotmesh/internal/safepath"
)

// System is the Mounter of this machine. It needs root.
type System struct{}

var _ Mounter = System{}

// Mount implements Mounter.
func (System) Mount(ctx context.Context, device dotmesh.Device, target string) error {
	return mounts.Mount(ctx, device, target)
}

// Bind implements Mounter.
func (System) Bind(ctx context.Context, root string, subdot dotmesh.Subdot, target string) error {
	dir, err := safepath.OpenDir(root, subdot)
	if err != nil {
		return err
	}
	defer dir.Close()
	return mounts.Bind(ctx, dir, target)
}

// Unmount implements Mounter. The empty directory that was mounted on goes too.
func (System) Unmount(ctx context.Context, target string) error {
	if err := mounts.Unmount(ctx, target); err != nil {
		return err
	}
	if err := os.Remove(target); err != nil && !os.IsNotExist(err) {
		return dotmesh.Wrap("remove the mount point", err)
	}
	return nil
}

// InUse implements Mounter.
func (System) InUse(ctx context.Context, target string, own []string) error {
	fs, err := mounts.Identify(target)
	if err != nil {
		return err
	}
	holders, err := mounts.Holders(ctx, fs, own...)
	if err != nil || len(holders) == 0 {
		return err
	}
	return dotmesh.E("server.InUse", dotmesh.Busy, "it is in use by %s; stop that first", mounts.Describe(holders))
}

// Mounted implements Mounter.
func (System) Mounted(target string) (bool, error) {
	entry, err := mounts.At(target)
	return entry != nil, err
}
