package feed

import (
	"context"
	"errors"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"dotmesh.io/dotmesh"
)

// list asks for everything there is and puts it in the place of what was known, each
// answer as it comes. It reports whether it found something changed that events tell.
func (f *Feed) list(ctx context.Context) (moved bool, err error) {
	f.beginList()
	defer f.endList()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(caught(func() error { return f.listSelf(ctx) }))
	g.Go(caught(func() error { return f.listNodes(ctx) }))
	g.Go(caught(func() error { return f.listTransfers(ctx) }))
	g.Go(caught(func() (err error) {
		moved, err = f.listDots(ctx)
		return err
	}))
	err = g.Wait()
	return moved, err
}

func (f *Feed) beginList() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replay = replay{open: true}
	clear(f.unclear)
}

func (f *Feed) endList() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.replay.over {
		signal(f.gap)
	}
	f.replay = replay{}
}

func (f *Feed) listSelf(ctx context.Context) error {
	return f.call(ctx, func(ctx context.Context) error {
		version, err := f.service.Version(ctx)
		if err != nil {
			return err
		}
		user, err := f.service.Whoami(ctx)
		if err = optional(err); err != nil {
			return err
		}
		cleanVersion(&version)
		cleanUser(&user)
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.version != version || !sameUser(&f.user, &user) {
			f.version, f.user = version, user
			f.changed()
		}
		return nil
	})
}

func (f *Feed) listNodes(ctx context.Context) error {
	return f.call(ctx, func(ctx context.Context) error {
		all, err := f.service.Nodes(ctx)
		if err != nil {
			return optional(err)
		}
		for i := range all {
			cleanNode(&all[i].Node)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.nodes.replace(all)
		f.changed()
		return nil
	})
}

func (f *Feed) listTransfers(ctx context.Context) error {
	return f.call(ctx, func(ctx context.Context) error {
		all, err := f.service.Transfers(ctx)
		if err != nil {
			return optional(err)
		}
		for i := range all {
			cleanTransfer(&all[i])
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.transfers.replace(all) {
			f.again(true)
			f.changed()
		}
		return nil
	})
}

func (f *Feed) listDots(ctx context.Context) (moved bool, err error) {
	err = f.callInPieces(ctx, func(ctx context.Context, came func()) error {
		l := f.beginDots()
		for status, err := range f.eachDot(ctx) {
			if err != nil {
				return err
			}
			came()
			cleanDot(&status.Dot)
			cleanBranch(&status.Branch)
			f.sift(l, &status)
		}
		moved = f.replaceDots(l)
		return nil
	})
	return moved, err
}

// streamer is a service that hands its dots out as they come, which spares the memory for
// a list of them all.
type streamer interface {
	EachDot(ctx context.Context) iter.Seq2[dotmesh.DotStatus, error]
}

func (f *Feed) eachDot(ctx context.Context) iter.Seq2[dotmesh.DotStatus, error] {
	if s, ok := f.service.(streamer); ok {
		return s.EachDot(ctx)
	}
	return func(yield func(dotmesh.DotStatus, error) bool) {
		all, err := f.service.Dots(ctx)
		for i := range all {
			if err != nil || !yield(all[i], nil) {
				return
			}
		}
		if err != nil {
			yield(dotmesh.DotStatus{}, err)
		}
	}
}

// listing is what a listing of the dots says that was not known: as a rule nothing, so
// that it takes no second memory for as many dots as there are.
type listing struct {
	round uint64               // that its dots are marked with
	other []*dotmesh.DotStatus // what differs
	words words                // of those
}

func (f *Feed) beginDots() *listing {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dots.round++
	return &listing{round: f.dots.round, words: words{}}
}

// sift marks a dot as listed, and keeps what is said of it if that is new.
func (f *Feed) sift(l *listing, status *dotmesh.DotStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.dots.byID[status.ID]; e != nil && e.shown && same(e.status, status) {
		e.listed = l.round
		return
	}
	kept := *status
	l.words.share(&kept)
	l.other = append(l.other, &kept)
}

// replaceDots puts a listing in the place of what was known, and what happened meanwhile
// on top of it.
func (f *Feed) replaceDots(l *listing) (moved bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	differs := false
	for _, status := range l.other {
		d, m := f.dots.replace(status)
		differs, moved = differs || d, moved || m
		e := f.dots.byID[status.ID]
		e.listed = l.round
		if d {
			f.compare(e)
		}
	}
	if f.dots.retain(l.round) {
		differs, moved = true, true
	}
	if differs {
		f.again(false)
		f.changed()
	}
	return moved
}

// compare inquires about a dot of which the listing counts other branches than are known.
func (f *Feed) compare(d *dot) {
	if s := d.status; d.whole && (s.Branches != d.tally[0] || s.Stashes != d.tally[1]) {
		d.whole = false
		f.inquire(d)
	}
}

// countNodes lists the nodes when something happened to one, once a second at most.
func (f *Feed) countNodes(ctx context.Context) error {
	return each(ctx, f.recount, 0, nodesRest, func() error { return f.listNodes(ctx) })
}

// askDots asks about dots of which not all is known.
func (f *Feed) askDots(ctx context.Context) error {
	return each(ctx, f.ask, askAfter, 0, func() error {
		ids := f.takeUnclear()
		if len(ids) > askAtMost {
			signal(f.gap)
			return nil
		}
		for _, id := range ids {
			if err := f.askDot(ctx, id); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *Feed) takeUnclear() (ids []dotmesh.DotID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.unclear {
		ids = append(ids, id)
	}
	clear(f.unclear)
	return ids
}

// askDot asks about one dot. If something happened to it meanwhile it is asked about again.
func (f *Feed) askDot(ctx context.Context, id dotmesh.DotID) error {
	status, ok := f.Dot(id)
	if !ok {
		return nil
	}
	before := f.Changes(id)
	return f.call(ctx, func(ctx context.Context) error {
		detail, err := f.service.Dot(ctx, status.Name)
		if err != nil || detail.ID != id {
			return optional(err)
		}
		cleanDot(&detail.Dot)
		cleanBranch(&detail.Branch)
		for i := range detail.All {
			cleanBranch(&detail.All[i])
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		d := f.dots.byID[id]
		if d == nil {
			return nil
		}
		if d.changes != before {
			f.inquire(d)
			return nil
		}
		f.dots.describe(&detail)
		f.changed()
		return nil
	})
}

// each does something each time it is asked to: after a while, in which more may come, and
// with a rest behind.
func each(ctx context.Context, asked <-chan struct{}, after, rest time.Duration, do func() error) error {
	for {
		select {
		case <-asked:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := sleep(ctx, after); err != nil {
			return err
		}
		if err := do(); err != nil {
			return err
		}
		if err := sleep(ctx, rest); err != nil {
			return err
		}
	}
}

// sleep waits for d, or until ctx ends, whose error it returns.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// optional drops the errors of a call without which the picture only lacks something: this
// server cannot do it, the caller may not, or it went meanwhile.
func optional(err error) error {
	for _, kind := range []dotmesh.Kind{dotmesh.Unsupported, dotmesh.Denied, dotmesh.NotFound} {
		if errors.Is(err, kind) {
			return nil
		}
	}
	return err
}
