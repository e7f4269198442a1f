//go:build linux

package btrfs

import (
	"context"
	"errors"
	"os"

	"golang.org/x/sync/errgroup"
)

// atOnce is in how many pieces a whole tree is read: most of the time is waiting for the
// disk, which can do several things at once.
const atOnce = 8

// gather reads a whole tree in pieces at once, and returns what was picked from its items,
// in the order of the tree. The items of one object are in one piece, and each piece has
// a pick of its own.
func gather[T any](ctx context.Context, dir *os.File, tree uint64, newPick func() func(item) ([]T, error)) ([]T, error) {
	end, err := newFinder(dir, smallSearch).end(ctx, tree)
	if err != nil {
		return nil, err
	}
	var found [atOnce][]T
	g, ctx := errgroup.WithContext(ctx)
	for n, k := range pieces(all(tree, 0), end) {
		pick := newPick()
		g.Go(func() error {
			return newFinder(dir, largeSearch).search(ctx, k, func(i item) error {
				picked, err := pick(i)
				found[n] = append(found[n], picked...)
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var together []T
	for _, f := range found {
		together = append(together, f...)
	}
	return together, nil
}

// pieces cuts a range of keys into equal ranges of objects up to end, and what is beyond.
func pieces(k keys, end uint64) (cut [atOnce]keys) {
	width := (end-k.minObject)/atOnce + 1
	for n := range cut {
		cut[n] = k
		cut[n].minObject += uint64(n) * width
		if n < atOnce-1 {
			cut[n].maxObject = cut[n].minObject + width - 1
		}
	}
	return cut
}

var errFound = errors.New("found")

// end returns an object that no item of the tree lies beyond, not much above the last one.
func (f *finder) end(ctx context.Context, tree uint64) (uint64, error) {
	below, end := uint64(firstFree), uint64(2*firstFree)
	reached := func(object uint64) (bool, error) {
		k := all(tree, 0)
		k.minObject = object
		err := f.search(ctx, k, func(item) error { return errFound })
		if errors.Is(err, errFound) {
			return true, nil
		}
		return false, err
	}
	for end < lastFree/2 {
		more, err := reached(end)
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
		below, end = end, 2*end
	}
	for end-below > end/16 {
		middle := below + (end-below)/2
		more, err := reached(middle)
		if err != nil {
			return 0, err
		}
		if more {
			below = middle
		} else {
			end = middle
		}
	}
	return end, nil
}
