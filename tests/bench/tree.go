package main

import (
	"bytes"
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
)

// Musts and aims where a tree of 1 GiB in 10,000 files is branched or compared.
const (
	branchMust, branchAim = 20, 200
	flatMust              = 1.1
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
)

// benchTree branches and compares a large tree as we do it and as plain tools do.
func benchTree(ctx context.Context, l *lab) (rows []row, err error) {
	p, err := l.newPlace()
	if err != nil {
		return nil, err
	}
	err = l.with(ctx, p, func(n *node) error {
		large, err := n.newTree(ctx, "large", largeTree)
		if err != nil {
			return err
		}
		defer large.close()
		small, err := n.newTree(ctx, "small", smallTree)
		if err != nil {
			return err
		}
		defer small.close()
		rows, err = benchTrees(ctx, l, n, large, small)
		return err
	})
	return rows, err
}

func benchTrees(ctx context.Context, l *lab, n *node, large, small *volume) ([]row, error) {
	branch, copied, err := branches(ctx, n, large, l.rounds(30))
	if err != nil {
		return nil, err
	}
	big, little, err := sizes(ctx, n, large, small, l.rounds(100))
	if err != nil {
		return nil, err
	}
	diff, rsync, err := diffs(ctx, n, large, l.rounds(60))
	if err != nil {
		return nil, err
	}
	return []row{
		compare("branch of 1 GiB in 10,000 files", "`cp -a --reflink=always` of the tree", branch, copied, true, branchMust, branchAim),
		compare("the same", "branch of 10 MiB in 100 files", big, little, false, flatMust, 0),
		compare("diff of a 4 KiB change in that tree", "`rsync -an --delete` against the commit", diff, rsync, true, diffMust, 0),
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

// sizes makes branches of a large tree and of a small one.
func sizes(ctx context.Context, n *node, large, small *volume, rounds int) (ours, theirs series, err error) {
	for round := range rounds {
		if err := errors.Join(n.branch(ctx, large, "s", round, &ours), n.branch(ctx, small, "s", round, &theirs)); err != nil {
			return nil, nil, err
		}
	}
	return ours, theirs, nil
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
