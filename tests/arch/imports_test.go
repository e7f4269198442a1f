package arch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "dotmesh.io/dotmesh"

// A room is a package of this module by its path from the root: "." is the root package,
// "tui/..." is tui and all below it. Packages of others are written the same way.

// rule says what a room may import besides the standard library and the rooms below it.
// The first rule that fits a package is the one that counts.
type rule struct {
	room  string
	may   []string // packages of this module and of others
	leave []string // packages of the standard library that it does not import
	shun  []string // what must not be linked into it, however far away
	why   string
}

// useful are small libraries of general use, open to all below the root.
var useful = []string{
	"golang.org/x/...", "github.com/cenkalti/backoff/...", "github.com/prometheus/...", "github.com/klauspost/compress/...",
}

var anything = []string{"..."}

func open(more ...string) []string {
	return slices.Concat([]string{".", "internal/..."}, useful, more)
}

var rules = []rule{
	{
		room: ".", leave: []string{"net", "net/http", "os", "os/exec"}, shun: []string{"net/http", "os/exec"},
		why: "the nouns and the promises are what all others share: they do no I/O and bring nobody's library along",
	},
	{
		room: "zfs/...", may: open("go.etcd.io/bbolt/...", "github.com/mistifyio/go-zfs/..."), leave: []string{"net/http"},
		shun: []string{"btrfs/...", "etcdstate/...", "server/...", "go.etcd.io/etcd/..."},
		why:  "a store knows lines and commits by id, and nothing of who decides about them",
	},
	{
		room: "btrfs/...", may: open("go.etcd.io/bbolt/..."), leave: []string{"net/http"},
		shun: []string{"zfs/...", "etcdstate/...", "server/...", "go.etcd.io/etcd/..."},
		why:  "a store knows lines and commits by id, and nothing of who decides about them",
	},
	{
		room: "etcdstate/...", may: open("go.etcd.io/...", "google.golang.org/grpc/...", "go.uber.org/zap/..."),
		shun: []string{"zfs/...", "btrfs/...", "server/..."},
		why:  "the only room that knows etcd; its verbs are the domain's and not etcd's",
	},
	{
		room: "server/plan/...", may: []string{"."}, leave: []string{"net", "net/http", "os", "os/exec", "syscall"},
		why: "decisions are values in, values out, so that every case can be a row of a table",
	},
	{
		room: "server/api/...", may: open("github.com/gorilla/rpc/..."),
		shun: []string{"server", "zfs/...", "btrfs/...", "etcdstate/...", "tui/...", "go.etcd.io/etcd/..."},
		why:  "the wire holds no rules; it is the same on the client's side, where no server is linked",
	},
	{
		room: "server", may: open("server/plan/..."), leave: []string{"net/http"},
		shun: []string{"zfs/...", "btrfs/...", "etcdstate/...", "docker/...", "server/api/...", "go.etcd.io/etcd/..."},
		why:  "the node is handed its store, registry and clock, so that a simulation can hand it others",
	},
	{
		room: "docker/...", may: open("github.com/moby/moby/client/...", "github.com/moby/moby/api/..."),
		shun: []string{"server", "zfs/...", "btrfs/...", "etcdstate/..."},
		why:  "a door holds no rules: it asks the Service",
	},
	{
		room: "flexvolume/...", may: open(),
		shun: []string{"server", "zfs/...", "btrfs/...", "etcdstate/..."},
		why:  "a door holds no rules: it asks the Service",
	},
	{
		room: "tui/...", may: open("charm.land/...", "github.com/charmbracelet/x/...", "github.com/charmbracelet/colorprofile/...", "github.com/aymanbagabas/go-udiff/..."), leave: []string{"net/http", "os/exec"},
		shun: []string{"server", "zfs/...", "btrfs/...", "etcdstate/..."},
		why:  "a fake Service drives the whole program, so every screen can be tested",
	},
	{
		room: "cmd/dm/...", may: anything,
		shun: []string{"server", "zfs/...", "btrfs/...", "etcdstate/...", "go.etcd.io/..."},
		why:  "dm runs on any system and starts at once: it is a client and links no server",
	},
	{room: "cmd/...", may: anything, why: "the only rooms that wire"},
	{
		room: "internal/...", may: open("go.etcd.io/bbolt/...", "github.com/go-json-experiment/json/...", "github.com/google/go-cmp/...", "go.uber.org/goleak/...", "github.com/anishathalye/porcupine/..."),
		shun: []string{"server/...", "zfs/...", "btrfs/...", "etcdstate/...", "tui/...", "docker/...", "go.etcd.io/etcd/..."},
		why:  "what many rooms use must not bring one of them along",
	},
	{room: "tests/...", may: anything, why: "tests look at everything"},
}

