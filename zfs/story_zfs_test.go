//go:build linux && zfs

package zfs_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"dotmesh.io/dotmesh/zfs"
)

// The story is the life of three lines, step by step. Each line's one file holds a word.

func storyLine(name string) dotmesh.LineID {
	return dotmesh.LineID{UUID: dotmesh.UUID{9}.Derive("line " + name)}
}

func storyCommit(name string) dotmesh.CommitID {
	return dotmesh.CommitID{UUID: dotmesh.UUID{9}.Derive("commit " + name)}
}

func storyRef(line, commit string) dotmesh.Ref {
	return dotmesh.Ref{Line: storyLine(line), Commit: storyCommit(commit)}
}

// picture is what users of a store see: of each line the word in its head, or "no head",
// and its commits with the word that each holds, oldest first.
type picture map[string]string

// with returns a picture in which a line is different; "" takes it away.
func (p picture) with(line, is string) picture {
	next := maps.Clone(p)
	if next[line] = is; is == "" {
		delete(next, line)
	}
	return next
}

// step is one thing that is done to a store, and may be done again.
type step struct {
	name  string
	run   func() error
	after func(picture) picture // what it makes of the picture
	// between is what may be seen when it was cut short, beside what there was and what
	// comes of it; nil where that is all.
	between func(picture) picture
}

// teller does the steps on a store. dir is a directory for mounts and for streams, which
// whoever goes on after a crash finds there.
type teller struct {
	ctx context.Context //nolint:containedctx // lives as long as one process or test
	s   *zfs.Store
	dir string
}

func seen(line, is string) func(picture) picture {
	return func(p picture) picture { return p.with(line, is) }
}

// steps come by every failpoint of the store.
func (t *teller) steps() []step {
	return []step{
		{"fork a line from nothing", t.fork("a", "", ""), seen("a", ":"), nil},
		{"write to it", t.write("a", "one"), seen("a", "one:"), nil},
		{"commit", t.snap("a", "first"), seen("a", "one: first=one"), nil},
		{"write again", t.write("a", "two"), seen("a", "two: first=one"), nil},
		{"fork a line from a commit", t.fork("b", "a", "first"), seen("b", "one:"), nil},
		{"write to the fork", t.write("b", "three"), seen("b", "three:"), nil},
		{"commit the fork", t.snap("b", "second"), seen("b", "three: second=three"), nil},
		{"write what will be dropped", t.write("b", "lost"), seen("b", "lost: second=three"), nil},
		{"drop the head", t.dropHead("b"), seen("b", "no head: second=three"), nil},
		{"drop the commit", t.drop("b", "second"), seen("b", "no head:"), nil},
		{"destroy the fork", t.destroy("b"), seen("b", ""), nil},
		{"fork a line to be sent", t.fork("c", "", ""), seen("c", ":"), nil},
		{"write what will be sent", t.write("c", "four"), seen("c", "four:"), nil},
		{"commit it", t.snap("c", "third"), seen("c", "four: third=four"), nil},
		{"write more", t.write("c", "five"), seen("c", "five: third=four"), nil},
		{"commit that", t.snap("c", "fourth"), seen("c", "five: third=four fourth=five"), nil},
		{"send", t.send, func(p picture) picture { return p }, nil},
		{"destroy what was sent", t.destroy("c"), seen("c", ""), nil},
		{"receive the line from a stranger", t.receive("third", dotmesh.Stranger), seen("c", "no head: third=four"), nil},
		{"bring back its head", t.live("c"), seen("c", "four: third=four"), nil},
		{
			"receive the next commit over a clean head", t.receive("fourth", dotmesh.Member), seen("c", "no head: third=four fourth=five"),
			seen("c", "no head: third=four"),
		},
		{"destroy the replica", t.destroy("c"), seen("c", ""), nil},
		{"destroy the first line", t.destroy("a"), seen("a", ""), nil},
	}
}

func (t *teller) fork(line, from, commit string) func() error {
	var origin dotmesh.Origin
	if from != "" {
		origin = dotmesh.Origin(storyRef(from, commit))
	}
	return func() error { return t.s.Fork(t.ctx, storyLine(line), origin) }
}

func (t *teller) snap(line, commit string) func() error {
	return func() error {
		r := storyRef(line, commit)
		request := dotmesh.SnapRequest{Line: r.Line, Commit: r.Commit, Meta: []byte(commit)}
		return t.s.Snapshot(t.ctx, []dotmesh.SnapRequest{request})[0].Err
	}
}

func (t *teller) drop(line, commit string) func() error {
	return func() error {
		return t.s.Drop(t.ctx, storyLine(line), []dotmesh.CommitID{storyCommit(commit)})
	}
}

func (t *teller) dropHead(line string) func() error {
	return func() error { return t.s.DropHead(t.ctx, storyLine(line)) }
}

func (t *teller) destroy(line string) func() error {
	return func() error { return t.s.Destroy(t.ctx, storyLine(line)) }
}

func (t *teller) live(line string) func() error {
	return func() error {
		_, err := t.s.Live(t.ctx, storyLine(line))
		return err
	}
}

