//go:build linux && zfs && failpoints

package zfs_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/zfs"
)

// failpoints are all that the store has. The story comes by each.
var failpoints = []string{
	"zfs.head.before", "zfs.head.after-create", "zfs.head.after-clone", "zfs.live.before-record",
	"zfs.snapshot.after-meta", "zfs.snapshot.after",
	"zfs.drop.before", "zfs.drop-head.after-record", "zfs.settle.after",
	"zfs.destroy.after-mark", "zfs.destroy.after-snapshots", "zfs.destroy.after",
	"zfs.receive.after-record", "zfs.receive.after-begin", "zfs.receive.after-meta", "zfs.receive.after-end", "zfs.receive.after-publish",
	"zfs.send.after-hold",
}

// thorough reports whether the tests may take their time. Otherwise each failpoint has its turn
// once, and the power is not cut.
func thorough() bool { return os.Getenv("TEST_ZFS_FULL") != "" }

// TestAKillAtAnyStepLosesNothingAndLeavesNothingHalfMade tells the story in processes that
// are killed. Each is killed at the next failpoint of a step; the one that follows sees what
// there was before the step or what comes of it, and goes on with the step. What was
// acknowledged stays, and so does what was fsynced. And a power cut at the same moment would
// have left no less: a copy of the pool is looked at, too.
func TestAKillAtAnyStepLosesNothingAndLeavesNothingHalfMade(t *testing.T) {
	w := newWalk(t)
	steps := (&teller{}).steps()
	is := picture{}
	for i, step := range steps {
		for nth := 1; w.killed(i, nth, is); nth++ {
		}
		is = step.after(is)
	}
	w.end()
	w.wantEveryPoint()
}

// TestOpenWaitsForWhatAKilledProcessHasStarted kills a process whose zfs program has still to
// do what it was started for. The next one sees what comes of it from the beginning.
func TestOpenWaitsForWhatAKilledProcessHasStarted(t *testing.T) {
	w := newWalk(t)
	w.start()
	w.look()
	w.kill()
	program, err := exec.LookPath("zfs")
	must(t, err)
	bin, pids, path := t.TempDir(), filepath.Join(w.dir, "pids"), os.Getenv("PATH")
	slow := fmt.Sprintf("#!/bin/sh\n[ $1 != create ] || { echo $$ >%s.new && mv %s.new %s; sleep 5; }\nexec %s \"$@\"\n", pids, pids, pids, program)
	must(t, os.WriteFile(filepath.Join(bin, "zfs"), []byte(slow), 0o700))
	t.Setenv("PATH", bin+":"+path)
	w.start()
	said := w.tell(0)
	w.await(said, func() bool { _, err := os.Stat(pids); return err == nil })
	w.kill()
	<-said
	t.Setenv("PATH", path)
	w.start()
	got := w.look()
	text, err := os.ReadFile(pids)
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	w.must(errors.Is(syscall.Kill(pid, 0), syscall.ESRCH), "the program still runs")
	w.want(picture{}.with("a", ":"), 0, got, "the step")
}

// walk is a pool and the processes that have it open, one after the other.
type walk struct {
	*testing.T
	pool, file string
	dir        string
	arms       int
	seen       int             // where the points of the present arming begin
	had        map[string]bool // the points that have had their turn, by what was done there
	came       bool            // what comes of the present step has been seen, and must stay
	cmd        *exec.Cmd
	in         io.WriteCloser
	out        *bufio.Reader
}

func newWalk(t *testing.T) *walk {
	t.Helper()
	w := &walk{T: t, pool: poolName(), dir: t.TempDir(), had: map[string]bool{}}
	w.file = onDisk(t, w.pool)
	w.arm("")
	t.Cleanup(func() {
		w.kill()
		export(t, w.pool)
	})
	return w
}

func (w *walk) must(ok bool, format string, args ...any) {
	w.Helper()
	if !ok {
		w.Fatalf(format, args...)
	}
}