// closed are packages that only some rooms import.
var closed = []struct {
	pkg, only []string
	why       string
}{
	{[]string{"cmd/..."}, nil, "a command is options and wiring; what others need is a package"},
	{[]string{"tests/..."}, []string{"tests/..."}, "nobody depends on a test"},
	{[]string{"internal/dotmeshtest/...", "testing"}, []string{"internal/dotmeshtest/...", "tests/..."}, "fakes and test helpers are not shipped"},
	{[]string{"unsafe"}, []string{"btrfs/...", "zfs/...", "tests/..."}, "only a kernel interface without a Go name needs it"},
	{[]string{"C"}, nil, "binaries are static, and run wherever they are copied"},
}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Doc        string
	GoFiles    []string
	Imports    []string // by its own files
	Deps       []string // by these and so on
	Standard   bool
}

func TestImports(t *testing.T) {
	for _, v := range violations(list(t)) {
		t.Error(v)
	}
}

func TestEveryPackageTellsItsStory(t *testing.T) {
	for _, p := range list(t) {
		if _, ours := room(p.ImportPath); ours && len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment: open with the story", p.ImportPath)
		}
	}
}

func list(t testing.TB) (packages []pkg) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Doc,GoFiles,Imports,Deps,Standard", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// violations returns what in packages breaks the rules, a line each.
func violations(packages []pkg) (lines []string) {
	for _, p := range packages {
		name, ours := room(p.ImportPath)
		if !ours {
			continue
		}
		i := slices.IndexFunc(rules, func(r rule) bool { return fits(r.room, name) })
		if i < 0 {
			lines = append(lines, fmt.Sprintf("%s: no rule is written for this room", name))
			continue
		}
		for _, fault := range append(rules[i].faults(p), intrusions(p)...) {
			lines = append(lines, name+" "+fault)
		}
	}
	return lines
}

func (r rule) faults(p pkg) (faults []string) {
	for _, path := range p.Imports {
		name, ours := room(path)
		inside := ours && fits(r.room, name)
		library := ours || strings.Contains(strings.Split(path, "/")[0], ".")
		if library && !inside && !anyFits(r.may, name) || !library && slices.Contains(r.leave, path) {
			faults = append(faults, fmt.Sprintf("imports %s; %s", name, r.why))
		}
	}
	for _, path := range p.Deps {
		if name, _ := room(path); anyFits(r.shun, name) {
			faults = append(faults, fmt.Sprintf("links %s; %s", name, r.why))
		}
	}
	return faults
}

func intrusions(p pkg) (faults []string) {
	from, _ := room(p.ImportPath)
	for _, path := range p.Imports {
		name, _ := room(path)
		for _, c := range closed {
			if anyFits(c.pkg, name) && !anyFits(c.only, from) {
				faults = append(faults, fmt.Sprintf("imports %s; %s", name, c.why))
			}
		}
	}
	return faults
}

// room returns the path of a package from this module's root, or its whole path and false
// where it is somebody else's.
func room(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	name, ours := strings.CutPrefix(path, module+"/")
	return name, ours
}

