package democluster_test

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/democluster"
)

// did is what a run did.
type did struct {
	done  []string // ids of steps, in their order
	texts []string
	err   error
}

// run runs a plan to its end. Time passes while it waits.
func run(t *testing.T, c *democluster.Cluster, plan dotmesh.Plan) (d did) {
	t.Helper()
	stop := passing(t, c)
	defer stop()
	for e, err := range c.Operator().Run(t.Context(), plan) {
		if d.err = err; err != nil {
			continue
		}
		if e.Done {
			d.done = append(d.done, e.Step)
		}
		d.texts = append(d.texts, e.Step+": "+e.Text)
	}
	return d
}

// passing lets time pass whenever somebody waits for it, until it is stopped.
func passing(t *testing.T, c *democluster.Cluster) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if state, err := c.State(ctx, "demo.waiting"); err == nil && state["demo.waiting"] != "0" {
				c.Step(500 * time.Millisecond)
				continue
			}
			runtime.Gosched()
		}
	}()
	return func() { cancel(); <-ended }
}

func plan(t *testing.T, c *democluster.Cluster, kind dotmesh.JobKind, options ...string) dotmesh.Plan {
	t.Helper()
	job := dotmesh.Job{Kind: kind, Options: map[string]string{}}
	for i := 0; i+1 < len(options); i += 2 {
		job.Options[options[i]] = options[i+1]
	}
	return must(c.Operator().Plan(t.Context(), job))(t)
}

func ids(p dotmesh.Plan) (all []string) {
	for _, s := range p.Steps {
		all = append(all, s.ID)
	}
	return all
}

func TestAnInitDoesItsStepsInOrderAndFindsThemDoneAgain(t *testing.T) {
	c := empty()
	p := plan(t, c, dotmesh.JobInit)
	want := []string{"docker", "port", "storage", "pull", "keys", "etcd", "server", "ready", "remote"}
	if got := ids(p); !slices.Equal(got, want) {
		t.Fatalf("steps are %q", got)
	}
	first := run(t, c, p)
	ok(t, first.err)
	if !slices.Equal(first.done, want) || !slices.ContainsFunc(first.texts, func(s string) bool { return strings.HasPrefix(s, "pull: 50%  3/6 layers") }) {
		t.Errorf("run did %q and said %q", first.done, first.texts)
	}
	again := run(t, c, p)
	ok(t, again.err)
	if len(again.texts) != len(want) || !strings.Contains(again.texts[0], "done already") {
		t.Errorf("again it said %q", again.texts)
	}
	for _, s := range plan(t, c, dotmesh.JobInit).Steps {
		if !s.Done {
			t.Errorf("%s is not found done", s.ID)
		}
	}
}

func TestAStepFailsOnceIfAskedTo(t *testing.T) {
	c := empty()
	p := plan(t, c, dotmesh.JobInit, "fail", "etcd")
	first := run(t, c, p)
	wantError(t, first.err, dotmesh.Unreachable, "step etcd failed, as it was asked to; run it again, what is done stays done")
	if len(first.done) != 5 {
		t.Errorf("run did %q", first.done)
	}
	again := run(t, c, p)
	ok(t, again.err)
	if len(again.done) != 9 {
		t.Errorf("again it did %q", again.done)
	}
	_, err := c.Operator().Plan(t.Context(), dotmesh.Job{Kind: dotmesh.JobInit, Options: map[string]string{"fail": "none"}})
	wantError(t, err, dotmesh.Invalid, `there is no step "none"`)
}

func TestAPlanThatNoLongerFitsIsRefused(t *testing.T) {
	c := empty()
	reset := plan(t, c, dotmesh.JobReset)
	ok(t, run(t, c, plan(t, c, dotmesh.JobInit)).err)
	late := run(t, c, reset)
	wantError(t, late.err, dotmesh.Conflict, "nothing was done, plan again")
	if len(late.texts) != 0 {
		t.Errorf("it said %q", late.texts)
	}
	reset = plan(t, c, dotmesh.JobReset)
	var destroys []string
	for _, s := range reset.Steps {
		if s.Destroys {
			destroys = append(destroys, s.ID)
		}
	}
	if !slices.Equal(destroys, []string{"keys", "pool"}) {
		t.Errorf("%q destroy something", destroys)
	}
	ok(t, run(t, c, reset).err)
	for _, s := range plan(t, c, dotmesh.JobInit).Steps {
		if s.Done {
			t.Errorf("after the reset, %s of the init is done", s.ID)
		}
	}
}

func TestAnUpgradeReplacesOneNodeAfterTheOtherTheLeaderLast(t *testing.T) {
	c := filled()
	p := plan(t, c, dotmesh.JobUpgrade, "version", "v1.6.0")
	if got := ids(p); len(got) != 15 || got[0] != "node-2.wait" || got[5] != "node-3.wait" || got[14] != "node-1.catch-up" {
		t.Fatalf("steps are %q", got)
	}
	ok(t, run(t, c, p).err)
	for _, n := range must(c.Nodes(t.Context()))(t) {
		if n.Version != "v1.6.0" || !n.Alive {
			t.Errorf("node is %+v", n)
		}
	}
}

func TestAnUpgradeDoesNotStopANodeThatIsNeeded(t *testing.T) {
	c := filled()
	ok(t, c.Silence("node-3", true))
	d := run(t, c, plan(t, c, dotmesh.JobUpgrade))
	wantError(t, d.err, dotmesh.Unreachable, "without node-2 there would be no quorum")
	if len(d.done) != 0 || !nodeStatus(t, c, "node-2").Alive {
		t.Errorf("it did %q", d.done)
	}
}

func TestANodeJoinsAndFetchesEverything(t *testing.T) {
	c := filled()
	_, err := c.Operator().Plan(t.Context(), dotmesh.Job{Kind: dotmesh.JobJoin})
	wantError(t, err, dotmesh.Invalid, "give the address of the cluster to join")
	d := run(t, c, plan(t, c, dotmesh.JobJoin, "address", "10.0.0.11:32607", "token", "dmjoin-x"))
	ok(t, d.err)
	if n := nodeStatus(t, c, "node-4"); n.Voter || n.Missing > 2 {
		t.Errorf("node-4 is %+v", n)
	}
	if !slices.ContainsFunc(d.texts, func(s string) bool { return strings.Contains(s, "GB to go, about") }) {
		t.Errorf("it said %q", d.texts)
	}
	if n := len(status(t, c, "shop", "").Replicas); n != 4 {
		t.Errorf("shop is on %d nodes, want 4", n)
	}
}

func TestARunEndsWithItsContextAndWithItsReader(t *testing.T) {
	c := empty()
	p := plan(t, c, dotmesh.JobInit)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range c.Operator().Run(ctx, p) {
		wantError(t, err, dotmesh.Canceled, "")
	}
	stop := passing(t, c)
	for range c.Operator().Run(t.Context(), p) {
		break
	}
	stop()
	ok(t, run(t, c, p).err)
}

func TestOneJobRunsAtATime(t *testing.T) {
	c := empty()
	p := plan(t, c, dotmesh.JobInit)
	defer passing(t, c)()
	for range c.Operator().Run(t.Context(), p) {
		for _, err := range c.Operator().Run(t.Context(), p) {
			wantError(t, err, dotmesh.Busy, "another job is under way")
		}
		break
	}
	_, err := c.Operator().Plan(t.Context(), dotmesh.Job{Kind: "dance"})
	wantError(t, err, dotmesh.Invalid, `there is no job "dance"`)
}
