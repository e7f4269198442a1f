package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/build"
	"dotmesh.io/dotmesh/internal/fail"
	"dotmesh.io/dotmesh/server"
	"dotmesh.io/dotmesh/server/api"
)

// serve runs a node until ctx ends or one of its parts fails. Parts are started from the
// ground up and stopped from the top down.
func serve(ctx context.Context, c *Config, log *slog.Logger) (err error) {
	lock, err := lockDataDir(c.DataDir)
	if err != nil {
		return err
	}
	defer func() { err = joinErrors(err, lock.Close()) }()

	started := keepGarbage()
	// etcd starts by itself while the pool is looked through.
	registry, etcd, err := openRegistry(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = joinErrors(err, registry.Close(), etcd.stop()) }()

	store, err := openStorage(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = joinErrors(err, store.Close()) }()

	node, err := newNode(c, log, store, registry)
	if err != nil {
		return err
	}
	doors, err := openDoors(ctx, c)
	if err != nil {
		return err
	}
	figures := newMetrics()
	figures.watchPool(func() (dotmesh.PoolUsage, error) { return store.Pool(ctx) })
	gate := &api.Server{
		Gate: node, Log: log, Ready: node.Ready(),
		Metrics: figures.handler(), Debug: profiles(), Observe: figures.observe,
	}
	log.Info("starting", "version", build.Version(), "data", c.DataDir)
	working := begin(ctx, node.Run)
	tidying := begin(ctx, func(ctx context.Context) error { return spareMemory(ctx, node.Ready(), started) })
	answering := begin(ctx, func(ctx context.Context) error { return gate.Serve(ctx, doors...) })
	select {
	case <-ctx.Done():
		log.Info("stopping")
	case <-working.ended:
	case <-answering.ended:
	case <-etcd.ended:
	}
	return joinErrors(answering.stop(), tidying.stop(), working.stop())
}

// newNode makes the node from its parts and from the data directory's secrets.
func newNode(c *Config, log *slog.Logger, store dotmesh.Store, registry dotmesh.Registry) (*server.Node, error) {
	name, err := nodeName(c)
	if err != nil {
		return nil, err
	}
	key, err := secret(c.DataDir, keyName)
	if err != nil {
		return nil, err
	}
	password, err := secret(c.DataDir, passwordName)
	if err != nil {
		return nil, err
	}
	mounts := filepath.Join(c.DataDir, "mnt")
	if err := os.MkdirAll(mounts, 0o711); err != nil {
		return nil, dotmesh.Wrap("mount directory", err)
	}
	config := server.Config{
		Store: store, Registry: registry, Mounter: server.System{},
		Name: name, Version: build.Version(), MountDir: mounts,
		AdminKey: key, AdminPassword: password,
		SaveAdminKey: func(key dotmesh.Secret) error { return saveSecret(c.DataDir, keyName, key) },
		Now:          fail.Now,
		Logger:       log,
	}
	if c.Listen != "" {
		config.Addresses = []string{c.Listen}
	}
	return server.New(config), nil
}

// nodeName is the configured name, or one made of the host's.
func nodeName(c *Config) (dotmesh.Name, error) {
	if c.NodeName != "" {
		return dotmesh.Name(c.NodeName), nil
	}
	host, err := os.Hostname()
	if name := nodeNameOf(host); err == nil && name != "" {
		return dotmesh.Name(name), nil
	}
	return "", invalid("node-name", "", "this host has no name that could be used; choose one")
}

// openDoors opens the doors, all or none.
func openDoors(ctx context.Context, c *Config) ([]api.Door, error) {
	local, err := api.ListenLocal(ctx, c.Socket)
	if err != nil {
		return nil, err
	}
	if c.Listen == "" {
		return []api.Door{local}, nil
	}
	tcp, err := api.ListenTCP(ctx, c.Listen)
	if err != nil {
		return nil, joinErrors(err, local.Close())
	}
	return []api.Door{local, tcp}, nil
}
