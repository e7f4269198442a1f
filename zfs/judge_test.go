//go:build linux

package zfs

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// TestADeepTreeIsJudgedInLittleMemory looks at directories with long names one in the other,
// of which few bytes of a stream make very many. The innermost has what is forbidden.
func TestADeepTreeIsJudgedInLittleMemory(t *testing.T) {
	const depth = 2000
	top := t.TempDir()
	t.Cleanup(func() {
		if err := exec.Command("rm", "-rf", top).Run(); err != nil {
			t.Error(err)
		}
	})
	root, err := os.Open(top)
	if err != nil {
		t.Fatal(err)
	}
	j := &judgement{ctx: t.Context(), at: newCursor(root), seen: map[uint64]bool{}}
	at, name := int(root.Fd()), strings.Repeat("n", unix.NAME_MAX)
	for n := range depth {
		err := unix.Mkdirat(at, name, 0o700)
		next := -1
		if err == nil {
			next, err = unix.Openat(at, name, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
		if n > 0 {
			err = errors.Join(err, unix.Close(at))
		}
		if err != nil {
			t.Fatal(err)
		}
		at = next
	}
	if err := errors.Join(unix.Mknodat(at, "null", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))), unix.Close(at)); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := j.directory(); !errors.Is(err, dotmesh.Invalid) || !strings.Contains(dotmesh.Text(err), "device") {
		t.Errorf("err = %v", err)
	}
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > depth*unix.NAME_MAX*depth/8 {
		t.Errorf("it took %d MiB", taken>>20)
	}
	if err := j.at.close(); err != nil {
		t.Error(err)
	}
}
