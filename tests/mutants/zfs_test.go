//go:build linux && zfsrun

package mutants_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// zfsMutant is a mutant, and the test that must fail: all of the suite would take an hour for
// each on an emulated processor.
type zfsMutant struct {
	mutant
	by string
}

// healthy is no bug. Its test must pass: where no pool can be made every test fails.
var healthy = zfsMutant{
	mutant{"no bug", "zfs/receive.go", "package zfs\n", "package zfs\n"},
	"TestStreams/an id that is there with other content is refused",
}

// zfsMutants are bugs in how ZFS receives and sends commits.
var zfsMutants = []zfsMutant{
	{mutant{
		"the last bytes of a body are fed before its digest is known", "zfs/receive.go",
		`		if err != nil {
			return err
		}
		f.rc.note(`,
		`		if err != nil {
			if f.records.end != nil {
				_ = f.emit(f.records.end)
			}
			return err
		}
		f.rc.note(`,
	}, "TestStreams/a body that is not the one whose digest came is never shown"},
	{mutant{
		"a token sends whatever it names", "zfs/send.go",
		`	if had.Commit != step.commit.Commit || c.name != s.at(step.commit) || fmt.Sprint(c.to) != step.commitGUID || fmt.Sprint(c.from) != from {`,
		`	if c.name == "" && from == "" {`,
	}, "TestStreams/what goes on must be what broke off"},
	{mutant{
		"what goes on need not be what broke off", "zfs/receive.go",
		`(left == "" || l.Partial != resuming):`,
		`left == "":`,
	}, "TestStreams/what goes on must be what broke off"},
	{mutant{
		"a head is given up with what is in no commit", "zfs/receive.go",
		`	if u.Dirty.Bytes > 0 {`,
		`	if u.Dirty.Bytes < 0 {`,
	}, "TestStreams/a head with changes is never received over"},
	{mutant{
		"a commit with the same id passes for the same commit", "zfs/receive.go",
		`		if c.guid != h.GUID {`,
		`		if c.guid == "" {`,
	}, "TestStreams/an id that is there with other content is refused"},
	{mutant{
		"a line is seen before it has a commit", "zfs/list.go",
		`	return !l.Incoming || len(l.commits) > 0`,
		`	return true`,
	}, "TestStreams/a line that is received into is nobody else's"},
	{mutant{
		"what a stranger sends is not looked at", "zfs/receive.go",
		`		if err := judge(ctx, s.at(r)); err != nil {`,
		`		if err := judge(ctx, s.at(r)); err != nil && f == nil {`,
	}, "TestStreams/a stranger sends files, directories and links only/setuid"},
	{mutant{
		"the log of a line that was mounted before a crash is not replayed", "zfs/mount.go",
		`	if err != nil || !r.Mounted {
		return err
	}
	if here`,
		`	if err != nil || !r.Mounted || !r.Doomed {
		return err
	}
	if here`,
	}, "TestWhatACrashLeavesInTheLogIsNeverLost"},
}

// TestEachMutantOnZFSIsCaught builds the tests with each bug here, and runs them in one guest.
func TestEachMutantOnZFSIsCaught(t *testing.T) {
	cache, err := filepath.Abs(filepath.Join(top, ".cache/zfs"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(cache, "mutants-") // the guest sees the checkout
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var parts strings.Builder // as tests/zfs/suite wants them
	all := append(slices.Clone(zfsMutants), healthy)
	for i, m := range all {
		tests := filepath.Join(dir, fmt.Sprint("tests-", i))
		m.build(t, tests)
		fmt.Fprintf(&parts, "mutant/zfs %s %s -test.run=%s\n", dir, tests, pattern(m.by))
	}
	list := filepath.Join(dir, "list")
	if err := os.WriteFile(list, []byte(parts.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	guest, err := exec.CommandContext(t.Context(), filepath.Join(top, "tests/zfs/run"), "-t", "3600",
		filepath.Join(filepath.Dir(filepath.Dir(cache)), "tests/zfs/suite"), list, "-test.v", "-test.failfast", "-test.timeout="+suiteTime.String()).CombinedOutput()
	for i, m := range all {
		t.Run(m.name, func(t *testing.T) {
			said, readErr := os.ReadFile(fmt.Sprint(list, ".", i+1))
			if readErr != nil {
				t.Fatalf("the guest ended with %v: %s", err, guest)
			}
			want := "--- FAIL: "
			if m.mutant == healthy.mutant {
				want = "--- PASS: "
			}
			if !strings.Contains(string(said), want+rewritten(m.by)+" ") || strings.Contains(string(said), "panic:") {
				t.Errorf("want %s%s:\n%s", want, m.by, said)
			}
		})
	}
}

// rewritten is a name of a test as go test writes it.
func rewritten(name string) string { return strings.ReplaceAll(name, " ", "_") }

// pattern has just the test of a name run.
func pattern(name string) string {
	return "^" + strings.ReplaceAll(rewritten(name), "/", "$/^") + "$"
}

// build builds the tests of a store with the bug.
func (m *mutant) build(t *testing.T, tests string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", m.plant(t), "-tags", "zfs,failpoints,zfsfull", "-c", "-o", tests, "./zfs")
	cmd.Dir, cmd.Env = top, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
