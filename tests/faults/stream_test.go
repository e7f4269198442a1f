//go:build failpoints

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"dotmesh.io/dotmesh"
)

// stream is somebody who commits to a dot without a break.
type stream struct {
	*dot
	mu    sync.Mutex // guards acked, maybe
	acked []dotmesh.CommitID
	maybe map[dotmesh.CommitID]bool // those with an unknown outcome
}

// killStream kills etcd and the server in the middle of streams of commits.
func killStream(n *node) {
	n.start()
	var streams []*stream
	for range 3 {
		s := &stream{dot: n.newDot(), maybe: map[dotmesh.CommitID]bool{}}
		s.create()
		streams = append(streams, s)
	}
	for round := range 4 {
		ctx, cancel := context.WithCancel(n.Context())
		var running sync.WaitGroup
		for _, s := range streams {
			running.Go(func() { s.flow(ctx) })
		}
		n.awaitMore(streams, 10+round)
		if round%2 == 0 {
			n.killEtcd()
		} else {
			n.kill()
			n.start()
		}
		n.awaitMore(streams, 10)
		cancel()
		running.Wait()
	}
	n.awaitRegistry()
	n.restart()
	for _, s := range streams {
		s.wantAcked()
	}
	n.wantNoWaste()
}

// awaitMore waits until every stream has had so many more commits acknowledged.
func (n *node) awaitMore(streams []*stream, more int) {
	n.Helper()
	for _, s := range streams {
		was := s.length()
		n.await(fmt.Sprintf("%s has %d more commits", s.name, more), func() bool { return s.length() >= was+more })
	}
}

func (s *stream) length() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked)
}

// flow commits until ctx ends.
func (s *stream) flow(ctx context.Context) {
	for ctx.Err() == nil {
		id := dotmesh.CommitID{UUID: dotmesh.NewUUID()}
		_, err := s.Commit(ctx, dotmesh.CommitRequest{Dot: s.name, Message: "", ID: id})
		s.mu.Lock()
		switch {
		case err == nil:
			s.acked = append(s.acked, id)
		case errors.Is(err, dotmesh.Unknown):
			s.maybe[id] = true
		}
		s.mu.Unlock()
	}
}

// wantAcked checks that the log has what was acknowledged, in that order, and besides it
// only what nobody knew the outcome of.
func (s *stream) wantAcked() {
	s.Helper()
	var got []dotmesh.CommitID // oldest first
	r := dotmesh.LogRequest{Dot: s.name}
	for more := true; more; {
		page, err := s.Log(s.Context(), r)
		s.must(err)
		for _, c := range page.Commits {
			got = append([]dotmesh.CommitID{c.ID}, got...)
			r.Before = c.ID
		}
		more = page.More
	}
	acked := s.acked
	for _, id := range got[1:] { // after the initial commit
		switch {
		case len(acked) > 0 && id == acked[0]:
			acked = acked[1:]
		case !s.maybe[id]:
			s.Errorf("%s has commit %s, which was refused or is out of order", s.name, id)
		}
	}
	if len(acked) > 0 {
		s.Errorf("%s lacks %d commits, the first of them %s", s.name, len(acked), acked[0])
	}
	s.readCommit(got[len(got)-1])
}
