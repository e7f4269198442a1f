package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"dotmesh.io/dotmesh"
)

// hostile are texts that a terminal would obey, or show as other than they are.
var hostile = []string{
	"\x1b[31mred\x1b[0m", "\x1b]52;c;cm0gLXJm\x07", "\x1b]8;;http://evil\x1b\\link", "\x1bP1;1|x\x1b\\", "a\rb", "a\bb", "\u009b31m", "\x9b31m",
	"\u202egnp.exe", "\u2066x\u2069", "zero\u200bwidth", "\ufeff", "nl\nError: Y\n", "tab\tbed", "\x00", "\x7f", "\xff\xfe", "\U000e0041",
	strings.Repeat("long\x1b[1m", 1<<13),
}

// poison puts a text everywhere where a fake holds text that a server could have been told.
func poison(text string) *fake {
	f := shop()
	for i := range f.commits {
		f.commits[i].Message, f.commits[i].Author = text, text
		f.commits[i].Metadata = map[string]string{"k" + text: text}
	}
	for i := range f.ops {
		f.ops[i].By, f.ops[i].Why, f.ops[i].Verb = text, text, dotmesh.Verb(text)
	}
	for i := range f.changes {
		f.changes[i].Path = text
	}
	f.changes[0].Kind = dotmesh.ChangeKind(text)
	for i := range f.nodes {
		f.nodes[i].Version, f.nodes[i].Node.Pool, f.nodes[i].Addresses = text, text, []string{text}
	}
	for i := range f.moving {
		t := &f.moving[i]
		t.Kind, t.State, t.Step, t.From, t.To, t.Reason = dotmesh.TransferKind(text), dotmesh.TransferState(text), text, text, text, text
	}
	f.events = []dotmesh.Event{{Kind: dotmesh.EventTransfer, Transfer: &f.moving[0]}}
	f.cluster.Tokens[0].By = text
	f.cluster.Certificates[0].Name, f.cluster.Certificates[0].Fingerprint = text, text
	for i := range f.dots {
		for j := range f.dots[i].All {
			b := &f.dots[i].All[j]
			b.Containers = []dotmesh.Container{{ID: text, Name: text}}
			b.Pointer.State.Phase = dotmesh.Phase(text)
			if b.Stash != nil {
				b.Stash.Reason = dotmesh.StashReason(text)
			}
		}
		f.dots[i].Branch = f.dots[i].All[0]
	}
	return f
}

func TestNothingFromOutsideSteersTheTerminal(t *testing.T) {
	lines := []string{
		"", "list", "list -H", "branch", "branch --stashes", "branch --stashes -H", "log", "log -H", "op log", "op log -H", "diff", "diff -H",
		"status", "status -H", "dot show", "dot show -H", "cluster status", "cluster status -H", "undo", "reset HEAD^", "commit -m x",
		"checkout attempt", "__complete reset c", "__complete log --branch a",
		"transfers", "transfers -H", "transfers --watch", "transfers --watch -H", "move shop node-2", "cluster drain node-2", "cluster drain node-2 -H",
		"__complete transfers cancel d",
	}
	for _, text := range hostile {
		s := newShell(t, poison(text))
		for _, line := range lines {
			for _, format := range []string{"", " -o json", " -o yaml"} {
				if format != "" && (strings.HasSuffix(line, "-H") || strings.HasPrefix(line, "__")) {
					continue
				}
				code := s.run(strings.Fields(line + format)...)
				if code != exitOK {
					t.Errorf("dm %s with %.20q exits with %d: %.200q", line, text, code, s.err)
				}
				judge(t, line+format, s.out, strings.Contains(line, "-H") || strings.HasPrefix(line, "__") || line == "dot show -H")
				judge(t, line+format, s.err, false)
			}
		}
		f := shop()
		f.err = dotmesh.E("fake", dotmesh.Conflict, "%s", text)
		s.service = f
		s.run("list")
		judge(t, "list (failing)", s.err, false)
		if n := strings.Count(s.err, "\n"); n != 1 {
			t.Errorf("an error of %.20q is %d lines", text, n)
		}
	}
}

// judge fails a text in which anything but lines, and tabs where they separate fields,
// is for the terminal.
func judge(t *testing.T, line, text string, tabs bool) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("dm %s prints what is not UTF-8: %.200q", line, text)
	}
	for i, r := range text {
		if steers(r) && !(tabs && r == '\t') {
			t.Errorf("dm %s prints %q: %.200q", line, r, text[max(0, i-40):])
			return
		}
	}
}

func TestAMessageCannotForgeALine(t *testing.T) {
	f := shop()
	f.commits[0].Metadata = map[string]string{"a": "x\ncommit " + idFirst}
	f.commits[0].Author = "admin\ncommit " + idFirst
	f.commits[0].Message = "x\ncommit " + idFirst
	s := newShell(t, f)
	s.run("log")
	if n := strings.Count("\n"+s.out, "\ncommit "); n != len(f.commits) {
		t.Errorf("%d lines begin with commit:\n%s", n, s.out)
	}
	if s.run("log", "-H"); strings.Count(s.out, "\n") != len(f.commits) {
		t.Errorf("-H prints\n%s", s.out)
	}
}

// badNames are what no dot, branch or remote is called.
var badNames = []string{
	".", "..", "-o", "--", "-", "_x", "a b", "a@b", "a:b", "a#b", "a%b", "a$b", "a\nb", "a/b/c", "/", "a/", "/a", "a\x1bb", "é", "a\u202eb",
	"а", "__root__", "a\\b", "a;b", "`a`", strings.Repeat("a", 65), strings.Repeat("a", 256),
}

func TestBadNamesAreUsageErrors(t *testing.T) {
	for _, name := range badNames {
		for _, line := range [][]string{
			{"init", "--", name},
			{"switch", "--", name},
			{"checkout", "--", name},
			{"checkout", "-b", "--", name},
			{"branch", "-d", "--", name},
			{"dot", "show", "--", name},
			{"dot", "delete", "-f", "--", name},
			{"dot", "set", "--", name, "rpo=5s"},
			{"dot", "smash-branch-master", "-f", "--", name},
			{"mount", "--", name, "/tmp/dm-test-bad"},
			{"move", "--", name, "node-1"},
			{"remote", "add", "--", name, "admin@localhost"},
			{"log", "--dot=" + name},
			{"log", "--dot=shop", "--branch=" + name},
			{"commit", "-m", "x", "--branch=" + name},
		} {
			if name == "a@b" && (line[0] == "mount" || line[0] == "move") {
				continue // a volume's name has a branch in it
			}
			f := shop()
			s := newShell(t, f)
			s.secret = "k"
			if code := s.run(line...); code != exitUsage || len(f.asked) != 0 {
				t.Errorf("dm %q exits with %d and asks for %v: %s", line, code, f.asked, s.err)
			}
			judge(t, strings.Join(line, " "), s.err, false)
		}
	}
}
