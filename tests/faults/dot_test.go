//go:build failpoints

package faults_test

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
)

// dot is one dot of a test. Its one file holds a word; a commit's message is the word that
// the file held when it was made.
type dot struct {
	*node
	name    dotmesh.DotName
	request dotmesh.UUID            // of the operation under test
	paths   map[dotmesh.Name]string // where branches are mounted; "" for the current one
	last    picture                 // when the test was done with it
}

// picture is a dot as its users see it; the zero picture is that of none.
type picture struct {
	current  dotmesh.Name
	branches map[string]branch // by name; stashes as "stash of <their word>"
}

// branch is a branch in a picture.
type branch struct {
	log  string // the messages of its visible commits, newest first
	tip  string // the word in its HEAD; in a stash's newest commit of any kind
	live string // the word in its mounted volume; "" if it has none
}

// newDot returns the name of a dot that is not there.
func (n *node) newDot() *dot {
	n.dots++
	return &dot{
		node: n, name: dotmesh.DotName{Namespace: "admin", Name: dotmesh.Name(fmt.Sprint("dot", n.dots))},
		request: dotmesh.NewUUID(), paths: map[dotmesh.Name]string{},
	}
}

// again is the same dot for another operation, which is no repetition of the first.
func (d *dot) again() *dot {
	other := *d
	other.request = dotmesh.NewUUID()
	return &other
}

// grown returns a dot with the commits "one" and "two" and, in no commit, the word "dirty".
func (n *node) grown() *dot {
	n.Helper()
	d := n.newDot()
	d.create()
	d.mount("")
	for _, word := range []string{"one", "two"} {
		d.write("", word)
		d.commit(word)
	}
	d.write("", "dirty")
	return d
}

func (d *dot) create() {
	d.Helper()
	_, err := d.CreateDot(d.Context(), dotmesh.CreateDot{Dot: d.name})
	d.must(err)
}

func (d *dot) volume(name dotmesh.Name) dotmesh.Volume {
	return dotmesh.Volume{Dot: d.name, Branch: name, Subdot: dotmesh.RootSubdot}
}

// mount mounts a branch, or for the empty name what the dot's name means.
func (d *dot) mount(name dotmesh.Name) {
	d.Helper()
	m, err := d.Mount(d.Context(), dotmesh.MountRequest{Volume: d.volume(name)})
	d.must(err)
	d.paths[name] = m.Path
}

// unmount unmounts all branches.
func (d *dot) unmount() {
	d.Helper()
	for name := range d.paths {
		d.must(d.Unmount(d.Context(), dotmesh.MountRequest{Volume: d.volume(name)}))
	}
}

