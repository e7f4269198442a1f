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
)

// storage is where a node keeps its dots.
type storage struct {
	kind string // storageAuto, storageDir or storageFile
	path string
}

const (
	storageAuto = "auto"
	storageDir  = "btrfs"
	storageFile = "btrfs-file"
)

// parseStorage reads auto, btrfs:DIR or btrfs-file:PATH.
func parseStorage(s string) (storage, error) {
	kind, path, _ := strings.Cut(s, ":")
	if s == storageAuto {
		return storage{kind: storageAuto}, nil
	}
	if kind != storageDir && kind != storageFile || !filepath.IsAbs(path) || strings.ContainsAny(path, "\x00\n") {
		return storage{}, invalid("storage", s, "it must be auto, btrfs:DIR or btrfs-file:PATH with an absolute path")
	}
	return storage{kind, filepath.Clean(path)}, nil
}

// String is what parseStorage reads.
func (s storage) String() string {
	if s.path == "" {
		return s.kind
	}
	return s.kind + ":" + s.path
}

// choose decides between what was asked for and what an earlier start has chosen, which
// is the zero storage if there was none. A node does not leave its dots behind silently.
func choose(asked, earlier storage, dataDir string) (storage, error) {
	switch {
	case earlier == storage{} && asked.kind == storageAuto:
		return storage{storageFile, filepath.Join(dataDir, "dotmesh_data")}, nil
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
	chosen, err := choose(asked, earlier, c.DataDir)
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
	store, err := btrfs.Open(ctx, chosen.btrfs(size))
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
	if earlier.path == "" {
		return nil
	}
	if _, err := os.Stat(earlier.path); errors.Is(err, os.ErrNotExist) {
		return dotmesh.E("storage", dotmesh.NotFound, "the pool %s is gone; mount the disk that it is on, or bring it back", earlier)
	}
	return nil
}

func (s storage) btrfs(size int64) btrfs.Config {
	if s.kind == storageDir {
		return btrfs.Config{Dir: s.path}
	}
	return btrfs.Config{File: s.path, Size: size}
}

// noPool says what is missing when no pool could be opened.
func noPool(s storage, err error) error {
	if knows, read := os.ReadFile("/proc/filesystems"); read == nil && !strings.Contains(string(knows), "\tbtrfs\n") {
		return &dotmesh.Error{
			Op: "storage", Kind: dotmesh.Unsupported, Err: err,
			Text: "this machine's kernel has no btrfs, and this server no other storage; load it with: modprobe btrfs",
		}
	}
	if dotmesh.KindOf(err) == dotmesh.Internal {
		return &dotmesh.Error{Op: "storage", Kind: dotmesh.Internal, Text: "cannot open the pool " + s.String() + ": " + err.Error(), Err: err}
	}
	return err
}
