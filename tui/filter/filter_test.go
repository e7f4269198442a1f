package filter_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/tui/filter"
)

var language = filter.Language{Text: []string{"name", "branch"}, Keys: []string{"name", "branch", "master", "level"}}

// row is what the tests filter: by the names of its fields.
var row = map[string]string{
	"name": "admin/pay_Orders-db", "branch": "master", "master": "node-2", "level": "warn", "text": "größe 12:04 a+b",
}

func TestMatch(t *testing.T) {
	for typed, want := range map[string]bool{
		"":                      true,
		"   ":                   true,
		"pay_":                  true,
		"PAY_":                  false,
		"pay_orders":            true,
		"pay_Orders":            true,
		"orders.db":             true,
		"^pay":                  false,
		"^admin/":               true,
		"db$":                   true,
		"(log|db)$":             true,
		`\Spay`:                 true,
		`\d`:                    false,
		"node-2":                false, // not one of the fields for text
		"mast":                  true,  // the branch
		"!test":                 true,
		"!pay":                  false,
		"!mast":                 false,
		"!":                     true,
		"master:node-2":         true,
		"master:node-1":         false,
		"!master:node-1":        true,
		"!master:node-2":        false,
		"master:":               true,
		"!master:":              true,
		"master:^node-[12]$":    true,
		"pay level:warn":        true,
		"pay level:error":       false,
		"pay !level:error":      true,
		"level:warn|error":      true,
		`"pay_orders"`:          true,
		`"pay_orders`:           true,
		`"pay.orders"`:          false,
		`"!pay"`:                false,
		`!"pay"`:                false,
		`level:"war"`:           true,
		`level:"w a r"`:         false,
		`!level:"w a r" pay`:    true,
		`"master:node-2"`:       false,
		`!"a:b"`:                true,
		`master:"`:              true,
		`a"b`:                   false,
		`12:04`:                 false,
		`"pay_orders" branch:x`: false,
	} {
		t.Run(typed, func(t *testing.T) {
			f, err := language.Parse(typed)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Match(func(field string) string { return row[field] }); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestOtherLettersFoldToo(t *testing.T) {
	f, err := filter.Language{Text: []string{""}}.Parse(`größe "äh a+b"`)
	if err != nil {
		t.Fatal(err)
	}
	if !f.Match(func(string) string { return "GRÖSSE, GRÖßE ÄH A+B" }) {
		t.Error("capital letters are others")
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	for typed, want := range map[string]string{
		"pay(":         `"pay(" is not a pattern yet: missing closing )`,
		"+dirty":       `"+dirty" is not a pattern yet: missing argument to repetition operator`,
		"branch:[a":    `"[a" is not a pattern yet: missing closing ]`,
		"mster:node-2": `there is no field "mster" here, only name, branch, master, level; "quotes" make it text`,
	} {
		t.Run(typed, func(t *testing.T) {
			_, err := language.Parse(typed)
			if got := dotmesh.Text(err); got != want || !errors.Is(err, dotmesh.Invalid) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestEmpty(t *testing.T) {
	var none *filter.Filter
	typed, _ := language.Parse("! level:")
	some, _ := language.Parse("x")
	if !none.Empty() || !none.Match(nil) || !typed.Empty() || some.Empty() {
		t.Error("what hides rows and what does not are mixed up")
	}
}

func TestPlainTextAllocatesNothing(t *testing.T) {
	f, err := language.Parse("pay_ !test master:node-2 orders.*db")
	if err != nil {
		t.Fatal(err)
	}
	if got := testing.AllocsPerRun(1000, func() {
		if !f.Match(func(field string) string { return row[field] }) {
			t.Error("no match")
		}
	}); got > 0 {
		t.Errorf("%v allocations a row", got)
	}
}

// FuzzPattern: a pattern matches what the regular expression does.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"pay.*99$", "(ab)+c", "a|bc", "x?y", "(?:Pay)_{2}o", "^ad(m|n)", `\Qa.b\E.`, "[a]b+", "(?i:A)b."} {
		f.Add(s, "admin/pay_orders-db 99 ababc")
	}
	f.Fuzz(func(t *testing.T, expr, text string) {
		filter, err := filter.Language{Text: []string{""}}.Parse(expr)
		re, bad := regexp.Compile("(?i)" + expr)
		if err != nil || bad != nil || strings.ContainsAny(expr, ` "!:`) || expr == "" || strings.ToLower(expr+text) != expr+text || strings.ContainsAny(text, "kſsK") {
			return // several terms, or one that is not a pattern
		}
		if got, want := filter.Match(func(string) string { return text }), re.MatchString(text); got != want {
			t.Errorf("%q in %q: got %v, want %v", expr, text, got, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"pay_", "!", `"`, `!"a" b:"c d" e`, "level:(", "a:b:c", `\`, "(?i)x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		filter, err := language.Parse(s)
		if err != nil {
			if strings.TrimSpace(dotmesh.Text(err)) == "" {
				t.Error("an error without a text")
			}
			return
		}
		filter.Match(func(field string) string { return row[field] })
	})
}

func BenchmarkMatch(b *testing.B) {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("admin/payments-%05d", i)
	}
	for _, typed := range []string{"pay_", "99", "!99 master:node-2", "pay.*99$"} {
		b.Run(typed, func(b *testing.B) {
			f, err := language.Parse(typed)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				for _, name := range names {
					f.Match(func(field string) string {
						if field == "name" {
							return name
						}
						return "node-2"
					})
				}
			}
		})
	}
}
