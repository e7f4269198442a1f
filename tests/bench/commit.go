package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
)

// Musts and aims of a commit, as multiples of what it is compared with.
const (
	commitMust, commitAim = 1.5, 1.0
	floorMust, floorAim   = 3.0, 1.8
)

// benchCommit changes 4 KiB and makes it durable in three ways, in turn: a commit over the
// API, the snapshot that btrfs itself makes as a process, and syncfs.
func benchCommit(ctx context.Context, l *lab) (rows []row, err error) {
	p, err := l.newPlace()
	if err != nil {
		return nil, err
	}
	err = l.with(ctx, p, func(n *node) error {
		v, err := n.newVolume(ctx, "shop")
		if err != nil {
			return err
		}
		defer v.close()
		ours, snapshot, floor, err := commits(ctx, n, v, l.rounds(200))
		rows = []row{
			compare("commit of 4 KiB over the API", "write, then `btrfs subvolume snapshot -r`", ours, snapshot, false, commitMust, commitAim),
			compare("the same", "write, then syncfs", ours, floor, false, floorMust, floorAim),
		}
		return err
	})
	return rows, err
}

func commits(ctx context.Context, n *node, v *volume, rounds int) (ours, snapshot, floor series, err error) {
	scratch, err := v.scratch()
	if err != nil {
		return nil, nil, nil, err
	}
	ways := []struct {
		times *series
		do    func(round int) error
	}{
		{&ours, func(round int) error {
			_, err := n.Commit(ctx, dotmesh.CommitRequest{Dot: v.dot, Message: "round " + strconv.Itoa(round)})
			return err
		}},
		{&snapshot, func(round int) error {
			return quietly(ctx, "btrfs", "subvolume", "snapshot", "-r", v.head(), filepath.Join(scratch, strconv.Itoa(round)))
		}},
		{&floor, func(int) error { return unix.Syncfs(int(v.file.Fd())) }},
	}
	const warmup = 5
	for round := range warmup + rounds {
		for _, way := range ways {
			began := time.Now()
			if err := v.change(); err != nil {
				return nil, nil, nil, err
			}
			if err := way.do(round); err != nil {
				return nil, nil, nil, err
			}
			if round >= warmup {
				way.times.add(time.Since(began))
			}
		}
	}
	return ours, snapshot, floor, nil
}

const (
	changing  = "changing"    // the file in a volume that changes
	volumeDir = "__default__" // where a volume's data lie in its line
)

// volume is a dot with its branch master mounted, and the whole pool beside it.
type volume struct {
	dot  dotmesh.DotName
	line dotmesh.LineID
	tip  dotmesh.Commit
	path string   // the data
	pool string   // the top of the pool
	file *os.File // of the data, for small changes
}

// newVolume makes a dot, mounts it and the pool, and makes a file in it.
func (n *node) newVolume(ctx context.Context, name dotmesh.Name) (*volume, error) {
	v := &volume{dot: dotmesh.DotName{Namespace: dotmesh.AdminNamespace, Name: name}, pool: filepath.Join(n.Dir, "top")}
	made, err := n.CreateDot(ctx, dotmesh.CreateDot{Dot: v.dot})
	if err != nil {
		return nil, err
	}
	v.line = made.Branch.Pointer.Line
	at, err := n.Mount(ctx, dotmesh.MountRequest{Volume: dotmesh.Volume{Dot: v.dot}})
	if err != nil {
		return nil, err
	}
	v.path = at.Path
	if err := mountTop(v.path, v.pool); err != nil {
		return nil, err
	}
	v.file, err = os.OpenFile(filepath.Join(v.path, changing), os.O_RDWR|os.O_CREATE, 0o600)
	return v, err
}

func (v *volume) close() error { return v.file.Close() }

// head is the line's writable subvolume, as somebody who looks at the pool sees it.
func (v *volume) head() string { return filepath.Join(v.pool, "lines", v.line.String(), "live") }

// commit is where a commit lies in the pool.
func (v *volume) commit(id dotmesh.CommitID) string {
	return filepath.Join(v.pool, "lines", v.line.String(), "commits", id.String())
}

// scratch is a directory in the pool for those with whom we compare ourselves. The store
// leaves it alone, since its name begins with a dot.
func (v *volume) scratch() (string, error) {
	dir := filepath.Join(v.pool, ".bench")
	return dir, os.MkdirAll(dir, 0o700)
}

// change writes 4 KiB of new data over old.
func (v *volume) change() error {
	var block [4096]byte
	rand.Read(block[:])
	_, err := v.file.WriteAt(block[:], 0)
	return err
}

// deviceOf returns what is mounted at path.
func deviceOf(path string) (string, error) {
	entries, err := mounts.List(path)
	if err == nil && len(entries) == 0 {
		err = fmt.Errorf("nothing is mounted at %s", path)
	}
	if err != nil {
		return "", err
	}
	return entries[0].Source, nil
}

// mountTop mounts the whole pool in which path lies at target.
func mountTop(path, target string) error {
	device, err := deviceOf(path)
	if err != nil {
		return err
	}
	if there, err := mountsBelow(target); err != nil || len(there) > 0 {
		return err
	}
	return mountDevice(device, target)
}

// mountDevice mounts a whole pool from its top, which btrfs numbers 5.
func mountDevice(device, target string) error {
	if err := os.MkdirAll(target, 0o700); err != nil {
		return err
	}
	return os.NewSyscallError("mount", unix.Mount(device, target, "btrfs", unix.MS_NOATIME, "subvolid=5"))
}

// quietly runs a program whose output matters only when it fails.
func quietly(ctx context.Context, program string, args ...string) error {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", program, err), errors.New(string(out)))
	}
	return nil
}
