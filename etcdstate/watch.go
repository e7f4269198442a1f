package etcdstate

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/verbs"
)

const (
	page      = 4000            // keys in one page of a listing
	readers   = 4               // that read a listing at once
	probeTime = 5 * time.Second // a watch that heard nothing for this long asks whether etcd is there
	retryTime = time.Second     // between attempts to reach it again
)

// Watch implements [dotmesh.Registry].
func (r *Registry) Watch(ctx context.Context, from dotmesh.Cursor) iter.Seq[dotmesh.Update] {
	return func(yield func(dotmesh.Update) bool) {
		ctx, done := r.join(ctx)
		defer done()
		w := &watcher{Registry: r, yield: yield, at: int64(from)}
		for ctx.Err() == nil && !w.stopped {
			err := w.run(ctx)
			if ctx.Err() != nil || w.stopped || errors.Is(err, errAgain) {
				continue
			}
			if w.fail(dotmesh.Wrap("registry.Watch", err)); !w.stopped {
				_ = wait(ctx, retryTime) // the loop asks the context itself
			}
		}
	}
}

// errAgain ends a run after which the next one is to begin at once.
var errAgain = errors.New("watch again")

// watcher is one call of Watch. Its place in history is a cluster and a revision; a
// place that etcd does not have is where everything is listed anew.
type watcher struct {
	*Registry
	yield   func(dotmesh.Update) bool
	at      int64  // seen up to here; 0: nothing
	cluster uint64 // whose revision that is; 0: not known yet
	broken  bool   // the last update told an error
	stopped bool   // the consumer has had enough
}

func (w *watcher) tell(u dotmesh.Update) bool {
	w.broken = u.Err != nil
	w.stopped = w.stopped || !w.yield(u)
	return !w.stopped
}

// fail tells of an outage, once.
func (w *watcher) fail(err error) {
	if w.broken {
		return
	}
	w.log.Warn("registry out of reach", "err", err)
	w.tell(dotmesh.Update{Err: err})
}

// run watches for as long as that goes well.
func (w *watcher) run(ctx context.Context) error {
	now, err := w.head(ctx)
	if err != nil {
		return err
	}
	if w.lost(now) {
		if err := w.list(ctx, now); err != nil {
			return err
		}
	} else if w.broken && !w.tell(dotmesh.Update{Cursor: dotmesh.Cursor(w.at)}) {
		return nil
	}
	w.cluster = now.cluster
	return w.follow(ctx)
}

// lost reports whether etcd, being at now, cannot have the watcher's place: another
// cluster answers, or one that was set back.
func (w *watcher) lost(now head) bool {
	return w.at == 0 || w.at > now.revision || w.cluster != 0 && w.cluster != now.cluster
}

