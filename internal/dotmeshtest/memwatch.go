package dotmeshtest

import (
	"context"
	"iter"
	"slices"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/verbs"
)

// Watch implements [dotmesh.Registry].
func (r *Registry) Watch(ctx context.Context, from dotmesh.Cursor) iter.Seq[dotmesh.Update] {
	return func(yield func(dotmesh.Update) bool) {
		broken := false
		for {
			updates, changed, err := r.since(from)
			if err != nil && !broken && !yield(dotmesh.Update{Err: err}) {
				return
			}
			if err == nil && broken && len(updates) == 0 && !yield(dotmesh.Update{Cursor: from}) {
				return
			}
			broken = err != nil
			for _, u := range updates {
				if !yield(u) {
					return
				}
				from = u.Cursor
			}
			if len(updates) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
			if r.isClosed() {
				return
			}
		}
	}
}

func (r *Registry) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// since returns what a watcher at from has not seen, and what to wait for if that is
// nothing.
func (r *Registry) since(from dotmesh.Cursor) ([]dotmesh.Update, <-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.unusable(); err != nil {
		return nil, r.changed, dotmesh.Wrap("registry.Watch", err)
	}
	oldest := r.cursor + 1
	if len(r.log) > 0 {
		oldest = r.log[0].cursor
	}
	if from == 0 || from > r.cursor || from+1 < oldest {
		updates, err := r.listing()
		return updates, r.changed, dotmesh.Wrap("registry.Watch", err)
	}
	var updates []dotmesh.Update
	for _, rev := range r.log {
		if rev.cursor <= from {
			continue
		}
		u := dotmesh.Update{Cursor: rev.cursor}
		for _, w := range rev.writes {
			change, err := verbs.Told(w.Key, w.Value)
			if err != nil {
				return nil, r.changed, dotmesh.Wrap("registry.Watch", err)
			}
			if change.Record != nil {
				u.Changes = append(u.Changes, change)
			}
		}
		updates = append(updates, u)
	}
	return updates, r.changed, nil
}

// listing tells everything in updates of which only the last has a cursor. It is called
// with mu held.
func (r *Registry) listing() ([]dotmesh.Update, error) {
	var changes []dotmesh.Change
	for _, key := range r.below("") {
		change, err := verbs.Told(key, r.items[key].Value)
		if err != nil {
			return nil, err
		}
		if change.Record != nil {
			changes = append(changes, change)
		}
	}
	updates := []dotmesh.Update{{Reset: true}}
	for i, part := range slices.Collect(slices.Chunk(changes, page)) {
		if i > 0 {
			updates = append(updates, dotmesh.Update{})
		}
		updates[i].Changes = part
	}
	updates[len(updates)-1].Cursor = r.cursor
	return updates, nil
}

// StayAlive implements [dotmesh.Registry].
func (r *Registry) StayAlive(ctx context.Context, node dotmesh.NodeID) error {
	key := verbs.AliveKey(node)
	value, err := verbs.Encode(&dotmesh.Alive{Node: node})
	if err != nil {
		return dotmesh.Wrap("registry.StayAlive", err)
	}
	if _, err := dotmesh.ParseNodeID(string(node)); err != nil {
		return dotmesh.Wrap("registry.StayAlive", err)
	}
	defer r.Poke(key, nil)
	var lapsed <-chan time.Time // runs while the registry is down
	for {
		down, closed, changed := r.keepAlive(key, value)
		switch {
		case closed:
			return dotmesh.E("registry.StayAlive", dotmesh.Canceled, "the registry is closed")
		case down && lapsed == nil:
			lapsed = time.After(lease)
		case !down:
			lapsed = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-lapsed:
			r.Poke(key, nil)
			lapsed = make(chan time.Time) // once is enough
		case <-changed:
		}
	}
}

// keepAlive writes the record unless it is there or cannot be written.
func (r *Registry) keepAlive(key string, value []byte) (down, closed bool, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.items[key]; !there && !r.down && !r.closed {
		r.write([]verbs.Write{{Key: key, Value: value}})
	}
	return r.down, r.closed, r.changed
}
