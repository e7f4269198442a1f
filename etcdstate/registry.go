// Package etcdstate keeps the registry in etcd, and runs etcd.
//
// A [Registry] is a client. What a verb does is decided in internal/verbs, which is pure;
// here it becomes one etcd transaction: every key that the verb read is compared by its
// modification revision, then all is written. The keys are those of the model's table,
// below one prefix; the values are JSON with a format number. A watch lists everything in
// pages at one revision and then follows the prefix from there.
//
// [Serve] is etcd itself, for a process of its own, on a unix socket that only its user
// can open. [Supervise] starts that process, restarts it, and ends it.
//
// Nothing outside this package imports go.etcd.io/etcd.
package etcdstate

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/verbs"
)

// DefaultPrefix is what all keys begin with.
const DefaultPrefix = "/dotmesh/v1/"

const (
	callTime = 10 * time.Second // a verb whose context has no deadline ends by then
	askTime  = 3 * time.Second  // one request to etcd, whose client waits for a connection as long as it may
	fresh    = time.Second      // how long Confirm believes in a quorum that was heard
)

// How much either side of a connection may send ahead. Where it is not said, each message
// is followed by pings that measure it, which cost a commit more than its own bytes do.
const (
	streamWindow = 4 << 20
	connWindow   = 8 << 20
)

// Config says where etcd is.
type Config struct {
	Endpoints []string     // "unix:///path" or "https://host:port"
	TLS       *tls.Config  // for https
	Prefix    string       // what keys begin with; empty: [DefaultPrefix]
	Logger    *slog.Logger // nil: silent
}

// Registry is a [dotmesh.Registry] in etcd.
type Registry struct {
	verbs.Calls
	client *clientv3.Client
	prefix string
	log    *slog.Logger
	tails  tails
	recent recent
	heard  atomic.Int64 // when a request began that the quorum answered, since epoch
	epoch  time.Time

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	mu     sync.Mutex
	closed bool
	leases sync.WaitGroup // StayAlive calls; none is added once closed
}

var _ dotmesh.Registry = (*Registry)(nil)

// Open is Connect, and returns once etcd has answered. It fails with
// [dotmesh.Unreachable] if it does not within the context's deadline or 10 s.
func Open(ctx context.Context, c Config) (*Registry, error) {
	r, err := Connect(c)
	if err != nil {
		return nil, err
	}
	if err := r.reach(ctx); err != nil {
		return nil, dotmesh.Wrap("etcdstate.Open", errors.Join(err, r.Close()))
	}
	return r, nil
}

// Connect returns at once, and connects to etcd when it answers: a node must be able to
// start without it. Until then every call fails with [dotmesh.Unreachable] or
// [dotmesh.Timeout], and watches wait. [dotmesh.Invalid] if the endpoints make no sense.
func Connect(c Config) (*Registry, error) {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints:            c.Endpoints,
		TLS:                  c.TLS,
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 5 * time.Second,
		Logger:               zapLogger(c.Logger, new(phase)),
		DialOptions: []grpc.DialOption{
			grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(connWindow),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
				MinConnectTimeout: 5 * time.Second,
			}),
		},
	})
	if err != nil {
		return nil, &dotmesh.Error{Op: "etcdstate.Connect", Kind: dotmesh.Invalid, Err: err, Text: "the etcd endpoints cannot be used"}
	}
	r := &Registry{client: client, prefix: c.Prefix, log: c.Logger, epoch: time.Now()}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.Calls = r.do
	return r, nil
}

// reach asks until etcd answers.
func (r *Registry) reach(ctx context.Context) error {
	ctx, done := r.begin(ctx)
	defer done()
	for {
		_, err := r.head(ctx)
		if err == nil || dotmesh.KindOf(err) != dotmesh.Unreachable {
			return err
		}
		if wait(ctx, time.Second/10) != nil {
			return err
		}
	}
}

// Close ends running calls and watches, and takes back the Alive records that StayAlive
// keeps, which may take 2 s where etcd does not answer.
func (r *Registry) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.leases.Wait()
	if err := r.client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return &dotmesh.Error{Op: "etcdstate.Close", Kind: dotmesh.Internal, Err: err}
	}
	return nil
}

// Confirm implements [dotmesh.Registry].
func (r *Registry) Confirm(ctx context.Context) error {
	if heard := r.heard.Load(); heard > 0 && time.Since(r.epoch)-time.Duration(heard) < fresh {
		return nil
	}
	ctx, done := r.begin(ctx)
	defer done()
	_, err := r.head(ctx)
	return dotmesh.Wrap("registry.Confirm", err)
}

