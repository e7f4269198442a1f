package dotmesh_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nameForm is what users are promised of a name. The parser is written without it.
var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$`)

func TestParseName(t *testing.T) {
	long := strings.Repeat("x", dotmesh.MaxName)
	for name, test := range map[string]struct {
		in   string
		good bool
	}{
		"a letter":                 {"a", true},
		"a digit":                  {"0", true},
		"everything allowed":       {"Shop-2_b", true},
		"it may end in anything":   {"a-_", true},
		"64 bytes":                 {long, true},
		"65 bytes":                 {long + "x", false},
		"256 bytes":                {strings.Repeat("x", 256), false},
		"nothing":                  {"", false},
		"a dot":                    {".", false},
		"two dots":                 {"..", false},
		"a leading dash":           {"-o", false},
		"two dashes":               {"--", false},
		"a leading underscore":     {"_a", false},
		"a reserved subdot":        {"__root__", false},
		"a slash":                  {"a/b", false},
		"an at sign":               {"a@b", false},
		"a full stop":              {"a.b", false},
		"a colon":                  {"a:b", false},
		"a hash":                   {"a#b", false},
		"a percent sign":           {"a%2e", false},
		"a dollar":                 {"$HOME", false},
		"a space":                  {"a b", false},
		"a newline at the end":     {"a\n", false},
		"NUL":                      {"a\x00", false},
		"an escape":                {"a\x1b[0m", false},
		"letters of other scripts": {"café", false},
		"the same decomposed":      {"cafe\u0301", false},
		"a look-alike":             {"аdmin", false},
		"right to left":            {"a\u202eb", false},
		"a digit of Arabic":        {"٣", false},
		"bytes that are no UTF-8":  {"a\xff", false},
		"a backslash":              {`a\b`, false},
		"a Windows stream":         {"a::$DATA", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := dotmesh.ParseName(test.in)
			switch {
			case test.good && (err != nil || string(got) != test.in):
				t.Errorf("got %q, %v", got, err)
			case !test.good && (dotmesh.KindOf(err) != dotmesh.Invalid || got != ""):
				t.Errorf("got %q, %v, want it to be invalid", got, err)
			}
		})
	}
}

func TestAnErrorAboutANameIsOneShortLine(t *testing.T) {
	_, err := dotmesh.ParseName("evil\n\x1b[2J" + strings.Repeat("x", 1<<20))
	text := dotmesh.Text(err)
	if len(text) > 300 || strings.ContainsAny(text, "\n\x1b") || !strings.Contains(text, "64 characters") {
		t.Errorf("got %d bytes: %.300q", len(text), text)
	}
}

func TestNamesAreCheckedWhereTheyAreDecoded(t *testing.T) {
	var v struct {
		Name   dotmesh.Name
		Dot    dotmesh.DotName
		Subdot dotmesh.Subdot
	}
	for _, bad := range []string{
		`{"Name":"../x"}`, `{"Dot":{"namespace":"a/b"}}`, `{"Dot":{"name":"-x"}}`, `{"Subdot":"a/b"}`, `{"Subdot":"__other__"}`,
	} {
		if err := json.Unmarshal([]byte(bad), &v); dotmesh.KindOf(err) != dotmesh.Invalid {
			t.Errorf("%s: got %v, want it to be invalid", bad, err)
		}
	}
	if err := json.Unmarshal([]byte(`{"Name":"","Subdot":""}`), &v); err != nil || v.Name != "" || v.Subdot != dotmesh.DefaultSubdot {
		t.Errorf("got %+v, %v, want no name and the default subdot", v, err)
	}
}

func TestParseDotName(t *testing.T) {
	for in, want := range map[string]string{
		"shop": "shop", "admin/shop": "shop", "alice/shop": "alice/shop", "admin": "admin", "admin/admin": "admin",
		"": "", "/": "", "/shop": "", "shop/": "", "a/b/c": "", "a//b": "", "a/b@c": "", " shop": "",
	} {
		got, err := dotmesh.ParseDotName(in)
		if (want == "") != (dotmesh.KindOf(err) == dotmesh.Invalid) || got.String() != want || got.IsZero() != (want == "") {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
	if a, b := parseDot(t, "shop"), parseDot(t, "admin/shop"); a != b {
		t.Errorf("%#v is not %#v", a, b)
	}
}

func parseDot(t testing.TB, s string) dotmesh.DotName {
	t.Helper()
	d, err := dotmesh.ParseDotName(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestParseSubdot(t *testing.T) {
	for in, want := range map[string]dotmesh.Subdot{
		"": dotmesh.DefaultSubdot, "__default__": dotmesh.DefaultSubdot, "__root__": dotmesh.RootSubdot, "data": "data",
		"__other__": "", ".": "", "..": "", "a/b": "", "a.b": "", "-x": "",
	} {
		got, err := dotmesh.ParseSubdot(in)
		if got != want || (want == "") != (dotmesh.KindOf(err) == dotmesh.Invalid) {
			t.Errorf("%q: got %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestParseVolume(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"a dot":                      {"shop", "shop"},
		"a namespace":                {"alice/shop", "alice/shop"},
		"the default namespace":      {"admin/shop", "shop"},
		"a branch":                   {"shop@prod", "shop@prod"},
		"a subdot":                   {"shop.db", "shop.db"},
		"all of it":                  {"alice/shop@prod.db", "alice/shop@prod.db"},
		"the whole file system":      {"shop.__root__", "shop.__root__"},
		"the default subdot":         {"shop@prod.__default__", "shop@prod"},
		"the master branch, pinned":  {"shop@master", "shop@master"},
		"nothing":                    {"", ""},
		"only separators":            {"/@.", ""},
		"nothing before the slash":   {"/shop", ""},
		"nothing after the slash":    {"alice/", ""},
		"two slashes":                {"alice//shop", ""},
		"three names":                {"a/b/c", ""},
		"nothing after the at sign":  {"shop@", ""},
		"nothing before it":          {"@prod", ""},
		"two at signs":               {"shop@a@b", ""},
		"nothing after the dot":      {"shop.", ""},
		"nothing before it, too":     {".db", ""},
		"two dots":                   {"shop..db", ""},
		"two subdots":                {"shop.a.b", ""},
		"a subdot before the branch": {"shop.db@prod", ""},
		"a namespace at the end":     {"shop@a/b", ""},
		"an escaped separator":       {`shop\@prod`, ""},
		"an encoded separator":       {"shop%40prod", ""},
		"a fork, which comes later":  {"shop@prod#fork", ""},
		"a path":                     {"../../etc", ""},
		"spaces around it":           {" shop ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := dotmesh.ParseVolume(test.in)
			if test.want == "" {
				if dotmesh.KindOf(err) != dotmesh.Invalid || !strings.Contains(dotmesh.Text(err), "[namespace/]dot[@branch][.subdot]") {
					t.Errorf("got %v, %v, want it to be invalid and to say what a volume is", got, err)
				}
				return
			}
			if err != nil || got.String() != test.want || got.Pinned() != strings.Contains(test.want, "@") {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

// FuzzParseName: what is accepted has the promised form and is kept as it is, and the
// other door, decoding, accepts the same.
func FuzzParseName(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		name, err := dotmesh.ParseName(s)
		if (err == nil) != nameForm.MatchString(s) || err == nil && string(name) != s {
			t.Errorf("ParseName(%q) = %q, %v", s, name, err)
		}
		var decoded dotmesh.Name
		if derr := decoded.UnmarshalText([]byte(s)); s != "" && ((derr == nil) != (err == nil) || decoded != name) {
			t.Errorf("decoding %q gives %q, %v", s, decoded, derr)
		}
	})
}

// FuzzParseVolume: what is accepted consists of names of the promised form, has one
// canonical spelling, and that spelling means the same.
func FuzzParseVolume(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		v, err := dotmesh.ParseVolume(s)
		if err != nil {
			if v != (dotmesh.Volume{}) || dotmesh.KindOf(err) != dotmesh.Invalid {
				t.Errorf("ParseVolume(%q) = %+v, %v", s, v, err)
			}
			return
		}
		for _, part := range []string{string(v.Dot.Namespace), string(v.Dot.Name)} {
			if !nameForm.MatchString(part) {
				t.Errorf("%q has the part %q", s, part)
			}
		}
		if v.Branch != "" && !nameForm.MatchString(string(v.Branch)) {
			t.Errorf("%q has the branch %q", s, v.Branch)
		}
		if v.Subdot != dotmesh.DefaultSubdot && v.Subdot != dotmesh.RootSubdot && !nameForm.MatchString(string(v.Subdot)) {
			t.Errorf("%q has the subdot %q", s, v.Subdot)
		}
		again, err := dotmesh.ParseVolume(v.String())
		if err != nil || again != v || again.String() != v.String() {
			t.Errorf("%q is %+v, whose spelling %q is %+v, %v", s, v, v.String(), again, err)
		}
	})
}
