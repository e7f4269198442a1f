package democluster_test

import (
	"encoding/json"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/democluster"
)

// picture is everything that a cluster answers, as one text.
func picture(t *testing.T, c *democluster.Cluster) string {
	t.Helper()
	all := []any{must(c.Nodes(t.Context()))(t), must(c.Cluster(t.Context()))(t), must(c.Transfers(t.Context()))(t)}
	for _, d := range must(c.Dots(t.Context()))(t) {
		all = append(all, must(c.Dot(t.Context(), d.Name))(t))
		all = append(all, must(c.Log(t.Context(), dotmesh.LogRequest{Dot: d.Name, System: true, Limit: 1000}))(t))
		all = append(all, must(c.Ops(t.Context(), dotmesh.OpsRequest{Dot: d.Name}))(t))
	}
	return string(must(json.Marshal(all))(t))
}

// lived returns a cluster of that seed in which the same things were done as time passed.
func lived(t *testing.T, seed uint64) *democluster.Cluster {
	t.Helper()
	clock := &clock{noon}
	c := democluster.New(democluster.Options{Dots: 40, Seed: seed, Now: clock.Now})
	pass := func(d time.Duration) {
		clock.now = clock.now.Add(d)
		c.Step(d)
	}
	pass(10 * time.Second)
	must(c.Commit(t.Context(), dotmesh.CommitRequest{Dot: shop, Message: "by hand"}))(t)
	must(c.Move(t.Context(), dotmesh.MoveRequest{Dot: name(t, "qa/fixtures"), Node: "node-3"}))(t)
	pass(5 * time.Minute)
	must(c.Reset(t.Context(), dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: name(t, "search/synonyms"), Ref: "HEAD^"}}))(t)
	must(c.Drain(t.Context(), dotmesh.DrainRequest{Node: "node-2"}))(t)
	pass(20 * time.Minute)
	return c
}

func TestTheSameSeedAndStepsGiveTheSameAnswers(t *testing.T) {
	first, again := lived(t, 1), lived(t, 1)
	if picture(t, first) != picture(t, again) {
		t.Error("two clusters of one seed differ after the same steps")
	}
	if picture(t, first) == picture(t, lived(t, 2)) {
		t.Error("two clusters of different seeds are the same")
	}
}
