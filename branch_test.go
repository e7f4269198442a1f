package dotmesh_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
)

func TestStashName(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 15, 0, 999, time.FixedZone("", 3600))
	long := dotmesh.Name(strings.Repeat("x", dotmesh.MaxName))
	for name, test := range map[string]struct {
		branch dotmesh.Name
		reason dotmesh.StashReason
		try    int
		want   string
	}{
		"of a reset":           {"prod", dotmesh.StashReset, 1, "prod-RESET-20261122T091500Z"},
		"of a divergence":      {"prod", dotmesh.StashDiverged, 0, "prod-DIVERGED-20261122T091500Z"},
		"in the same second":   {"prod", dotmesh.StashReset, 2, "prod-RESET-20261122T091500Z-2"},
		"of a long name":       {long, dotmesh.StashDiverged, 9, strings.Repeat("x", 36) + "-DIVERGED-20261122T091500Z-9"},
		"and many in a second": {long, dotmesh.StashDiverged, 1000, strings.Repeat("x", 33) + "-DIVERGED-20261122T091500Z-1000"},
	} {
		t.Run(name, func(t *testing.T) {
			got := dotmesh.StashName(test.branch, test.reason, at, test.try)
			if string(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			if _, err := dotmesh.ParseName(string(got)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAPointerSurvivesTheWire(t *testing.T) {
	want := dotmesh.Pointer{
		Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Tip: dotmesh.CommitID{UUID: dotmesh.NewUUID()}, Seq: 3, Chain: dotmesh.Chain{1},
		Head: dotmesh.CommitID{UUID: dotmesh.NewUUID()}, Count: 2, Master: dotmesh.NewNodeID(), Epoch: 1<<63 + 1,
		State: dotmesh.State{Phase: dotmesh.Moving, To: dotmesh.NewNodeID(), Move: dotmesh.NewUUID(), Deadline: time.Minute},
	}
	for _, p := range []dotmesh.Pointer{want, {}} {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var got dotmesh.Pointer
		if err := json.Unmarshal(text, &got); err != nil || got != p {
			t.Errorf("got %+v, %v, want %+v", got, err, p)
		}
	}
}

func TestACommitThatALineWasForkedFromIsKnown(t *testing.T) {
	origin := dotmesh.Origin{Line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}}
	line := dotmesh.Line{Children: []dotmesh.Child{{Line: origin.Line, Commit: origin.Commit}}}
	if !line.Forked(origin.Commit) || line.Forked(dotmesh.CommitID{UUID: dotmesh.NewUUID()}) {
		t.Error("it is not told from others")
	}
	if !(dotmesh.Origin{}).IsZero() || origin.IsZero() || !(dotmesh.Tip{}).IsZero() || !(dotmesh.Ref{}).IsZero() {
		t.Error("nothing is taken for something")
	}
}
