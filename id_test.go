package dotmesh_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

const someID = "0b5f7c1e-3f0a-4d2b-9f57-6a2b8c1d9e40"

var (
	idForm     = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	nodeIDForm = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

func TestNewIDsAreDistinctAndWellFormed(t *testing.T) {
	seen := map[dotmesh.UUID]bool{}
	for range 1000 {
		u := dotmesh.NewUUID()
		s := u.String()
		if seen[u] || u.IsZero() || !idForm.MatchString(s) || s[14] != '4' || !strings.ContainsRune("89ab", rune(s[19])) {
			t.Fatalf("got %q", s)
		}
		seen[u] = true
	}
}

func TestParseUUID(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"canonical":           {someID, someID},
		"upper case":          {strings.ToUpper(someID), someID},
		"nothing":             {"", ""},
		"all zeros":           {"00000000-0000-0000-0000-000000000000", ""},
		"no dashes":           {strings.ReplaceAll(someID, "-", ""), ""},
		"dashes elsewhere":    {"0b5f7c1-e3f0a-4d2b-9f57-6a2b8c1d9e40", ""},
		"braces":              {"{" + someID + "}", ""},
		"as a URN":            {"urn:uuid:" + someID, ""},
		"a digit too few":     {someID[1:], ""},
		"a digit too many":    {someID + "0", ""},
		"not hexadecimal":     {"g" + someID[1:], ""},
		"NUL at the end":      {someID[:35] + "\x00", ""},
		"a dash for a digit":  {"-" + someID[1:], ""},
		"digits of other age": {"٠" + someID[2:], ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := dotmesh.ParseUUID(test.in)
			if got.String() != test.want || (test.want == "") != (dotmesh.KindOf(err) == dotmesh.Invalid) {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
}

func TestADerivedIDIsTheSameEveryTime(t *testing.T) {
	u, err := dotmesh.ParseUUID(someID)
	if err != nil {
		t.Fatal(err)
	}
	// Fixed for ever: a retry after an upgrade must find what the first try made.
	if got, want := u.Derive("line").String(), "d3377cac-6ad2-85e3-9caf-7a1a041ebe72"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if u.Derive("line") == u.Derive("commit") || u.Derive("line") == dotmesh.NewUUID().Derive("line") {
		t.Error("different things have one id")
	}
}

func TestAnIDThatMeansNoneIsEmptyText(t *testing.T) {
	type record struct {
		Commit dotmesh.CommitID `json:"commit"`
		Parent dotmesh.CommitID `json:"parent,omitzero"`
	}
	text, err := json.Marshal(record{})
	if err != nil || string(text) != `{"commit":""}` {
		t.Errorf("got %s, %v", text, err)
	}
	back := record{Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
	if err := json.Unmarshal(text, &back); err != nil || !back.Commit.IsZero() {
		t.Errorf("got %+v, %v", back, err)
	}
}

func TestTheAdministratorIsNeverMeantByAccident(t *testing.T) {
	if got := dotmesh.AdminID.String(); got != "00000000-0000-0000-0000-000000000000" {
		t.Errorf("got %q", got)
	}
	id := dotmesh.UserID{UUID: dotmesh.NewUUID()}
	if err := id.UnmarshalText(nil); dotmesh.KindOf(err) != dotmesh.Invalid {
		t.Errorf("the empty text: got %v, %v", id, err)
	}
	if err := id.UnmarshalText([]byte(dotmesh.AdminID.String())); err != nil || id != dotmesh.AdminID {
		t.Errorf("got %v, %v", id, err)
	}
	if !(dotmesh.Principal{}).IsZero() || (dotmesh.Principal{Admin: true}).IsZero() {
		t.Error("the zero principal is not nobody")
	}
}

func TestParseNodeID(t *testing.T) {
	id := dotmesh.NewNodeID()
	if got, err := dotmesh.ParseNodeID(string(id)); err != nil || got != id || got == dotmesh.NewNodeID() {
		t.Errorf("got %q, %v, want %q", got, err, id)
	}
	for _, in := range []string{"", "0", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeg", someID} {
		if got, err := dotmesh.ParseNodeID(in); dotmesh.KindOf(err) != dotmesh.Invalid || got != "" {
			t.Errorf("%q: got %q, %v", in, got, err)
		}
	}
	var none dotmesh.NodeID = "x"
	if err := none.UnmarshalText(nil); err != nil || none != "" {
		t.Errorf("got %q, %v", none, err)
	}
}

func TestParseCommitID(t *testing.T) {
	if got, err := dotmesh.ParseCommitID(someID); err != nil || got.String() != someID {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := dotmesh.ParseCommitID("HEAD"); dotmesh.KindOf(err) != dotmesh.Invalid {
		t.Errorf("got %v", err)
	}
}

// FuzzParseID: what is accepted has one canonical spelling of the promised form, and means
// the same again.
func FuzzParseID(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := dotmesh.ParseUUID(s); err == nil {
			again, err := dotmesh.ParseUUID(u.String())
			if err != nil || again != u || u.String() != strings.ToLower(s) || !idForm.MatchString(u.String()) {
				t.Errorf("%q is %q and then %q, %v", s, u, again, err)
			}
		}
		if id, err := dotmesh.ParseNodeID(s); (err == nil) != nodeIDForm.MatchString(s) || err == nil && string(id) != s {
			t.Errorf("ParseNodeID(%q) = %q, %v", s, id, err)
		}
		var user dotmesh.UserID
		if err := user.UnmarshalText([]byte(s)); err == nil && user.String() != strings.ToLower(s) {
			t.Errorf("user %q is %q", s, user)
		}
	})
}