// Latest implements [dotmesh.Registry].
func (r *Registry) Latest(ctx context.Context) (dotmesh.Cursor, error) {
	ctx, done := r.begin(ctx)
	defer done()
	now, err := r.head(ctx)
	return dotmesh.Cursor(now.revision), dotmesh.Wrap("registry.Latest", err)
}

// do carries out a verb.
func (r *Registry) do(ctx context.Context, name string, verb verbs.Verb) (dotmesh.Cursor, error) {
	ctx, done := r.begin(ctx)
	defer done()
	return verbs.Do(ctx, (*table)(r), "registry."+name, verb)
}

// begin returns a context that ends with the registry and has a deadline.
func (r *Registry) begin(ctx context.Context) (context.Context, func()) {
	cancel := func() {}
	if _, ok := ctx.Deadline(); !ok {
		ctx, cancel = context.WithTimeout(ctx, callTime)
	}
	ctx, join := r.join(ctx)
	return ctx, func() { join(); cancel() }
}

// join returns a context that ends with the registry, too.
func (r *Registry) join(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(r.ctx, func() {
		cancel(dotmesh.E("", dotmesh.Canceled, "the registry is closed"))
	})
	return ctx, func() { stop(); cancel(nil) }
}

// head asks the quorum where etcd is.
func (r *Registry) head(ctx context.Context) (head, error) {
	ask, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	start := r.now()
	resp, err := r.client.Get(ask, r.prefix+"cluster", clientv3.WithCountOnly())
	if err != nil {
		return head{}, r.explain(ctx, err)
	}
	r.hear(start)
	return head{cluster: resp.Header.ClusterId, revision: resp.Header.Revision}, nil
}

// head is one cluster's history at one moment.
type head struct {
	cluster  uint64
	revision int64
}

func (r *Registry) now() int64       { return max(1, int64(time.Since(r.epoch))) }
func (r *Registry) hear(start int64) { r.heard.Store(start) }

// explain turns an error of etcd's client into one of ours, for calls that had no effect.
func (r *Registry) explain(ctx context.Context, err error) error {
	kind, text := dotmesh.Unreachable, "the registry does not answer; check that etcd runs and that this node reaches it"
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		kind, text = dotmesh.KindOf(context.Cause(ctx)), "the registry did not answer in time; check that etcd runs and that this node reaches it"
		if kind == dotmesh.Canceled {
			text = "the call was given up"
		}
	case errors.Is(err, rpctypes.ErrNoSpace):
		kind, text = dotmesh.NoSpace, "the registry is full; delete what is not needed or raise etcd's quota"
	case errors.Is(err, rpctypes.ErrTooManyOps), errors.Is(err, rpctypes.ErrRequestTooLarge):
		kind, text = dotmesh.TooMany, "this is too much for one etcd transaction; delete some stashes first, or raise etcd's --max-txn-ops"
	case errors.Is(err, rpctypes.ErrTooManyRequests):
		kind, text = dotmesh.TooMany, "the registry has too much to do; try again"
	case errors.Is(err, rpctypes.ErrCorrupt):
		kind, text = dotmesh.Corrupt, "etcd has found its own data to be corrupt; replace that member"
	case errors.Is(err, rpctypes.ErrPermissionDenied), errors.Is(err, rpctypes.ErrUserEmpty), errors.Is(err, rpctypes.ErrInvalidAuthToken):
		kind, text = dotmesh.Denied, "etcd does not let this node in; check its certificate"
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		kind, text = dotmesh.Timeout, "the request's time was over before it was made"
	case errors.Is(err, rpctypes.ErrCompacted):
		kind, text = dotmesh.Conflict, "the registry forgot that moment while it was read; try again"
	}
	return &dotmesh.Error{Op: "etcd", Kind: kind, Text: text, Err: err}
}

// refused reports whether etcd said that it will never do a transaction. Every other
// error leaves that open.
func refused(err error) bool {
	for _, e := range []error{
		rpctypes.ErrNoSpace, rpctypes.ErrTooManyOps, rpctypes.ErrRequestTooLarge, rpctypes.ErrTooManyRequests,
		rpctypes.ErrLeaseNotFound, rpctypes.ErrDuplicateKey, rpctypes.ErrEmptyKey, rpctypes.ErrPermissionDenied, rpctypes.ErrUserEmpty, rpctypes.ErrInvalidAuthToken,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// wait returns after d, or with the context's error.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