// killed has a process do a step until it comes to its nth failpoint, kills it there, and
// checks what the next one sees. It reports false when there is no such failpoint: then the
// step is done.
func (w *walk) killed(i, nth int, before picture) bool {
	w.Helper()
	if w.cmd == nil {
		w.open()
	}
	step := (&teller{}).steps()[i]
	stops := w.armNext("wait:"+filepath.Join(w.dir, "never"), nth)
	said := w.tell(i)
	if !w.await(said, stops) {
		w.arm("")
		if nth > 1 || thorough() {
			w.want(step.after(before), i, w.look(), "the step")
		}
		w.came = false
		return false
	}
	at := w.last()
	w.Logf("%s, killed at %s", step.name, at)
	var cut picture
	if thorough() {
		cut = w.cutPower()
	}
	w.kill()
	<-said
	got := w.open()
	if cut != nil {
		w.want(before, i, cut, "a power cut at "+at)
	}
	w.want(before, i, got, "a kill at "+at)
	w.came = w.came || maps.Equal(got, step.after(before))
	return true
}

// armNext has something happen at the nth failpoint from now on, or where time is short at
// the first one where it has not happened yet. What it returns tells whether that has been
// reached.
func (w *walk) armNext(action string, nth int) (reached func() bool) {
	w.Helper()
	if thorough() {
		w.arm(fmt.Sprintf("*=%s@%d", action, nth))
		return func() bool { return len(w.reached()) >= nth }
	}
	var open, armed []string
	for _, point := range failpoints {
		if !w.had[action+point] {
			open = append(open, point)
			armed = append(armed, point+"="+action+"@1")
		}
	}
	w.arm(strings.Join(armed, ";"))
	return func() bool {
		for _, point := range w.reached() {
			if slices.Contains(open, point) {
				w.had[action+point] = true
				return true
			}
		}
		return false
	}
}

// want checks what is seen after a step was cut short, or done.
func (w *walk) want(before picture, i int, got picture, after string) {
	w.Helper()
	step := (&teller{}).steps()[i]
	may := []picture{before}
	switch {
	case after == "the step":
	case w.came:
		may = []picture{step.after(before)}
	default:
		may = append(may, step.after(before))
		if step.between != nil {
			may = append(may, step.between(before))
		}
	}
	if !slices.ContainsFunc(may, func(p picture) bool { return maps.Equal(p, got) }) {
		w.Errorf("%s: after %s there is %q, want one of %q", step.name, after, got, may)
	}
}

// open starts a process. Whatever it comes by while it finishes what the one before has
// left, one like it is killed there first. It returns what the process sees.
func (w *walk) open() (seen picture) {
	w.Helper()
	for nth := 1; ; nth++ {
		stopped := w.armNext("kill", nth)
		w.start()
		if seen = w.tryLook(); seen != nil {
			break
		}
		w.must(stopped(), "the process was killed by somebody else")
		w.Logf("killed at %s while it opened the pool", w.last())
		w.kill()
	}
	w.arm("")
	return seen
}

// start starts a process in a mount namespace of its own, which ends with it.
func (w *walk) start() {
	w.Helper()
	config, err := json.Marshal(childConfig{zfs.Config{Pool: w.pool, File: w.file, Size: poolSize}, w.dir})
	must(w.T, err)
	w.cmd = exec.Command(os.Args[0])
	w.cmd.Env = append(os.Environ(), childEnv+"="+string(config),
		"DOTMESH_FAILPOINTS=@"+filepath.Join(w.dir, "armed"), "DOTMESH_FAILPOINTS_LOG="+filepath.Join(w.dir, "points"))
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	w.cmd.Stderr = os.Stderr
	in, err1 := w.cmd.StdinPipe()
	out, err2 := w.cmd.StdoutPipe()
	must(w.T, errors.Join(err1, err2, w.cmd.Start()))
	w.in, w.out = in, bufio.NewReader(out)
}

// kill ends the process, if there is one and it has not ended.
func (w *walk) kill() {
	if w.cmd == nil {
		return
	}
	_ = w.cmd.Process.Kill() // it may have been killed
	_ = w.cmd.Wait()
	_ = w.in.Close()
	w.cmd = nil
}

// tell has the process do a step, and returns where it says what came of it.
func (w *walk) tell(i int) <-chan string {
	w.Helper()
	_, err := fmt.Fprintln(w.in, i)
	must(w.T, err)
	said, out := make(chan string, 1), w.out
	go func() {
		line, _ := out.ReadString('\n') // nothing, if it was killed
		said <- strings.TrimSpace(line)
	}()
	return said
}

