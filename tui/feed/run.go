package feed

import (
	"context"
	"errors"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
)

const (
	knockEvery  = 500 * time.Millisecond // how often a silent server is asked whether it is there
	knockFor    = 5 * time.Second        // the deadline of such a question
	patienceMin = 900 * time.Millisecond // how long it may think before it counts as lost: twice
	patienceMax = 4 * time.Second        // … what its last answer took, within these bounds
	answerIn    = 10 * time.Second       // the deadline of every call, and of each piece of a long answer
	backoffMin  = 250 * time.Millisecond // between tries, doubled from try to try
	backoffMax  = 5 * time.Second
)

var (
	errSilent = dotmesh.E("feed", dotmesh.Unreachable, "the server does not answer")
	errSlow   = dotmesh.E("feed", dotmesh.Timeout, "the server took longer than 10 s to answer")
	errEnded  = dotmesh.E("feed", dotmesh.Unreachable, "the server ended the stream of events")
	errDeaf   = dotmesh.E("feed", dotmesh.Unreachable, "the stream of events leaves changes out")
	errBack   = errors.New("the server answers again")
)

// Run keeps the picture up to date until ctx ends, whose error it returns. A lost server
// is a state of the picture: Run comes back to it as soon as it answers. A panic is a [Panic].
func (f *Feed) Run(ctx context.Context) error {
	wait := backoffMin
	for {
		began := time.Now()
		err := f.session(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errBack) || errors.Is(err, errDeaf) {
			continue // at once: it answers
		}
		if panicked(err) {
			return err
		}
		f.lose(err)
		if time.Since(began) > backoffMax {
			wait = backoffMin
		}
		if err := f.pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, backoffMax)
	}
}

// pause waits until a next try is worth it: as soon as a server that was away is back, and
// else for as long as it says.
func (f *Feed) pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	away := false
	if err := f.knock(ctx, func(err error) bool {
		if panicked(err) {
			return false
		}
		away = true
		f.lose(err)
		return true
	}); err != nil || away {
		return err
	}
	select {
	case <-timer.C:
	case <-f.refresh:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// knock asks for the server's version, anew every half second, until one of the calls is
// answered. It tells missed of each that failed and of silence, and ends with the error
// that it tells if missed is false.
func (f *Feed) knock(ctx context.Context, missed func(error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	var calls sync.WaitGroup
	defer calls.Wait()
	defer cancel()
	answers := make(chan error)
	again := time.NewTicker(knockEvery)
	defer again.Stop()
	silent := time.NewTicker(f.patience())
	defer silent.Stop()
	for {
		calls.Go(func() {
			err := caught(func() error { return f.hello(ctx) })()
			select {
			case answers <- err:
			case <-ctx.Done():
			}
		})
		if done, err := await(ctx, answers, again.C, silent.C, missed); done {
			return err
		}
	}
}

// await waits until it is time to knock again, or it is done.
func await(ctx context.Context, answers <-chan error, again, silent <-chan time.Time, missed func(error) bool) (done bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case <-again:
			return false, nil
		case <-silent:
			err = errSilent
		case err = <-answers:
		}
		if err == nil || !missed(err) {
			return true, err
		}
	}
}

// hello asks for the version, and notes how long the answer took.
func (f *Feed) hello(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, knockFor)
	defer cancel()
	began := time.Now()
	err := f.call(ctx, func(ctx context.Context) error {
		_, err := f.service.Version(ctx)
		return err
	})
	switch {
	case err == nil:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.answered = time.Since(began)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return errSilent
	}
	return err
}

// patience returns how long an answer may take before the server counts as lost.
func (f *Feed) patience() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return min(max(2*f.answered, patienceMin), patienceMax)
}

// call makes one call to the service, with a deadline, and notes that it was answered.
func (f *Feed) call(ctx context.Context, do func(context.Context) error) error {
	return f.callInPieces(ctx, func(ctx context.Context, _ func()) error { return do(ctx) })
}

// callInPieces is call for an answer that comes in pieces: each has a deadline of its own,
// and all of them may take as long as they do. The call says when one came.
func (f *Feed) callInPieces(ctx context.Context, do func(ctx context.Context, came func()) error) error {
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(answerIn, cancel)
	defer late.Stop()
	if err := do(limited, func() { late.Reset(answerIn) }); err != nil {
		if ctx.Err() == nil && limited.Err() != nil {
			return errSlow
		}
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hear()
	return nil
}

// lose makes the picture one of a lost server.
func (f *Feed) lose(err error) {
	err = harmless(err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state == Lost && errors.Is(f.err, dotmesh.KindOf(err)) {
		return // one after the other with its own port numbers says nothing new
	}
	if f.state != Lost {
		f.tell(Line{Time: f.now(), Level: Error, Text: "the server was lost: " + dotmesh.Text(err)})
	}
	f.state, f.err = Lost, err
	f.changed()
}

// live makes the picture one of a server that answers.
func (f *Feed) live() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != Live {
		f.tell(Line{Time: f.now(), Level: Info, Node: string(f.version.Name), Text: "connected to " + string(f.version.Name) + ", version " + f.version.Version})
		f.changed()
	}
	f.state, f.err = Live, nil
}
