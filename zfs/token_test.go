//go:build linux

package zfs

import (
	"errors"
	"os"
	"strings"
	"testing"

	"dotmesh.io/dotmesh"
)

func TestContentsOfAToken(t *testing.T) {
	text, err := os.ReadFile("testdata/token")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	got, err := parseContents(lines)
	if want := (contents{name: "p/dotmesh/a@s1", to: 0xc0e756883fa4ac3b}); err != nil || *got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	got, err = parseContents([]string{"\ttoname = a@b", "\tfromguid = 0x1f", "\ttoguid = 0x2"})
	if want := (contents{name: "a@b", to: 2, from: 0x1f}); err != nil || *got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, lines := range [][]string{
		nil,
		{"\ttoname = a@b"},
		{"\ttoguid = 0x1"},
		{"\ttoname = a@b", "\ttoguid = x"},
		{"\ttoname = a@b", "\ttoguid = 0x1", "\ttoguid = 0x2"},
		{"\ttoname = a@b", "\ttoname = c@d", "\ttoguid = 0x1"},
		{"\ttoname = a@b", "\ttoguid = 0x10000000000000000"},
		{"toname = a@b", "toguid = 0x1"},
	} {
		if got, err := parseContents(lines); dotmesh.KindOf(err) != dotmesh.Internal {
			t.Errorf("%q = %+v, %v", lines, got, err)
		}
	}
}

const someToken = "1-107c54e632-f0-789c636064000310a500c4ec50360710e72765a5"

func TestResumptions(t *testing.T) {
	good := `{"commit":"` + commitA + `","token":"` + someToken + `"}`
	r, err := parseResumption([]byte(good))
	if err != nil || r.Token != someToken || r.Commit != commitID(t, commitA) {
		t.Errorf("got %+v, %v", r, err)
	}
	for _, text := range []string{
		"", "null", "{}", good + "x", good + good, strings.Replace(good, "commit", "Commits", 1), strings.Replace(good, someToken, "", 1),
		strings.Replace(good, commitA, "", 1), strings.Replace(good, someToken, "-nvt", 1), strings.Replace(good, someToken, "1-2-3", 1),
		strings.Replace(good, someToken, "2-1-1-1", 1), strings.Replace(good, someToken, "1-1-1-1 -R", 1), strings.Replace(good, someToken, "1-1-1-G", 1),
		strings.Replace(good, someToken, "1-1-1-"+strings.Repeat("a", 20<<10), 1),
	} {
		if r, err := parseResumption([]byte(text)); !errors.Is(err, dotmesh.Conflict) {
			t.Errorf("%.100q = %+v, %v", text, r, err)
		}
	}
}

func FuzzToken(f *testing.F) {
	f.Add("\ttoname = a@b\n\ttoguid = 0x1")
	f.Add(`{"commit":"` + commitA + `","token":"` + someToken + `"}`)
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := parseResumption([]byte(text)); err == nil && (strings.HasPrefix(r.Token, "-") || strings.ContainsAny(r.Token, " \n\x00/@")) {
			t.Errorf("accepted %q", r.Token)
		}
		_, _ = parseContents(strings.Split(text, "\n"))
	})
}
