package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
)

// Musts and aims where a tree of 1 GiB in 10,000 files is branched or compared.
const (
	branchMust, branchAim = 20, 200
	flatAim               = 1.1
	diffMust              = 20
)

// tree is so many files of one size, 100 to a folder.
type tree struct {
	files int
	size  int
}

var (
	largeTree = tree{files: 10_000, size: (1 << 30) / 10_000}
	smallTree = tree{files: 100, size: (10 << 20) / 100}
	// A snapshot counts the blocks that the root of a tree of btrfs points at once more.
	// Those are at most about 490: large has most of them, one level of the tree below its
	// root. With four times as many files there is one more level, and the root is small.
	wideTree = tree{files: 40_000, size: 4 << 10}
)

// benchTree branches and compares a large tree as we do it and as plain tools do.
func benchTree(ctx context.Context, l *lab) (rows []row, err error) {
	p, err := l.newPlace()
	if err != nil {
		return nil, err
	}
	err = l.with(ctx, p, func(n *node) (err error) {
		var volumes []*volume
		defer func() {
			for _, v := range volumes {
				err = errors.Join(err, v.close())
			}
		}()
		for name, t := range map[dotmesh.Name]tree{"large": largeTree, "small": smallTree, "wide": wideTree} {
			v, err := n.newTree(ctx, name, t)
			if err != nil {
				return err
			}
			volumes = append(volumes, v)
		}
		slices.SortFunc(volumes, func(a, b *volume) int { return cmp.Compare(a.dot.Name, b.dot.Name) })
		rows, err = benchTrees(ctx, l, n, volumes[0], volumes[1], volumes[2])
		return err
	})
	return rows, err
}

func benchTrees(ctx context.Context, l *lab, n *node, large, small, wide *volume) ([]row, error) {
	branch, copied, err := branches(ctx, n, large, l.rounds(30))
	if err != nil {
		return nil, err
	}
	flat, err := sizes(ctx, n, large, small, wide, l.rounds(100))
	if err != nil {
		return nil, err
	}
	diff, rsync, err := diffs(ctx, n, large, l.rounds(60))
	if err != nil {
		return nil, err
	}
	return []row{
		compare("branch of 1 GiB in 10,000 files", "`cp -a --reflink=always` of the tree", branch, copied, true, branchMust, branchAim),
		compare("the same", "branch of 10 MiB in 100 files", flat.large, flat.small, false, 0, flatAim),
		compare("for comparison: `btrfs subvolume snapshot` of 1 GiB in 10,000 files", "of 10 MiB in 100 files", flat.largeTool, flat.smallTool, false, 0, 0),
		compare("for comparison: branch of 160 MiB in 40,000 files", "branch of 10 MiB in 100 files", flat.wide, flat.small, false, 0, 0),
		compare("diff of a 4 KiB change in 1 GiB in 10,000 files", "`rsync -an --delete` against the commit", diff, rsync, true, diffMust, 0),
	}, nil
}

