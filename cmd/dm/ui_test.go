package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

func TestTheUIWithoutATerminalIsASummary(t *testing.T) {
	s := newShell(t, shop())
	if code := s.run("ui"); code != exitOK || !strings.Contains(s.out, "Dotmesh 1.0 on local") {
		t.Errorf("dm ui exits with %d and prints %q", code, s.out)
	}
}

func TestTheUIInPlainTextIsDrivenByNumbers(t *testing.T) {
	for name, how := range map[string]func(*shell) []string{
		"--plain":      func(*shell) []string { return []string{"ui", "--plain"} },
		"ACCESSIBLE=1": func(s *shell) []string { s.env["ACCESSIBLE"] = "1"; return []string{"ui"} },
		"TERM=dumb":    func(s *shell) []string { s.env["TERM"] = "dumb"; return []string{"ui"} },
	} {
		t.Run(name, func(t *testing.T) {
			f := shop()
			s := newShell(t, f)
			s.stdin = "5\n2\n1\nfrom a menu\n0\n0\n0\n"
			if code := s.run(how(s)...); code != exitOK {
				t.Fatalf("it exits with %d: %s", code, s.err)
			}
			if len(f.asked) != 1 || f.asked[0].(dotmesh.CommitRequest).Message != "from a menu" {
				t.Errorf("the service was asked for %+v; the screen was\n%s", f.asked, s.out)
			}
			if strings.Contains(s.out, "\x1b") {
				t.Errorf("plain text has escapes: %q", s.out)
			}
		})
	}
}

func TestTheDemoNeedsNoServer(t *testing.T) {
	s := newShell(t, nil)
	s.stdin = "1\n0\n"
	if code := s.run("ui", "--demo"); code != exitOK || !strings.Contains(s.out, "Node node-3, ready") {
		t.Errorf("it exits with %d and prints %q", code, s.out)
	}
}

func TestSettingsOfTheUI(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		code int
		want string
	}{
		"none":          {"", exitOK, ""},
		"all of them":   {"palette: light\nkeys: {commit: [C]}\ncolumns: [NAME, DIRTY]\nread_only: [prod]\nmouse: true\n", exitOK, ""},
		"no such field": {"colour: light\n", exitUsage, "line 1: field colour not found"},
		"no such value": {"palette: pink\n", exitUsage, `palette: "pink" is none of`},
		"not YAML":      {"palette: [\n", exitUsage, "ui.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t, shop())
			path := filepath.Join(s.home, ".dotmesh", "ui.yaml")
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if code := s.run("ui"); code != test.code || !strings.Contains(s.err, test.want) {
				t.Errorf("dm ui exits with %d and says %q; want %d and %q", code, s.err, test.code, test.want)
			}
		})
	}
}

func TestCommandLinesAreAsAShellReadsThem(t *testing.T) {
	o := &uiOptions{env: newShell(t, shop()).environment(&bytes.Buffer{}, &bytes.Buffer{})}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"commit", "-m", "it's; $(rm) done", "--dot", "qa/shop"}, `dm commit -m 'it'\''s; $(rm) done' --dot qa/shop`},
		{[]string{"commit", "-m", ""}, "dm commit -m ''"},
		{[]string{"undo", "12", "--dot", "shop"}, "dm undo 12 --dot shop"},
		{[]string{"undo", "1", "2"}, ""},
		{[]string{"commit", "--nothing"}, ""},
		{[]string{"nothing"}, ""},
	} {
		got, err := o.commandLine(test.args)
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%q: got %q, %v, want %q", test.args, got, err, test.want)
		}
	}
}
