//go:build zfsrun

package zfs_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine returns a call of run. Its time includes what else is done on two cores.
func machine(t *testing.T, argv ...string) *exec.Cmd {
	t.Helper()
	run, err := filepath.Abs("run")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, run, argv...)
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	return cmd
}

func TestStatus(t *testing.T) {
	for name, test := range map[string]struct {
		argv   []string
		want   int
		stderr string // a piece of it
	}{
		"the command's own":     {[]string{"sh", "-c", "exit 7"}, 7, ""},
		"no such command":       {[]string{"nobody-has-this"}, 127, "nobody-has-this"},
		"too slow":              {[]string{"-t", "15", "sleep", "1000"}, 124, "zfs: no end within 15 s"},
		"no command":            {nil, 125, "run [-m"},
		"no machine":            {[]string{"-m", "nonsense", "true"}, 125, "zfs: the machine did not start"},
		"too small to start":    {[]string{"-m", "48M", "true"}, 125, "zfs: the machine did not start"},
		"the machine goes away": {[]string{"busybox", "poweroff", "-nf"}, 126, "zfs: the machine ended"},
		"the kernel panics":     {[]string{"sh", "-c", "echo c >/proc/sysrq-trigger"}, 126, "sysrq triggered crash"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := machine(t, test.argv...)
			err := cmd.Run()
			stderr := fmt.Sprint(cmd.Stderr)
			if got := cmd.ProcessState.ExitCode(); got != test.want || !strings.Contains(stderr, test.stderr) {
				t.Errorf("got %v and %q, want %d and %q", err, stderr, test.want, test.stderr)
			}
		})
	}
}

func TestWhatTheCommandSees(t *testing.T) {
	t.Parallel()
	share := t.TempDir()
	dir := filepath.Join(share, "a folder")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := machine(t, "-s", share, "-d", "300M", "bash", "-c", `
		echo "$0, $1"
		pwd | tee here
		echo "$TEST_LINES, $PRIVATE$ZFS_MACHINE"
		blockdev --getsize64 "$TEST_ZFS_DISK"
		head -c 1M "$TEST_ZFS_DISK" | tr -d '\0' | wc -c
		ls -A /sys/class/net
		wc -c
		echo aside >&2`, "two  words", `"'$x`)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TEST_LINES=two\nlines", "PRIVATE=secret")
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, cmd.Stderr)
	}
	want := fmt.Sprintf("two  words, \"'$x\n%s\ntwo\nlines, \n%d\n0\nlo\n0\n", dir, 300<<20)
	if out, aside := fmt.Sprint(cmd.Stdout), fmt.Sprint(cmd.Stderr); out != want || aside != "aside\n" {
		t.Errorf("got %q and %q, want %q and aside", out, aside, want)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "here")); string(got) != dir+"\n" {
		t.Errorf("the guest wrote %q (%v)", got, err)
	}
}

func TestNothingIsLeft(t *testing.T) {
	for name, test := range map[string]struct {
		signal syscall.Signal
		memory string // by which the processes of this run are known
	}{
		"after an interrupt": {syscall.SIGINT, "701M"},
		"after an end":       {syscall.SIGTERM, "702M"},
		"after a kill":       {syscall.SIGKILL, "703M"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := machine(t, "-m", test.memory, "sh", "-c", "echo up; sleep 1000")
			cmd.Stdout = nil
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := out.Read(make([]byte, 100)); err != nil {
				t.Fatalf("the machine did not start: %v", err)
			}
			all := namespace(t, test.memory)
			if n := len(members(t, all)); n < 3 {
				t.Fatalf("found only %d processes of a running machine", n)
			}
			if err := cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("a signal is no success")
			}
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				left := members(t, all)
				if len(left) == 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("still running: %v", left)
				}
			}
			mounts, err := os.ReadFile("/proc/self/mountinfo")
			if err != nil || bytes.Contains(mounts, []byte(".cache/zfs")) {
				t.Errorf("still mounted (%v):\n%s", err, mounts)
			}
		})
	}
}

// namespace returns the process namespace of the QEMU with that memory.
func namespace(t *testing.T, memory string) string {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		argv, err := os.ReadFile(filepath.Join(p, "cmdline"))
		if err != nil || !bytes.HasPrefix(argv, []byte("qemu-")) || !bytes.Contains(argv, []byte("\x00"+memory+"\x00")) {
			continue
		}
		id, err := os.Readlink(filepath.Join(p, "ns/pid"))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	t.Fatalf("no QEMU has %s", memory)
	return ""
}

// members returns the processes in a process namespace.
func members(t *testing.T, namespace string) (found []string) {
	t.Helper()
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		if id, err := os.Readlink(filepath.Join(p, "ns/pid")); err == nil && id == namespace {
			found = append(found, p)
		}
	}
	return found
}
