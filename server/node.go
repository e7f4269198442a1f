package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"dotmesh.io/dotmesh"
)

// How long things are kept and how often they are looked at.
const (
	KeepStash     = 30 * 24 * time.Hour // what a reset dropped
	KeepDiscarded = time.Hour           // what a reset --discard dropped
	KeepDeleted   = 24 * time.Hour      // what a delete buried
	pollEvery     = 5 * time.Second     // dirty bytes of mounted branches
	sweepEvery    = time.Hour           // garbage collection
	mirrorEvery   = time.Second         // at most this long is the pool's mirror behind
	keepCommits   = 100                 // records of a line's newest commits in the registry
	trimAt        = 2 * keepCommits     // trim when a line has this many
	keepOps       = 100                 // newest entries of a dot's operation log in the pool
)

// Config is what a Node is made of.
type Config struct {
	Store    dotmesh.Store
	Registry dotmesh.Registry
	Mounter  Mounter

	Name      dotmesh.Name // the node's; unique in its cluster
	Version   string       // the program's
	Addresses []string     // host:port of the node's API
	MountDir  string       // below it branches, volumes and commits are mounted

	// AdminKey and AdminPassword become the administrator's when the cluster has none yet.
	AdminKey, AdminPassword dotmesh.Secret
	// SaveAdminKey is called with the administrator's API key whenever that has changed;
	// nil: nobody else needs it.
	SaveAdminKey func(dotmesh.Secret) error

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: none
}

// Node is one machine of a cluster. It implements dotmesh.Gate.
type Node struct {
	cfg     Config
	log     *slog.Logger
	now     func() time.Time
	store   dotmesh.Store
	reg     dotmesh.Registry
	mem     memory
	view    *view
	locks   locks
	events  *feed
	stats   *stats
	logins  chan struct{} // one token: one password is checked at a time
	joining chan struct{} // holds a token while nobody joins the cluster and settles
	sweeps  chan struct{} // asks the janitor to look now
	mirror  *mirror

	mu     sync.Mutex // guards id, frozen
	id     identity
	frozen error // why nothing may be changed; nil: it may

	ready   chan struct{} // closed when calls can be answered
	settled chan struct{} // closed when what an earlier run left half done is settled
	thawed  chan struct{} // holds a token when the registry is trusted again
}

var _ dotmesh.Gate = (*Node)(nil)

// New returns a node that does nothing until Run.
func New(cfg Config) *Node {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{
		cfg: cfg, log: cfg.Logger, now: cfg.Now, store: cfg.Store, reg: cfg.Registry,
		mem: memory{cfg.Store.KV()}, view: newView(), stats: newStats(), events: newFeed(cfg.Now),
		logins: make(chan struct{}, 1), joining: make(chan struct{}, 1), sweeps: make(chan struct{}, 1), mirror: newMirror(),
		ready: make(chan struct{}), settled: make(chan struct{}), thawed: make(chan struct{}, 1),
	}
	n.logins <- struct{}{}
	n.joining <- struct{}{}
	return n
}

// Run works until ctx ends or the store fails, and returns when everything that it started
// has ended. Mounts stay, since containers use them. Without a reachable registry it goes
// on trying; what it already masters it mounts at once.
func (n *Node) Run(ctx context.Context) error {
	id, err := n.mem.identify()
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.id = id
	n.mu.Unlock()
	n.unmountChecks(ctx)
	n.remount(ctx)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return n.watch(ctx) })
	g.Go(func() error { return n.start(ctx) })
	return g.Wait()
}

// Ready is closed when calls can be answered: once the registry has been listed, or, on a
// node that has been part of a cluster before, when the registry does not answer for a few
// seconds. Then reads say what the pool remembers.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// ID returns the node's id; it is empty until Run has begun.
func (n *Node) ID() dotmesh.NodeID { return n.identity().Node }

// As returns the service that acts for p.
func (n *Node) As(p dotmesh.Principal) dotmesh.Service { return &service{node: n, who: p} }

// service is a Node as one principal sees it.
type service struct {
	node *Node
	who  dotmesh.Principal
}

var _ dotmesh.Service = (*service)(nil)

func (n *Node) identity() identity {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.id
}

// watch keeps the view true for as long as ctx lives.
func (n *Node) watch(ctx context.Context) error {
	for u := range n.reg.Watch(ctx, 0) {
		if u.Err != nil {
			n.log.Warn("registry out of reach", "err", u.Err)
		}
		u = n.view.whole(u)
		listed := n.view.apply(u, n.check, n.mirror.note)
		n.seen(u.Cursor)
		n.events.registry(u, listed)
	}
	if ctx.Err() == nil {
		return dotmesh.E("server.watch", dotmesh.Internal, "the registry's watch ended by itself")
	}
	return ctx.Err()
}

// check looks at a listing before anybody else sees it: the registry may have been wiped,
// or restored from an old copy. A node that belongs to no cluster yet waits for join.
func (n *Node) check(cluster *dotmesh.Cluster, at dotmesh.Cursor) {
	if !n.identity().Cluster.IsZero() {
		n.judge(cluster, at)
	}
}

// poke leaves a token in a channel of one, unless there is one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