func (w *walk) ask(i int) string { return <-w.tell(i) }

// await waits until the process stands still, or has done its step.
func (w *walk) await(said <-chan string, stopped func() bool) bool {
	w.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(5 * time.Minute)
	for !stopped() {
		select {
		case answer := <-said:
			w.must(answer == "done", "the process said %q", answer)
			return false
		case <-deadline:
			w.Fatal("a step does not end")
		case <-tick.C:
		}
	}
	return true
}

// look returns what the process sees.
func (w *walk) look() picture {
	w.Helper()
	p := w.tryLook()
	w.must(p != nil, "the process has ended")
	return p
}

// tryLook is look at a process that may have been killed: nil if so.
func (w *walk) tryLook() (p picture) {
	w.Helper()
	line := ""
	if _, err := fmt.Fprintln(w.in, lookAround); err == nil {
		line, _ = w.out.ReadString('\n')
	}
	if line == "" {
		err := w.cmd.Wait()
		w.must(w.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL, "the process ended with %v", err)
		return nil
	}
	must(w.T, json.Unmarshal([]byte(line), &p))
	return p
}

// cutPower returns what a store finds in a pool that is as the disk has it now.
func (w *walk) cutPower() picture {
	w.Helper()
	c := crasher{pool: w.pool, file: w.file}
	var p picture
	w.Run("power cut at "+w.last(), func(t *testing.T) {
		teller := &teller{ctx: t.Context(), s: c.crashed(t), dir: t.TempDir()}
		var err error
		p, err = teller.look()
		must(t, err)
	})
	return p
}

// end checks that nothing is left of the story.
func (w *walk) end() {
	w.Helper()
	w.kill()
	s, err := zfs.Open(w.Context(), zfs.Config{Pool: w.pool, File: w.file})
	must(w.T, err)
	defer func() { must(w.T, s.Close()) }()
	for info, err := range s.Inventory(w.Context()) {
		w.Errorf("left: %+v, %v", info, err)
	}
	must(w.T, s.KV().View(func(tx dotmesh.KVReader) error {
		for _, bucket := range []string{"store/lines", "store/meta", "store/holds"} {
			for key := range tx.Scan(bucket) {
				w.Errorf("left in the KV: %s %s", bucket, key)
			}
		}
		return nil
	}))
	if left := command(w.T, "zfs", "list", "-H", "-r", "-t", "all", "-o", "name", w.pool+"/dotmesh/lines"); strings.Contains(left, "\n") {
		w.Errorf("left in the pool: %s", left)
	}
}

// arm says what happens at which failpoint from now on, and forgets which were reached.
func (w *walk) arm(points string) {
	w.Helper()
	next, armed := filepath.Join(w.dir, "armed.new"), filepath.Join(w.dir, "armed")
	w.arms++ // the text differs from the one before, so that counting begins anew
	err := os.WriteFile(next, []byte(points+strings.Repeat(";", w.arms%2)), 0o600)
	must(w.T, errors.Join(err, os.Rename(next, armed)))
	w.seen = len(w.points())
}

func (w *walk) points() string {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "points"))
	if !errors.Is(err, os.ErrNotExist) {
		must(w.T, err)
	}
	return string(text)
}

// reached are the failpoints that were reached since arm.
func (w *walk) reached() []string {
	w.Helper()
	return strings.Fields(w.points()[w.seen:])
}

func (w *walk) last() string {
	w.Helper()
	all := strings.Fields(w.points())
	return all[len(all)-1]
}

// wantEveryPoint checks that the story came by every failpoint, and that none is unknown.
func (w *walk) wantEveryPoint() {
	w.Helper()
	reached := strings.Fields(w.points())
	for _, point := range failpoints {
		if !slices.Contains(reached, point) {
			w.Errorf("the story did not come by %s", point)
		}
	}
	for _, point := range reached {
		if !slices.Contains(failpoints, point) {
			w.Errorf("%s is missing in the list of failpoints", point)
		}
	}
}
