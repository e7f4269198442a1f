package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/btrfs"
	"dotmesh.io/dotmesh/zfs"
)

// storage is where a node keeps its dots.
type storage struct {
	kind string // storageAuto, or one of those below it
	path string // the zpool's name, for storageZpool
}

const (
	storageAuto    = "auto"
	storageDir     = "btrfs"
	storageFile    = "btrfs-file"
	storageZpool   = "zfs"
	storageZFSFile = "zfs-file"
)

// storageForms are what storage may be, as users are told.
const storageForms = "auto, zfs:POOL, zfs-file:PATH, btrfs:DIR or btrfs-file:PATH"

// parseStorage reads one of storageForms.
func parseStorage(s string) (storage, error) {
	kind, path, _ := strings.Cut(s, ":")
	switch kind {
	case storageAuto:
		if s == storageAuto {
			return storage{kind: storageAuto}, nil
		}
	case storageZpool:
		if zfs.ValidPool(path) {
			return storage{kind, path}, nil
		}
	case storageDir, storageFile, storageZFSFile:
		if filepath.IsAbs(path) && !strings.ContainsAny(path, "\x00\n") {
			return storage{kind, filepath.Clean(path)}, nil
		}
	}
	return storage{}, invalid("storage", s, "it must be "+storageForms+", with an absolute path")
}

// String is what parseStorage reads.
func (s storage) String() string {
	if s.path == "" {
		return s.kind
	}
	return s.kind + ":" + s.path
}

// machine is what this one has, where nobody said what to use.
type machine struct {
	pool bool // a zpool called zfs.DefaultPool
	zfs  bool // ZFS, to make one with
}

// look finds out what this machine has.
func look(ctx context.Context) machine {
	return machine{pool: zfs.HasPool(ctx, zfs.DefaultPool), zfs: zfs.Available()}
}

// pick chooses what is best of what a machine has.
func (m machine) pick(dataDir string) storage {
	file := filepath.Join(dataDir, "dotmesh_data")
	switch {
	case m.pool:
		return storage{storageZpool, zfs.DefaultPool}
	case m.zfs:
		return storage{storageZFSFile, file}
	}
	return storage{storageFile, file}
}

// choose decides between what was asked for and what an earlier start has chosen, which
// is the zero storage if there was none. A node does not leave its dots behind silently.
func choose(asked, earlier storage, pick func() storage) (storage, error) {
	switch {
	case earlier == storage{} && asked.kind == storageAuto:
		return pick(), nil
	case earlier == storage{}:
		return asked, nil
	case asked.kind == storageAuto || asked == earlier:
		return earlier, nil
	}
	return storage{}, dotmesh.E("storage", dotmesh.Conflict,
		"this node keeps its dots in %s; give that as --storage or leave --storage out, or use another --data-dir for %s", earlier, asked)
}

// storageName is the file in the data directory that remembers the choice.
const storageName = "storage"

// openStorage opens the pool that the config asks for, or that was chosen before.
func openStorage(ctx context.Context, c *Config, log *slog.Logger) (dotmesh.Store, error) {
	asked, err := parseStorage(c.Storage)
	if err != nil {
		return nil, err
	}
	size, err := parseSize(c.PoolSize)
	if err != nil {
		return nil, err
	}
	earlier, err := readStorage(c.DataDir)
	if err != nil {
		return nil, err
	}
	chosen, err := choose(asked, earlier, func() storage { return look(ctx).pick(c.DataDir) })
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, dotmesh.E("storage", dotmesh.Denied, "only root can open a pool; run dotmesh-server as root")
	}
	if err := stillThere(earlier); err != nil {
		return nil, err
	}
	log.Info("storage", "use", chosen.String(), "asked", asked.String(), "remembered", earlier != storage{})
	store, err := chosen.open(ctx, size)
	if err != nil {
		return nil, noPool(chosen, err)
	}
	if earlier == (storage{}) {
		err = writeFile(filepath.Join(c.DataDir, storageName), []byte(chosen.String()+"\n"))
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return store, nil
}

// readStorage returns what an earlier start has chosen, or the zero storage.
func readStorage(dataDir string) (storage, error) {
	path := filepath.Join(dataDir, storageName)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return storage{}, nil
	}
	if err != nil {
		return storage{}, dotmesh.Wrap("storage", err)
	}
	s, err := parseStorage(strings.TrimSuffix(string(text), "\n"))
	if err != nil || s.kind == storageAuto {
		return storage{}, dotmesh.E("storage", dotmesh.Corrupt, "%s does not say where the dots are; write the --storage of this node's first start into it", path)
	}
	return s, nil
}

// stillThere refuses to make a new, empty pool where one with dots has been.
func stillThere(earlier storage) error {
	if !filepath.IsAbs(earlier.path) { // no pool, or one whose name says nothing of where it is
		return nil
	}
	if _, err := os.Stat(earlier.path); errors.Is(err, os.ErrNotExist) {
		return dotmesh.E("storage", dotmesh.NotFound, "the pool %s is gone; mount the disk that it is on, or bring it back", earlier)
	}
	return nil
}

// open opens the pool.
func (s storage) open(ctx context.Context, size int64) (dotmesh.Store, error) {
	switch s.kind {
	case storageZpool:
		return zfs.Open(ctx, zfs.Config{Pool: s.path})
	case storageZFSFile:
		return zfs.Open(ctx, zfs.Config{File: s.path, Size: size})
	case storageDir:
		return btrfs.Open(ctx, btrfs.Config{Dir: s.path})
	}
	return btrfs.Open(ctx, btrfs.Config{File: s.path, Size: size})
}

// noPool says what is missing when no pool could be opened.
func noPool(s storage, err error) error {
	onBtrfs := s.kind == storageDir || s.kind == storageFile
	if knows, read := os.ReadFile("/proc/filesystems"); onBtrfs && read == nil && !strings.Contains(string(knows), "\tbtrfs\n") {
		return &dotmesh.Error{
			Op: "storage", Kind: dotmesh.Unsupported, Err: err,
			Text: "this machine's kernel has neither ZFS nor btrfs; load one with: modprobe btrfs",
		}
	}
	if dotmesh.KindOf(err) == dotmesh.Internal {
		return &dotmesh.Error{Op: "storage", Kind: dotmesh.Internal, Text: "cannot open the pool " + s.String() + ": " + err.Error(), Err: err}
	}
	return err
}
