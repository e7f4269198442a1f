package arch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// guard is a test as docs/guarantees.md names it: `folder TestFunction/its sentence`.
var guard = regexp.MustCompile("`([a-z/.]+) ((?:Test|Fuzz)[A-Za-z0-9_]+)(?:/([^`]+))?`")

func TestEveryGuaranteeHasItsTest(t *testing.T) {
	page := read(t, "docs/guarantees.md")
	guards := guard.FindAllStringSubmatch(page, -1)
	if len(guards) < 20 {
		t.Fatalf("only %d tests are named", len(guards))
	}
	suites := sources(t, "internal/dotmeshtest", "*.go")
	for _, g := range guards {
		folder, function, sentence := g[1], g[2], g[3]
		tests := sources(t, folder, "*_test.go")
		if !strings.Contains(tests, "func "+function+"(") {
			t.Errorf("%s has no %s", folder, function)
		}
		if quoted := strconv.Quote(sentence); sentence != "" && !strings.Contains(tests, quoted) && !strings.Contains(suites, quoted) {
			t.Errorf("%s in %s does not test that %s", function, folder, sentence)
		}
	}
}

func TestEveryPromiseNamesATest(t *testing.T) {
	for line := range strings.Lines(read(t, "docs/guarantees.md")) {
		row := strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| what you may rely on")
		if row && !guard.MatchString(line) {
			t.Errorf("no test guards: %s", line)
		}
	}
}

// link is a relative link of a page, without its place on the page.
var link = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

func TestNoLinkLeadsNowhere(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, below := range []string{"docs/*.md", "docs/*/*.md"} {
		more, err := filepath.Glob(filepath.Join(root, below))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), l[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sources returns the files of a folder whose names match, one after the other.
func sources(t testing.TB, folder, pattern string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, folder, pattern))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
