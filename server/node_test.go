package server_test

import (
	"context"
	"errors"
	"testing"

	"go.uber.org/goleak"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
	"dotmesh.io/dotmesh/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// admin is what the local socket lets in.
var admin = dotmesh.Principal{Name: "admin", Admin: true, Origin: "test"}

// start runs a node until the test ends, and waits until it is ready.
func start(t *testing.T, cfg server.Config) *server.Node {
	t.Helper()
	n := server.New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the node ended with %v", err)
		}
	})
	select {
	case <-n.Ready():
	case err := <-done:
		t.Fatalf("the node ended with %v", err)
	}
	return n
}

func fakes(t *testing.T) server.Config {
	reg := dotmeshtest.NewRegistry()
	t.Cleanup(func() { reg.Close() })
	return server.Config{
		Store: dotmeshtest.NewStore(t), Registry: reg, Mounter: &dotmeshtest.Mounter{},
		Name: "one", Version: "test", MountDir: t.TempDir(), AdminKey: "the key", AdminPassword: "the password",
	}
}

func TestService(t *testing.T) {
	dotmeshtest.RunServiceTests(t, func(t *testing.T) dotmeshtest.Cluster {
		n := start(t, fakes(t))
		return dotmeshtest.Cluster{Gate: n, Admin: n.As(admin)}
	})
}
