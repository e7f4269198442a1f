//go:build zfs

package zfs_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestPool does with ZFS itself what a store on ZFS will do, to show that it is whole.
func TestPool(t *testing.T) {
	vdevs := map[string]string{"in a file": sparse(t)}
	if disk := os.Getenv("TEST_ZFS_DISK"); disk != "" {
		vdevs["on a disk"] = disk
	}
	for name, vdev := range vdevs {
		t.Run(name, func(t *testing.T) {
			pool := "smoke" + strconv.Itoa(os.Getpid())
			dir := t.TempDir()
			run(t, "zpool", "create", "-O", "mountpoint="+dir, pool, vdev)
			t.Cleanup(func() { run(t, "zpool", "destroy", pool) })

			file := filepath.Join(dir, "line", "file")
			run(t, "zfs", "create", pool+"/line")
			write(t, file, "committed")
			run(t, "zfs", "snapshot", pool+"/line@commit")
			write(t, file, "unsaved")

			send := exec.Command("zfs", "send", pool+"/line@commit")
			receive := exec.Command("zfs", "receive", pool+"/copy")
			pipe(t, send, receive)
			for path, want := range map[string]string{
				file:                               "unsaved",
				filepath.Join(dir, "copy", "file"): "committed",
			} {
				if got, err := os.ReadFile(path); err != nil || string(got) != want {
					t.Errorf("%s holds %q (%v), want %q", path, got, err, want)
				}
			}

			run(t, "zfs", "destroy", "-r", pool+"/copy")
			if left := run(t, "zfs", "list", "-H", "-o", "name", "-t", "all", "-r", pool); strings.Contains(left, "copy") {
				t.Errorf("destroyed, and still there:\n%s", left)
			}
			if health := run(t, "zpool", "list", "-H", "-o", "health", pool); health != "ONLINE\n" {
				t.Errorf("the pool is %s", health)
			}
		})
	}
}

// sparse makes an empty file that is large enough for a pool.
func sparse(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pool")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 512<<20); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return string(out)
}

// pipe runs two commands at once, the second on what the first one says.
func pipe(t *testing.T, from, to *exec.Cmd) {
	t.Helper()
	var talk bytes.Buffer
	out, err := from.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	to.Stdin, from.Stderr, to.Stderr = out, &talk, &talk
	if err := from.Start(); err != nil {
		t.Fatal(err)
	}
	if err := to.Run(); err != nil {
		t.Errorf("%v: %v\n%s", to, err, &talk)
	}
	if err := from.Wait(); err != nil {
		t.Errorf("%v: %v\n%s", from, err, &talk)
	}
}
