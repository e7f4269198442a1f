package democluster_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/democluster"
)

// whole fails the test where a cluster contradicts itself.
func whole(t *testing.T, c *democluster.Cluster) {
	t.Helper()
	for _, d := range must(c.Dots(t.Context()))(t) {
		detail := must(c.Dot(t.Context(), d.Name))(t)
		ordinary, current := 0, 0
		for _, b := range detail.All {
			wholeBranch(t, c, d.Name, b)
			if b.Stash == nil {
				ordinary++
			}
			if b.Current {
				current++
			}
		}
		if ordinary != d.Branches || len(detail.All)-ordinary != d.Stashes || current != 1 {
			t.Errorf("%s has %d branches, %d stashes and %d current ones: %+v", d.Name, ordinary, len(detail.All)-ordinary, current, d)
		}
		ops := must(c.Ops(t.Context(), dotmesh.OpsRequest{Dot: d.Name, Limit: 1000}))(t)
		for i := 1; i < len(ops); i++ {
			if ops[i].N != ops[i-1].N-1 {
				t.Errorf("%s: operation %d follows %d", d.Name, ops[i-1].N, ops[i].N)
			}
		}
	}
}

func wholeBranch(t *testing.T, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.BranchStatus) {
	t.Helper()
	page := must(c.Log(t.Context(), dotmesh.LogRequest{Dot: d, Branch: b.Name, Limit: 1000, System: true}))(t)
	visible := slices.DeleteFunc(slices.Clone(page.Commits), func(m dotmesh.Commit) bool { return !m.Visible() })
	if !page.More && uint64(len(visible)) != b.Pointer.Count || page.Commits[0].ID != b.Pointer.Tip || visible[0].ID != b.Pointer.Head {
		t.Errorf("%s of %s: %d commits, first %s, HEAD %s; its pointer is %+v", b.Name, d, len(visible), page.Commits[0].ID, visible[0].ID, b.Pointer)
	}
	if b.Dirty.Bytes < 0 || b.Size < 0 || b.Stash != nil && (len(b.Containers) > 0 || b.Pointer.State.Phase != dotmesh.Held) {
		t.Errorf("%s of %s is %+v", b.Name, d, b)
	}
	master := slices.IndexFunc(b.Replicas, func(r dotmesh.Replica) bool { return r.Node == b.Pointer.Master })
	if master < 0 || len(b.Replicas[master].Missing) > 0 {
		t.Errorf("%s of %s is on %+v; its master is %s", b.Name, d, b.Replicas, b.MasterName)
	}
}

// deed is something that somebody does to a dot, at random.
type deed func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.Name, r *rand.Rand) error

