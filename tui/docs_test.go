package tui

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

//go:generate go test -run ^TestKeysPage$ -update .

const (
	keysPage   = "../docs/ui.md"
	keysMarker = "<!-- written by go generate ./tui -->\n"
)

// TestKeysPage: the page lists the keys that there are, and nothing else.
func TestKeysPage(t *testing.T) {
	have, err := os.ReadFile(keysPage)
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(have), keysMarker)
	if !found {
		t.Fatalf("%s has no line %q", keysPage, keysMarker)
	}
	want := head + keysMarker + keyTables()
	if *update {
		if err := os.WriteFile(keysPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(have) != want {
		t.Errorf("%s is not what the key table says; write it anew with: go generate ./tui", keysPage)
	}
}

// keyTables is the key table as the page has it.
func keyTables() string {
	var page strings.Builder
	all := bindings()
	shown := map[string]bool{}
	for _, g := range helpGroups {
		var rows strings.Builder
		for i := range all {
			b := &all[i]
			if shown[b.name] || !b.belongs(g.in) {
				continue
			}
			shown[b.name] = true
			fmt.Fprintf(&rows, "| %s | %s | %s | %s |\n", keyNames(b), b.help, b.name, [...]string{looks: "", changes: "changes", drops: "asks first"}[b.risk])
		}
		if rows.Len() > 0 {
			fmt.Fprintf(&page, "\n### %s\n\n| key | what it does | name | |\n|---|---|---|---|\n%s", g.title, &rows)
		}
	}
	return page.String()
}

func keyNames(b *binding) string {
	if len(b.keys) == 0 {
		return "`:" + b.name + "`"
	}
	names := make([]string, len(b.keys))
	for i, k := range b.keys {
		names[i] = "`" + strings.ReplaceAll(k, "|", `\|`) + "`"
	}
	return strings.Join(names, " ")
}
