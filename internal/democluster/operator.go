package democluster

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
)

// machine is what the operator's jobs find and change besides the cluster itself: which of
// their steps are done.
type machine struct {
	busy   bool
	done   map[string]bool         // job and step
	failed map[string]bool         // steps that failed once, as they were asked to
	work   map[dotmesh.JobKind]int // steps that jobs did: what a plan of another job rests on
}

func newMachine() machine {
	return machine{done: map[string]bool{}, failed: map[string]bool{}, work: map[dotmesh.JobKind]int{}}
}

// operator does its jobs on the cluster and on a machine that is not there.
type operator struct{ c *Cluster }

// Operator returns what inits, joins, upgrades and resets. Its steps take as much time as
// Step lets pass. The option "fail" of a job names a step that fails once.
func (c *Cluster) Operator() dotmesh.Operator { return operator{c} }

// task is a step and what doing it means.
type task struct {
	dotmesh.Step
	takes  time.Duration
	says   []string                           // progress, a line after each part of the time
	until  func() (left string)               // what it still waits for after that; "": nothing
	effect func()                             // what is so when it is done
	check  func(job dotmesh.Job) (fail error) // before it begins
}

// Plan implements dotmesh.Operator.
func (o operator) Plan(ctx context.Context, job dotmesh.Job) (dotmesh.Plan, error) {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	if ctx.Err() != nil {
		return dotmesh.Plan{}, dotmesh.Wrap("democluster.Plan", ctx.Err())
	}
	tasks, err := o.tasks(job)
	if err != nil {
		return dotmesh.Plan{}, err
	}
	plan := dotmesh.Plan{Job: job, State: o.digest(job)}
	for _, t := range tasks {
		t.Done = o.c.machine.done[key(job, t.ID)]
		plan.Steps = append(plan.Steps, t.Step)
	}
	if fail := job.Options["fail"]; fail != "" && find(tasks, fail) == nil {
		return dotmesh.Plan{}, dotmesh.E("democluster.Plan", dotmesh.Invalid, "there is no step %q that could fail", fail)
	}
	return plan, nil
}

func find(tasks []task, id string) *task {
	if i := slices.IndexFunc(tasks, func(t task) bool { return t.ID == id }); i >= 0 {
		return &tasks[i]
	}
	return nil
}

// key names a job's step: an upgrade to another version is another job.
func key(job dotmesh.Job, step string) string {
	return string(job.Kind) + " " + job.Options["version"] + job.Options["name"] + " " + step
}