// newTree makes a dot with a tree in it, and commits that.
func (n *node) newTree(ctx context.Context, name dotmesh.Name, t tree) (*volume, error) {
	v, err := n.newVolume(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(t.write(ctx, v.path), v.change()); err != nil {
		return nil, errors.Join(err, v.close())
	}
	v.tip, err = n.Commit(ctx, dotmesh.CommitRequest{Dot: v.dot, Message: "the tree"})
	return v, err
}

// write fills a folder with the tree, of data that no two files share.
func (t tree) write(ctx context.Context, dir string) error {
	data := make([]byte, t.size)
	for i := range t.files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		folder := filepath.Join(dir, "tree", strconv.Itoa(i/100))
		if i%100 == 0 {
			if err := os.MkdirAll(folder, 0o755); err != nil {
				return err
			}
		}
		rand.Read(data)
		if err := os.WriteFile(filepath.Join(folder, strconv.Itoa(i)), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// branches makes branches of a tree, and copies that share its data. What the copies
// change of the file system is written out before the next branch is timed.
func branches(ctx context.Context, n *node, v *volume, rounds int) (ours, theirs series, err error) {
	scratch, err := v.scratch()
	if err != nil {
		return nil, nil, err
	}
	copied := filepath.Join(scratch, "copy")
	for round := range rounds {
		if err := unix.Syncfs(int(v.file.Fd())); err != nil {
			return nil, nil, err
		}
		if err := n.branch(ctx, v, "b", round, &ours); err != nil {
			return nil, nil, err
		}
		began := time.Now()
		if err := quietly(ctx, "cp", "-a", "--reflink=always", filepath.Join(v.path, "tree"), copied); err != nil {
			return nil, nil, err
		}
		theirs.add(time.Since(began))
		if err := os.RemoveAll(copied); err != nil {
			return nil, nil, err
		}
	}
	return ours, theirs, unix.Syncfs(int(v.file.Fd()))
}

// flatness is how long branches of trees of several sizes took, made in turn, and what
// btrfs's own tool takes for its part of that.
type flatness struct{ large, small, wide, largeTool, smallTool series }

func sizes(ctx context.Context, n *node, large, small, wide *volume, rounds int) (f flatness, err error) {
	for round := range rounds {
		err := errors.Join(
			n.branch(ctx, large, "s", round, &f.large), n.branch(ctx, small, "s", round, &f.small), n.branch(ctx, wide, "s", round, &f.wide),
			large.snapshot(ctx, round, &f.largeTool), small.snapshot(ctx, round, &f.smallTool),
		)
		if err != nil {
			return f, err
		}
	}
	return f, nil
}

// snapshot lets btrfs's own tool make a writable snapshot of the commit with the tree.
func (v *volume) snapshot(ctx context.Context, round int, times *series) error {
	scratch, err := v.scratch()
	if err != nil {
		return err
	}
	began := time.Now()
	err = quietly(ctx, "btrfs", "subvolume", "snapshot", v.commit(v.tip.ID), filepath.Join(scratch, fmt.Sprintf("%s-%d", v.dot.Name, round)))
	times.add(time.Since(began))
	return err
}

// branch makes one from the commit that holds the tree, and notes how long that took.
func (n *node) branch(ctx context.Context, v *volume, name string, round int, times *series) error {
	began := time.Now()
	_, err := n.CreateBranch(ctx, dotmesh.CreateBranch{
		From: dotmesh.CommitRef{Dot: v.dot, Ref: v.tip.ID.String()}, Name: dotmesh.Name(name + strconv.Itoa(round)),
	})
	times.add(time.Since(began))
	return err
}

// diffs changes 4 KiB of a tree and asks what has changed since the commit.
func diffs(ctx context.Context, n *node, v *volume, rounds int) (ours, theirs series, err error) {
	const warmup = 2
	for round := range warmup + rounds {
		if err := v.change(); err != nil {
			return nil, nil, err
		}
		began := time.Now()
		if err := onlyChanging(n, ctx, v); err != nil {
			return nil, nil, err
		}
		if round >= warmup {
			ours.add(time.Since(began))
		}
		if err := v.change(); err != nil {
			return nil, nil, err
		}
		began = time.Now()
		if err := rsyncSeesIt(ctx, v); err != nil {
			return nil, nil, err
		}
		if round >= warmup {
			theirs.add(time.Since(began))
		}
	}
	return ours, theirs, nil
}

func onlyChanging(n *node, ctx context.Context, v *volume) error {
	found := 0
	for c, err := range n.Diff(ctx, dotmesh.DiffRequest{Dot: v.dot}) {
		if err != nil {
			return err
		}
		if filepath.Base(c.Path) != changing {
			return fmt.Errorf("diff says that %s has changed", c.Path)
		}
		found++
	}
	if found != 1 {
		return fmt.Errorf("diff shows %d changes and not 1", found)
	}
	return nil
}

func rsyncSeesIt(ctx context.Context, v *volume) error {
	out, err := exec.CommandContext(ctx, "rsync", "-an", "--delete", "--out-format=%n",
		filepath.Join(v.head(), volumeDir)+"/", filepath.Join(v.commit(v.tip.ID), volumeDir)+"/").Output()
	if err == nil && !bytes.Contains(out, []byte(changing)) {
		err = errors.New("rsync sees no change")
	}
	return err
}
