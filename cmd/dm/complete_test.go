package main

import (
	"os"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"switch ":                     "shop",
		"log --dot ":                  "shop",
		"log --branch ":               "master attempt master-RESET-20261122T101500Z",
		"checkout ":                   "master attempt master-RESET-20261122T101500Z",
		"checkout -b new ":            "master attempt master-RESET-20261122T101500Z " + idSecond + " " + idFirst,
		"reset ":                      "master attempt master-RESET-20261122T101500Z " + idSecond + " " + idFirst,
		"diff HEAD ":                  "master attempt master-RESET-20261122T101500Z " + idSecond + " " + idFirst,
		"commit delete ":              idSecond + " " + idFirst,
		"commit --wait ":              "1 quorum all",
		"branch -d ":                  "master attempt master-RESET-20261122T101500Z",
		"dot show ":                   "shop",
		"dot show shop ":              "",
		"dot delete ":                 "shop",
		"dot set shop ":               "replicas= rpo= expires= collaborator+= collaborator-=",
		"move shop ":                  "node-1",
		"transfers cancel ":           idMove + " " + idReplica,
		"transfers retry ":            idReplica,
		"cluster drain ":              "node-1",
		"cluster token revoke ":       idToken,
		"mount ":                      "shop",
		"mount --commit ":             idSecond + " " + idFirst,
		"remote switch ":              "hub",
		"remote rm ":                  "hub",
		"dot set-upstream ":           "hub",
		"list -o ":                    "text json yaml",
		"completion ":                 "bash zsh fish",
		"log --dot nothing --branch ": "",
	} {
		t.Run(line, func(t *testing.T) {
			s := newShell(t, shop())
			writeConfig(t, s, `{"Remotes":{"hub":{}}}`)
			before := read(t, s.config())
			fields := strings.Fields(line)
			s.run(append(append([]string{"__completeNoDesc"}, fields...), "")...)
			offered, _, _ := strings.Cut(s.out, ":")
			if got := strings.Join(strings.Fields(offered), " "); got != want {
				t.Errorf("dm %soffers %q, want %q (%s)", line, got, want, s.err)
			}
			if string(read(t, s.config())) != string(before) {
				t.Error("a completion changes the config file")
			}
		})
	}
}

func TestCompletionShowsMessages(t *testing.T) {
	s := newShell(t, shop())
	if s.run("__complete", "commit", "delete", ""); !strings.Contains(s.out, idFirst+"\tfirst\n") {
		t.Errorf("it offers %q", s.out)
	}
}

func TestCompletionOfASilentServerIsSilent(t *testing.T) {
	f := shop()
	f.err = dotmesh.E("fake", dotmesh.Unreachable, "nobody there")
	s := newShell(t, f)
	for _, line := range []string{"switch", "reset", "checkout", "move shop", "log --branch", "transfers cancel", "cluster token revoke"} {
		s.run(append(append([]string{"__complete"}, strings.Fields(line)...), "")...)
		if offered, _, _ := strings.Cut(s.out, ":"); offered != "" {
			t.Errorf("dm %s offers %q", line, offered)
		}
	}
}

func TestCompletionScripts(t *testing.T) {
	for shell, says := range map[string]string{"bash": "__start_dm", "zsh": "#compdef dm", "fish": "complete -c dm"} {
		s := newShell(t, shop())
		if code := s.run("completion", shell); code != exitOK || !strings.Contains(s.out, says) {
			t.Errorf("%s: exit %d, %.200q", shell, code, s.out)
		}
	}
}

func TestCompletionOfMounts(t *testing.T) {
	f := shop()
	f.mountAt = t.TempDir()
	s := newShell(t, f)
	path := t.TempDir()
	s.run("mount", "shop", path)
	if s.run("__completeNoDesc", "unmount", ""); !strings.HasPrefix(s.out, path+"\n") {
		t.Errorf("it offers %q", s.out)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
