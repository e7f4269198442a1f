package main

import (
	"context"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// keepGarbage collects no garbage, up to an eighth of the machine's memory and at least half
// a gigabyte, until the function that it returns is called. A start reads all that there is
// and keeps it: to look through that again and again meanwhile takes a fifth of its time.
// GOGC has the last word.
func keepGarbage() (done func()) {
	room := int64(512 << 20)
	var machine unix.Sysinfo_t
	if unix.Sysinfo(&machine) == nil {
		room = max(room, int64(machine.Totalram)*int64(machine.Unit)/8)
	}
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(room)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// spareMemory calls started when the node is ready, gives back what the start needed, and
// from then on collects garbage sooner than is usual. Most of a node's memory is its
// picture of the registry, which stays: with 10,000 dots this is worth 70 MB. GOGC has the
// last word.
func spareMemory(ctx context.Context, ready <-chan struct{}, started func()) error {
	const (
		percent  = 50
		startFor = 30 * time.Second // a node that is ready still looks at each branch once
	)
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
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
	debug.FreeOSMemory()
	return nil
}
