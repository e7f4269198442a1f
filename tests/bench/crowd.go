package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
)

// crowd is a server of this process that is asked over a unix socket as any other is, with
// more dots and more events than a pool of this machine would bear. It holds dots in
// memory and does nothing but show them: a call that would change something fails.
type crowd struct {
	dotmesh.Service // nil: what is not here is not asked for
	dots            []dotmesh.DotStatus
	at              map[dotmesh.DotName]int
	near            atomic.Int64 // the first of the dots that are on the screen, for events
	hung            sync.RWMutex // locked: no call is answered

	mu      sync.Mutex // guards the rest, and the figures in dots
	events  []dotmesh.Event
	grown   chan struct{} // closed and replaced with each event
	drained time.Time     // when the last event that there was had been taken
}

// onScreen is how many rows of dots are seen.
const onScreen = 39

var longAgo = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	crowdNode = dotmesh.NodeID("0123456789abcdef")
	crowdLog  = 10 // commits of each dot
)

// idOf is an id as random as any, and the same in every run.
func idOf(kind string, i int) (u dotmesh.UUID) {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(kind), uint64(i)))
	copy(u[:], sum[:])
	return u
}

func commitID(dot, n int) dotmesh.CommitID {
	return dotmesh.CommitID{UUID: idOf("commit", dot*crowdLog+n)}
}

func newCrowd(dots int) *crowd {
	c := &crowd{dots: make([]dotmesh.DotStatus, dots), at: make(map[dotmesh.DotName]int, dots), grown: make(chan struct{})}
	for i := range c.dots {
		name := dotmesh.DotName{Namespace: dotmesh.AdminNamespace, Name: dotmesh.Name(fmt.Sprintf("dot-%06d", i))}
		dot := dotmesh.Dot{ID: dotmesh.DotID{UUID: idOf("dot", i)}, Name: name, Current: dotmesh.BranchID{UUID: idOf("branch", i)}, Created: longAgo}
		tip := commitID(i, crowdLog-1)
		c.at[name] = i
		c.dots[i] = dotmesh.DotStatus{Dot: dot, Branches: 1, Branch: dotmesh.BranchStatus{
			Branch: dotmesh.Branch{ID: dot.Current, Dot: dot.ID, Name: dotmesh.MasterBranch, Created: longAgo, Pointer: dotmesh.Pointer{
				Line: dotmesh.LineID{UUID: idOf("line", i)}, Tip: tip, Head: tip, Seq: crowdLog, Count: crowdLog,
				Master: crowdNode, Epoch: 1, State: dotmesh.State{Phase: dotmesh.Held},
			}},
			Current: true, MasterName: "bench", Size: 1 << 30,
			Dirty: dotmesh.Bytes{Bytes: dirtyAt(i), AsOf: longAgo, Exact: true},
		}}
	}
	return c
}

// dirtyAt is a number of bytes that is written with two digits.
func dirtyAt(n int) int64 { return int64(10+n%90) << 20 }

// As implements dotmesh.Gate.
func (c *crowd) As(dotmesh.Principal) dotmesh.Service { return c }

// Authenticate implements dotmesh.Gate.
func (c *crowd) Authenticate(context.Context, dotmesh.Name, dotmesh.Secret) (dotmesh.Principal, error) {
	return dotmesh.Principal{}, dotmesh.E("crowd", dotmesh.Unauthenticated, "there is only a local door")
}

// answer waits while the server is hung.
func (c *crowd) answer() {
	c.hung.RLock()
	defer c.hung.RUnlock()
}

func (c *crowd) Version(context.Context) (dotmesh.Version, error) {
	c.answer()
	return dotmesh.Version{Version: "bench", Node: crowdNode, Name: "bench", Feature: dotmesh.FeatureLevel}, nil
}

func (c *crowd) Whoami(context.Context) (dotmesh.User, error) {
	return dotmesh.User{ID: dotmesh.AdminID, Name: dotmesh.AdminNamespace}, nil
}

func (c *crowd) Nodes(context.Context) ([]dotmesh.NodeStatus, error) {
	c.answer()
	node := dotmesh.Node{ID: crowdNode, Name: "bench", Pool: "bench", Version: "bench"}
	return []dotmesh.NodeStatus{{Node: node, Alive: true, Self: true, Voter: true, Leader: true, Masters: len(c.dots), AsOf: longAgo}}, nil
}

func (c *crowd) Transfers(context.Context) ([]dotmesh.Transfer, error) { return nil, nil }

func (c *crowd) Ops(context.Context, dotmesh.OpsRequest) ([]dotmesh.Op, error) { return nil, nil }

func (c *crowd) Cluster(context.Context) (dotmesh.ClusterStatus, error) {
	return dotmesh.ClusterStatus{Voters: 1, Quorum: true}, nil
}

