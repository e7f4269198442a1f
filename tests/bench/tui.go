package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// benchTUI measures the terminal UI from outside: dm in a terminal of 160x45 that answers no
// question, before a real server and before a crowd, and the costs of its parts from inside.
func benchTUI(ctx context.Context, l *lab) (rows []row, err error) {
	for _, part := range []func(context.Context, *lab) ([]row, error){
		tuiExtra, tuiReal, tuiBytes, tuiFlood, tuiSize, tuiLost, tuiMemory, tuiParts,
	} {
		some, err := part(ctx, l)
		if err != nil {
			return rows, err
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

// limits are what a row is judged by, and what it aims at.
func (r row) limits(must, aim float64) row {
	r.Must, r.Aim = must, aim
	return r
}

func (r row) never() row {
	r.Never = true
	return r
}

// What is seen when the first frame is there, and when the dots are.
func (s look) whole() bool {
	return strings.HasPrefix(s.line(0), " dm") && strings.Contains(s.line(s.Height()-1), "quit")
}

func (s look) rows() bool { return s.whole() && s.has(" dot-0") && s.live() }

func (s look) live() bool { return strings.Contains(s.line(0), "LIVE") }

// tuiReal opens the UI before a real server, and leaves it alone.
func tuiReal(ctx context.Context, l *lab) (rows []row, err error) {
	f := fixture{dots: 10_000, commits: 10}
	if l.short {
		f = fixture{dots: 160, commits: 10}
	}
	p, err := l.fixture(ctx, f)
	if err != nil {
		return nil, err
	}
	err = l.with(ctx, p, func(n *node) error {
		server := process(n.PID())
		if err := server.settle(ctx); err != nil {
			return err
		}
		var first, real series
		for range 1 + l.rounds(20) { // the first reads the disk
			err := l.tui(p, false, func(t *terminal) error {
				frame, err := t.see(ctx, "a frame", look.whole)
				if err != nil {
					return err
				}
				dots, err := t.see(ctx, "the dots", look.rows)
				first.add(frame.Sub(t.began))
				real.add(dots.Sub(t.began))
				return err
			})
			if err != nil {
				return err
			}
		}
		what := ", a real server with " + thousands(f.dots) + " dots"
		rows = append(rows,
			alone("`dm ui`: exec to the first full frame"+what, "ms", first[1:], 0).limits(250, 60),
			alone("`dm ui`: exec to the first real rows"+what, "ms", real[1:], 0).limits(1000, 300))
		return l.tui(p, false, func(t *terminal) error {
			if _, err := t.see(ctx, "the dots", look.rows); err != nil {
				return err
			}
			some, err := l.idleUI(ctx, t, what)
			rows = append(rows, some...)
			return err
		})
	})
	return rows, err
}

// tui runs dm ui in a terminal for as long as f runs.
func (l *lab) tui(p *place, traced bool, f func(*terminal) error) error {
	t, err := l.open(p, traced, "ui")
	if err != nil {
		return err
	}
	return errors.Join(f(t), t.close())
}

// idleUI looks at a UI that nobody touches for half a minute: in that time it lists all
// dots anew once, to be sure.
func (l *lab) idleUI(ctx context.Context, t *terminal, what string) (rows []row, err error) {
	ui := process(t.cmd.Process.Pid)
	if err := errors.Join(pass(ctx, 3*time.Second), ui.settle(ctx)); err != nil {
		return nil, err
	}
	before := t.written()
	cpu, err := idle(ctx, min(l.rounds(3), 3), ui)
	if err != nil {
		return nil, err
	}
	return []row{
		alone("`dm ui`, idle: CPU over 30 s"+what, "%", cpu[0], 0).limits(2, 1),
		alone("`dm ui`, idle: bytes to the terminal in that time", "bytes", series{float64(t.written() - before)}, 0).never(),
	}, nil
}

// crowded runs a UI before a crowd.
func (l *lab) crowded(ctx context.Context, dots int, traced bool, f func(*crowd, *place, *terminal) error) error {
	p, err := l.crowdPlace()
	if err != nil {
		return err
	}
	c := newCrowd(dots)
	return c.serve(ctx, p, func() error {
		return l.tui(p, traced, func(t *terminal) error {
			if _, err := t.see(ctx, "the dots", look.rows); err != nil {
				return err
			}
			return f(c, p, t)
		})
	})
}

const synthetic = ", a server in memory with 10,000 dots"

// tuiBytes counts what single changes cost on the wire.
func tuiBytes(ctx context.Context, l *lab) (rows []row, err error) {
	err = l.crowded(ctx, 10_000, true, func(c *crowd, _ *place, t *terminal) error {
		if err := pass(ctx, 3*time.Second); err != nil { // for the second listing
			return err
		}
		n := 0
		change := func(dots int) func() error {
			return func() error {
				n++
				for i := range dots {
					c.say(c.stats(5+i, 5+i+n))
				}
				return nil
			}
		}
		key := func() error { return t.press("j") }
		wide := false
		for _, m := range []struct {
			what      string
			must, aim float64
			before    string // keys
			do        func() error
			rest      string // what a key leads to besides its own frame
		}{
			{"one cell", 64, 32, "", change(1), ""},
			{"a column of 35 cells", 1500, 600, "", change(35), ""},
			{"a step of the cursor", 800, 400, "", key, "the same, with the branches, commits and files of the other dot when they have been read"},
			{"scrolling by one row", 1500, 500, strings.Repeat("j", onScreen), key, "the same, with those"},
			{"a full repaint after a resize", 12_000, 8000, "", func() error {
				wide = !wide
				if wide {
					return t.resize(columnsOf, rowsOf-1)
				}
				return t.resize(columnsOf, rowsOf)
			}, ""},
		} {
			if err := t.press(m.before); err != nil {
				return err
			}
			var bytes, own series
			for range l.rounds(9) {
				began := time.Now()
				cost, err := t.cost(ctx, m.do)
				if err != nil {
					return err
				}
				frames, err := t.frames(began, time.Now())
				if err != nil {
					return err
				}
				bytes, own = append(bytes, cost), append(own, keyBytes(frames))
			}
			if m.rest == "" {
				rows = append(rows, alone("`dm ui`, bytes to the terminal: "+m.what, "bytes", bytes, 0).limits(m.must, m.aim))
				continue
			}
			rows = append(rows,
				alone("`dm ui`, bytes to the terminal: "+m.what, "bytes", own, 0).limits(m.must, m.aim),
				alone(m.rest, "bytes", bytes, 0))
		}
		return nil
	})
	return rows, err
}

// keyBytes is what keys led to, with what came in the same moment.
func keyBytes(frames []frame) (n float64) {
	for _, f := range frames {
		if strings.HasPrefix(f.Cause, "key") {
			n += float64(f.Bytes)
		}
	}
	return n
}

// floodFor is how long events and keys come.
const floodFor = 10 * time.Second

// tuiFlood sends a thousand events a second, first with nobody at the keys and then with j
// held down.
func tuiFlood(ctx context.Context, l *lab) (rows []row, err error) {
	err = l.crowded(ctx, 10_000, true, func(c *crowd, _ *place, t *terminal) error {
		if err := pass(ctx, 3*time.Second); err != nil {
			return err
		}
		storm, stop := context.WithCancel(ctx)
		defer stop()
		var g errgroup.Group
		g.Go(func() error { return c.storm(storm) })
		const events = synthetic + " and 1,000 events a second"
		quiet, err := l.flow(ctx, t, func(until time.Time) error { return pass(ctx, time.Until(until)) })
		if err != nil {
			return err
		}
		rows = append(rows,
			alone("`dm ui`, bytes a second"+events, "B/s", quiet.bytes, 0).limits(20_000, 6000),
			alone("the same: CPU of a core", "%", quiet.cpu, 0).limits(10, 5),
			alone("the same: writes to the terminal a second", "/s", quiet.writes, 0).limits(15, 10),
			alone("the same: frames made a second", "/s", quiet.views, 0).limits(15, 12))
		keys := newHeld(t, c)
		busy, err := l.flow(ctx, t, func(until time.Time) error { return keys.hold(ctx, until) })
		if err != nil {
			return err
		}
		times, err := keys.times(ctx)
		if err != nil {
			return err
		}
		stop()
		what := "`dm ui`, j at 30 Hz for 10 s" + events
		rows = append(rows,
			alone(what+": key to its answer on the terminal, median", "ms", times, 0).limits(0, 20),
			alone("the same, 99th of 100", "ms", series{times.part(0.99)}, 0).limits(100, 50),
			alone("the same: bytes a second", "B/s", busy.bytes, 0),
			alone("the same: CPU of a core", "%", busy.cpu, 0),
			alone("the same: a key in Update and View", "ms", busy.keys, 0).limits(4, 1))
		return g.Wait()
	})
	return rows, err
}

// flow is what a UI did while something went on.
type flow struct{ bytes, cpu, writes, views, keys series }

func (l *lab) flow(ctx context.Context, t *terminal, during func(until time.Time) error) (f flow, err error) {
	ui := process(t.cmd.Process.Pid)
	before, err := ui.cpu()
	if err != nil {
		return f, err
	}
	bytes, began := t.written(), time.Now()
	if err := during(began.Add(floodFor)); err != nil {
		return f, err
	}
	took := time.Since(began).Seconds()
	after, err := ui.cpu()
	if err != nil {
		return f, err
	}
	frames, err := t.frames(began, time.Now())
	if err != nil {
		return f, err
	}
	views := 0
	for _, each := range frames {
		views += each.Views
		if each.Cause == "key" && each.Views == 1 {
			f.keys = append(f.keys, float64(each.Update+each.View)/1000)
		}
	}
	f.bytes = series{float64(t.written()-bytes) / took}
	f.cpu = series{100 * (after - before).Seconds() / took}
	f.writes = series{float64(len(frames)) / took}
	f.views = series{float64(views) / took}
	return f, ctx.Err()
}

// held is the key j, held down at the first of all dots.
type held struct {
	t       *terminal
	c       *crowd
	pressed []time.Time
	seen    []time.Time // guarded by the terminal's lock
}

func newHeld(t *terminal, c *crowd) *held {
	h := &held{t: t, c: c}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watch = func(s look, at time.Time) {
		_, name, _ := strings.Cut(s.line(2), "Branches of dot-")
		n, err := strconv.Atoi(name[:min(6, len(name))])
		for err == nil && len(h.seen) < n {
			h.seen = append(h.seen, at)
		}
	}
	return h
}

func (h *held) hold(ctx context.Context, until time.Time) error {
	tick := time.NewTicker(time.Second / 30)
	defer tick.Stop()
	for time.Now().Before(until) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		h.pressed = append(h.pressed, time.Now())
		if err := h.t.press("j"); err != nil {
			return err
		}
		h.c.near.Store(int64(max(0, len(h.pressed)-onScreen+1)))
	}
	return nil
}

// times are from each key to when the terminal showed what it led to.
func (h *held) times(ctx context.Context) (all series, err error) {
	_, err = h.t.see(ctx, "the last key's dot", func(look) bool { return len(h.seen) >= len(h.pressed) })
	if err != nil {
		return nil, err
	}
	h.t.mu.Lock()
	defer h.t.mu.Unlock()
	h.t.watch = nil
	for i, at := range h.pressed {
		all.add(h.seen[i].Sub(at))
	}
	return all, nil
}

// part is the value that such a part of the values is not above.
func (s series) part(p float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[min(int(p*float64(len(s))), len(s)-1)]
}

// tuiSize drags a window's corner about.
func tuiSize(ctx context.Context, l *lab) (rows []row, err error) {
	err = l.crowded(ctx, 10_000, false, func(c *crowd, _ *place, t *terminal) error {
		if err := errors.Join(pass(ctx, 3*time.Second), t.calm(ctx, time.Second)); err != nil {
			return err
		}
		want := t.seen()
		var times series
		for range l.rounds(9) {
			for i := range 40 {
				if err := errors.Join(t.resize(62+i*3, 16+i%30), pass(ctx, 5*time.Millisecond)); err != nil {
					return err
				}
			}
			if err := t.resize(columnsOf, rowsOf); err != nil {
				return err
			}
			last := time.Now()
			at, err := t.see(ctx, "what it showed before", func(s look) bool { return s.all() == want })
			if err != nil {
				return fmt.Errorf("%w\nand it should be\n%s", err, want)
			}
			times.add(max(at.Sub(last), 0))
			if err := t.calm(ctx, 500*time.Millisecond); err != nil {
				return err
			}
			if t.seen() != want {
				return errors.New("the screen is another one after the storm")
			}
		}
		rows = append(rows, alone("`dm ui`: 40 resizes in 0.2 s, from the last one to the right frame", "ms", times, 0).limits(200, 50))
		return nil
	})
	return rows, err
}

// tuiLost takes the server away, in two ways, and brings it back.
func tuiLost(ctx context.Context, l *lab) (rows []row, err error) {
	p, err := l.crowdPlace()
	if err != nil {
		return nil, err
	}
	lost := func(s look) bool { return strings.Contains(s.line(0), "LOST") }
	var gone, silent, back, spoke series
	c := newCrowd(10_000)
	err = l.withCrowd(ctx, c, p, func(stop, start func() error, t *terminal) error {
		for n := range min(l.rounds(5), 5) {
			began := time.Now()
			stopped := make(chan error, 1)
			go func() { stopped <- stop() }()
			at, err := t.see(ctx, "that the server is lost", lost)
			if err := errors.Join(err, <-stopped); err != nil {
				return err
			}
			gone = append(gone, at.Sub(began).Seconds())
			if err := pass(ctx, 2*time.Second); err != nil {
				return err
			}
			c.stats(3, 70+n) // it happens while nobody looks
			fresh := func(s look) bool { return s.live() && s.has(strconv.Itoa(10+(70+n)%90)) }
			began = time.Now()
			if err := start(); err != nil {
				return err
			}
			if at, err = t.see(ctx, "the server again", fresh); err != nil {
				return err
			}
			back = append(back, at.Sub(began).Seconds())

			if err := pass(ctx, 3*time.Second); err != nil {
				return err
			}
			c.hung.Lock()
			began = time.Now()
			if at, err = t.see(ctx, "that the server is silent", lost); err == nil {
				silent = append(silent, at.Sub(began).Seconds())
				err = pass(ctx, 2*time.Second)
			}
			began = time.Now()
			c.hung.Unlock()
			if err != nil {
				return err
			}
			if at, err = t.see(ctx, "the server again", look.live); err != nil {
				return err
			}
			spoke = append(spoke, at.Sub(began).Seconds())
			if err := pass(ctx, 3*time.Second); err != nil {
				return err
			}
		}
		return nil
	})
	rows = append(rows,
		alone("`dm ui`: the server ends, to the banner", "s", gone, 0).limits(5, 2),
		alone("`dm ui`: the server is back, to fresh rows"+synthetic, "s", back, 0).limits(5, 1),
		alone("`dm ui`: the server hangs, to the banner", "s", silent, 0).limits(5, 2),
		alone("`dm ui`: the server answers again, to LIVE"+synthetic, "s", spoke, 0).limits(5, 1))
	return rows, err
}

// withCrowd runs a UI before a crowd that f can stop and start.
func (l *lab) withCrowd(ctx context.Context, c *crowd, p *place, f func(stop, start func() error, t *terminal) error) error {
	var quit chan struct{}
	var ended chan error
	start := func() error {
		quit, ended = make(chan struct{}), make(chan error, 1)
		up := make(chan struct{})
		go func() {
			ended <- c.serve(ctx, p, func() error {
				close(up)
				<-quit
				return nil
			})
		}()
		select {
		case <-up:
			return nil
		case err := <-ended:
			ended <- err
			return err
		}
	}
	stop := func() error {
		close(quit)
		return <-ended
	}
	if err := start(); err != nil {
		return err
	}
	err := l.tui(p, false, func(t *terminal) error {
		if _, err := t.see(ctx, "the dots", look.rows); err != nil {
			return err
		}
		if err := pass(ctx, 3*time.Second); err != nil {
			return err
		}
		return f(stop, start, t)
	})
	select {
	case <-quit:
		return err
	default:
		return errors.Join(err, stop())
	}
}
