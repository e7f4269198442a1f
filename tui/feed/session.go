package feed

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"dotmesh.io/dotmesh"
)

const (
	settleAfter = time.Second            // after a first listing comes a second: the stream may have begun after it
	lookEvery   = 30 * time.Second       // events are hints, a full look is the truth
	lookRest    = time.Second            // between listings that events ask for
	nodesRest   = time.Second            // between two looks at the nodes
	askAfter    = 200 * time.Millisecond // dots that are unclear are asked about together
	askAtMost   = 50                     // … and listed anew where they are more
	hearWithin  = 2 * time.Second        // a change that a listing found has its event
)

// session keeps the picture up to date over one stream of events. It ends with the
// stream, with the server's silence, or with a listing that failed.
func (f *Feed) session(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(caught(func() error { return f.follow(ctx) }))
	g.Go(caught(func() error { return f.listen(ctx) }))
	g.Go(caught(func() error { return f.look(ctx) }))
	g.Go(caught(func() error { return f.countNodes(ctx) }))
	g.Go(caught(func() error { return f.askDots(ctx) }))
	return g.Wait()
}

// follow takes in the stream of events, from where the last one ended.
func (f *Feed) follow(ctx context.Context) error {
	f.mu.Lock()
	cursor := f.cursor
	f.mu.Unlock()
	for e, err := range f.service.Events(ctx, cursor) {
		if err != nil {
			f.refused(err)
			return err
		}
		f.event(&e)
	}
	return errEnded
}

// refused forgets a cursor that the server does not take.
func (f *Feed) refused(err error) {
	if errors.Is(err, dotmesh.Invalid) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.cursor = ""
	}
}

// listen knocks when the server has said nothing for half a second. One that was silent
// for too long is lost; when it answers again the session ends, for a new one to begin on a
// connection that is good.
func (f *Feed) listen(ctx context.Context) error {
	tick := time.NewTicker(knockEvery)
	defer tick.Stop()
	for said := uint64(0); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		before := said
		if said, _ = f.said(); said != before {
			continue
		}
		lost := false
		if err := f.knock(ctx, func(err error) bool { return f.missed(err, &said, &lost) }); err != nil {
			return err
		}
		if lost {
			return errBack
		}
	}
}

// missed judges a knock that was not answered: a server that says something else meanwhile
// is not lost, one that refuses it ends the session.
func (f *Feed) missed(err error, said *uint64, lost *bool) (goOn bool) {
	if !errors.Is(err, errSilent) {
		return false
	}
	before := *said
	if *said, _ = f.said(); *said == before {
		f.lose(err)
		*lost = true
	}
	return true
}

// said returns how often the server was heard, and how many of those were events.
func (f *Feed) said() (heard, events uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heard, f.events
}

// look lists everything: at once, when asked to, and every half minute.
func (f *Feed) look(ctx context.Context) error {
	drain(f.refresh) // this is it
	drain(f.gap)
	if _, err := f.list(ctx); err != nil {
		return err
	}
	f.live()
	due := time.NewTimer(settleAfter)
	defer due.Stop()
	for regular, last := false, time.Now(); ; regular = true {
		for asked := true; asked; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-due.C:
				asked = false
			case <-f.refresh:
				regular, asked = false, false
			case <-f.gap:
				regular = false
				due.Reset(max(lookRest-time.Since(last), 0))
			}
		}
		if err := f.lookOnce(ctx, regular); err != nil {
			return err
		}
		last = time.Now()
		due.Reset(lookEvery)
	}
}

// lookOnce lists everything. What a regular look finds changed, events should have told.
func (f *Feed) lookOnce(ctx context.Context, regular bool) error {
	_, events := f.said()
	moved, err := f.list(ctx)
	if err == nil && moved && regular {
		err = f.hears(ctx, events)
	}
	return err
}

// hears waits for an event about what a regular listing found changed. A stream on which
// none comes is deaf, and of no use.
func (f *Feed) hears(ctx context.Context, before uint64) error {
	timer := time.NewTimer(hearWithin)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	if _, events := f.said(); events == before {
		return errDeaf
	}
	return nil
}
