//go:build linux

package zfs

import (
	"context"
	"sync"
)

// reserveParts is in how many equal steps the reserve is lent.
const reserveParts = 4

// reserve is the space that is kept free: the reservation of an empty dataset.
type reserve struct {
	run     *runner
	dataset string
	part    int64 // the bytes of one part

	mu   sync.Mutex // guards held, and makes changes one by one
	held int64      // how many parts are reserved
}

// reservePart is how much one part of the reserve of a pool is.
func reservePart(size int64) int64 { return size / 20 / reserveParts }

// openReserve takes a reserve of 5 % of the pool, or as much of it as there is room for;
// reserved is what it has.
func openReserve(ctx context.Context, run *runner, dataset string, size, reserved int64) (*reserve, error) {
	r := &reserve{run: run, dataset: dataset, part: reservePart(size)}
	r.held = min(reserved/r.part, reserveParts)
	for want := int64(reserveParts); want > r.held; want-- {
		if err := r.set(ctx, want); err != nil && !full(err) {
			return nil, err
		}
	}
	return r, nil
}

// set changes how many parts are held.
func (r *reserve) set(ctx context.Context, held int64) error {
	err := r.run.run(ctx, setReservation(r.dataset, held*r.part))
	if err == nil {
		r.held = held
	}
	return err
}

// lend gives up one part. It reports whether there was any left to give.
func (r *reserve) lend(ctx context.Context) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == 0 {
		return false, nil
	}
	return true, r.set(ctx, r.held-1)
}

// take fills the reserve up again, as far as there is room for it and as much again; free
// tells how much. What cannot be taken back is tried again after the next change.
func (r *reserve) take(ctx context.Context, free func() (int64, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.held < reserveParts {
		room, err := free()
		if err != nil || room < 2*r.part*(reserveParts-r.held) || r.set(ctx, r.held+1) != nil {
			return
		}
	}
}

// amount returns how many bytes are held.
func (r *reserve) amount() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held * r.part
}
