package termsafe_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"dotmesh.io/dotmesh/internal/termsafe"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLine(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"nothing":                {"", ""},
		"plain text":             {`it's "fine" \o/`, `it's "fine" \o/`},
		"other languages":        {"Größe 大小 حجم גודל 🐳 é", "Größe 大小 حجم גודל 🐳 é"},
		"a no-break space":       {"a\u00a0b", "a\u00a0b"},
		"the replacement rune":   {"a\ufffdb", "a\ufffdb"},
		"a colour":               {"\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`},
		"the clipboard (OSC 52)": {"\x1b]52;c;cm0gLXJm\x07", `\x1b]52;c;cm0gLXJm\x07`},
		"a link (OSC 8)":         {"\x1b]8;;http://x\x1b\\y", `\x1b]8;;http://x\x1b\y`},
		"a device string":        {"\x1bP$q\"p\x1b\\", `\x1bP$q"p\x1b\`},
		"C1 in UTF-8":            {"\u009b31m\u0085", `\u009b31m\u0085`},
		"C1 as bytes":            {"\x9b31m", `\x9b31m`},
		"overwriting":            {"safe\rrm -rf\b\b", `safe\x0drm -rf\x08\x08`},
		"newline and tab":        {"a\n\tb\v\f", `a\x0a\x09b\x0b\x0c`},
		"NUL and DEL":            {"\x00\x7f", `\x00\x7f`},
		"bidi":                   {"\u202egpj.exe\u2066\u2069\u200f\u061c", `\u202egpj.exe\u2066\u2069\u200f\u061c`},
		"zero width":             {"a\u200bb\u200cc\u200dd\u2060e\ufefff\u00ad", `a\u200bb\u200cc\u200dd\u2060e\ufefff\u00ad`},
		"invisible fillers":      {"\u115f\u1160\u3164\uffa0\u034f", `\u115f\u1160\u3164\uffa0\u034f`},
		"line separators":        {"\u2028\u2029", `\u2028\u2029`},
		"tags beyond 16 bits":    {"\U000e0041", `\U000e0041`},
		"private use":            {"\ue000\U0010fffd", `\ue000\U0010fffd`},
		"invalid UTF-8":          {"\xff\xc3(\xed\xa0\x80\xf5", `\xff\xc3(\xed\xa0\x80\xf5`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := termsafe.Line(test.in); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestBriefTextKeepsNewlinesOnly(t *testing.T) {
	if got, want := termsafe.BriefText("a\n\nb\r\n\tc\x1b"), "a\n\nb\\x0d\n\\x09c\\x1b"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestALineOfAMegabyte(t *testing.T) {
	if got, want := termsafe.Line(strings.Repeat("\x1b", 1<<20)), strings.Repeat(`\x1b`, 1<<20); got != want {
		t.Error("it differs")
	}
}

func TestBrief(t *testing.T) {
	full := strings.Repeat("x", termsafe.Most)
	for name, test := range map[string]struct{ in, want string }{
		"short":                   {"a\tb", `a\x09b`},
		"as long as may be":       {full, full},
		"longer":                  {full + "y", full[3:] + "…"},
		"longer when it is shown": {full[1:] + "\x1b", full[3:] + "…"},
		"cut in a character":      {strings.Repeat("é", termsafe.Most), strings.Repeat("é", termsafe.Most/2-2) + "…"},
		"what is no UTF-8":        {strings.Repeat("\x80", termsafe.Most+1), strings.Repeat(`\x80`, termsafe.Most/4-1) + `\…`},
	} {
		t.Run(name, func(t *testing.T) {
			got := termsafe.Brief(test.in)
			if got != test.want || len(got) > termsafe.Most {
				t.Errorf("got %d bytes that end in %q, want %d in %q", len(got), got[max(0, len(got)-8):], len(test.want), test.want[max(0, len(test.want)-8):])
			}
			if again := termsafe.Brief(got); again != got {
				t.Error("it is cut again")
			}
		})
	}
}

// FuzzLine: nothing that a terminal obeys comes out, and what is harmless is not changed.
func FuzzLine(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		got := termsafe.Line(s)
		wantHarmless(t, got)
		if strings.Contains(got, "\n") {
			t.Errorf("%q became two lines, %q", s, got)
		}
		if again := termsafe.Line(got); again != got {
			t.Errorf("%q became %q and then %q", s, got, again)
		}
	})
}

// wantHarmless knows no more of the sanitiser than that newlines may pass.
func wantHarmless(t testing.TB, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("%q is not UTF-8", s)
	}
	for _, r := range s {
		if r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp, unicode.Bidi_Control)) {
			t.Errorf("%q holds %U", s, r)
		}
	}
}