// digest says what a plan rests on: the cluster's members, and what other jobs did. The
// job's own steps do not change it, so that a run can be repeated.
func (o operator) digest(job dotmesh.Job) string {
	h := sha256.New()
	fmt.Fprintln(h, job.Kind, o.c.record.ID)
	for _, kind := range []dotmesh.JobKind{dotmesh.JobInit, dotmesh.JobJoin, dotmesh.JobUpgrade, dotmesh.JobReset} {
		if kind != job.Kind {
			fmt.Fprintln(h, kind, o.c.machine.work[kind])
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// Run implements dotmesh.Operator.
func (o operator) Run(ctx context.Context, plan dotmesh.Plan) iter.Seq2[dotmesh.StepEvent, error] {
	return func(yield func(dotmesh.StepEvent, error) bool) {
		tasks, err := o.start(plan)
		if err != nil {
			yield(dotmesh.StepEvent{}, err)
			return
		}
		defer o.stop()
		for _, step := range plan.Steps {
			t := find(tasks, step.ID)
			if t == nil {
				yield(dotmesh.StepEvent{Step: step.ID}, dotmesh.E("democluster.Run", dotmesh.Conflict, "the plan has a step %q that is not there any more; plan again", step.ID))
				return
			}
			if !o.do(ctx, plan.Job, t, yield) {
				return
			}
		}
	}
}

// start reserves the machine for one run, if the plan still fits.
func (o operator) start(plan dotmesh.Plan) ([]task, error) {
	const op = "democluster.Run"
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	tasks, err := o.tasks(plan.Job)
	switch {
	case err != nil:
		return nil, err
	case plan.State != o.digest(plan.Job):
		return nil, dotmesh.E(op, dotmesh.Conflict, "it is not as it was when the plan was made; nothing was done, plan again")
	case o.c.machine.busy:
		return nil, dotmesh.E(op, dotmesh.Busy, "another job is under way; wait until it has ended")
	}
	o.c.machine.busy = true
	return tasks, nil
}

func (o operator) stop() {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	o.c.machine.busy = false
}

// do does one step and reports whether the run goes on.
func (o operator) do(ctx context.Context, job dotmesh.Job, t *task, yield func(dotmesh.StepEvent, error) bool) bool {
	if o.isDone(job, t) {
		return yield(dotmesh.StepEvent{Step: t.ID, Text: "done already", Done: true}, nil)
	}
	fail := func(err error) bool {
		yield(dotmesh.StepEvent{Step: t.ID}, dotmesh.Wrap("democluster.Run", err))
		return false
	}
	if err := o.refused(job, t); err != nil {
		return fail(err)
	}
	for i, text := range t.says {
		if err := o.wait(ctx, t.takes/time.Duration(len(t.says))); err != nil {
			return fail(err)
		}
		if i == len(t.says)/2 && o.fails(job, t) {
			return fail(dotmesh.E("democluster.Run", dotmesh.Unreachable, "step %s failed, as it was asked to; run it again, what is done stays done", t.ID))
		}
		if !yield(dotmesh.StepEvent{Step: t.ID, Text: text}, nil) {
			return false
		}
	}
	for left := o.left(t); left != ""; left = o.left(t) {
		if !yield(dotmesh.StepEvent{Step: t.ID, Text: left}, nil) {
			return false
		}
		if err := o.wait(ctx, time.Second); err != nil {
			return fail(err)
		}
	}
	o.finish(job, t)
	return yield(dotmesh.StepEvent{Step: t.ID, Done: true}, nil)
}

// locked runs f with the cluster's lock held.
func locked[T any](o operator, f func() T) T {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	return f()
}

func (o operator) isDone(job dotmesh.Job, t *task) bool {
	return locked(o, func() bool { return o.c.machine.done[key(job, t.ID)] })
}

func (o operator) refused(job dotmesh.Job, t *task) error {
	return locked(o, func() error {
		if t.check == nil {
			return nil
		}
		return t.check(job)
	})
}

// fails reports whether the step is the one that is to fail, and has not done so yet.
func (o operator) fails(job dotmesh.Job, t *task) bool {
	return locked(o, func() bool {
		k := key(job, t.ID)
		if job.Options["fail"] != t.ID || o.c.machine.failed[k] {
			return false
		}
		o.c.machine.failed[k] = true
		return true
	})
}

func (o operator) left(t *task) string {
	return locked(o, func() string {
		if t.until == nil {
			return ""
		}
		return t.until()
	})
}

// wait waits until Step has let so much time pass.
func (o operator) wait(ctx context.Context, d time.Duration) error {
	over := locked(o, func() <-chan struct{} { return o.c.life.after(d) })
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		locked(o, func() struct{} { o.c.life.forget(over); return struct{}{} })
		return ctx.Err()
	}
}

// finish makes a step done. What undoes a job makes its steps ones that are still to do.
func (o operator) finish(job dotmesh.Job, t *task) {
	o.c.mu.Lock()
	defer o.c.mu.Unlock()
	m := &o.c.machine
	m.done[key(job, t.ID)] = true
	m.work[job.Kind]++
	opposite := map[dotmesh.JobKind]dotmesh.JobKind{dotmesh.JobInit: dotmesh.JobReset, dotmesh.JobReset: dotmesh.JobInit}[job.Kind]
	maps.DeleteFunc(m.done, func(done string, _ bool) bool {
		kind, _, _ := strings.Cut(done, " ")
		return kind == string(opposite)
	})
	if t.effect != nil {
		t.effect()
	}
}

// tasks returns what a job consists of.
func (o operator) tasks(job dotmesh.Job) ([]task, error) {
	switch job.Kind {
	case dotmesh.JobInit:
		return o.initTasks(job), nil
	case dotmesh.JobJoin:
		return o.joinTasks(job)
	case dotmesh.JobUpgrade:
		return o.upgradeTasks(job), nil
	case dotmesh.JobReset:
		return o.resetTasks(), nil
	}
	return nil, dotmesh.E("democluster.Plan", dotmesh.Invalid, "there is no job %q: give init, join, upgrade or reset", job.Kind)
}

// step makes a task that takes so much time and says so much of it.
func step(id, text string, takes time.Duration, says ...string) task {
	if len(says) == 0 {
		says = []string{"begun"}
	}
	return task{Step: dotmesh.Step{ID: id, Text: text}, takes: takes, says: says}
}

// pull makes a task that pulls an image, with the progress that Docker tells.
func pull(id, image string, takes time.Duration) task {
	const megabytes, parts, layers = 231, 12, 6
	var says []string
	for i := 1; i <= parts; i++ {
		left := takes * time.Duration(parts-i) / parts
		says = append(says, fmt.Sprintf("%d%%  %d/%d layers  %d/%d MB  %.0f MB/s  %d:%02d",
			100*i/parts, layers*i/parts, layers, megabytes*i/parts, megabytes, megabytes/takes.Seconds(), int(left.Minutes()), int(left.Seconds())%60))
	}
	return step(id, "pull "+image, takes, says...)
}

const newest = "v1.5.0"

func image(job dotmesh.Job, otherwise string) string {
	return "dotmesh-server:" + cmp.Or(job.Options["version"], otherwise)
}

// installTasks are the first steps of a new node, up to its keys.
func installTasks(job dotmesh.Job) []task {
	return []task{
		step("docker", "reach Docker at unix:///var/run/docker.sock", 100*time.Millisecond, "API 1.43"),
		step("port", "find port 32607 free and no old containers", 200*time.Millisecond, "port 32607 is free"),
		step("storage", `find a storage backend`, 400*time.Millisecond, `zfs pool "pool", 1.0T`),
		pull("pull", image(job, "v1.4.0"), 12*time.Second),
		step("keys", "make keys and an API key", 600*time.Millisecond, "node key made", "API key kept in /var/lib/dotmesh/admin-api-key"),
	}
}

func (o operator) initTasks(job dotmesh.Job) []task {
	return append(installTasks(job),
		step("etcd", "start etcd", 2*time.Second, "container dotmesh-etcd created", "listens on its socket"),
		step("server", "start the server", time.Second, "container dotmesh-server created"),
		step("ready", "wait until it is ready", 3*time.Second, "waiting for the registry", "waiting for the pool", "ready"),
		step("remote", `save the remote "local"`, 100*time.Millisecond, "127.0.0.1:32607"),
	)
}

func (o operator) resetTasks() []task {
	stop := step("stop", "stop the server and etcd", 2*time.Second, "dotmesh-server stopped", "dotmesh-etcd stopped")
	containers := step("containers", "remove the containers", time.Second, "dotmesh-server removed", "dotmesh-etcd removed")
	keys := step("keys", "delete the keys", 200*time.Millisecond)
	pool := step("pool", `destroy every dot in zfs pool "pool"`, 4*time.Second, "dataset pool/dotmesh: lines", "dataset pool/dotmesh: memory", "destroyed")
	keys.Destroys, pool.Destroys = true, true
	return []task{stop, containers, keys, pool, step("remote", `forget the remote "local"`, 100*time.Millisecond)}
}
