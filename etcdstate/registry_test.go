package etcdstate_test

import (
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
)

func TestRegistry(t *testing.T) {
	e := startEtcd(t)
	dotmeshtest.RunRegistryTests(t, func(t *testing.T) dotmesh.Registry {
		prefix := prefixOf(t)
		return poked{Registry: e.open(t, prefix), t: t, client: e.raw(t), prefix: prefix}
	})
}
