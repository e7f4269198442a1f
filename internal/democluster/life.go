package democluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"dotmesh.io/dotmesh"
)

const (
	tick    = 250 * time.Millisecond // how often Run lets time pass
	longest = 500 * time.Millisecond // what happens at most between two looks at everything
	lookAt  = 5 * time.Second        // how often a master measures what is written to
)

// life is what happens by itself, and when next. Its clock is what Step has let pass.
type life struct {
	passed  time.Duration
	look    time.Duration
	silence time.Duration
	wakes   time.Duration
	quiet   *node // fell silent by itself
	talk    time.Duration
	push    time.Duration
	tidy    time.Duration
	waiting []waiter
}

// waiter is somebody who waits until so much time has passed.
type waiter struct {
	until time.Duration
	over  chan struct{}
}

func newLife() life {
	return life{look: lookAt, silence: 2 * time.Minute, talk: 15 * time.Second, push: 90 * time.Second, tidy: time.Minute}
}

// writer is a program that writes into a branch as time passes.
type writer struct {
	branch  *branch
	path    string
	line    string        // text: a line to be added, with a number in it; empty: path is binary
	rate    int64         // bytes a second
	every   time.Duration // how often it commits; 0: never
	message string        // of those commits
	by      string
	next    time.Duration
	wrote   int
}

// Run is the cluster's life: it lets time pass as it does outside, until ctx ends, and
// returns the context's error. It starts no goroutine.
func (c *Cluster) Run(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-ticker.C:
			c.Step(min(now.Sub(last), 10*tick)) // a machine that slept did not live meanwhile
			last = now
		}
	}
}

// Step lets time pass: programs write, replicas catch up, transfers and moves go on, and now
// and then a node falls silent for a while, the first one after two minutes. It returns
// when all that has happened.
func (c *Cluster) Step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for d > 0 {
		part := min(d, longest)
		c.pass(part)
		d -= part
	}
}

func (c *Cluster) pass(d time.Duration) {
	c.life.passed += d
	c.write(d)
	c.sample()
	c.replicate(d)
	c.carry(d)
	c.hush()
	c.chat()
	c.export()
	c.expire()
	c.life.wake()
}

// due reports whether it is time for something, and if so says when it is next.
func (l *life) due(at *time.Duration, every time.Duration) bool {
	if l.passed < *at {
		return false
	}
	*at = l.passed + every
	return true
}

// after returns a channel that is closed when so much time has passed.
func (l *life) after(d time.Duration) <-chan struct{} {
	over := make(chan struct{})
	l.waiting = append(l.waiting, waiter{until: l.passed + d, over: over})
	return over
}

// forget is for who does not wait any more.
func (l *life) forget(over <-chan struct{}) {
	l.waiting = slices.DeleteFunc(l.waiting, func(w waiter) bool { return w.over == over })
}

func (l *life) wake() {
	l.waiting = slices.DeleteFunc(l.waiting, func(w waiter) bool {
		if w.until > l.passed {
			return false
		}
		close(w.over)
		return true
	})
}

// write lets programs write, and commit where they do so by themselves.
func (c *Cluster) write(d time.Duration) {
	look := c.life.due(&c.life.look, lookAt)
	for _, w := range c.writers {
		b := w.branch
		if c.gone(b) || b.Pointer.State.Phase == dotmesh.Released || !c.node(b.Pointer.Master).alive {
			continue
		}
		w.write(c.portion(w.rate, d))
		if w.every > 0 && b.Pointer.State.Phase == dotmesh.Held && c.life.due(&w.next, w.every) && c.quorum() {
			w.wrote++
			c.commit(b, dotmesh.Commit{
				ID: dotmesh.CommitID{UUID: c.newID()}, Kind: dotmesh.UserCommit, Author: w.by, Message: fmt.Sprintf(w.message, w.wrote),
			}, dotmesh.Op{Branch: b.ID, Name: b.Name, Old: tipOf(b), Verb: dotmesh.VerbCommit, By: w.by})
		}
		if look {
			c.look(b)
		}
	}
}

// gone reports whether a branch or its dot is deleted.
func (c *Cluster) gone(b *branch) bool {
	return c.dots[b.dot.ID] == nil || b.dot.withID(b.ID) == nil
}

func (w *writer) write(n int64) {
	b := w.branch
	old := b.data.find(w.path)
	f := file{}
	if old != nil {
		f = *old
	}
	if w.line != "" {
		w.wrote++
		f.text = tail(f.text+fmt.Sprintf(w.line, w.wrote), 8192)
		f.size = int64(len(f.text))
	} else {
		f.seed++
		f.size += n / 8 // the rest goes where something else was
	}
	b.data = b.data.rewrite(b.tip.data, w.path, &f, n)
}

// tail returns the end of a text, from a line's beginning on.
func tail(text string, most int) string {
	for len(text) > most {
		for i := range text {
			if text[i] == '\n' {
				text = text[i+1:]
				break
			}
		}
	}
	return text
}