// list tells everything there is, in pages of one revision.
func (w *watcher) list(ctx context.Context, now head) error {
	w.at = 0
	ctx, cancel := context.WithCancel(ctx)
	pages := w.pages(ctx, now.revision)
	defer func() {
		cancel()
		for range pages { // until its goroutine has ended
		}
	}()
	u := dotmesh.Update{Reset: true}
	for p := range pages {
		if p.err != nil {
			return p.err
		}
		if u.Changes = p.changes; !w.tell(u) {
			return nil
		}
		u = dotmesh.Update{}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.at = now.revision
	u.Cursor, u.Changes = dotmesh.Cursor(now.revision), nil
	w.tell(u)
	return nil
}

// answer is what a page of a listing holds.
type answer struct {
	changes []dotmesh.Change
	err     error
}

// spans are what is listed, from each key to the next one, without the collections that no
// watcher is told of and that may be large. Those in which most keys are get one for each
// first digit of an id: for each page etcd counts all that follows in its span.
func spans() (spans [][2]string) {
	from := ""
	upto := func(next, after string) {
		spans = append(spans, [2]string{from, next})
		from = after
	}
	for _, c := range []string{"branch/", "branches/", "commits/", "lines/", "ops/"} {
		if c == "branches/" || c == "ops/" {
			upto(c, clientv3.GetPrefixRangeEnd(c))
			continue
		}
		for _, digit := range "0123456789abcdef" {
			upto(c+string(digit), c+string(digit))
		}
	}
	upto("", "")
	return spans
}

// pages reads and decodes several spans at once, in no order between them: neither etcd nor
// this process waits for the other then. It ends after the last page, the first error, or
// with the context.
func (w *watcher) pages(ctx context.Context, revision int64) <-chan answer {
	pages := make(chan answer)
	go func() {
		defer close(pages)
		g, reading := errgroup.WithContext(ctx)
		g.SetLimit(readers)
		for _, span := range spans() {
			g.Go(func() error { return w.read(reading, span, revision, pages) })
		}
		if err := g.Wait(); err != nil {
			select {
			case pages <- answer{err: err}:
			case <-ctx.Done():
			}
		}
	}()
	return pages
}

// read reads a span, page by page. Pages of which nobody is told are left out.
func (w *watcher) read(ctx context.Context, span [2]string, revision int64, pages chan<- answer) error {
	end := clientv3.GetPrefixRangeEnd(w.prefix)
	if span[1] != "" {
		end = w.prefix + span[1]
	}
	for first := w.prefix + span[0]; first != ""; {
		kvs, next, err := w.page(ctx, first, end, revision)
		if err != nil {
			return err
		}
		changes, err := w.decode(kvs)
		if err != nil {
			return err
		}
		first = next
		if len(changes) == 0 {
			continue
		}
		select {
		case pages <- answer{changes: changes}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// page reads one page and says where the next one begins, "" if nowhere.
func (w *watcher) page(ctx context.Context, first, end string, revision int64) ([]*mvccpb.KeyValue, string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	resp, err := w.client.Get(ctx, first, clientv3.WithRange(end), clientv3.WithLimit(page), clientv3.WithRev(revision))
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return nil, "", errAgain
	case err != nil:
		return nil, "", w.explain(ctx, err)
	case !resp.More:
		return resp.Kvs, "", nil
	}
	return resp.Kvs, string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00", nil
}

// decode returns the records of a page.
func (w *watcher) decode(kvs []*mvccpb.KeyValue) ([]dotmesh.Change, error) {
	changes := make([]dotmesh.Change, 0, len(kvs))
	for _, kv := range kvs {
		change, err := verbs.Told(strings.TrimPrefix(string(kv.Key), w.prefix), kv.Value)
		if err != nil {
			return nil, err
		}
		if change.Record != nil {
			changes = append(changes, change)
		}
	}
	return changes, nil
}

// follow tells every change after the watcher's place, until the connection or the place
// is lost.
func (w *watcher) follow(parent context.Context) error {
	if w.stopped {
		return nil
	}
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(parent))
	defer cancel()
	late := time.AfterFunc(askTime, cancel) // etcd's client would wait for a connection for ever
	responses := w.client.Watch(ctx, w.prefix, clientv3.WithPrefix(), clientv3.WithRev(w.at+1), clientv3.WithProgressNotify())
	if !late.Stop() {
		return w.explain(parent, errClosed)
	}
	probe := time.NewTimer(probeTime)
	defer probe.Stop()
	for {
		select {
		case resp, ok := <-responses:
			if !ok {
				return w.explain(ctx, errClosed)
			}
			if err := w.take(ctx, resp); err != nil || w.stopped {
				return err
			}
			probe.Reset(probeTime)
		case <-probe.C:
			if err := w.probe(ctx); err != nil {
				return err
			}
			probe.Reset(probeTime)
		case <-ctx.Done():
			return nil
		}
	}
}

var errClosed = errors.New("etcd ended the watch")

// take tells what a response brought.
func (w *watcher) take(ctx context.Context, resp clientv3.WatchResponse) error {
	switch err := resp.Err(); {
	case errors.Is(err, rpctypes.ErrCompacted):
		w.at = 0
		return errAgain
	case err != nil:
		return w.explain(ctx, err)
	case resp.Created:
		return nil
	case resp.IsProgressNotify():
		return w.progress(resp.Header.Revision)
	}
	for events := resp.Events; len(events) > 0; {
		n, err := w.transaction(events)
		if err != nil || w.stopped {
			return err
		}
		events = events[n:]
	}
	return nil
}

// progress tells that nothing else has happened up to a revision.
func (w *watcher) progress(revision int64) error {
	if revision > w.at {
		w.at = revision
		w.tell(dotmesh.Update{Cursor: dotmesh.Cursor(revision)})
	}
	return nil
}

// transaction tells of the events that have the first one's revision, and returns how
// many those are.
func (w *watcher) transaction(events []*clientv3.Event) (int, error) {
	revision := events[0].Kv.ModRevision
	u := dotmesh.Update{Cursor: dotmesh.Cursor(revision)}
	n := 0
	for ; n < len(events) && events[n].Kv.ModRevision == revision; n++ {
		value := events[n].Kv.Value
		if events[n].Type == clientv3.EventTypeDelete {
			value = nil
		}
		change, err := verbs.Told(strings.TrimPrefix(string(events[n].Kv.Key), w.prefix), value)
		if err != nil {
			w.at = 0 // what it says may be gone when everything is listed anew
			return 0, err
		}
		if change.Record != nil {
			u.Changes = append(u.Changes, change)
		}
	}
	if revision <= w.at {
		return n, nil
	}
	w.at = revision
	w.tell(u)
	return n, nil
}

// probe asks etcd where it is. A watch cannot tell by itself that etcd was set back, that
// it is another one, or that nobody is there.
func (w *watcher) probe(ctx context.Context) error {
	now, err := w.head(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	case w.lost(now):
		return errAgain
	case now.revision > w.at:
		return w.explain(ctx, w.client.RequestProgress(ctx))
	}
	return nil
}

// StayAlive implements [dotmesh.Registry].
func (r *Registry) StayAlive(ctx context.Context, node dotmesh.NodeID) error {
	if _, err := dotmesh.ParseNodeID(string(node)); err != nil {
		return dotmesh.Wrap("registry.StayAlive", err)
	}
	value, err := verbs.Encode(&dotmesh.Alive{Node: node})
	if err != nil {
		return dotmesh.Wrap("registry.StayAlive", err)
	}
	joined, done := r.join(ctx)
	defer done()
	if !r.enlist() {
		return dotmesh.Wrap("registry.StayAlive", context.Cause(r.ctx))
	}
	defer r.leases.Done()
	for joined.Err() == nil {
		if err := r.holdLease(joined, r.prefix+verbs.AliveKey(node), string(value)); err != nil && joined.Err() == nil {
			r.log.Warn("lease lost", "node", node, "err", err)
		}
		_ = wait(joined, retryTime) // the loop asks the context itself
	}
	if ctx.Err() == nil {
		return dotmesh.Wrap("registry.StayAlive", context.Cause(joined))
	}
	return nil
}

// enlist makes Close wait for the caller.
func (r *Registry) enlist() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.leases.Add(1)
	}
	return !r.closed
}

// leaseTime is how long an Alive record outlives its node, in seconds.
const leaseTime = 15

// holdLease keeps key until ctx ends, when it removes it, or the lease is lost.
func (r *Registry) holdLease(ctx context.Context, key, value string) error {
	ask, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	lease, err := r.client.Grant(ask, leaseTime)
	if err != nil {
		return r.explain(ask, err)
	}
	defer r.revoke(ctx, lease.ID)
	if _, err := r.client.Put(ask, key, value, clientv3.WithLease(lease.ID)); err != nil {
		return r.explain(ask, err)
	}
	answers, err := r.client.KeepAlive(ctx, lease.ID)
	if err != nil {
		return r.explain(ctx, err)
	}
	for range answers { // until the lease or the context is over
		continue
	}
	return r.explain(ctx, ctx.Err())
}

// revoke ends a lease at once. It would end by itself, so a failure is only told.
func (r *Registry) revoke(ctx context.Context, id clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if _, err := r.client.Revoke(ctx, id); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		r.log.Debug("lease not revoked", "err", err)
	}
}
