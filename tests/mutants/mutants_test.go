//go:build linux

package mutants_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mutant is a bug.
type mutant struct {
	name     string
	file     string // from the top of the source
	old, new string
}

// mutants are bugs in how btrfs receives commits.
var mutants = []mutant{
	{
		"a body is believed without its digest", "internal/frame/reader.go",
		`if r.body != nil && !bytes.Equal(payload, r.body.trailer(r.header)) {`,
		`if r.body != nil && bytes.Equal(payload, nil) {`,
	},
	{
		"a line is seen before it has a commit", "btrfs/receive.go",
		`		s.incoming.setUnborn(a, true)
`,
		``,
	},
	{
		"metadata are written after their commit", "btrfs/receive.go",
		`		err := s.putMeta(r, info.Meta)
		if err == nil {
			err = fail.Point("btrfs.receive.after-meta")
		}
		if err == nil {
			err = s.take(context.WithoutCancel(ctx), st, r)
		}
`,
		`		err := s.take(context.WithoutCancel(ctx), st, r)
		if err == nil {
			err = s.putMeta(r, info.Meta)
		}
`,
	},
	{
		"a difference is applied to another commit that has the same id", "btrfs/receive.go",
		`	if h.From == rc.base && h.FromGUID == guid {`,
		`	if h.From == rc.base && (h.FromGUID == guid || guid != "") {`,
	},
	{
		"a commit with the same id passes for the same commit", "btrfs/receive.go",
		`	case v.guid() != h.GUID:`,
		`	case v.guid() == "":`,
	},
	{
		"what goes on need not be what broke off", "btrfs/receive.go",
		`p.header.GUID == h.GUID && bytes.Equal(p.header.Meta, h.Meta) &&`,
		`(p.header.GUID == h.GUID || bytes.Equal(p.header.Meta, h.Meta)) &&`,
	},
	{
		"a head is given up with what is in no commit", "btrfs/receive.go",
		`	if dirty {`,
		`	if dirty && r.Doomed {`,
	},
}

// suiteTime is far above what the suite takes on a healthy store; a failure ends it at once.
const suiteTime = 8 * time.Minute

func TestEachMutantIsCaught(t *testing.T) {
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			out, err := m.suite(t)
			switch {
			case err == nil:
				t.Error("every test passed")
			case !strings.Contains(out, "--- FAIL: TestStreams/"):
				t.Errorf("no test failed, but: %v\n%s", err, out)
			}
			for line := range strings.SplitSeq(out, "\n") {
				if strings.Contains(line, "--- FAIL: TestStreams/") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}

// suite runs the suite on a store with the bug.
func (m *mutant) suite(t *testing.T) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-overlay", m.plant(t), "-count=1", "-failfast", "-timeout", suiteTime.String(), "-run", "^TestStreams$", "./btrfs")
	cmd.Dir = top
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// top is the top of the source.
const top = "../.."

// plant returns an overlay with the bug, for the go command.
func (m *mutant) plant(t *testing.T) (overlay string) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(top, m.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), m.old); n != 1 {
		t.Fatalf("%s has this %d times, and must have it once:\n%s", m.file, n, m.old)
	}
	dir := t.TempDir()
	original, err := filepath.Abs(filepath.Join(top, m.file))
	if err != nil {
		t.Fatal(err)
	}
	mutated := filepath.Join(dir, "mutated.go")
	overlay = filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{
		mutated: []byte(strings.Replace(string(source), m.old, m.new, 1)), overlay: text,
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}
