//go:build linux

package mounts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
)

// pool mounts a small btrfs with the subvolumes a and ab and returns its device and where.
func pool(t testing.TB) (device dotmesh.Device, root string) {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	check(t, os.WriteFile(image, nil, 0o600))
	check(t, os.Truncate(image, 128<<20))
	run(t, "mkfs.btrfs", "--quiet", image)
	loop := run(t, "losetup", "--find", "--show", image)
	t.Cleanup(func() { run(t, "losetup", "--detach", loop) })
	device = dotmesh.Device{FSType: "btrfs", Source: loop}
	root = mount(t, device)
	for _, name := range []string{"a", "ab"} {
		run(t, "btrfs", "subvolume", "create", filepath.Join(root, name))
	}
	return device, root
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestSubvolumesAreTold(t *testing.T) {
	device, root := pool(t)
	inside := identify(t, filepath.Join(root, "a"))

	device.Data = "subvol=/a"
	target := mount(t, device)
	check(t, mounts.Mount(t.Context(), device, target))
	if got := only(t, target); got.Root != "/a" {
		t.Errorf("got %+v", got)
	}
	device.Data = "subvol=/ab"
	wantKind(t, mounts.Mount(t.Context(), device, target), dotmesh.Busy, target)

	if got := identify(t, target); got != inside {
		t.Errorf("subvolume a is %+v where it is mounted and %+v inside the pool", got, inside)
	}
	pid := child(t, target, "sh", "-c", "exec 3>held; echo ready; read end || :")
	for path, want := range map[string]int{"a": 1, "ab": 0, ".": 0} {
		if got := holders(t, identify(t, filepath.Join(root, path)), pid); len(got) != want {
			t.Errorf("%s: got %+v, want %d", path, got, want)
		}
	}
}

func TestSubvolumesAreHeldInOtherMountNamespaces(t *testing.T) {
	device, root := pool(t)
	device.Data = "subvol=/a"
	target := mount(t, device)
	pid := child(t, "/", "unshare", "--mount", "--propagation", "private", "sh", "-c", "echo ready; read end || :")
	check(t, mounts.Unmount(t.Context(), target))
	got := holders(t, identify(t, filepath.Join(root, "a")), pid)
	if len(got) != 1 || got[0].Mount != target {
		t.Errorf("got %+v, want a mount at %s", got, target)
	}
	if got := holders(t, identify(t, filepath.Join(root, "ab")), pid); len(got) != 0 {
		t.Errorf("got %+v for the other subvolume, want nobody", got)
	}
}
