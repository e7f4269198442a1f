package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"dotmesh.io/dotmesh/zfs"
)

// benchZFS measures in the machine that tests have for ZFS, whose processor is emulated.
// Only the ratios mean anything, and they say more of the programs that are started than of
// ZFS. This program runs itself there.
func benchZFS(ctx context.Context, l *lab) (rows []row, err error) {
	dir, err := os.MkdirTemp(l.cache, "zfs")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program, result := filepath.Join(dir, "bench"), filepath.Join(dir, "rows.json")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./tests/bench")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the bench for the guest: %w: %s", err, out)
	}
	if err := quietly(ctx, "tests/zfs/run", "-t", "3000", "--", program, "-guest", result, "-short="+strconv.FormatBool(l.short)); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(result)
	if err != nil {
		return nil, err
	}
	return rows, json.Unmarshal(text, &rows)
}

// runGuest is what runs there, and leaves the rows in a file.
func runGuest(ctx context.Context, o *options) error {
	dir, err := os.MkdirTemp("", "dmbench")
	if err != nil {
		return err
	}
	rows, err := zfsRows(ctx, &lab{dir: dir, short: o.short})
	if err != nil {
		return err
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return os.WriteFile(o.guest, text, 0o644)
}

// zpair is two pools on ZFS, and in each a dataset of those with whom we compare ourselves.
type zpair struct {
	pools   [2]*zfs.Store
	names   [2]string
	line    dotmesh.LineID
	commits []dotmesh.CommitID
	snaps   int
	files   [2]*os.File // ours and theirs, in the first pool
}

func (p *zpair) theirs(i int) string                       { return p.names[i] + "/theirs" }
func (p *zpair) snap(i, n int) string                      { return fmt.Sprintf("%s@%d", p.theirs(i), n) }
func zfsCommand(ctx context.Context, args ...string) error { return quietly(ctx, "zfs", args...) }

func zfsRows(ctx context.Context, l *lab) ([]row, error) {
	p := &zpair{line: dotmesh.LineID{UUID: dotmesh.NewUUID()}, names: [2]string{"bench0", "bench1"}}
	for i, name := range p.names {
		store, err := zfs.Open(ctx, zfs.Config{Pool: name, File: filepath.Join(l.dir, name), Size: 1 << 30})
		if err != nil {
			return nil, err
		}
		p.pools[i] = store
	}
	if err := p.fill(ctx, l.dir); err != nil {
		return nil, err
	}
	t, err := p.measure(ctx, l.rounds(30))
	return []row{
		compare("on ZFS, in the store: commit of 4 KiB", "write, then `zfs snapshot`", t.commit, t.snapshot, false, 0, 0),
		compare("on ZFS, in the store: branch", "`zfs clone`", t.branch, t.clone, false, 0, 0),
		compare("on ZFS: commit of 4 KiB, in a second pool", "`zfs send -i \\| zfs receive`", t.ours, t.pipe, false, 0, 0),
		compare("the same", "`syncoid --no-sync-snap`", t.ours, t.syncoid, false, 0, 0),
	}, err
}

// fill makes a line and a dataset with a file in each, and has both in the second pool.
func (p *zpair) fill(ctx context.Context, dir string) error {
	at := filepath.Join(dir, "live")
	if err := p.pools[0].Fork(ctx, p.line, dotmesh.Origin{}); err != nil {
		return err
	}
	if _, err := p.pools[0].Fence(ctx, p.line, false); err != nil {
		return err
	}
	device, err := p.pools[0].Live(ctx, p.line)
	if err != nil {
		return err
	}
	theirs := filepath.Join(dir, "theirs")
	if err := errors.Join(mounts.Mount(ctx, device, at), zfsCommand(ctx, "create", "-o", "mountpoint="+theirs, p.theirs(0))); err != nil {
		return err
	}
	for i, d := range []string{at, theirs} {
		if p.files[i], err = os.Create(filepath.Join(d, changing)); err != nil {
			return err
		}
	}
	return errors.Join(p.change(0), p.change(1), p.commit(ctx), p.snapshot(ctx), p.carry(ctx), p.pipe(ctx))
}

func (p *zpair) change(i int) error {
	var block [4096]byte
	rand.Read(block[:])
	_, err := p.files[i].WriteAt(block[:], 0)
	return err
}

func (p *zpair) commit(ctx context.Context) error {
	id := dotmesh.CommitID{UUID: dotmesh.NewUUID()}
	p.commits = append(p.commits, id)
	return p.pools[0].Snapshot(ctx, []dotmesh.SnapRequest{{Line: p.line, Commit: id, Meta: []byte("{}")}})[0].Err
}

func (p *zpair) snapshot(ctx context.Context) error {
	p.snaps++
	return zfsCommand(ctx, "snapshot", p.snap(0, p.snaps))
}

// carry sends the newest commit to the second pool.
func (p *zpair) carry(ctx context.Context) error {
	n := len(p.commits) - 1
	spec := dotmesh.SendSpec{Line: p.line, Commits: p.commits[n:]}
	if n > 0 {
		spec.From = dotmesh.Ref{Line: p.line, Commit: p.commits[n-1]}
	}
	stream, err := p.pools[0].Send(ctx, spec)
	if err != nil {
		return err
	}
	_, err = p.pools[1].Receive(ctx, dotmesh.RecvSpec{Line: p.line, Trust: dotmesh.Member}, stream)
	return errors.Join(err, stream.Close())
}

// pipe is the shell's way for their newest snapshot.
func (p *zpair) pipe(ctx context.Context) error {
	send := []string{"zfs", "send", p.snap(0, p.snaps)}
	if p.snaps > 1 {
		send = []string{"zfs", "send", "-i", p.snap(0, p.snaps-1), p.snap(0, p.snaps)}
	}
	return piped(ctx, send, []string{"zfs", "receive", "-u", p.theirs(1)})
}

func (p *zpair) syncoid(ctx context.Context) error {
	return quietly(ctx, "syncoid", "--no-sync-snap", "--no-privilege-elevation", "--quiet", p.theirs(0), p.theirs(1))
}

// zfsTimes is how long each thing took, in turn.
type zfsTimes struct{ commit, snapshot, branch, clone, ours, pipe, syncoid series }

func (p *zpair) measure(ctx context.Context, rounds int) (t zfsTimes, err error) {
	for round := range rounds {
		err := errors.Join(
			timed(&t.commit, func() error { return errors.Join(p.change(0), p.commit(ctx)) }),
			timed(&t.snapshot, func() error { return errors.Join(p.change(1), p.snapshot(ctx)) }),
			timed(&t.ours, func() error { return p.carry(ctx) }),
			timed(&t.pipe, func() error { return p.pipe(ctx) }),
			p.change(1), p.snapshot(ctx),
			timed(&t.syncoid, func() error { return p.syncoid(ctx) }),
			timed(&t.branch, func() error {
				newest := dotmesh.Origin{Line: p.line, Commit: p.commits[len(p.commits)-1]}
				return p.pools[0].Fork(ctx, dotmesh.LineID{UUID: dotmesh.NewUUID()}, newest)
			}),
			timed(&t.clone, func() error {
				return zfsCommand(ctx, "clone", p.snap(0, p.snaps), fmt.Sprintf("%s/clone%d", p.names[0], round))
			}),
		)
		if err != nil {
			return t, err
		}
	}
	return t, nil
}
