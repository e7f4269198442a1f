package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	seedRows = 100_000 // about 30 MiB: what is there before the demo begins
	loadRows = 2_000   // what must have been written before the first commit

	patience = 5 * time.Minute // for a scene, on a slow machine
)

// story is what the scenes share.
type story struct {
	*shell
	node *node
	db   *database // as it is mounted at dir/shop
	dir  string    // temporary
	good string    // the id of the commit that everything comes back to
	rows int       // in that commit
}

// run plays the scenes in order and cleans up.
func run(ctx context.Context, storage, bin string) (err error) {
	began := time.Now()
	if poolTitles[storage] == "" {
		return fmt.Errorf("there is no storage %q; it is %s or %s", storage, onBtrfs, onZFS)
	}
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "dotmesh-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	n := newNode(filepath.Join(bin, "dotmesh-server"), dir, storage)
	s := &story{
		dir:   dir,
		node:  n,
		shell: newShell(os.Stdout, filepath.Join(bin, "dm"), n.URL(), dir),
		db:    &database{path: filepath.Join(dir, "shop", "shop.db")},
	}
	defer func() {
		err = errors.Join(err, s.node.Stop(), s.node.leave())
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, s.node.LastWords())
		}
	}()
	for _, scene := range []struct {
		title string
		play  func(context.Context) error
	}{
		{"A node, on a " + poolTitles[storage] + " in a 2 GiB sparse file", s.start},
		{"A dot, and a database in it", s.fill},
		{"A commit, while orders come in", s.commit},
		{"A branch of it", s.branch},
		{"… which gets broken, compared and left", s.breakIt},
		{"A commit too many is taken back", s.reset},
		{"… and the taking back is undone", s.undo},
		{"Unsaved work is thrown away, and comes back", s.discard},
		{"What happened", s.tell},
		{"The same on a screen", s.look},
		{"The end: nothing is left behind", s.end},
	} {
		s.scene(scene.title)
		limited, cancel := context.WithTimeout(ctx, patience)
		err := scene.play(limited)
		cancel()
		if err != nil {
			return err
		}
	}
	s.printf("\nAll judgements passed in %s.\n", short(time.Since(began)))
	return nil
}

func (s *story) start(ctx context.Context) error {
	began := time.Now()
	if err := s.node.start(ctx); err != nil {
		return err
	}
	s.line("$ dotmesh-server "+strings.Join(s.node.Arguments(), " "), time.Since(began))
	return s.dm(ctx, "version")
}

func (s *story) fill(ctx context.Context) error {
	if err := s.dm(ctx, "init", "shop"); err != nil {
		return err
	}
	if err := s.dm(ctx, "mount", "shop", filepath.Join(s.dir, "shop")); err != nil {
		return err
	}
	began := time.Now()
	if err := s.db.create(ctx, seedRows); err != nil {
		return err
	}
	s.line(fmt.Sprintf("SQLite writes %d orders", seedRows), time.Since(began))
	return s.judge(ctx, s.db, seedRows)
}

// commit makes one under load: all that SQLite had confirmed before is in it, and it is a
// database that works.
func (s *story) commit(ctx context.Context) error {
	load, err := s.db.load(ctx)
	if err != nil {
		return err
	}
	defer load.stop()
	if err := load.reached(ctx, seedRows+loadRows); err != nil {
		return err
	}
	before := load.confirmed()
	busy, err := s.dmValue(ctx, "commit", "-m", "while orders come in")
	after := load.confirmed() + batch
	if err := errors.Join(err, load.stop()); err != nil {
		return err
	}
	place, err := s.dmValue(ctx, "mount", "--commit", busy, "shop", filepath.Join(s.dir, "then"))
	if err != nil {
		return err
	}
	copied, err := copyOf(filepath.Join(place, "shop.db"), filepath.Join(s.dir, "copy"))
	if err != nil {
		return err
	}
	health, rows, err := copied.ask(ctx)
	if err != nil {
		return err
	}
	s.verdict("the commit holds a database with %d rows: %s (%d were confirmed before it, at most %d could be written after)", rows, health, before, after)
	if health != healthy || rows < before || rows > after {
		return errors.New("the commit does not hold what was confirmed before it")
	}
	if err := s.dm(ctx, "unmount", filepath.Join(s.dir, "then")); err != nil {
		return err
	}
	if _, s.rows, err = s.db.ask(ctx); err != nil {
		return err
	}
	s.good, err = s.dmValue(ctx, "commit", "-m", "end of the day")
	return err
}

