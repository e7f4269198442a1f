package arch_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the module's folder, as seen from here.
const root = "../.."

// phrases are arguments that no program of ours may hand to another one, with their
// reason. All words of a phrase must stand in one call or list, or in one string.
var phrases = []struct{ words, why string }{
	{"sh -c", "no shell: what a name holds would become a command"},
	{"bash -c", "no shell: what a name holds would become a command"},
	{"recv -F", "receiving never destroys what is there: what differs becomes a stash"},
	{"receive -F", "receiving never destroys what is there: what differs becomes a stash"},
	{"promote", "lines are never promoted: history changes by a pointer"},
	{"send -p", "a stream carries a commit and no properties: those say what the receiver mounts where"},
	{"send -R", "a stream carries one commit: more would be shown before they were verified"},
	{"send -I", "a stream carries one commit: more would be shown before they were verified"},
	{"umount -l", "nothing is unmounted under a user: who is in the way is named"},
	{"umount --lazy", "nothing is unmounted under a user: who is in the way is named"},
	{"umount -f", "nothing is unmounted under a user: who is in the way is named"},
}

// symbols are names that shipped code does not use, with their reason. Where room is
// given, the rule is for that room only.
var symbols = []struct{ name, room, why string }{
	{"time.Sleep", "...", "wait on the thing and not on the clock"},
	{"unix.MNT_DETACH", "...", "nothing is unmounted under a user: who is in the way is named"},
	{"unix.MNT_FORCE", "...", "nothing is unmounted under a user: who is in the way is named"},
	{"syscall.MNT_DETACH", "...", "nothing is unmounted under a user: who is in the way is named"},
	{"syscall.MNT_FORCE", "...", "nothing is unmounted under a user: who is in the way is named"},
	{"time.Now", "server/plan/...", "decisions are values in, values out"},
	{"time.Since", "server/plan/...", "decisions are values in, values out"},
	{"time.Until", "server/plan/...", "decisions are values in, values out"},
}

func TestSource(t *testing.T) {
	files := 0
	for path := range shipped(t) {
		source, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range faults(t, path, source) {
			t.Error(fault)
		}
		files++
	}
	if files < 10 {
		t.Errorf("only %d files were looked at", files)
	}
}

// The race detector's own program ends in a bubble on two processors; package bubble says why.
func TestBubblesHaveOneProcessor(t *testing.T) {
	call := "synctest" + ".Test(" // and not as one string, which would be found here
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		if strings.Contains(read(t, path), call) {
			t.Errorf("%s calls %s); call bubble.Test, of internal/dotmeshtest/bubble", path, call)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// shipped yields the Go files that end up in a program, from the module's root.
func shipped(t testing.TB) func(func(string) bool) {
	return func(yield func(string) bool) {
		err := fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
			switch name := d.Name(); {
			case err != nil:
				return err
			case d.IsDir() && (name == "testdata" || path == "tests" || path == "internal/dotmeshtest" || len(name) > 1 && name[0] == '.'):
				return fs.SkipDir
			case d.IsDir(), !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"):
				return nil
			case !yield(path):
				return fs.SkipAll
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// faults returns what a source file says that it may not, a line each. Files that are
// built for tests only, with failpoints in them, may.
func faults(t testing.TB, path string, source []byte) (lines []string) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(source), "//go:build failpoints") {
		return nil
	}
	found := func(n ast.Node, what, why string) {
		lines = append(lines, fmt.Sprintf("%s says %s; %s", set.Position(n.Pos()), what, why))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			checkSymbol(path, n, found)
		case *ast.CallExpr:
			checkPhrases(n, n.Args, found)
		case *ast.CompositeLit:
			checkPhrases(n, n.Elts, found)
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				found(n, "func init", "what happens at start is said in main")
			}
		}
		return true
	})
	return lines
}

type report func(n ast.Node, what, why string)

func checkSymbol(path string, n *ast.SelectorExpr, found report) {
	pkg, ok := n.X.(*ast.Ident)
	if !ok {
		return
	}
	for _, s := range symbols {
		if s.name == pkg.Name+"."+n.Sel.Name && fits(s.room, filepath.ToSlash(filepath.Dir(path))) {
			found(n, s.name, s.why)
		}
	}
}

// checkPhrases looks at the strings among the arguments of one call or list.
func checkPhrases(n ast.Node, arguments []ast.Expr, found report) {
	var words []string
	for _, a := range arguments {
		if literal, ok := a.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			if s, err := strconv.Unquote(literal.Value); err == nil {
				words = append(words, strings.Fields(s)...)
			}
		}
	}
	for _, p := range phrases {
		missing := func(w string) bool { return !slices.Contains(words, w) }
		if !slices.ContainsFunc(strings.Fields(p.words), missing) {
			found(n, strconv.Quote(p.words), p.why)
		}
	}
}

func TestPlantedSourceIsCaught(t *testing.T) {
	for name, test := range map[string]struct{ path, source, want string }{
		"a sleep":                 {"server/x.go", `func f() { time.Sleep(1) }`, "time.Sleep; wait on the thing"},
		"a sleep handed on":       {"server/x.go", `var f = time.Sleep`, "time.Sleep"},
		"a sleep for tests":       {"internal/fail/on.go", "//go:build failpoints\n\npackage x\nfunc f() { time.Sleep(1) }", ""},
		"a lazy unmount":          {"btrfs/x.go", `func f() { unix.Unmount("x", unix.MNT_DETACH) }`, "unix.MNT_DETACH; nothing is unmounted"},
		"a lazy umount":           {"zfs/x.go", `func f() { run("umount", "-l", path) }`, `"umount -l"`},
		"an ordinary umount":      {"zfs/x.go", `func f() { run("umount", path); run("ls", "-l") }`, ""},
		"a shell":                 {"cmd/dm/x.go", `func f() { exec.Command("sh", "-c", line) }`, `"sh -c"; no shell`},
		"a shell in a list":       {"cmd/dm/x.go", `var argv = []string{"bash", "-c", line}`, `"bash -c"`},
		"a shell in one string":   {"cmd/dm/x.go", `func f() { run("sh -c " + x); run("sh -c x") }`, `"sh -c"`},
		"a forced receive":        {"zfs/x.go", `func f() { run("receive", "-u", "-F", line) }`, `"receive -F"; receiving never`},
		"a diff with its -F":      {"zfs/x.go", `func f() { run("diff", "-F", line); run("receive", "-u") }`, ""},
		"a promotion":             {"zfs/x.go", `func f() { run("promote", line) }`, `"promote"; lines are never`},
		"time in a decision":      {"server/plan/x.go", `func f() { time.Now() }`, "time.Now; decisions"},
		"time elsewhere":          {"server/x.go", `func f() { time.Now() }`, ""},
		"an init":                 {"server/x.go", `func init() {}`, "func init"},
		"a method of that name":   {"server/x.go", `func (x) init() {}`, ""},
		"a comment about a sleep": {"server/x.go", "// not time.Sleep\nvar x = 1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			source := test.source
			if !strings.Contains(source, "package") {
				source = "package x\n" + source
			}
			got := strings.Join(faults(t, test.path, []byte(source)), "\n")
			if !strings.Contains(got, test.want) || (test.want == "") != (got == "") || strings.Contains(got, "\n") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
