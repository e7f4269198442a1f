package democluster

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
)

// Options say what cluster to make. The zero Options make one with a dozen dots.
type Options struct {
	// Dots is how many dots there are at least: the hand-made ones, and generated ones up to
	// that number. A negative number means an empty cluster.
	Dots int
	// Seed is what everything that looks random comes from, ids included.
	Seed uint64
	// Now is the clock that records are stamped with; nil is time.Now. How long something
	// takes is decided by Step alone.
	Now func() time.Time
}

// Cluster is three nodes and all that they agree on. It is a dotmesh.Service itself, which
// acts for the administrator and asks node-1. All methods may be called at any time from
// any goroutine.
type Cluster struct {
	*service
	now func() time.Time

	mu        sync.Mutex // guards all fields below, and all that they lead to
	past      time.Time  // while the cluster is being made: when that happened
	rng       *rand.Rand
	record    dotmesh.Cluster
	nodes     []*node
	dots      map[dotmesh.DotID]*dot // deleted ones are in tombs only
	order     []*dot                 // the same, by namespace and name
	branches  map[dotmesh.BranchID]*branch
	lines     map[dotmesh.LineID]*line
	commits   map[dotmesh.CommitID]*commit
	serial    int // of the newest tombstone
	tombs     map[dotmesh.UUID]*tomb
	users     []*user
	tokens    []*token
	transfers []*transfer                 // newest last
	lags      []*lag                      // what replicas have yet to fetch, in the order it was written
	lost      []*branch                   // stashes whose old master was silent when it lost the branch
	trees     map[dotmesh.CommitID]string // what Check noted
	writers   []*writer
	feed      feed
	broken    error // what every call fails with
	life      life
	machine   machine
}

var (
	_ dotmesh.Service = (*Cluster)(nil)
	_ dotmesh.Gate    = (*Cluster)(nil)
)

// New returns a cluster in which nothing happens yet. The same options make the same one.
func New(o Options) *Cluster {
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Cluster{
		now: o.Now, rng: rand.New(rand.NewPCG(o.Seed, 0xd07)),
		dots: map[dotmesh.DotID]*dot{}, branches: map[dotmesh.BranchID]*branch{}, lines: map[dotmesh.LineID]*line{},
		commits: map[dotmesh.CommitID]*commit{}, tombs: map[dotmesh.UUID]*tomb{}, trees: map[dotmesh.CommitID]string{},
	}
	c.feed = newFeed(c.newID().String()[:8])
	c.make(o)
	c.service = &service{c: c, who: administrator, at: c.nodes[0]}
	return c
}

// make fills the cluster with history that ends now.
func (c *Cluster) make(o Options) {
	c.past = o.Now().UTC().Round(0).Add(-400 * 24 * time.Hour)
	c.record = dotmesh.Cluster{ID: dotmesh.ClusterID{UUID: c.newID()}, Feature: dotmesh.FeatureLevel, Created: c.past}
	now := o.Now().UTC().Round(0)
	c.makeNodes(now)
	c.makeUsers()
	c.life = newLife()
	c.machine = newMachine()
	if o.Dots >= 0 {
		c.makeShop(now)
		c.generate(now, o.Dots)
	}
	c.past = time.Time{}
}

// making reports whether the cluster is still being made: then time is past, events are
// not told, and what is written is on every replica at once.
func (c *Cluster) making() bool { return !c.past.IsZero() }

// time returns the time that records are stamped with.
func (c *Cluster) time() time.Time {
	if c.making() {
		return c.past
	}
	return c.now().UTC().Round(0)
}

// As implements dotmesh.Gate: the service asks node-1.
func (c *Cluster) As(p dotmesh.Principal) dotmesh.Service {
	return &service{c: c, who: p, at: c.service.at}
}

// At returns a service that acts for the administrator and asks another node, or nil if
// there is none of that name.
func (c *Cluster) At(name dotmesh.Name) dotmesh.Service {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := c.nodeNamed(string(name)); n != nil {
		return &service{c: c, who: administrator, at: n}
	}
	return nil
}

// Break makes every call fail with err and ends all streams of events, as if the server
// were gone, until Break(nil). Whatever is wrong with err, it is [dotmesh.Unreachable] if it
// has no kind of its own. The cluster itself lives on.
func (c *Cluster) Break(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if dotmesh.KindOf(err) == dotmesh.Internal {
		err = &dotmesh.Error{Op: "democluster", Kind: dotmesh.Unreachable, Text: err.Error(), Err: err}
	}
	c.broken = err
	c.feed.wake()
}

// newID returns the next id of the cluster's own sequence.
func (c *Cluster) newID() (u dotmesh.UUID) {
	binary.BigEndian.PutUint64(u[:8], c.rng.Uint64())
	binary.BigEndian.PutUint64(u[8:], c.rng.Uint64())
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

func (c *Cluster) newNodeID() dotmesh.NodeID {
	id := c.newID()
	return dotmesh.NodeID(hex.EncodeToString(id[:8]))
}

// requestID returns the caller's request id, or a new one.
func (c *Cluster) requestID(given dotmesh.UUID) dotmesh.UUID {
	if given.IsZero() {
		return c.newID()
	}
	return given
}

// service is the cluster as one principal sees it through one node.
type service struct {
	c   *Cluster
	who dotmesh.Principal
	at  *node
}

// ask runs f with the cluster's lock held, if the node that is asked answers at all.
func ask[T any](ctx context.Context, s *service, f func() (T, error)) (T, error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if err := s.answers(ctx); err != nil {
		var none T
		return none, err
	}
	return f()
}

// change is ask for what needs the registry's quorum.
func change[T any](ctx context.Context, s *service, f func() (T, error)) (T, error) {
	return ask(ctx, s, func() (T, error) {
		if !s.c.quorum() {
			var none T
			return none, dotmesh.E("democluster.change", dotmesh.Unreachable, "the registry has no quorum; nothing can be changed until more of its nodes are back")
		}
		return f()
	})
}

// alter is change without a result.
func alter(ctx context.Context, s *service, f func() error) error {
	_, err := change(ctx, s, func() (struct{}, error) { return struct{}{}, f() })
	return err
}

func (s *service) answers(ctx context.Context) error {
	switch {
	case ctx.Err() != nil:
		return dotmesh.Wrap("democluster", ctx.Err())
	case s.c.broken != nil:
		return dotmesh.Wrap("democluster", s.c.broken)
	case !s.at.alive:
		return dotmesh.E("democluster", dotmesh.Unreachable, "%s does not answer", s.at.Name)
	}
	return s.known()
}

// Version implements dotmesh.Service.
func (s *service) Version(ctx context.Context) (dotmesh.Version, error) {
	return ask(ctx, s, func() (dotmesh.Version, error) {
		n := s.at
		return dotmesh.Version{
			Version: n.Version, Node: n.ID, Name: n.Name, Cluster: s.c.record.ID,
			Feature: s.c.record.Feature, Store: n.Pool,
		}, nil
	})
}
