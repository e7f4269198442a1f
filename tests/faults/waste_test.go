//go:build failpoints

package faults_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/verbs"
)

// registered is what the registry says should be in the pool.
type registered struct {
	lines    map[dotmesh.LineID]*dotmesh.Line
	branches map[dotmesh.BranchID]*dotmesh.Branch
	commits  map[dotmesh.CommitID]bool // false: it was deleted and may be gone
	buried   map[dotmesh.LineID]bool   // lines that go as a whole, with what else is on them
	oldest   map[dotmesh.LineID]uint64 // the first place from which on a line's commits are kept
}

func (n *node) registry() registered {
	n.Helper()
	entries, err := n.Export(n.Context())
	n.must(err)
	var commits []*dotmesh.Commit
	buried := map[dotmesh.UUID]bool{}
	r := registered{
		map[dotmesh.LineID]*dotmesh.Line{},
		map[dotmesh.BranchID]*dotmesh.Branch{},
		map[dotmesh.CommitID]bool{},
		map[dotmesh.LineID]bool{},
		map[dotmesh.LineID]uint64{},
	}
	for _, e := range entries {
		record, err := verbs.Decode(e.Key, e.Value)
		n.must(err)
		switch record := record.(type) {
		case *dotmesh.Line:
			r.lines[record.ID] = record
		case *dotmesh.Branch:
			r.branches[record.ID] = record
		case *dotmesh.Commit:
			commits = append(commits, record)
		case *dotmesh.Tombstone:
			buried[record.ID] = true
			if record.Commit != nil {
				r.commits[record.Commit.ID] = false
			}
		}
	}
	for id, line := range r.lines {
		r.buried[id] = buried[line.Owner.UUID] || buried[line.Dot.UUID]
	}
	for _, c := range commits {
		line := r.lines[c.Line]
		if line == nil {
			n.Errorf("commit %s is on line %s, which is not registered", c.ID, c.Line)
			continue
		}
		r.commits[c.ID] = !r.buried[c.Line]
		if first, known := r.oldest[c.Line]; !known || c.Seq < first {
			r.oldest[c.Line] = c.Seq
		}
	}
	return r
}

// wantNoWaste stops the server and checks that its pool holds what the registry knows, all
// of it and nothing else, and that the node's memory is in order.
func (n *node) wantNoWaste() {
	n.Helper()
	want := n.registry()
	for id, l := range want.lines {
		if want.branches[l.Owner] == nil {
			n.Errorf("line %s belongs to no branch", id)
		}
	}
	n.wantOwnBranches(want)
	n.stop()
	for _, info := range n.inventory() {
		if want.lines[info.ID] == nil {
			n.Errorf("line %s of %d commits, forked from %v, is in the pool, and nobody can reach it", info.ID, len(info.Commits), info.Origin)
			continue
		}
		delete(want.lines, info.ID)
		for _, c := range info.Commits {
			var record dotmesh.Commit
			n.must(json.Unmarshal(c.Meta, &record))
			if _, known := want.commits[c.ID]; !known && !want.buried[info.ID] && record.Seq >= want.oldest[info.ID] {
				n.Errorf("commit %s, %q, of line %s is in the pool, and nobody can reach it", c.ID, record.Message, info.ID)
			}
			delete(want.commits, c.ID)
		}
	}
	for id := range want.lines {
		n.Errorf("line %s is not in the pool", id)
	}
	for id, kept := range want.commits {
		if kept {
			n.Errorf("commit %s is not in the pool", id)
		}
	}
}

// wantOwnBranches checks that the server's memory has it write to what the registry says.
func (n *node) wantOwnBranches(want registered) {
	n.Helper()
	const prefix = "authority."
	state, err := n.State(n.Context(), prefix)
	n.must(err)
	for key, got := range state {
		id, err := dotmesh.ParseUUID(strings.TrimPrefix(key, prefix))
		n.must(err)
		b := want.branches[dotmesh.BranchID{UUID: id}]
		if b == nil {
			n.Errorf("branch %s is not registered, and the server holds it: %s", id, got)
			continue
		}
		if line := "mine line=" + b.Pointer.Line.String() + " epoch=" + strconv.FormatUint(b.Pointer.Epoch, 10); got != line {
			n.Errorf("the server holds branch %s as %q, want %q", b.Name, got, line)
		}
	}
}

// inventory is what the pool of a stopped server holds.
func (n *node) inventory() (all []dotmesh.LineInfo) {
	n.Helper()
	store := n.openPool()
	defer func() { n.must(store.Close()) }()
	for info, err := range store.Inventory(n.Context()) {
		n.must(err)
		all = append(all, info)
	}
	return all
}

// wantEveryPoint checks that the tests before came by every failpoint of the program.
func (b *bench) wantEveryPoint(t *testing.T) {
	reached := map[string]bool{}
	files, err := os.ReadDir(b.points)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(b.points, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, point := range strings.Fields(string(text)) {
			reached[point] = true
		}
	}
	if len(b.source) < 20 {
		t.Errorf("only %d failpoints were found in the program", len(b.source))
	}
	for point, place := range b.source {
		if !reached[point] && !elsewhere(point) {
			t.Errorf("no test came by %s at %s", point, place)
		}
	}
}

// sourcePoints finds the failpoints of the program, and where they are.
func sourcePoints(t *testing.T) map[string]string {
	t.Helper()
	points := map[string]string{}
	set := token.NewFileSet()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && (name == "testdata" || name == "tests" || name == "fail" || len(name) > 2 && name[0] == '.'):
			return fs.SkipDir
		case d.IsDir(), !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if name, ok := pointOf(n); ok {
				if points[name] != "" {
					err = errors.Join(err, errors.New("failpoint "+name+" is in two places"))
				}
				points[name] = set.Position(n.Pos()).String()
			}
			return true
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return points
}

// pointOf returns the name of the failpoint that n is.
func pointOf(n ast.Node) (string, bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 {
		return "", false
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || f.Sel.Name != "Point" {
		return "", false
	}
	if pkg, ok := f.X.(*ast.Ident); !ok || pkg.Name != "fail" {
		return "", false
	}
	name, err := strconv.Unquote(call.Args[0].(*ast.BasicLit).Value)
	return name, err == nil
}