// sample takes the commits that a dot's RPO asks for.
func (c *Cluster) sample() {
	for _, w := range c.writers {
		b, d := w.branch, w.branch.dot
		if d.RPO == 0 || c.gone(b) || b.data == b.tip.data || b.Pointer.State.Phase != dotmesh.Held || !c.node(b.Pointer.Master).alive || !c.quorum() {
			continue
		}
		if c.life.due(&d.sampled, d.RPO) {
			c.close(b, "data that are kept for the dot's RPO")
		}
	}
}

// hush lets a node fall silent now and then, never two at once, and come back.
func (c *Cluster) hush() {
	l := &c.life
	if l.quiet != nil && l.passed >= l.wakes {
		n := l.quiet
		l.quiet = nil
		c.silence(n, false)
	}
	if !l.due(&l.silence, 3*time.Minute+c.within(3*time.Minute)) {
		return
	}
	for _, n := range c.nodes {
		if !n.alive {
			return
		}
	}
	n := c.nodes[1+c.rng.IntN(len(c.nodes)-1)]
	l.quiet, l.wakes = n, l.passed+8*time.Second+c.within(12*time.Second)
	c.silence(n, true)
}

func (c *Cluster) within(d time.Duration) time.Duration {
	return time.Duration(c.rng.Int64N(int64(d)))
}

// chat lets a node log something.
func (c *Cluster) chat() {
	if !c.life.due(&c.life.talk, 12*time.Second+c.within(20*time.Second)) {
		return
	}
	n := c.nodes[c.rng.IntN(len(c.nodes))]
	if !n.alive {
		return
	}
	r := c.rng.IntN(100)
	switch c.rng.IntN(5) {
	case 0:
		c.logf(n, "info", "registry compacted, %d keys kept", 4000+40*r)
	case 1:
		c.logf(n, "info", "scrub of the pool is %d%% done, no errors", r)
	case 2:
		c.logf(n, "debug", "clock differs from node-1's by %d ms", r%20)
	case 3:
		c.logf(n, "info", "%d snapshots checked, all sound", 20+r)
	default:
		c.logf(n, "warn", "disk was slow: %d ms for one flush", 200+10*r)
	}
}

// export begins a push to the hub now and then, unless one is under way.
func (c *Cluster) export() {
	if !c.life.due(&c.life.push, time.Minute+c.within(time.Minute)) {
		return
	}
	for _, t := range c.transfers {
		if t.Kind == dotmesh.TransferPush && t.State == dotmesh.TransferRunning {
			return
		}
	}
	if len(c.writers) == 0 {
		return
	}
	if b := c.writers[c.rng.IntN(len(c.writers))].branch; !c.gone(b) {
		n := 1 + c.rng.IntN(6)
		c.pushTo("hub", b, n, int64(n)*c.portion(120<<20, time.Second))
	}
}

// pushTo begins a push of a branch to a remote.
func (c *Cluster) pushTo(remote string, b *branch, commits int, bytes int64) *transfer {
	return c.newTransfer(transfer{branch: b, from: c.node(b.Pointer.Master)}, dotmesh.Transfer{
		Kind: dotmesh.TransferPush, To: remote, Of: commits, Size: bytes, Commit: b.head().ID,
	})
}

// expire drops what is kept no longer: stashes, deleted things and transfers that ended.
func (c *Cluster) expire() {
	if !c.life.due(&c.life.tidy, time.Minute) {
		return
	}
	now := c.time()
	c.transfers = slices.DeleteFunc(c.transfers, func(t *transfer) bool { return t.State.Ended() && now.Sub(t.Ended) > keepEnded })
	maps.DeleteFunc(c.tombs, func(_ dotmesh.UUID, t *tomb) bool { return !now.Before(t.Keep) })
	for _, d := range c.order {
		for _, b := range slices.Clone(d.branches) {
			if b.Stash != nil && !b.Stash.Expires.IsZero() && now.After(b.Stash.Expires) {
				c.forget(b)
				d.remove(b)
				c.emitBranch(b, true)
			}
		}
	}
}

// Write writes a text file into a branch, as a program would that has it mounted. The path
// is from the top of the branch, and is made of the subdot's name and what is below it.
func (c *Cluster) Write(dot dotmesh.DotName, branch dotmesh.Name, path, text string) error {
	return c.put(dot, branch, path, textFile(text), int64(len(text)))
}

// Remove removes a file from a branch, as a program would that has it mounted.
func (c *Cluster) Remove(dot dotmesh.DotName, branch dotmesh.Name, path string) error {
	return c.put(dot, branch, path, nil, 512)
}

func (c *Cluster) put(dot dotmesh.DotName, branch dotmesh.Name, path string, f *file, wrote int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := c.writable(dot, branch, mayAll)
	if err != nil {
		return err
	}
	b.data = b.data.rewrite(b.tip.data, path, f, wrote)
	c.look(b)
	return nil
}
