package server

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"dotmesh.io/dotmesh"
)

const (
	patience   = 3 * time.Second // the registry may be silent this long before reads are answered from memory
	retryStart = time.Second     // between tries to join a registry that went away meanwhile
)

// start joins the cluster, settles what an earlier run left half done, and then makes the
// rounds.
func (n *Node) start(ctx context.Context) error {
	if err := n.awaitListing(ctx); err != nil {
		return err
	}
	if err := n.begin(ctx); err != nil {
		return err
	}
	close(n.settled)
	n.answer()
	n.log.Info("ready", "node", n.ID(), "store", n.store.Caps().Pool)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.reg.StayAlive(ctx, n.ID()) })
	g.Go(func() error { return n.poll(ctx) })
	g.Go(func() error { return n.reflect(ctx) })
	g.Go(func() error { return n.janitor(ctx) })
	g.Go(func() error { return n.thaw(ctx) })
	return g.Wait()
}

// awaitListing waits for the registry. A node that has been in a cluster answers reads
// meanwhile, if nothing comes: a long listing is waited for as long as it goes on, since what
// it brings is newer than what the node remembers.
func (n *Node) awaitListing(ctx context.Context) error {
	listed := func() bool { return n.view.listed }
	for heard := uint64(0); ; {
		soon, cancel := context.WithTimeout(ctx, patience)
		err := n.view.await(soon, listed)
		cancel()
		if err == nil {
			return nil
		}
		before := heard
		if heard = n.view.heard(); heard == before || ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() == nil && !n.identity().Cluster.IsZero() {
		n.log.Warn("the registry does not answer; what is read is what this node remembers")
		if err := n.recall(); err != nil {
			return err
		}
		n.answer()
	}
	return n.view.await(ctx, listed)
}

// answer lets calls in. Only start calls it.
func (n *Node) answer() {
	select {
	case <-n.ready:
	default:
		close(n.ready)
	}
}

// begin joins and settles, again and again while the registry is out of reach.
func (n *Node) begin(ctx context.Context) error {
	for {
		err := n.join(ctx)
		if err == nil {
			err = n.settle(ctx)
		}
		switch dotmesh.KindOf(err) {
		case dotmesh.Unreachable, dotmesh.Timeout, dotmesh.Unknown:
		default:
			return err
		}
		n.log.Warn("the registry went away while the node started; it tries again", "err", err)
		again := time.NewTimer(retryStart)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return ctx.Err()
		}
	}
}

// recall fills the view with what the pool remembers of the registry, so that reads can be
// answered without it. The first listing replaces all of it.
func (n *Node) recall() error {
	r, err := n.remembered()
	if err != nil {
		return err
	}
	attached, err := load[*dotmesh.Attachment](n.store.KV(), bucketMounts)
	if err != nil {
		return err
	}
	var records []dotmesh.Record
	for _, d := range r.Dots {
		records = append(records, d)
	}
	for _, b := range r.Branches {
		records = append(records, b)
	}
	for _, l := range r.Lines {
		records = append(records, l)
	}
	for _, t := range r.Tombstones {
		records = append(records, t)
	}
	for _, u := range r.Users {
		records = append(records, u)
	}
	for _, a := range attached {
		records = append(records, a)
	}
	n.view.recall(records)
	return nil
}

// thaw joins and settles again whenever the registry is trusted after it was not.
func (n *Node) thaw(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.thawed:
		}
		if err := n.rejoin(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("the node has not settled with its registry; restart it if this stays so", "err", err)
		}
	}
}
