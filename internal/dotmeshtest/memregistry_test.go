package dotmeshtest_test

import (
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
)

func TestRegistryInMemory(t *testing.T) {
	dotmeshtest.RunRegistryTests(t, func(*testing.T) dotmesh.Registry { return dotmeshtest.NewRegistry() })
}
