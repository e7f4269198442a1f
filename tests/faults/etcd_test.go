//go:build failpoints

package faults_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/mounts"
	"dotmesh.io/dotmesh/server/api"
	"dotmesh.io/dotmesh/tests/daemon"
)

// refusal is how long a call may take to say that it cannot be done.
const refusal = 30 * time.Second

// startEtcd runs an etcd that is not the server's child, and returns what ends it.
func (n *node) startEtcd() (kill func()) {
	n.Helper()
	socket := n.path("etcd.sock")
	n.must(os.RemoveAll(socket))
	cmd := exec.Command(n.program, "etcd", "--data-dir", n.path("etcd"), "--socket", socket, "--log-level", "error")
	n.Args = append(n.Args, "--etcd-endpoints", "unix://"+socket)
	ended, err := daemon.Run(cmd)
	n.must(err)
	kill = func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
	}
	n.Cleanup(kill)
	return kill
}

// mutations are calls that change a dot, each in its own way.
func (d *dot) mutations() map[string]func(context.Context) error {
	all := map[string]func(context.Context) error{
		"undo":          func(ctx context.Context) error { return undo(ctx, d) },
		"delete commit": func(ctx context.Context) error { return d.DeleteCommit(ctx, d.ref("HEAD^")) },
		"create user": func(ctx context.Context) error {
			_, _, err := d.CreateUser(ctx, dotmesh.CreateUser{Name: "nobody"})
			return err
		},
	}
	for _, name := range []string{"init", "commit", "branch", "reset", "deleting a dot"} {
		on := d.again()
		if name == "init" {
			on = d.newDot()
		}
		all[name] = func(ctx context.Context) error { return operationCalled(name).run(ctx, on) }
	}
	return all
}

// wantRefused checks that nothing can be changed, and that trying changes nothing.
func (d *dot) wantRefused(before picture, kinds ...dotmesh.Kind) (texts []string) {
	d.Helper()
	var mu sync.Mutex // guards texts
	var running sync.WaitGroup
	for name, mutate := range d.mutations() {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(d.Context(), refusal)
			defer cancel()
			err := mutate(ctx)
			if ctx.Err() != nil {
				d.Errorf("%s was not refused within %s", name, refusal)
			}
			if !slices.Contains(kinds, dotmesh.KindOf(err)) {
				d.Errorf("%s ended in %v (%s), want one of %v", name, err, dotmesh.KindOf(err), kinds)
			}
			mu.Lock()
			defer mu.Unlock()
			texts = append(texts, dotmesh.Text(err))
		})
	}
	running.Wait()
	if before.branches != nil {
		d.want(before)
	}
	return texts
}

// etcdDead ends an etcd for good, and later brings it back.
func etcdDead(n *node) {
	kill := n.startEtcd()
	n.start()
	d := n.grown()
	d.reset("HEAD")
	d.write("", "dirty")
	before := d.look()
	kill()

	d.wantRefused(before, dotmesh.Unreachable)
	if all, err := n.Dots(n.Context()); err != nil || len(all) != 1 {
		n.Errorf("listed %d dots, %v", len(all), err)
	}
	d.write("", "more") // containers go on

	n.stop()
	n.must(daemon.Unmount(n.Dir)) // as after the machine was started anew
	n.launch()
	n.await("the branch is mounted without etcd", func() bool {
		there, err := mounts.At(d.paths[""])
		n.must(err)
		return there != nil
	})
	if word, _ := d.read(d.paths[""]); word != "more" {
		n.Errorf("the volume holds %q after the restart, want what was written last", word)
	}
	d.write("", "and more")
	master := before.branches["master"]
	master.live = "and more"
	before.branches["master"] = master
	n.await("the server answers from memory", n.ready)
	d.wantRefused(before, dotmesh.Unreachable)

	kill = n.startEtcd()
	n.awaitRegistry()
	d.want(before)
	d.commit("and more")
	d.wantToWork()

	// etcd loses everything under a server that runs.
	before = d.look()
	kill()
	n.must(os.RemoveAll(n.path("etcd")))
	n.startEtcd()
	n.await("the node is frozen", func() bool { return n.frozen() != "" })
	d.wantRefused(picture{}, dotmesh.Conflict, dotmesh.NotFound)
	n.recover()
	d.want(before)
	d.wantToWork()
	n.wantNoWaste()
}

// frozen is why the node changes nothing, "" if it does.
func (n *node) frozen() string {
	n.Helper()
	state, err := n.State(n.Context(), "node.frozen")
	n.must(err)
	return state["node.frozen"]
}

// estate is a node that has had a life, and what must be there of it.
type estate struct {
	*node
	dots     []*dot
	pictures []picture
	deleted  *dot
	user     dotmesh.Name
	key      dotmesh.Secret
}

// settle makes an estate on a node that runs.
func (n *node) settle() *estate {
	n.Helper()
	e := &estate{node: n, user: "alice"}
	reset := n.grown()
	reset.reset("HEAD^")
	reset.write("", "dirty")
	pruned := withSide(n)
	n.must(pruned.DeleteBranch(n.Context(), dotmesh.BranchRequest{Dot: pruned.name, Branch: "side"}))
	thinned := n.grown()
	n.must(thinned.DeleteCommit(n.Context(), thinned.ref("HEAD^")))
	e.deleted = n.grown()
	n.must(n.DeleteDot(n.Context(), dotmesh.DeleteDot{Dot: e.deleted.name}))
	e.dots = []*dot{reset, pruned, thinned, withSide(n)}
	_, key, err := n.CreateUser(n.Context(), dotmesh.CreateUser{Name: e.user})
	n.must(err)
	e.key = key
	e.remember()
	return e
}

