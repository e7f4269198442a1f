//go:build zfs

package main

import (
	"context"
	"os"
	"testing"
	"time"
)

// TestTheDemoOnZFS plays the demo on a machine that has ZFS.
func TestTheDemoOnZFS(t *testing.T) {
	const patience = 20 * time.Minute // the processor may be an emulated one
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := run(ctx, onZFS, os.Getenv("TEST_PROGRAMS")); err != nil {
		t.Fatal(err)
	}
}
