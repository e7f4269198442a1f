//go:build linux

package zfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// standIn makes a runner whose programs are a script, for what the real ones do too rarely
// to wait for. Everything else is tested on the real ones.
func standIn(t *testing.T, script string) *runner {
	t.Helper()
	path := filepath.Join(t.TempDir(), "zfs")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return &runner{zfs: path, zpool: path, env: []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}}
}

func TestAProgramThatHangsIsKilledWithItsChildren(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	r := standIn(t, "sleep 600 & echo $$ $! >"+pids+"\necho one; echo two; wait\n")
	for name, call := range map[string]func(context.Context) error{
		"run": func(ctx context.Context) error { return r.run(ctx, syncPool("pool")) },
		"lines": func(ctx context.Context) error {
			return r.lines(ctx, syncPool("pool"), func(string) error { return nil })
		},
		"stop": func(ctx context.Context) error {
			return r.lines(ctx, syncPool("pool"), func(string) error { return context.DeadlineExceeded })
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			begin := time.Now()
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("err = %v", err)
			}
			if took := time.Since(begin); took > 1300*time.Millisecond {
				t.Errorf("it took %v", took)
			}
			text, err := os.ReadFile(pids)
			if err != nil {
				t.Fatal(err)
			}
			for pid := range strings.FieldsSeq(string(text)) {
				wantGone(t, pid)
			}
		})
	}
}

// wantGone checks that no process of ours runs under a pid: at most a zombie of init's.
func wantGone(t *testing.T, pid string) {
	t.Helper()
	for range 100 {
		status, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(status), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %s is still there", pid)
}

func TestAProgramThatIgnoresTheEndOfItsPipesIsKilled(t *testing.T) {
	r := standIn(t, "exec sleep 600 <&- >&-\n")
	begin := time.Now()
	err := r.lines(withTimeout(t, 200*time.Millisecond), syncPool("pool"), func(string) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 1300*time.Millisecond {
		t.Errorf("err = %v after %v", err, time.Since(begin))
	}
}

func withTimeout(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestAProgramMayLeaveItsStderrToOthers(t *testing.T) {
	r := standIn(t, "sleep 3 &\nexit 0\n")
	begin := time.Now()
	if err := r.run(t.Context(), syncPool("pool")); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 1300*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

func TestComplaintsAreBounded(t *testing.T) {
	r := standIn(t, "head -c 10000000 /dev/zero | tr '\\0' x >&2; exit 1\n")
	err := r.run(t.Context(), syncPool("pool"))
	f, ok := errors.AsType[*failure](err)
	if !ok || len(f.stderr) != maxStderr {
		t.Errorf("err = %.100v", err)
	}
}

func TestOutputThatMakesNoSenseIsRefused(t *testing.T) {
	for name, script := range map[string]string{
		"a line without an end": "printf 'one\\ntwo'",
		"an endless line":       "head -c 1000000 /dev/zero | tr '\\0' x",
	} {
		t.Run(name, func(t *testing.T) {
			r := standIn(t, script)
			err := r.lines(t.Context(), syncPool("pool"), func(string) error { return nil })
			if dotmesh.KindOf(err) != dotmesh.Internal || dotmesh.Text(err) == "" {
				t.Errorf("err = %v", err)
			}
		})
	}
}

func TestAHundredThousandRowsAreRead(t *testing.T) {
	r := standIn(t, "seq 1 100000")
	n := 0
	err := r.lines(t.Context(), syncPool("pool"), func(line string) error {
		n++
		if line != strconv.Itoa(n) {
			return fmt.Errorf("row %d is %q", n, line)
		}
		return nil
	})
	if err != nil || n != 100000 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestNoFileIsLeftOpen(t *testing.T) {
	r := standIn(t, "echo one; echo bad >&2; exit 3\n")
	before := openFiles(t)
	for range 20 {
		_ = r.run(t.Context(), syncPool("pool"))
		_, _ = r.output(t.Context(), syncPool("pool"))
	}
	if after := openFiles(t); after > before {
		t.Errorf("%d files were open, and now %d are", before, after)
	}
	missing := &runner{zfs: "/nonexistent"}
	if err := missing.run(t.Context(), zfs("list")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("err = %v", err)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
