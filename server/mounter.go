package server

import (
	"context"

	"dotmesh.io/dotmesh"
)

// Mounter mounts and unmounts. System is the real one; tests without root use the fake in
// internal/dotmeshtest. Calls are idempotent.
type Mounter interface {
	// Mount mounts a device at target, a directory that it makes if needed.
	Mount(ctx context.Context, device dotmesh.Device, target string) error
	// Bind mounts a subdot of the file system mounted at root at target. The subdot is
	// made if it is not there; it is never reached through a symbolic link.
	Bind(ctx context.Context, root string, subdot dotmesh.Subdot, target string) error
	// Unmount unmounts target if something is mounted there. [dotmesh.Busy] names who
	// still uses it; nothing is ever detached under a user.
	Unmount(ctx context.Context, target string) error
	// InUse returns [dotmesh.Busy], naming them, if processes hold the file system
	// mounted at target in any mount namespace, by a mount other than own or an open file.
	InUse(ctx context.Context, target string, own []string) error
	// Mounted reports whether something is mounted at target.
	Mounted(target string) (bool, error)
}
