package main

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"dotmesh.io/dotmesh"
)

func TestSizes(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "-", 1: "0.00 kiB", 512: "0.50 kiB", 1024: "1.00 kiB", 1<<20 - 1: "1024.00 kiB", 1 << 20: "1.00 MiB",
		1536 << 20: "1.50 GiB", 5 << 40: "5120.00 GiB", -2048: "-2.00 kiB",
	} {
		if got := size(bytes); got != want {
			t.Errorf("%d bytes are %q, want %q", bytes, got, want)
		}
	}
}

func TestWhatWasNotMeasuredIsNotZero(t *testing.T) {
	if got := dirtySize(dotmesh.Bytes{}) + dirtyBytes(dotmesh.Bytes{}); got != "??" {
		t.Errorf("it is %q", got)
	}
	if got := dirtySize(dotmesh.Bytes{AsOf: moment}) + dirtyBytes(dotmesh.Bytes{AsOf: moment}); got != "-0" {
		t.Errorf("nothing dirty is %q", got)
	}
}

func TestAges(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "just now", 0: "just now", 3 * time.Second: "3 s ago", 90 * time.Second: "1 min ago",
		3 * time.Hour: "3 h ago", 80 * time.Hour: "3 days ago",
	} {
		if got := age(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestDirtyLines(t *testing.T) {
	o := &statusOptions{env: &env{IO: &streams{}, Now: func() time.Time { return moment }}}
	for want, b := range map[string]dotmesh.Bytes{
		"Nothing is in no commit, as of just now":                                             {AsOf: moment, Exact: true},
		"Nothing is known to be in no commit, as of just now; buffered writes may be missing": {AsOf: moment},
		"1.00 kiB in no commit, as of 1 min ago; buffered writes may be missing":              {Bytes: 1024, AsOf: moment.Add(-time.Minute)},
		"What is in no commit has not been measured yet (--fresh measures it)":                {},
	} {
		if got := o.dirtyLine(b); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	if got := (&streams{}).paint(red, "x"); got != "x" {
		t.Errorf("without colour: %q", got)
	}
	if got := (&streams{Color: true}).paint(red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("with colour: %q", got)
	}
}

func TestYAML(t *testing.T) {
	for want, v := range map[string]any{
		"a: 1\nb:\n  - x\n  - \"1\"\nc: {}\nd: []\ne: null\n": map[string]any{"a": 1, "b": []string{"x", "1"}, "c": map[string]any{}, "d": []int{}, "e": nil},
		"-\n  a: \"\"\n-\n  b: true\n":                        []map[string]any{{"a": ""}, {"b": true}},
		"-\n  -\n    - 1\n":                                   [][][]int{{{1}}},
		"\"yes\"\n":                                           "yes",
		"\"a: \\\"b\\\"\\n\\U0000001b\"\n":                    "a: \"b\"\n\x1b",
	} {
		var out bytes.Buffer
		if err := writeYAML(&out, v); err != nil || out.String() != want {
			t.Errorf("%v is\n%s, want\n%s(%v)", v, out.String(), want, err)
		}
	}
}

// FuzzFormats: what -o json and -o yaml print means the value to every reader, and no
// byte of it steers a terminal.
func FuzzFormats(f *testing.F) {
	for _, seed := range []string{
		"", "plain", "yes", "null", "~", "0x1f", "1e3", "e1", "- x", "a: b", "#x", "\x1b[31m", "\u009b1m", "\u202e", "\u200b",
		"\U000e0041", "\U0001f433", "\u2028", "\xff", "a\r\nb", "%TAG", "'", `"`, "\u00a0", "\ufeff", "=", "<<", ".inf", "2026-11-22",
		strings.Repeat("k", 1100), strings.Repeat("\x1b", 110),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "\ufffd")
		value := map[string]any{s: []any{s, map[string]any{"k" + s: s}}, "n": nil}
		var asJSON, asYAML bytes.Buffer
		if err := writeJSON(&asJSON, value); err != nil {
			t.Fatal(err)
		}
		if err := writeYAML(&asYAML, value); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{asJSON.String(), asYAML.String()} {
			if i := strings.IndexFunc(text, steers); i >= 0 {
				t.Fatalf("%q steers the terminal at %d", text, i)
			}
		}
		var back any
		if err := json.Unmarshal(asJSON.Bytes(), &back); err != nil || !reflect.DeepEqual(back, any(value)) {
			t.Fatalf("JSON: %v, %v\n%s", back, err, asJSON.String())
		}
		var fromYAML map[string]any
		if err := yaml.Unmarshal(asYAML.Bytes(), &fromYAML); err != nil || !reflect.DeepEqual(fromYAML, value) {
			t.Fatalf("YAML: %v, %v\n%s", fromYAML, err, asYAML.String())
		}
	})
}

// steers reports whether a terminal could obey r, or hide or turn text by it.
func steers(r rune) bool {
	return r != '\n' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || unicode.Is(unicode.Cf, r)
}