// write makes the file of a mounted branch hold a word, durably.
func (d *dot) write(name dotmesh.Name, word string) {
	d.Helper()
	f, err := os.OpenFile(filepath.Join(d.paths[name], "word"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	d.must(err)
	_, err = f.WriteString(word)
	d.must(errors.Join(err, f.Sync(), f.Close()))
}

func (d *dot) commit(word string) {
	d.Helper()
	_, err := d.Commit(d.Context(), dotmesh.CommitRequest{Dot: d.name, Message: word})
	d.must(err)
}

func (d *dot) branch(name dotmesh.Name, ref string) {
	d.Helper()
	_, err := d.CreateBranch(d.Context(), dotmesh.CreateBranch{Name: name, From: d.ref(ref)})
	d.must(err)
}

func (d *dot) ref(ref string) dotmesh.CommitRef {
	return dotmesh.CommitRef{Dot: d.name, Branch: dotmesh.MasterBranch, Ref: ref}
}

func (d *dot) reset(ref string) {
	d.Helper()
	_, err := d.Reset(d.Context(), dotmesh.ResetRequest{CommitRef: d.ref(ref)})
	d.must(err)
}

// look returns the dot's picture, and checks what is true of every dot: each commit can be
// read and holds what its maker meant, and the counts are right.
func (d *dot) look() (p picture) {
	d.Helper()
	detail, err := d.Dot(d.Context(), d.name)
	if errors.Is(err, dotmesh.NotFound) {
		return p
	}
	d.must(err)
	p.branches = map[string]branch{}
	for _, b := range detail.All {
		if b.Current {
			p.current = b.Name
		}
		seen := d.lookAt(b)
		name := string(b.Name)
		if b.Stash != nil {
			name = "stash of " + seen.tip
		}
		for _, twice := p.branches[name]; twice; _, twice = p.branches[name] {
			name += " again"
		}
		p.branches[name] = seen
	}
	for volume, path := range d.paths {
		name := string(cmp.Or(volume, p.current))
		if word, mounted := d.read(path); mounted {
			seen := p.branches[name]
			seen.live = word
			p.branches[name] = seen
		}
	}
	return p
}

func (d *dot) lookAt(b dotmesh.BranchStatus) (seen branch) {
	d.Helper()
	page, err := d.Log(d.Context(), dotmesh.LogRequest{Dot: d.name, Branch: b.Name, System: true})
	d.must(err)
	var words []string
	for _, c := range page.Commits {
		word := d.readCommit(c.ID)
		if b.Stash == nil && c.ID == b.Pointer.Head || b.Stash != nil && c.ID == b.Pointer.Tip {
			seen.tip = word
		}
		if !c.Visible() {
			continue
		}
		if len(words) == 0 && c.ID != b.Pointer.Head {
			d.Errorf("%s@%s: the newest visible commit is %s, but HEAD is %s", d.name, b.Name, c.ID, b.Pointer.Head)
		}
		if want := strings.TrimPrefix(c.Message, "Initial commit"); word != want {
			d.Errorf("%s@%s: commit %q holds %q", d.name, b.Name, c.Message, word)
		}
		words = append(words, c.Message)
	}
	if len(page.Commits) == 0 || page.Commits[0].ID != b.Pointer.Tip {
		d.Errorf("%s@%s: the log does not begin with the tip %s", d.name, b.Name, b.Pointer.Tip)
	}
	if int(b.Pointer.Count) != len(words) {
		d.Errorf("%s@%s: %d commits are counted, and there are %d", d.name, b.Name, b.Pointer.Count, len(words))
	}
	seen.log = strings.Join(words, ", ")
	return seen
}

// readCommit returns the word that a commit holds. It is read once from each process.
func (d *dot) readCommit(id dotmesh.CommitID) string {
	d.Helper()
	if word, known := d.words[id]; known {
		return word
	}
	m, err := d.MountCommit(d.Context(), d.ref(id.String()))
	d.must(err)
	word, _ := d.read(m.Path)
	d.must(errors.Join(mounts.Unmount(d.Context(), m.Path), os.Remove(m.Path)))
	d.words[id] = word
	return word
}

// read returns the word in the file system that is mounted at path, if one is.
func (d *dot) read(path string) (word string, mounted bool) {
	d.Helper()
	there, err := mounts.At(path)
	d.must(err)
	if there == nil {
		return "", false
	}
	text, err := os.ReadFile(filepath.Join(path, "word"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.Fatal(err)
	}
	return string(text), true
}

// want checks that the dot looks so.
func (d *dot) want(p picture) {
	d.Helper()
	if got := d.look(); !reflect.DeepEqual(got, p) {
		d.Errorf("%s is\n%s, want\n%s", d.name, got, p)
	}
}

// wantEither checks that the dot looks like one of the two, and returns which.
func (d *dot) wantEither(before, after picture) picture {
	d.Helper()
	got := d.look()
	if !reflect.DeepEqual(got, before) && !reflect.DeepEqual(got, after) {
		d.Errorf("%s is\n%s, want\n%s or\n%s", d.name, got, before, after)
	}
	return got
}

// wantToWork checks that the node can do what it is for.
func (d *dot) wantToWork() {
	d.Helper()
	d.mount("")
	d.write("", "more")
	d.commit("more")
	d.reset("HEAD^")
	other := d.newDot()
	other.create()
	other.want(picture{"master", map[string]branch{"master": {log: "Initial commit"}}})
	got := d.look()
	if b := got.branches[string(got.current)]; b.live != b.tip {
		d.Errorf("%s was reset and is %s", d.name, got)
	}
}
