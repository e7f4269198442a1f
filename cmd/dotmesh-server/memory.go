package main

import (
	"context"
	"os"
	"runtime/debug"
	"time"
)

// keepGarbage collects garbage half as often as is usual, until the function that it returns
// is called. A start reads all that there is and keeps it, and need not look through that
// again and again meanwhile. To collect none at all is no faster, and leaves what is kept
// scattered: with 10,000 dots that costs 25 MB for ever. GOGC has the last word.
func keepGarbage() (done func()) {
	const atStart = 200
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	percent := debug.SetGCPercent(atStart)
	return func() { debug.SetGCPercent(percent) }
}

// spareMemory calls started when the node is ready, and gives back what the start needed some
// time later. Most of a node's memory is its picture of the registry, which stays.
func spareMemory(ctx context.Context, ready <-chan struct{}, started func()) error {
	const startFor = 30 * time.Second // a node that is ready still looks at each branch once
	select {
	case <-ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	started()
	late := time.NewTimer(startFor)
	defer late.Stop()
	select {
	case <-late.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	debug.FreeOSMemory()
	return nil
}
