//go:build linux

package zfs

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	gozfs "github.com/mistifyio/go-zfs/v4"
	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/kv"
)

// minSize is the smallest pool that is of any use: ZFS keeps 128 MiB for itself.
const minSize = 256 << 20

// kvHeadroom is what the KV's dataset has reserved beyond the file: when a pool is full, ZFS
// lets nobody write who could need more than is there, and it reckons with 24 times as much
// as is written.
const kvHeadroom = 40 << 20

// openPool makes sure that the zpool of a config is imported. The file, if there is one,
// is locked until it is closed.
func openPool(ctx context.Context, r *runner, c Config) (lock *os.File, err error) {
	if c.File == "" {
		return nil, r.healthy(ctx, c.Pool)
	}
	file, err := os.OpenFile(c.File, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = join(err, file.Close())
		}
	}()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return nil, dotmesh.E("", dotmesh.Busy, "%s is in use by another process; is a dotmesh-server running already?", c.File)
	} else if err != nil {
		return nil, os.NewSyscallError("flock", err)
	}
	switch devices, err := r.devices(ctx, c.Pool); {
	case errors.Is(err, noPool):
		return file, r.importFile(ctx, c, file)
	case err != nil:
		return nil, err
	case !slices.ContainsFunc(devices, func(d string) bool { return sameFile(d, file) }):
		return nil, dotmesh.E("", dotmesh.Exists, "there is a zpool called %s, and it is not in %s; give it as storage, or another file its own name", c.Pool, c.File)
	}
	return file, r.healthy(ctx, c.Pool)
}

// healthy refuses a pool that is not there or cannot be written to.
func (r *runner) healthy(ctx context.Context, pool string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	facts, err := gozfs.GetZpool(pool)
	if err != nil {
		return explainLibrary(err)
	}
	if facts.ReadOnly {
		return dotmesh.E("", dotmesh.Unsupported, "the zpool %s is imported read-only; export it and import it again", pool)
	}
	if facts.Health != gozfs.ZpoolOnline && facts.Health != gozfs.ZpoolDegraded {
		return dotmesh.E("", dotmesh.Unreachable, "the zpool %s is %s; see zpool status", pool, strings.ToLower(facts.Health))
	}
	return nil
}

// devices returns the paths of a pool's devices.
func (r *runner) devices(ctx context.Context, pool string) (paths []string, err error) {
	err = r.lines(ctx, listPool(pool), func(line string) error {
		for field := range strings.SplitSeq(line, "\t") {
			if filepath.IsAbs(field) {
				paths = append(paths, field)
			}
		}
		return nil
	})
	return paths, err
}

