package server

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/treehash"
)

// checksDir is where commits are mounted while they are read.
const checksDir = "checks"

// Check implements dotmesh.Service.
func (s *service) Check(ctx context.Context, r dotmesh.CheckRequest) iter.Seq2[dotmesh.Checked, error] {
	return func(yield func(dotmesh.Checked, error) bool) {
		const op = "server.Check"
		dots, err := s.dotsToCheck(r)
		if err != nil {
			yield(dotmesh.Checked{}, dotmesh.Wrap(op, err))
			return
		}
		for _, d := range dots {
			for _, b := range s.node.view.branchesOf(d.ID) {
				for c, err := range s.node.checkLine(ctx, b.Pointer.Line) {
					c.Dot, c.Branch = d.Name, b.Name
					if !yield(c, dotmesh.Wrap(op, err)) || err != nil {
						return
					}
				}
			}
		}
	}
}

func (s *service) dotsToCheck(r dotmesh.CheckRequest) ([]*dotmesh.Dot, error) {
	if r.Dot == (dotmesh.DotName{}) {
		return s.node.view.allDots(), s.adminOnly()
	}
	d, err := s.dot(r.Dot, mayOwn)
	return []*dotmesh.Dot{d}, err
}

// checkLine yields the commits that the pool holds of a line. One that goes meanwhile is
// passed over.
func (n *Node) checkLine(ctx context.Context, line dotmesh.LineID) iter.Seq2[dotmesh.Checked, error] {
	return func(yield func(dotmesh.Checked, error) bool) {
		info, err := n.store.Line(ctx, line)
		if errors.Is(err, dotmesh.NotFound) {
			return
		}
		for _, have := range info.Commits {
			c, err := n.checkCommit(ctx, dotmesh.Ref{Line: line, Commit: have.ID})
			if errors.Is(err, dotmesh.NotFound) {
				continue
			}
			if !yield(c, err) || err != nil {
				return
			}
		}
		if err != nil {
			yield(dotmesh.Checked{}, err)
		}
	}
}

// checkCommit reads a commit and compares it with the note of it, which it makes if there
// is none.
func (n *Node) checkCommit(ctx context.Context, ref dotmesh.Ref) (dotmesh.Checked, error) {
	c := dotmesh.Checked{Commit: ref.Commit}
	sum, err := n.readCommit(ctx, ref)
	if errors.Is(err, dotmesh.Corrupt) {
		n.log.Error("a commit is damaged", "commit", ref.Commit, "line", ref.Line, "err", err)
		c.State, c.Text = dotmesh.CheckUnreadable, dotmesh.Text(err)
		return c, nil
	}
	if err != nil {
		return c, err
	}
	c.Tree, c.Bytes = sum.String(), sum.Bytes
	noted, err := n.mem.noteTree(ref.Commit, c.Tree)
	switch {
	case err != nil:
		return c, err
	case noted == "":
		c.State = dotmesh.CheckNew
	case noted == c.Tree:
		c.State = dotmesh.CheckSame
	default:
		n.log.Error("a commit is not what it was", "commit", ref.Commit, "line", ref.Line, "tree", c.Tree, "noted", noted)
		c.State, c.Text = dotmesh.CheckDiffers, fmt.Sprintf("its files are not those of the first check, whose hash was %s", noted)
	}
	return c, nil
}

// readCommit reads all of a commit.
func (n *Node) readCommit(ctx context.Context, ref dotmesh.Ref) (sum treehash.Sum, err error) {
	err = n.mounted(ctx, ref, "check", func(dir string) error {
		sum, err = treehash.Of(ctx, dir)
		return err
	})
	return sum, err
}

// mounted mounts a commit for itself, calls read with the directory and unmounts it. Calls
// for one purpose and commit wait for each other; one for another purpose has a mount of
// its own, since a check can take hours.
func (n *Node) mounted(ctx context.Context, ref dotmesh.Ref, purpose string, read func(dir string) error) (err error) {
	release, err := n.locks.acquire(ctx, ref.Commit.Derive(purpose))
	if err != nil {
		return err
	}
	defer release()
	device, err := n.store.View(ctx, ref)
	if err != nil {
		return err
	}
	dir := filepath.Join(n.cfg.MountDir, checksDir, purpose+"-"+ref.Commit.String())
	if err := n.cfg.Mounter.Mount(ctx, device, dir); err != nil {
		return err
	}
	defer func() {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleFor)
		defer cancel()
		err = errors.Join(err, n.cfg.Mounter.Unmount(late, dir))
	}()
	return read(dir)
}

// unmountChecks takes away what a run that was killed had mounted to read it.
func (n *Node) unmountChecks(ctx context.Context) {
	entries, err := os.ReadDir(filepath.Join(n.cfg.MountDir, checksDir))
	for _, e := range entries {
		err = errors.Join(err, n.cfg.Mounter.Unmount(ctx, filepath.Join(n.cfg.MountDir, checksDir, e.Name())))
	}
	if err != nil && !os.IsNotExist(err) {
		n.log.Warn("a commit that was being read is still mounted", "err", err)
	}
}
