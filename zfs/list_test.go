//go:build linux

package zfs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dotmesh.io/dotmesh"
)

const (
	lineA   = "0b5f7c1e-3f0a-4d2b-9f57-6a2b8c1d9e40"
	lineB   = "11111111-2222-4333-8444-555555555555"
	commitA = "8593d1e5-a692-4f72-ba84-12b8dcbd97d7"
	commitB = "27947311-2124-47ee-9d0b-aec44a0b3cdb"
)

func lineID(t testing.TB, text string) dotmesh.LineID {
	t.Helper()
	id, err := dotmesh.ParseUUID(text)
	if err != nil {
		t.Fatal(err)
	}
	return dotmesh.LineID{UUID: id}
}

func commitID(t testing.TB, text string) dotmesh.CommitID {
	t.Helper()
	id, err := dotmesh.ParseCommitID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestListing(t *testing.T) {
	const top = "pool/dotmesh/lines"
	rows := []string{
		top + "\t123\t5\t-",
		top + "/" + lineA + "\t17351342311712302190\t9\t-",
		top + "/" + lineA + "@" + commitB + "\t3\t20\t-",
		top + "/" + lineA + "@" + commitA + "\t2\t10\t-",
		top + "/" + lineA + "@scratch-x\t2\t10\t-",
		top + "/" + lineA + "@by-hand\t2\t10\t-",
		top + "/" + lineA + "/%recv\t2\t10\t-",
		top + "/" + lineB + "\t1\t9\t" + top + "/" + lineA + "@" + commitA,
		top + "/by-hand\t1\t9\tpool/elsewhere@x",
		"pool/dmfs/" + lineA + "@" + commitA + "\t1\t9\t-",
	}
	got := census{}
	for _, row := range rows {
		if err := got.add(names{"pool"}, row); err != nil {
			t.Error(err)
		}
	}
	a, b := lineID(t, lineA), lineID(t, lineB)
	want := census{
		a: {dataset: true, scratch: []string{top + "/" + lineA + "@scratch-x"}, commits: []foundCommit{
			{commitID(t, commitB), "3", 20},
			{commitID(t, commitA), "2", 10},
		}},
		b: {dataset: true, origin: dotmesh.Origin{Line: a, Commit: commitID(t, commitA)}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(found{}, foundCommit{})); diff != "" {
		t.Error(diff)
	}
}

func TestOddRowsAreRefused(t *testing.T) {
	const name = "pool/dotmesh/lines/" + lineA
	for _, row := range []string{
		"", name, name + "\t1\t2", name + "\t1\t2\t-\t-", name + "\t1\tx\t-", name + "\t\t2\t-", name + "\t-\t2\t-", name + "\t1\t-1\t-",
		name + "\t1\t99999999999999999999\t-", name + "\t0x1\t2\t-", name + "\tun\t2\t-",
	} {
		if err := (census{}).add(names{"pool"}, row); dotmesh.KindOf(err) != dotmesh.Internal {
			t.Errorf("%q: %v", row, err)
		}
	}
}

func FuzzListing(f *testing.F) {
	f.Add("pool/dotmesh/lines/" + lineA + "@" + commitA + "\t1\t2\t-")
	f.Fuzz(func(t *testing.T, row string) {
		all := census{}
		if err := all.add(names{"pool"}, row); err != nil && dotmesh.Text(err) == "" {
			t.Errorf("%v says nothing to users", err)
		}
		for line, found := range all {
			if !strings.HasPrefix(row, (names{"pool"}).line(line)) {
				t.Errorf("%q is taken for %+v of %s", row, found, line)
			}
		}
	})
}

func TestWhetherALineIsThere(t *testing.T) {
	line := lineID(t, lineA)
	commits := []foundCommit{{id: commitID(t, commitA)}}
	for name, test := range map[string]struct {
		found       found
		record      record
		there, head bool
	}{
		"nothing":                          {},
		"a dataset":                        {found{dataset: true}, record{}, true, true},
		"one that was mounted":             {found{dataset: true}, record{Mounted: true}, true, true},
		"a replica":                        {found{dataset: true, commits: commits}, record{Headless: true}, true, false},
		"a line without a head or commits": {found{}, record{Headless: true}, true, false},
		"one whose first commit comes":     {found{dataset: true}, record{Headless: true, Incoming: true}, false, false},
		"one whose first commit has come":  {found{dataset: true, commits: commits}, record{Headless: true, Incoming: true}, true, false},
		"one that is being destroyed":      {found{dataset: true, commits: commits}, record{Doomed: true}, false, true},
		"one that was destroyed by hand":   {found{}, record{Mounted: true}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := newState(line, &test.found, test.record)
			if l.there() != test.there || l.there() && l.head() != test.head {
				t.Errorf("there = %v, head = %v", l.there(), l.head())
			}
		})
	}
}

func TestValues(t *testing.T) {
	got, err := parseValues([]string{"4096\t-", "on\tinherited from pool/dotmesh"}, 2)
	want := []value{{"4096", "-"}, {"on", "inherited from pool/dotmesh"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(value{})); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, lines := range [][]string{nil, {"1\t-"}, {"1", "2"}, {"1\t-", "2\t-", "3\t-"}, {"1\t2\t-", "1\t-"}} {
		if got, err := parseValues(lines, 2); dotmesh.KindOf(err) != dotmesh.Internal {
			t.Errorf("%q = %v, %v", lines, got, err)
		}
	}
	for text, want := range map[string]int64{"-": 0, "0": 0, "17": 17} {
		if got, err := (value{text: text}).number(); got != want || err != nil {
			t.Errorf("%q = %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "none", "-1", "1K", "99999999999999999999"} {
		if got, err := (value{text: text}).number(); err == nil {
			t.Errorf("%q = %d", text, got)
		}
	}
}