func (c *crowd) Dots(context.Context) ([]dotmesh.DotStatus, error) {
	c.answer()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.dots), nil
}

func (c *crowd) Dot(_ context.Context, name dotmesh.DotName) (dotmesh.DotDetail, error) {
	c.answer()
	i, ok := c.at[name]
	if !ok {
		return dotmesh.DotDetail{}, dotmesh.E("crowd", dotmesh.NotFound, "no dot called %q", name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return dotmesh.DotDetail{DotStatus: c.dots[i], OwnerName: "admin", All: []dotmesh.BranchStatus{c.dots[i].Branch}}, nil
}

func (c *crowd) Log(_ context.Context, r dotmesh.LogRequest) (page dotmesh.LogPage, _ error) {
	c.answer()
	i := c.at[r.Dot]
	for n := crowdLog - 1; n >= 0; n-- {
		commit := dotmesh.Commit{
			ID: commitID(i, n), Line: dotmesh.LineID{UUID: idOf("line", i)}, Seq: uint64(n + 1), Kind: dotmesh.UserCommit,
			Author: "admin", Message: "commit " + strconv.Itoa(n) + " of dot " + strconv.Itoa(i), Time: longAgo.Add(time.Duration(n) * time.Hour),
		}
		if n > 0 {
			commit.Parent = commitID(i, n-1)
		}
		page.Commits = append(page.Commits, commit)
	}
	return page, nil
}

func (c *crowd) Diff(_ context.Context, r dotmesh.DiffRequest) iter.Seq2[dotmesh.FileChange, error] {
	return func(yield func(dotmesh.FileChange, error) bool) {
		for n := range 3 {
			if !yield(dotmesh.FileChange{Path: fmt.Sprintf("data/%s-%d", r.To[:4], n), Kind: dotmesh.Modified, Size: 4096}, nil) {
				return
			}
		}
	}
}

// Events implements dotmesh.Service; a cursor is the number of an event.
func (c *crowd) Events(ctx context.Context, cursor string) iter.Seq2[dotmesh.Event, error] {
	return func(yield func(dotmesh.Event, error) bool) {
		next, err := strconv.Atoi(cursor)
		if err != nil {
			c.mu.Lock()
			next = len(c.events)
			c.mu.Unlock()
		}
		for {
			c.mu.Lock()
			more, grown := c.events[min(next, len(c.events)):], c.grown
			c.mu.Unlock()
			for _, e := range more {
				c.answer()
				if !yield(e, nil) {
					return
				}
			}
			next += len(more)
			c.mu.Lock()
			if len(more) > 0 {
				c.drained = time.Now()
			}
			c.mu.Unlock()
			select {
			case <-grown:
			case <-ctx.Done():
				return
			}
		}
	}
}

// say tells whoever listens of events.
func (c *crowd) say(events ...dotmesh.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range events {
		e.Cursor, e.Time = strconv.Itoa(len(c.events)+1), time.Now()
		c.events = append(c.events, e)
	}
	close(c.grown)
	c.grown = make(chan struct{})
}

// stats changes the figures of a dot and returns the event of it.
func (c *crowd) stats(i, n int) dotmesh.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := &c.dots[i].Branch
	b.Dirty.Bytes = dirtyAt(n)
	return dotmesh.Event{Kind: dotmesh.EventStats, Stats: &dotmesh.Stats{Branch: b.ID, Size: b.Size, Dirty: b.Dirty}}
}

// storm says a thousand things a second until ctx ends. Half of them are about dots that are
// on the screen: the worst case, in which each of its rows changes ten times a second.
func (c *crowd) storm(ctx context.Context) error {
	const batch = 10
	tick := time.NewTicker(batch * time.Second / 1000)
	defer tick.Stop()
	for n := 0; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		var events []dotmesh.Event
		for range batch {
			n++
			i := n * 7919 % len(c.dots)
			if n%2 == 0 {
				i = min(int(c.near.Load())+n/2%onScreen, len(c.dots)-1)
			}
			events = append(events, c.stats(i, n))
		}
		c.say(events...)
	}
}

// serve answers at a socket of p while f runs.
func (c *crowd) serve(ctx context.Context, p *place, f func() error) error {
	door, err := api.ListenLocal(ctx, p.Socket())
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- (&api.Server{Gate: c}).Serve(ctx, door) }()
	err = f()
	stop()
	return errors.Join(err, <-ended)
}

// crowdPlace is a place for a crowd's socket.
func (l *lab) crowdPlace() (*place, error) {
	p, err := l.newPlace()
	if err != nil {
		return nil, err
	}
	p.pool = filepath.Join(p.Dir, "none")
	return p, nil
}