func sameFile(path string, file *os.File) bool {
	a, err1 := os.Stat(path)
	b, err2 := file.Stat()
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// importFile imports the pool that lies in a file, or makes one in an empty file.
func (r *runner) importFile(ctx context.Context, c Config, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 { // it is new, and need not be searched
		return r.createIn(ctx, c, file)
	}
	guid, err := r.poolIn(ctx, c.File)
	if err != nil {
		return err
	}
	if guid != "" {
		if err := r.run(ctx, importPool(c.File, guid, c.Pool)); err != nil {
			return err
		}
		return r.healthy(ctx, c.Pool)
	}
	if empty, err := isEmpty(file); err != nil || !empty {
		return join(err, dotmesh.E("", dotmesh.Exists, "%s holds something that is not a zpool; move it away or name another file", c.File))
	}
	return r.createIn(ctx, c, file)
}

// createIn makes a pool in an empty file.
func (r *runner) createIn(ctx context.Context, c Config, file *os.File) error {
	const sector = 4096
	if c.Size < minSize {
		return dotmesh.E("", dotmesh.Invalid, "a pool of %d bytes is too small; it needs at least %d MiB", c.Size, minSize>>20)
	}
	if err := join(file.Truncate(c.Size/sector*sector), syncFile(file)); err != nil {
		return err
	}
	return r.run(ctx, createPool(c.Pool, c.File))
}

// poolIn returns the guid of the pool in a file, or nothing.
func (r *runner) poolIn(ctx context.Context, file string) (guid string, err error) {
	found, err := r.output(ctx, findPools(file))
	if err != nil && !errors.Is(err, noPool) && len(found) > 0 {
		return "", err
	}
	return parseFound(found)
}

// parseFound reads what zpool import shows: a few lines for each pool, "id: GUID" one of
// them. More than one pool in one file is none that we made.
func parseFound(lines []string) (guid string, err error) {
	for _, line := range lines {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if key != "id" {
			continue
		}
		value = strings.TrimSpace(value)
		if guid != "" || value == "" || strings.Trim(value, "0123456789") != "" {
			return "", odd(line)
		}
		guid = value
	}
	return guid, nil
}

// isEmpty reports whether a file holds nothing but zeros where a pool has its labels.
func isEmpty(file *os.File) (bool, error) {
	const labels = 512 << 10
	head := make([]byte, labels)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return strings.Trim(string(head[:n]), "\x00") == "", nil
}

// syncFile makes a file and its name durable.
func syncFile(f *os.File) error {
	dir, err := os.Open(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	return join(f.Sync(), dir.Sync(), dir.Close())
}

// layout makes the datasets that every pool has. None is ever mounted by itself; lines can
// be written to only where that was allowed for each.
func (s *Store) layout(ctx context.Context, size int64) error {
	s.kvSize = min(max(size/64, 4<<20), kv.DefaultSize)
	there, err := s.run.output(ctx, listNames(s.root()))
	if err != nil && !errors.Is(err, notExist) {
		return err
	}
	ensure := func(name string, properties ...string) error {
		if slices.Contains(there, name) {
			return nil
		}
		return s.run.run(ctx, createWith(name, properties...))
	}
	err = ensure(s.root(), "mountpoint=legacy", "canmount=off", "sync=standard", "atime=off", "acltype=posixacl", "xattr=sa",
		"casesensitivity=sensitive", "normalization=none", "utf8only=off", "snapdir=hidden")
	if err != nil {
		return err
	}
	// The others are made at once, since each is a transaction group that is waited for.
	var making sync.WaitGroup
	errs := [3]error{}
	making.Go(func() { errs[0] = ensure(s.lines(), "canmount=off", "readonly=on") })
	making.Go(func() {
		errs[1] = ensure(s.node(), "canmount=noauto", "recordsize=16K", "compression=lz4", "reservation="+decimal(s.kvSize+kvHeadroom))
	})
	making.Go(func() {
		errs[2] = ensure(s.names.reserve(), "canmount=noauto", "readonly=on", "reservation="+decimal(reservePart(size)*reserveParts))
		if full(errs[2]) { // others keep much in this pool: it takes what there is, as openReserve does
			errs[2] = ensure(s.names.reserve(), "canmount=noauto", "readonly=on")
		}
	})
	making.Wait()
	return join(errs[:]...)
}

// explainLibrary explains what go-zfs returns as if our own runner had run it.
func explainLibrary(err error) error {
	if e, ok := errors.AsType[*gozfs.Error](err); ok {
		return &failure{why: causeOf(e.Stderr), command: e.Debug, stderr: e.Stderr, err: e.Err}
	}
	return err
}

// Pool says how full the zpool is. What others keep in it counts as used.
func (s *Store) Pool(ctx context.Context) (dotmesh.PoolUsage, error) {
	return reading(ctx, s, "zfs.Pool", func(ctx context.Context) (dotmesh.PoolUsage, error) {
		size, free, err := s.space(ctx)
		if err != nil {
			return dotmesh.PoolUsage{}, err
		}
		reserve := s.reserve.amount()
		return dotmesh.PoolUsage{Size: size, Free: free + reserve, Reserve: reserve}, nil
	})
}

// space returns how large the pool is for its users, and what is free for lines.
func (s *Store) space(ctx context.Context) (size, free int64, err error) {
	all, err := s.run.values(ctx, s.pool, "used", "available")
	if err != nil {
		return 0, 0, err
	}
	lines, err := s.run.output(ctx, poolSpace(s.pool))
	if err != nil {
		return 0, 0, err
	}
	raw := strings.Split(strings.Join(lines, "\n"), "\t")
	if len(raw) != 2 {
		return 0, 0, odd(strings.Join(lines, "\n"))
	}
	used, err1 := all[0].number()
	free, err2 := all[1].number()
	disks, err3 := value{text: raw[0]}.number()
	taken, err4 := value{text: raw[1]}.number()
	return used + free, min(free, unallocated(used+free, disks, taken)), join(err1, err2, err3, err4)
}

// unallocated is what is free in a pool of size for its users, when so much of its disks is
// taken. Soon after something was destroyed that is less than what ZFS says is available,
// and only that can be written: the kernel frees blocks in the background. The disks hold
// more than the users can have, by what ZFS keeps for itself and by copies for safety.
func unallocated(size, disks, taken int64) int64 {
	const atLeast, share = 128 << 20, 32 // what ZFS keeps for itself
	own := max(size/(share-1), min(size, atLeast))
	if disks <= 0 {
		return size
	}
	return max(size-int64(float64(taken)*float64(size+own)/float64(disks)), 0)
}

// Available reports whether this machine has ZFS: the programs, and a kernel that knows it.
func Available() bool {
	_, err := findPrograms()
	systems, readErr := os.ReadFile("/proc/filesystems")
	return err == nil && readErr == nil && strings.Contains(string(systems), "\tzfs\n")
}

// HasPool reports whether a zpool of that name is imported.
func HasPool(ctx context.Context, name string) bool {
	run, err := findPrograms()
	return err == nil && Available() && run.run(ctx, listPool(name)) == nil
}
