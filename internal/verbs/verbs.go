// Package verbs decides what the registry's verbs do, for every registry alike.
//
// A registry is a map of keys to values. A verb is a pure function over a [Tx], one
// attempt at it: it reads keys, and either refuses or writes keys. It is run before
// anything has been read; what it asked for in vain is then loaded, all of it at one
// moment, and the verb is run again, until it has what it asks for. What it wrote is then
// committed on the condition that nothing it relied on has changed since. If something
// has, the verb starts over with what is there now, so an unrelated change costs a
// retry and a related one becomes the verb's own refusal.
//
// A [Backend] loads and commits: etcd in etcdstate, a map in internal/dotmeshtest. The
// rules of a verb stand here once.
package verbs

import (
	"context"
	"math/rand/v2"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/fail"
)

// Backend is where keys and values are.
type Backend interface {
	// Load reads all of wants at one moment.
	Load(ctx context.Context, wants Wants) (*View, error)
	// Commit does the writes if all conditions hold. It returns false if one did not and
	// nothing was done, and an error of kind [dotmesh.Unknown] if nobody can say.
	Commit(ctx context.Context, txn Txn) (dotmesh.Cursor, bool, error)
}

// Guesser is a Backend that remembers some of what it has seen. A verb is first tried on
// that: if nothing has changed since, which the commit finds out, it is one round trip.
type Guesser interface {
	// Guess returns wants as they were when they were last seen, nil unless all were.
	Guess(wants Wants) *View
}

// Verb decides. It must be pure, and must not mind that what it reads is absent because
// it has not been loaded yet: what it returns then is thrown away.
type Verb func(tx *Tx) error

// attempts bounds how often a verb starts over. Each one that fails means that another
// caller's succeeded.
const attempts = 64

// Do carries out a verb. A failure had no effect and will have none, unless its kind is
// [dotmesh.Unknown]. A commit whose answer was lost is first looked up: since the verb
// finds its own success, and since what it relied on can never come back once it has
// changed, another attempt settles most doubts.
func Do(ctx context.Context, b Backend, op string, verb Verb) (dotmesh.Cursor, error) {
	var wants Wants
	var doubt error
	for attempt := range attempts {
		var tx *Tx
		var err error
		if attempt == 0 {
			tx = guess(b, verb)
		}
		guessed := tx != nil
		if !guessed {
			tx, err = decide(ctx, b, &wants, verb)
		}
		if doubt != nil && dotmesh.KindOf(err) == dotmesh.Unreachable && pause(ctx, attempt) == nil {
			continue // whether it was done can be seen when the registry is back
		}
		if err != nil {
			return 0, settle(op, doubt, err)
		}
		if len(tx.writes) == 0 {
			return tx.view.Cursor, nil
		}
		cursor, ok, err := commit(ctx, b, tx)
		switch {
		case err == nil && ok:
			return cursor, nil
		case dotmesh.KindOf(err) == dotmesh.Unknown:
			doubt = err
		case err != nil:
			return 0, settle(op, doubt, err)
		}
		wants.add(Wants{Keys: tx.absent})
		if guessed && err == nil {
			continue
		}
		if err := pause(ctx, attempt); err != nil {
			return 0, settle(op, doubt, err)
		}
	}
	return 0, settle(op, doubt, dotmesh.E("", dotmesh.TooMany, "too many changes at once to the same dot; try again"))
}

// commit does what the verb decided.
func commit(ctx context.Context, b Backend, tx *Tx) (dotmesh.Cursor, bool, error) {
	if err := fail.Point("registry.before-txn"); err != nil {
		return 0, false, err
	}
	cursor, ok, err := b.Commit(ctx, Txn{Conditions: tx.conditions(), Writes: tx.writes})
	if lost := fail.Point("registry.after-txn"); lost != nil {
		return 0, false, &dotmesh.Error{Kind: dotmesh.Unknown, Err: lost}
	}
	return cursor, ok, err
}

// settle is the outcome of a verb that ended with err. Once an answer was lost, what is
// there now cannot prove that the lost attempt had no effect.
func settle(op string, doubt, err error) error {
	if doubt == nil {
		return dotmesh.Wrap(op, err)
	}
	return &dotmesh.Error{
		Op: op, Kind: dotmesh.Unknown, Err: doubt,
		Text: "the registry's answer was lost, so the change may have been made; look before you try again (" + dotmesh.Text(err) + ")",
	}
}

// guess runs the verb on what the backend remembers. It returns nil where that is not
// enough, and where the verb would do nothing: a refusal must be known to be right.
func guess(b Backend, verb Verb) *Tx {
	g, ok := b.(Guesser)
	if !ok {
		return nil
	}
	var wants Wants
	for {
		view := g.Guess(wants)
		if view == nil {
			return nil
		}
		tx := &Tx{view: view}
		err := verb(tx)
		switch {
		case !tx.missing.empty():
			wants.add(tx.missing)
		case either(tx.fault, err) != nil || len(tx.writes) == 0:
			return nil
		default:
			return tx
		}
	}
}

// decide runs the verb until it has read all that it asks for.
func decide(ctx context.Context, b Backend, wants *Wants, verb Verb) (*Tx, error) {
	view := &View{}
	if !wants.empty() {
		var err error
		if view, err = b.Load(ctx, *wants); err != nil {
			return nil, err
		}
	}
	for {
		tx := &Tx{view: view}
		err := verb(tx)
		if tx.missing.empty() {
			return tx, either(tx.fault, err)
		}
		wants.add(tx.missing)
		if view, err = b.Load(ctx, *wants); err != nil {
			return nil, err
		}
	}
}

// pause waits longer with each attempt, and not as long as others who lost as well.
func pause(ctx context.Context, attempt int) error {
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(min(attempt+1, 20)) * int64(time.Millisecond))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