// remember takes the pictures that must be there.
func (e *estate) remember() {
	e.pictures = nil
	for _, d := range e.dots {
		e.pictures = append(e.pictures, d.look())
	}
}

// want checks that all of the estate is there, and only that.
func (e *estate) want() {
	e.Helper()
	for i, d := range e.dots {
		d.want(e.pictures[i])
	}
	e.deleted.want(picture{})
	if all, err := e.Dots(e.Context()); err != nil || len(all) != len(e.dots) {
		e.Errorf("there are %d dots, %v, want %d", len(all), err, len(e.dots))
	}
	user, err := api.NewClient(api.Remote{URL: "unix://" + e.path("dm.sock"), User: e.user, Key: e.key})
	e.must(err)
	defer user.Close()
	if who, err := user.Whoami(e.Context()); err != nil || who.Name != e.user {
		e.Errorf("%s's key logs in as %q, %v", e.user, who.Name, err)
	}
}

// wantToWork checks that every dot can be worked with, and that the deleted one can be
// brought back.
func (e *estate) wantToWork() {
	e.Helper()
	for _, d := range e.dots {
		d.wantToWork()
	}
}

// wantFrozen starts the server, checks that it changes nothing and says what to do, and
// that its pool is as it was.
func (e *estate) wantFrozen() {
	e.Helper()
	before := e.inventory()
	e.start()
	if why := e.frozen(); !strings.Contains(why, "dm cluster recover") {
		e.Errorf("the node is frozen because %q, want to be told what to do", why)
	}
	for _, text := range e.dots[0].wantRefused(picture{}, dotmesh.Conflict, dotmesh.NotFound) {
		if !strings.Contains(text, "dm cluster recover") && !strings.Contains(text, "no dot") {
			e.Errorf("a refusal says %q, want to be told what to do", text)
		}
	}
	e.dots[0].write("", "dirty") // containers go on
	e.stop()
	if after := e.inventory(); !reflect.DeepEqual(sorted(before), sorted(after)) {
		e.Errorf("the pool of a frozen node has changed from\n%v to\n%v", before, after)
	}
}

func sorted(lines []dotmesh.LineInfo) []dotmesh.LineInfo {
	slices.SortFunc(lines, func(a, b dotmesh.LineInfo) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return lines
}

// recover does what dm cluster recover does.
func (n *node) recover() {
	n.Helper()
	done, err := n.Recover(n.Context())
	n.must(err)
	if len(done.Notes) > 0 {
		n.Errorf("the recovery noted %q", done.Notes)
	}
}

// recoverKilled recovers a server that is killed at every step of the recovery.
func (e *estate) recoverKilled() {
	e.Helper()
	e.start()
	for nth := 1; ; nth++ {
		at := step{"*", nth}
		e.armAt(at, "kill")
		if _, err := e.Recover(e.Context()); err == nil {
			break
		}
		e.died()
		e.arm("")
		e.start()
		if e.frozen() == "" {
			break // the last step was done, and only the answer was lost
		}
	}
	e.arm("")
	if _, err := e.State(e.Context(), "node"); err != nil {
		e.died() // it came to one more step before
		e.start()
	}
	e.want()
}

// etcdWiped empties the registry of a node that stands still.
func etcdWiped(n *node) {
	n.start()
	e := n.settle()
	n.stop()
	n.must(os.RemoveAll(n.path("data", "etcd")))
	e.wantFrozen()
	e.recoverKilled()
	e.wantToWork()
	n.restart()
	_, err := n.Undo(n.Context(), dotmesh.UndoRequest{Dot: e.deleted.name})
	n.must(err) // the log of what was done has come back, too
	n.wantNoWaste()
}

// etcdOlder puts an older copy of the registry in its place.
func etcdOlder(n *node) {
	n.start()
	e := n.settle()
	n.stop()
	n.must(os.CopyFS(n.path("copy"), os.DirFS(n.path("data", "etcd"))))
	n.start()
	first := e.dots[0]
	first.commit("dirty")
	first.write("", "later")
	first.commit("later")
	first.write("", "dirty")
	n.must(n.DeleteDot(n.Context(), dotmesh.DeleteDot{Dot: e.dots[1].name}))
	e.deleted = e.dots[1]
	e.dots = append(slices.Delete(e.dots, 1, 2), n.grown())
	e.remember()
	n.stop()
	n.must(errors.Join(os.RemoveAll(n.path("data", "etcd")), os.Rename(n.path("copy"), n.path("data", "etcd"))))
	e.wantFrozen()
	n.start()
	n.recover()
	e.want()
	e.wantToWork()
	n.wantNoWaste()
}

// etcdForeign gives a node another cluster's registry, and then its own again.
func etcdForeign(n *node) {
	n.start()
	e := n.settle()
	n.stop()
	own := n.path("own")
	n.must(os.Rename(n.path("data", "etcd"), own))
	other := n.bench.node(n.T)
	other.start()
	other.grown()
	other.stop()
	n.must(os.Rename(other.path("data", "etcd"), n.path("data", "etcd")))
	e.wantFrozen()
	n.must(errors.Join(os.RemoveAll(n.path("data", "etcd")), os.Rename(own, n.path("data", "etcd"))))
	n.start()
	e.want()
	e.wantToWork()
	n.wantNoWaste()
}
