//go:build linux && zfs && zfsfull

package zfs_test

import (
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
)

// These take an hour on an emulated processor: make test-zfs-full runs them.

func TestStreams(t *testing.T) {
	dotmeshtest.RunStreamTests(t, func(t *testing.T) dotmesh.Store { return newStore(t) })
}