var deeds = []deed{
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.Name, _ *rand.Rand) error {
		_, err := c.Commit(ctx, dotmesh.CommitRequest{Dot: d, Branch: b, Message: "soak"})
		return err
	},
	func(_ context.Context, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.Name, r *rand.Rand) error {
		return c.Write(d, b, fmt.Sprintf("__default__/soak-%d", r.IntN(4)), fmt.Sprint(r.Int()))
	},
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.Name, r *rand.Rand) error {
		_, err := c.Reset(ctx, dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: d, Branch: b, Ref: fmt.Sprintf("HEAD~%d", r.IntN(3))}})
		return err
	},
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.Name, _ *rand.Rand) error {
		_, err := c.Discard(ctx, dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: d, Branch: b}})
		return err
	},
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, _ dotmesh.Name, _ *rand.Rand) error {
		_, err := c.Undo(ctx, dotmesh.UndoRequest{Dot: d})
		return err
	},
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.Name, r *rand.Rand) error {
		_, err := c.CreateBranch(ctx, dotmesh.CreateBranch{From: dotmesh.CommitRef{Dot: d, Branch: b, Ref: "HEAD"}, Name: dotmesh.Name(fmt.Sprintf("soak-%d", r.IntN(5)))})
		return err
	},
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.Name, _ *rand.Rand) error {
		_, err := c.Checkout(ctx, dotmesh.BranchRequest{Dot: d, Branch: b})
		return err
	},
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.Name, _ *rand.Rand) error {
		return c.DeleteBranch(ctx, dotmesh.BranchRequest{Dot: d, Branch: b})
	},
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.Name, r *rand.Rand) error {
		return c.DeleteCommit(ctx, dotmesh.CommitRef{Dot: d, Branch: b, Ref: fmt.Sprintf("HEAD~%d", r.IntN(4))})
	},
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.Name, r *rand.Rand) error {
		_, err := c.Move(ctx, dotmesh.MoveRequest{Dot: d, Branch: b, Node: fmt.Sprintf("node-%d", 1+r.IntN(3))})
		return err
	},
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.Name, _ *rand.Rand) error {
		s, err := c.Status(ctx, dotmesh.StatusRequest{Dot: d, Branch: b})
		if err == nil {
			_, err = c.Takeover(ctx, dotmesh.TakeoverRequest{Dot: d, Branch: b, Epoch: s.Pointer.Epoch, Tip: s.Pointer.Tip})
		}
		return err
	},
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, b dotmesh.Name, r *rand.Rand) error {
		v := dotmesh.MountRequest{Volume: dotmesh.Volume{Dot: d, Branch: b, Subdot: dotmesh.DefaultSubdot}, Holder: fmt.Sprintf("soak-%d", r.IntN(2))}
		if r.IntN(2) == 0 {
			return c.Unmount(ctx, v)
		}
		_, err := c.Mount(ctx, v)
		return err
	},
	func(ctx context.Context, c *democluster.Cluster, _ dotmesh.DotName, _ dotmesh.Name, r *rand.Rand) error {
		all, err := c.Transfers(ctx)
		if err != nil || len(all) == 0 {
			return err
		}
		id := all[r.IntN(len(all))].ID
		return errors.Join(c.CancelTransfer(ctx, id), c.RetryTransfer(ctx, id))
	},
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, _ dotmesh.Name, r *rand.Rand) error {
		replicas := []string{"all", "1", "2", "node-1,node-3"}[r.IntN(4)]
		_, err := c.SetDot(ctx, dotmesh.SetDot{Dot: d, Replicas: &replicas})
		return err
	},
	func(ctx context.Context, c *democluster.Cluster, _ dotmesh.DotName, _ dotmesh.Name, r *rand.Rand) error {
		n := dotmesh.Name(fmt.Sprintf("node-%d", 2+r.IntN(2)))
		_, err := c.Drain(ctx, dotmesh.DrainRequest{Node: string(n), Stop: r.IntN(3) > 0})
		return errors.Join(err, c.Silence(n, r.IntN(4) == 0))
	},
	func(ctx context.Context, c *democluster.Cluster, d dotmesh.DotName, _ dotmesh.Name, r *rand.Rand) error {
		if r.IntN(4) > 0 {
			return nil
		}
		return c.DeleteDot(ctx, dotmesh.DeleteDot{Dot: d})
	},
}

// soak does deeds at random and refuses only what is Dotmesh's own fault.
func soak(t *testing.T, c *democluster.Cluster, seed uint64, n int) {
	r := rand.New(rand.NewPCG(seed, 1))
	dots := must(c.Dots(t.Context()))(t)
	for range n {
		d := dots[r.IntN(len(dots))].Name
		var b dotmesh.Name
		if detail, err := c.Dot(t.Context(), d); err == nil {
			b = detail.All[r.IntN(len(detail.All))].Name
		}
		err := deeds[r.IntN(len(deeds))](t.Context(), c, d, b, r)
		if errors.Is(err, dotmesh.Internal) {
			t.Errorf("%s of %s: %v", b, d, err)
		}
		c.Step(time.Duration(r.IntN(800)) * time.Millisecond)
	}
}

func TestWhateverIsDoneTheClusterNeverContradictsItself(t *testing.T) {
	for seed := range uint64(4) {
		c := democluster.New(democluster.Options{Seed: seed})
		for part := range uint64(10) {
			soak(t, c, 100*seed+part, 60)
			whole(t, c)
		}
		for _, n := range []dotmesh.Name{"node-2", "node-3"} {
			ok(t, c.Silence(n, false))
			must(c.Drain(t.Context(), dotmesh.DrainRequest{Node: string(n), Stop: true}))(t)
		}
		eventually(t, c, "every replica has all", func() bool {
			nodes := must(c.Nodes(t.Context()))(t)
			return !slices.ContainsFunc(nodes, func(n dotmesh.NodeStatus) bool { return n.Missing > 0 })
		})
		whole(t, c)
	}
}

func TestManyAtOnceDoNotDisturbOneAnother(t *testing.T) {
	c := democluster.New(democluster.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var all, listeners sync.WaitGroup
	listeners.Go(func() {
		for _, err := range c.Events(ctx, "") {
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	listeners.Go(func() { c.Run(ctx) })
	for seed := range uint64(4) {
		all.Go(func() { soak(t, c, seed, 60) })
	}
	all.Wait()
	cancel()
	listeners.Wait()
	whole(t, c)
}
