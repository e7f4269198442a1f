package node_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/etcdstate"
	"dotmesh.io/dotmesh/internal/dotmeshtest"
	"dotmesh.io/dotmesh/internal/mounts"
	"dotmesh.io/dotmesh/server"
)

// poolSize is sparse: a test writes a few MiB of it.
const poolSize = 512 << 20

func TestMain(m *testing.M) {
	// etcd's libraries keep one goroutine for their own logging.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}

// etcd runs one in this process until the test ends, and returns its endpoint.
func etcd(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	socket := filepath.Join(dir, "etcd.sock")
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- etcdstate.Serve(ctx, etcdstate.ServeConfig{
			DataDir: filepath.Join(dir, "data"), Socket: socket, Ready: func() { close(ready) },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("etcd ended with %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("etcd ended with %v", err)
	}
	return "unix://" + socket
}

// pool opens the pool in a file, which it makes if need be.
type pool func(t *testing.T, file string) dotmesh.Store

// node runs a node on a pool of its own, in a part of etcd of its own, until the test ends.
func node(t *testing.T, endpoint string, open pool) *server.Node {
	t.Helper()
	n, stop := run(t, endpoint, t.TempDir(), "/"+dotmesh.NewUUID().String()+"/", open)
	t.Cleanup(stop)
	return n
}

// run runs a node on the pool in dir, in the part of etcd below prefix, until stop.
func run(t *testing.T, endpoint, dir, prefix string, open pool) (n *server.Node, stop func()) {
	t.Helper()
	store := open(t, filepath.Join(dir, "pool"))
	registry, err := etcdstate.Open(t.Context(), etcdstate.Config{
		Endpoints: []string{endpoint}, Prefix: prefix,
	})
	if err != nil {
		t.Fatal(err)
	}
	n = server.New(server.Config{
		Store: store, Registry: registry, Mounter: server.System{}, Name: "one", Version: "test",
		MountDir: filepath.Join(dir, "mnt"), AdminKey: "the key", AdminPassword: "the password",
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the node ended with %v", err)
		}
		if err := errors.Join(unmountAll(dir), registry.Close(), store.Close()); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-n.Ready():
	case err := <-ended:
		t.Fatalf("the node ended with %v", err)
	}
	return n, stop
}

// unmountAll takes away what a stopped node leaves mounted for containers.
func unmountAll(dir string) error {
	all, err := mounts.List(dir)
	for i := len(all) - 1; i >= 0; i-- {
		err = errors.Join(err, mounts.Unmount(context.Background(), all[i].Target))
	}
	return err
}

// admin is what the local socket lets in.
var admin = dotmesh.Principal{Name: "admin", Admin: true, Origin: "test"}

func testService(t *testing.T, open pool) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("mounting needs root: run the tests as root")
	}
	endpoint := etcd(t)
	dotmeshtest.RunServiceTests(t, func(t *testing.T) dotmeshtest.Cluster {
		n := node(t, endpoint, open)
		return dotmeshtest.Cluster{Gate: n, Admin: n.As(admin)}
	})
}