func (s *story) branch(ctx context.Context) error {
	if err := s.dm(ctx, "checkout", "-b", "try-migration"); err != nil {
		return err
	}
	if err := s.dm(ctx, "branch"); err != nil {
		return err
	}
	return s.judge(ctx, s.db, s.rows)
}

func (s *story) breakIt(ctx context.Context) error {
	if err := s.db.damage(); err != nil {
		return err
	}
	health, _, _ := s.db.ask(ctx) // what it cannot answer any more is the point
	s.verdict("4 MiB in the middle of the file are overwritten: %s", health)
	if health == healthy {
		return errors.New("the database should be broken now")
	}
	if err := s.dm(ctx, "diff"); err != nil {
		return err
	}
	if err := s.dm(ctx, "commit", "-m", "a migration that went wrong"); err != nil {
		return err
	}
	if err := s.dm(ctx, "checkout", "master"); err != nil {
		return err
	}
	if err := s.judge(ctx, s.db, s.rows); err != nil {
		return err
	}
	return s.dm(ctx, "diff", "master", "try-migration")
}

func (s *story) reset(ctx context.Context) error {
	if err := s.db.run(ctx, "DELETE FROM orders WHERE id % 2;"); err != nil {
		return err
	}
	if err := s.dm(ctx, "commit", "-m", "clean up, a bit too much"); err != nil {
		return err
	}
	if err := s.judge(ctx, s.db, s.rows/2); err != nil {
		return err
	}
	if err := s.dm(ctx, "reset", "HEAD^"); err != nil {
		return err
	}
	return s.judge(ctx, s.db, s.rows)
}

func (s *story) undo(ctx context.Context) error {
	if err := s.dm(ctx, "undo"); err != nil {
		return err
	}
	if err := s.judge(ctx, s.db, s.rows/2); err != nil {
		return err
	}
	if err := s.dm(ctx, "reset", s.good); err != nil {
		return err
	}
	return s.judge(ctx, s.db, s.rows)
}

func (s *story) discard(ctx context.Context) error {
	if err := s.db.insert(ctx, 100); err != nil {
		return err
	}
	if err := s.judge(ctx, s.db, s.rows+100); err != nil {
		return err
	}
	if err := s.dm(ctx, "status", "--fresh"); err != nil {
		return err
	}
	if err := s.dm(ctx, "discard"); err != nil {
		return err
	}
	if err := s.judge(ctx, s.db, s.rows); err != nil {
		return err
	}
	if err := s.dm(ctx, "undo"); err != nil {
		return err
	}
	return s.judge(ctx, s.db, s.rows+100)
}

func (s *story) tell(ctx context.Context) error {
	for _, command := range [][]string{{"log"}, {"branch", "--stashes"}, {"op", "log"}, {"list"}} {
		if err := s.dm(ctx, command...); err != nil {
			return err
		}
	}
	return nil
}

// look opens the terminal UI on what the scenes have made, if somebody sits at a terminal,
// for as long as they like.
func (s *story) look(context.Context) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())) {
		s.verdict("there is no terminal here; on one this would be dm ui")
		return nil
	}
	cmd := exec.Command(s.program, "ui")
	cmd.Env = append(s.env, "NO_COLOR="+os.Getenv("NO_COLOR"))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("dm ui: %w", err)
	}
	s.verdict("left the UI, which changed nothing by itself")
	return nil
}

func (s *story) end(ctx context.Context) error {
	if err := s.dm(ctx, "unmount", filepath.Join(s.dir, "shop")); err != nil {
		return err
	}
	began := time.Now()
	if err := s.node.Stop(); err != nil {
		return err
	}
	s.line("$ kill -TERM dotmesh-server", time.Since(began))
	// A node leaves its mounts to the containers that use them, and starts again with them.
	if err := s.node.leave(); err != nil {
		return err
	}
	left, err := s.node.leftovers(ctx)
	if err != nil {
		return err
	}
	s.verdict("mounts, pools, loop devices and processes left: %d", len(left))
	if len(left) > 0 {
		return fmt.Errorf("left behind: %s", strings.Join(left, ", "))
	}
	return nil
}

// judge asks the database how it is, and compares.
func (s *story) judge(ctx context.Context, db *database, want int) error {
	began := time.Now()
	health, rows, err := db.ask(ctx)
	if err != nil {
		return err
	}
	s.verdict("PRAGMA integrity_check: %s, %d rows (asked in %s)", health, rows, short(time.Since(began)))
	if health != healthy || rows != want {
		return fmt.Errorf("the database should be healthy and have %d rows", want)
	}
	return nil
}