// write makes the line's file hold a word, durably.
func (t *teller) write(line, word string) func() error {
	return func() error {
		d, err := t.s.Live(t.ctx, storyLine(line))
		if err != nil {
			return err
		}
		return t.mounted(d, func(dir string) error {
			f, err := os.Create(filepath.Join(dir, "word"))
			if err != nil {
				return err
			}
			_, err = f.WriteString(word)
			return errors.Join(err, f.Sync(), f.Close())
		})
	}
}

func (t *teller) mounted(d dotmesh.Device, f func(dir string) error) error {
	dir := filepath.Join(t.dir, "mount")
	err := errors.Join(os.MkdirAll(dir, 0o700), mounts.Mount(t.ctx, d, dir))
	if err != nil {
		return err
	}
	return errors.Join(f(dir), mounts.Unmount(t.ctx, dir))
}

// send keeps the commits of the line c for later, each in a stream of its own, and sends
// both in one.
func (t *teller) send() error {
	third, fourth := storyRef("c", "third"), storyRef("c", "fourth")
	return errors.Join(
		t.sendTo("third", dotmesh.Ref{}, third),
		t.sendTo("fourth", third, fourth),
		t.sendTo("both", dotmesh.Ref{}, third, fourth),
	)
}

func (t *teller) sendTo(file string, from dotmesh.Ref, commits ...dotmesh.Ref) error {
	spec := dotmesh.SendSpec{Line: commits[0].Line, From: from}
	for _, r := range commits {
		spec.Commits = append(spec.Commits, r.Commit)
	}
	stream, err := t.s.Send(t.ctx, spec)
	if err != nil {
		return err
	}
	all, err := io.ReadAll(stream)
	return errors.Join(err, stream.Close(), os.WriteFile(filepath.Join(t.dir, file), all, 0o600))
}

func (t *teller) receive(commit string, trust dotmesh.Trust) func() error {
	return func() error {
		all, err := os.ReadFile(filepath.Join(t.dir, commit))
		if err != nil {
			return err
		}
		_, err = t.s.Receive(t.ctx, dotmesh.RecvSpec{Line: storyLine("c"), Trust: trust}, bytes.NewReader(all))
		return err
	}
}

// look returns the picture of the store, of which nothing else may be in there.
func (t *teller) look() (picture, error) {
	names := map[dotmesh.LineID]string{}
	for _, name := range []string{"a", "b", "c"} {
		names[storyLine(name)] = name
	}
	p := picture{}
	for info, err := range t.s.Inventory(t.ctx) {
		if err != nil {
			return nil, err
		}
		is, err := t.lookAt(info)
		if err != nil {
			return nil, fmt.Errorf("line %s: %w", names[info.ID], err)
		}
		p[names[info.ID]] = is
	}
	return p, nil
}

func (t *teller) lookAt(info dotmesh.LineInfo) (string, error) {
	is := "no head"
	if info.Head {
		d, err := t.s.Live(t.ctx, info.ID)
		if err != nil {
			return "", err
		}
		if is, err = t.word(d); err != nil {
			return "", err
		}
	}
	is += ":"
	for _, c := range info.Commits {
		d, err := t.s.View(t.ctx, dotmesh.Ref{Line: info.ID, Commit: c.ID})
		if err != nil {
			return "", err
		}
		word, err := t.word(d)
		if err != nil {
			return "", err
		}
		if name := string(c.Meta); c.ID == storyCommit(name) && c.GUID != "" {
			is += " " + name + "=" + word
		} else {
			is += fmt.Sprintf(" half a commit: %+v", c)
		}
	}
	return is, nil
}

func (t *teller) word(d dotmesh.Device) (word string, err error) {
	err = t.mounted(d, func(dir string) error {
		text, err := os.ReadFile(filepath.Join(dir, "word"))
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		word = string(text)
		return err
	})
	return word, err
}

// childEnv has the config of a child: a process that opens a pool and does what it is told
// at its standard input, which is the number of a step, or lookAround. It answers each with
// a line.
const (
	childEnv   = "DOTMESH_TEST_CHILD"
	lookAround = -1
)

type childConfig struct {
	Config zfs.Config
	Dir    string
}

// runChild is the child. It ends with its standard input.
func runChild(config string) error {
	var c childConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	if err := letGo(); err != nil {
		return err
	}
	s, err := zfs.Open(context.Background(), c.Config)
	if err != nil {
		return err
	}
	t := &teller{ctx: context.Background(), s: s, dir: c.Dir}
	steps := t.steps()
	for {
		var what int
		if _, err := fmt.Scanln(&what); errors.Is(err, io.EOF) {
			return s.Close()
		} else if err != nil {
			return err
		}
		if what != lookAround {
			fmt.Println(answer(steps[what].run()))
			continue
		}
		p, err := t.look()
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(p); err != nil {
			return err
		}
	}
}

// letGo unmounts what other tests have mounted just now: the child has a copy of each mount,
// which would keep their lines and pools in use. What it uses itself, as a machine's root that
// is on ZFS, stays.
func letGo() error {
	all, err := mounts.List("/")
	for _, e := range slices.Backward(all) {
		if e.FSType != "zfs" {
			continue
		}
		if e := unix.Unmount(e.Target, 0); !errors.Is(e, unix.EBUSY) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func answer(err error) string {
	if err == nil {
		return "done"
	}
	return "failed: " + strings.ReplaceAll(err.Error(), "\n", " ")
}
