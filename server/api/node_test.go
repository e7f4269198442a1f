package api_test

import (
	"context"
	"errors"
	"testing"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
	"dotmesh.io/dotmesh/server"
	"dotmesh.io/dotmesh/server/api"
)

// node runs a whole node on fakes until the test ends.
func node(t testing.TB) *server.Node {
	t.Helper()
	registry := dotmeshtest.NewRegistry()
	n := server.New(server.Config{
		Store: dotmeshtest.NewStore(t), Registry: registry, Mounter: &dotmeshtest.Mounter{},
		Name: "one", Version: "test", MountDir: t.TempDir(), AdminKey: "the key", AdminPassword: "the password",
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the node ended with %v", err)
		}
		if err := registry.Close(); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-n.Ready():
	case err := <-ended:
		t.Fatalf("the node ended with %v", err)
	}
	return n
}

// remoteGate logs in over the wire.
type remoteGate struct {
	t    testing.TB
	url  string
	keys map[dotmesh.Name]dotmesh.Secret
}

// Authenticate implements dotmesh.Gate by asking the server who the caller is.
func (g *remoteGate) Authenticate(ctx context.Context, user dotmesh.Name, secret dotmesh.Secret) (dotmesh.Principal, error) {
	u, err := connect(g.t, api.Remote{URL: g.url, User: user, Key: secret}).Whoami(ctx)
	if err != nil {
		return dotmesh.Principal{}, err
	}
	g.keys[user] = secret
	return dotmesh.Principal{User: u.ID, Name: u.Name, Admin: u.ID == dotmesh.AdminID}, nil
}

// As implements dotmesh.Gate for who has logged in before.
func (g *remoteGate) As(p dotmesh.Principal) dotmesh.Service {
	return connect(g.t, api.Remote{URL: g.url, User: p.Name, Key: g.keys[p.Name]})
}

func TestServiceOverTheWire(t *testing.T) {
	dotmeshtest.RunServiceTests(t, func(t *testing.T) dotmeshtest.Cluster {
		unix, tcp := serve(t, node(t))
		return dotmeshtest.Cluster{
			Gate:  &remoteGate{t, tcp, map[dotmesh.Name]dotmesh.Secret{}},
			Admin: connect(t, api.Remote{URL: unix}),
		}
	})
}
