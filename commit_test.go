package dotmesh_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

func someCommit(t testing.TB) dotmesh.Commit {
	t.Helper()
	id, err := dotmesh.ParseCommitID(someID)
	if err != nil {
		t.Fatal(err)
	}
	return dotmesh.Commit{
		ID: id, Kind: dotmesh.UserCommit, Author: "admin", Message: "before the migration",
		Time: time.Date(2026, 11, 22, 10, 15, 0, 7, time.UTC), Metadata: map[string]string{"a": "bc", "x": "", "y": "z"},
	}
}

func TestACommitIsSmallAndText(t *testing.T) {
	for name, test := range map[string]struct {
		change    func(c *dotmesh.Commit)
		complaint string
	}{
		"as it is":                           {func(*dotmesh.Commit) {}, ""},
		"as large as may be":                 {func(c *dotmesh.Commit) { c.Message = strings.Repeat("x", dotmesh.MaxMessage-len("admin"+"abcxyz")) }, ""},
		"a byte larger":                      {func(c *dotmesh.Commit) { c.Message = strings.Repeat("x", dotmesh.MaxMessage-len("admin"+"abcxyz")+1) }, "have 4097 bytes; at most 4096"},
		"a field in capitals":                {func(c *dotmesh.Commit) { c.Metadata = map[string]string{"Upper": "x"} }, "must start with lowercase characters: Upper"},
		"a field without name":               {func(c *dotmesh.Commit) { c.Metadata = map[string]string{"": "x"} }, "must start with lowercase"},
		"a message in Latin-1":               {func(c *dotmesh.Commit) { c.Message = "caf\xe9" }, "the message is not valid UTF-8"},
		"a value in Latin-1":                 {func(c *dotmesh.Commit) { c.Metadata = map[string]string{"a": "\xe9"} }, `metadata "a" is not valid UTF-8`},
		"a name ends in half of a character": {func(c *dotmesh.Commit) { c.Metadata = map[string]string{"a\xc3": "x"} }, "is not valid UTF-8"},
	} {
		c := someCommit(t)
		test.change(&c)
		err := c.Validate()
		if text := dotmesh.Text(err); !strings.Contains(text, test.complaint) || (err == nil) != (test.complaint == "") || err != nil && !errors.Is(err, dotmesh.Invalid) {
			t.Errorf("%s: got %v, want a complaint with %q", name, err, test.complaint)
		}
	}
}

// TestTheChainIsFixedForEver: nodes of every version must agree on it.
func TestTheChainIsFixedForEver(t *testing.T) {
	c := someCommit(t)
	first := dotmesh.Chain{}.After(&c)
	second := first.After(&c)
	if got, want := first.String()[:16]+" "+second.String()[:16], "237f78b36eaef5d8 71119a8d638b53bf"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTheChainDependsOnWhatACommitSays(t *testing.T) {
	base := someCommit(t)
	seen := map[dotmesh.Chain]string{{}: "no chain"}
	note := func(name string, chain dotmesh.Chain) {
		if other, twice := seen[chain]; twice {
			t.Errorf("%s and %s have one chain", name, other)
		}
		seen[chain] = name
	}
	note("as it is", dotmesh.Chain{}.After(&base))
	note("another parent", dotmesh.Chain{1}.After(&base))
	for name, change := range map[string]func(c *dotmesh.Commit){
		"another id":          func(c *dotmesh.Commit) { c.ID.UUID[0]++ },
		"another kind":        func(c *dotmesh.Commit) { c.Kind = dotmesh.SystemCommit },
		"another author":      func(c *dotmesh.Commit) { c.Author = "admi" },
		"a shifted border":    func(c *dotmesh.Commit) { c.Author, c.Message = "admi", "n"+c.Message },
		"another message":     func(c *dotmesh.Commit) { c.Message = "" },
		"another nanosecond":  func(c *dotmesh.Commit) { c.Time = c.Time.Add(1) },
		"another value":       func(c *dotmesh.Commit) { c.Metadata = map[string]string{"a": "bd", "x": "", "y": "z"} },
		"a key that took one": func(c *dotmesh.Commit) { c.Metadata = map[string]string{"ab": "c", "x": "", "y": "z"} },
		"a field less":        func(c *dotmesh.Commit) { c.Metadata = map[string]string{"a": "bc", "y": "z"} },
		"no metadata":         func(c *dotmesh.Commit) { c.Metadata = nil },
	} {
		c := base
		change(&c)
		note(name, dotmesh.Chain{}.After(&c))
	}
}

func TestTheChainSurvivesTheWire(t *testing.T) {
	c := someCommit(t)
	c.Chain = dotmesh.Chain{}.After(&c)
	c.Time = c.Time.In(time.FixedZone("", 3600))
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back dotmesh.Commit
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if back.Chain != c.Chain || (dotmesh.Chain{}).After(&back) != c.Chain {
		t.Errorf("got %s and %s, want %s", back.Chain, dotmesh.Chain{}.After(&back), c.Chain)
	}
}

func TestAChainIsParsedStrictly(t *testing.T) {
	good := strings.Repeat("0f", 32)
	var c dotmesh.Chain
	if err := c.UnmarshalText([]byte(good)); err != nil || c.String() != good {
		t.Errorf("got %s, %v", c, err)
	}
	for _, bad := range []string{"", good[1:], good + "0", "x" + good[1:]} {
		if err := c.UnmarshalText([]byte(bad)); dotmesh.KindOf(err) != dotmesh.Invalid {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}

func TestTheSizeOfACommitIsWhatItsAuthorWrote(t *testing.T) {
	c := someCommit(t)
	if got, want := c.Size(), len("admin")+len("before the migration")+len("abcxyz"); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}

func TestOnlySystemCommitsAreHidden(t *testing.T) {
	for kind, want := range map[dotmesh.CommitKind]bool{
		dotmesh.InitialCommit: true, dotmesh.UserCommit: true, dotmesh.SystemCommit: false,
	} {
		if c := (dotmesh.Commit{Kind: kind}); c.Visible() != want {
			t.Errorf("%s: got %v", kind, c.Visible())
		}
	}
}