func fits(pattern, name string) bool {
	prefix, all := strings.CutSuffix(pattern, "...")
	if !all {
		return name == pattern
	}
	return prefix == "" || name == strings.TrimSuffix(prefix, "/") || strings.HasPrefix(name, prefix)
}

func anyFits(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return fits(p, name) })
}

func TestPlantedImportsAreCaught(t *testing.T) {
	for name, test := range map[string]struct {
		path    string
		imports string
		links   string
		want    string // a piece of the one line expected; empty: none
	}{
		"the root uses the standard library":  {path: "", imports: "context fmt time"},
		"the root imports a library":          {path: "", imports: "golang.org/x/sys/unix", want: "imports golang.org/x/sys/unix; the nouns"},
		"the root speaks HTTP":                {path: "", imports: "net/http", want: ". imports net/http"},
		"the root links HTTP from afar":       {path: "", imports: "expvar", links: "net/http", want: ". links net/http"},
		"a store uses its library":            {path: "/btrfs", imports: module + " " + module + "/internal/kv golang.org/x/sys/unix"},
		"a store asks the other one":          {path: "/btrfs", imports: module + "/zfs", want: "btrfs imports zfs; a store"},
		"a store links etcd":                  {path: "/zfs/stream", imports: module, links: "go.etcd.io/etcd/client/v3", want: "zfs/stream links go.etcd.io/etcd/client/v3"},
		"the registry is the one with etcd":   {path: "/etcdstate", imports: "go.etcd.io/etcd/client/v3 go.uber.org/zap"},
		"plan looks at a file":                {path: "/server/plan", imports: "os", want: "server/plan imports os; decisions"},
		"plan uses a helper":                  {path: "/server/plan", imports: module + "/internal/fail", want: "imports internal/fail; decisions"},
		"the server plans":                    {path: "/server", imports: module + "/server/plan golang.org/x/sync/errgroup"},
		"the server knows its wire":           {path: "/server", imports: module + "/server/api", want: "server imports server/api; the node"},
		"the server knows its store from far": {path: "/server", links: module + "/btrfs", want: "server links btrfs"},
		"the wire holds the server":           {path: "/server/api", imports: module + "/server", want: "server/api imports server; the wire"},
		"the screen starts programs":          {path: "/tui", imports: "os/exec", want: "tui imports os/exec"},
		"the screen uses an old library":      {path: "/tui", imports: "github.com/charmbracelet/bubbletea", want: "tui imports github.com/charmbracelet/bubbletea"},
		"dm links etcd":                       {path: "/cmd/dm", links: "go.etcd.io/etcd/client/v3", want: "cmd/dm links go.etcd.io/etcd/client/v3; dm runs"},
		"the server's command wires":          {path: "/cmd/dotmesh-server", imports: module + "/btrfs " + module + "/server go.etcd.io/etcd/client/v3"},
		"a command ships a fake":              {path: "/cmd/dm", imports: module + "/internal/dotmeshtest", want: "cmd/dm imports internal/dotmeshtest; fakes"},
		"somebody imports a command":          {path: "/tests/demo", imports: module + "/cmd/dm", want: "tests/demo imports cmd/dm"},
		"a command imports a test":            {path: "/cmd/dm", imports: module + "/tests/demo", want: "cmd/dm imports tests/demo; nobody"},
		"a helper brings a room along":        {path: "/internal/x", imports: module + "/tui", want: "internal/x imports tui; what many"},
		"a new room has no rule":              {path: "/util", imports: "fmt", want: "util: no rule"},
		"others do as they like":              {path: "x", imports: "net/http " + module + "/cmd/dm"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(violations([]pkg{{
				ImportPath: module + test.path, Imports: strings.Fields(test.imports), Deps: strings.Fields(test.links),
			}}), "\n")
			if !strings.Contains(got, test.want) || (test.want == "") != (got == "") || strings.Contains(got, "\n") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
