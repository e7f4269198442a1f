package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
)

// withoutUI stands in for cmd/dm/ui.go in a dm that knows no UI.
const withoutUI = `package main

import (
	"context"

	"github.com/spf13/cobra"
)

type uiOptions struct{ *env }

func newUICommand(*env) *cobra.Command { return &cobra.Command{Use: "ui"} }

func runUI(context.Context, *uiOptions) error { return nil }
`

// queries are what a program asks of a terminal: its colours, its position, what it is and
// what it can do.
var queries = regexp.MustCompile("\x1b\\][0-9;]+\\?|\x1b\\[[0-9;?>=]*[cn]|\x1b\\[\\??[0-9;]*\\$p|\x1b\\[>[0-9]*q|\x1b\\[\\?u|\x1bP\\+q")

// tuiExtra looks at what commands pay for a UI that they do not use: dm beside a dm that is
// built from the same source with an empty cmd/dm/ui.go, and what they say to a terminal.
func tuiExtra(ctx context.Context, l *lab) (rows []row, err error) {
	bare, err := l.bareDM(ctx)
	if err != nil {
		return nil, err
	}
	var ours, theirs, extra series
	for range 1 + l.rounds(60) {
		for _, side := range []struct {
			dm    string
			times *series
		}{{l.dm, &ours}, {bare, &theirs}} {
			began := time.Now()
			if err := quietly(ctx, side.dm, "version", "--client"); err != nil {
				return nil, err
			}
			side.times.add(time.Since(began))
		}
	}
	ours, theirs = ours[1:], theirs[1:]
	for i := range ours {
		extra = append(extra, ours[i]-theirs[i])
	}
	r := alone("what the UI's code adds to `dm version --client`", "ms", extra, 0).limits(20, 5)
	r.Against, r.Ours, r.Theirs = "dm built without it", ours.median(), theirs.median()
	asked, err := l.asked(ctx)
	return append(rows, r, alone("terminal queries of `dm version` and `dm list` on a terminal", "queries", series{asked}, 0).never()), err
}

// bareDM builds a dm without the UI, and otherwise as make does.
func (l *lab) bareDM(ctx context.Context) (string, error) {
	source, err := filepath.Abs(filepath.Join("cmd", "dm", "ui.go"))
	if err != nil {
		return "", err
	}
	stub, overlay, dm := filepath.Join(l.dir, "ui.go"), filepath.Join(l.dir, "overlay.json"), filepath.Join(l.dir, "dm-without-ui")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{source: stub}})
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.WriteFile(stub, []byte(withoutUI), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-trimpath", "-ldflags", "-s -w", "-o", dm, "./cmd/dm")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build dm without the UI: %w\n%s", err, out)
	}
	return dm, nil
}

// asked counts the questions that commands ask of their terminal.
func (l *lab) asked(ctx context.Context) (n float64, err error) {
	p, err := l.crowdPlace()
	if err != nil {
		return 0, err
	}
	err = newCrowd(10).serve(ctx, p, func() error {
		for _, args := range [][]string{{"version"}, {"list"}} {
			t, err := l.open(p, false, args...)
			if err != nil {
				return err
			}
			select {
			case <-t.done:
			case <-ctx.Done():
			}
			if err := t.close(); err != nil {
				return fmt.Errorf("dm %s: %w", args[0], err)
			}
			n += float64(len(queries.FindAll(t.text, -1)))
		}
		return nil
	})
	return n, err
}

// tuiMemory looks at what a UI holds that has much to show.
func tuiMemory(ctx context.Context, l *lab) (rows []row, err error) {
	err = l.crowded(ctx, 10_000, false, func(c *crowd, _ *place, t *terminal) error {
		if err := pass(ctx, 3*time.Second); err != nil {
			return err
		}
		if err := t.press("4"); err != nil { // the events
			return err
		}
		var late series
		for i := range min(l.rounds(3), 3) {
			at, last, err := logBurst(ctx, c, t, i)
			if err != nil {
				return err
			}
			late.add(max(at.Sub(last), 0))
		}
		rows = append(rows, alone("`dm ui`: after 100,000 lines of log, from the server's last one to that on the screen", "ms", late, 0).limits(0, 200))
		resident, err := l.resident(ctx, t)
		rows = append(rows, alone("`dm ui`: resident memory with 10,000 dots and 10,000 lines of log", "MB", series{resident}, 0).limits(80, 40))
		return err
	})
	if err != nil {
		return rows, err
	}
	err = l.crowded(ctx, 100_000, false, func(_ *crowd, _ *place, t *terminal) error {
		resident, err := l.resident(ctx, t)
		rows = append(rows, alone("`dm ui`: resident memory with 100,000 dots", "MB", series{resident}, 0).limits(250, 150))
		return err
	})
	return rows, err
}

// logBurst writes a hundred thousand lines as fast as they are read, and returns when the
// last one was seen and when it was written.
func logBurst(ctx context.Context, c *crowd, t *terminal, round int) (seen, last time.Time, err error) {
	const lines = 100_000
	events := make([]dotmesh.Event, lines)
	for i := range events {
		text := fmt.Sprintf("burst %d: line %d of a log that nobody can read as fast as it comes", round, i+1)
		events[i] = dotmesh.Event{Kind: dotmesh.EventLog, Log: &dotmesh.LogRecord{Node: crowdNode, Level: "info", Text: text}}
	}
	c.say(events...)
	seen, err = t.see(ctx, "the last line", func(s look) bool { return s.has(fmt.Sprintf("burst %d: line %d of", round, lines)) })
	c.mu.Lock()
	defer c.mu.Unlock()
	return seen, c.drained, err
}

// resident is what a UI holds once it has come to rest.
func (l *lab) resident(ctx context.Context, t *terminal) (float64, error) {
	ui := process(t.cmd.Process.Pid)
	if err := errors.Join(pass(ctx, 5*time.Second), ui.settle(ctx)); err != nil {
		return 0, err
	}
	return ui.resident()
}

// measurement is a line that go test -bench prints.
type measurement struct{ ns, allocs float64 }

// gobench is the Go benchmarks of a package.
type gobench struct{ program, dir string }

func (l *lab) gobench(ctx context.Context, pkg string) (gobench, error) {
	b := gobench{filepath.Join(l.dir, filepath.Base(pkg)+".test"), pkg}
	return b, quietly(ctx, "go", "test", "-c", "-o", b.program, "./"+pkg)
}

// once runs one benchmark.
func (b gobench) once(ctx context.Context, name string) (m measurement, err error) {
	run := exec.CommandContext(ctx, b.program, "-test.run=^$", "-test.bench=^Benchmark"+strings.ReplaceAll(name, "/", "$/^")+"$", "-test.benchtime=200ms", "-test.benchmem")
	run.Dir = b.dir
	out, err := run.Output()
	if err != nil {
		return m, fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		fields := strings.Fields(s.Text())
		for i := 1; i < len(fields) && strings.HasPrefix(fields[0], "Benchmark"); i++ {
			value, _ := strconv.ParseFloat(fields[i-1], 64)
			switch fields[i] {
			case "ns/op":
				m.ns = value
			case "allocs/op":
				m.allocs = value
			}
		}
	}
	if m.ns == 0 {
		return m, fmt.Errorf("there is no benchmark %s in %s:\n%s", name, b.dir, out)
	}
	return m, nil
}

// tuiParts runs the Go benchmarks of the UI, and the tables of others beside its own.
func tuiParts(ctx context.Context, l *lab) (rows []row, err error) {
	whole, err := l.gobench(ctx, "tui")
	if err != nil {
		return nil, err
	}
	for _, m := range []struct {
		name, what string
		unit       float64 // ns
		must, aim  float64
		allocs     float64 // aim
	}{
		{"Cursor/10000", "Update and View of a step of the cursor, 10,000 dots, 160x45", 1e6, 4, 1, 500},
		{"Cursor/100000", "the same, 100,000 dots", 1e6, 4, 1, 500},
		{"Picture/name", "a picture in which 42 of 10,000 dots changed, taken in and drawn", 1e6, 0, 0, 0},
		{"Picture/dirty", "the same, sorted by dirty bytes", 1e6, 0, 0, 0},
		{"Filter", "filter 10,000 dots", 1e6, 10, 2, 0},
		{"Sort/DIRTY", "sort 10,000 dots by dirty bytes", 1e6, 20, 5, 0},
		{"Ingest", "an event taken in, 10,000 dots", 1e3, 5, 1, 0},
	} {
		unit := map[float64]string{1e6: "ms", 1e3: "µs"}[m.unit]
		var times, allocs series
		for range l.rounds(9) {
			got, err := whole.once(ctx, m.name)
			if err != nil {
				return rows, err
			}
			times, allocs = append(times, got.ns/m.unit), append(allocs, got.allocs)
		}
		rows = append(rows, alone("in the UI: "+m.what, unit, times, 0).limits(m.must, m.aim))
		if m.allocs > 0 {
			rows = append(rows, alone("the same: allocations", "allocations", allocs, 0).limits(0, m.allocs))
		}
	}
	beside, err := l.besideOthers(ctx, whole)
	return append(rows, beside...), err
}

// besideOthers moves a cursor through 10,000 rows: in our table and in our whole UI, and in
// the tables of bubbles and tview.
func (l *lab) besideOthers(ctx context.Context, whole gobench) (rows []row, err error) {
	table, err := l.gobench(ctx, filepath.Join("tui", "table"))
	if err != nil {
		return nil, err
	}
	sides := []struct {
		gobench
		name  string
		times series
	}{{table, "Cursor/10000", nil}, {whole, "Cursor/10000", nil}, {table, "Bubbles/10000", nil}, {table, "Tview/10000", nil}}
	for range l.rounds(9) {
		for i := range sides {
			got, err := sides[i].once(ctx, sides[i].name)
			if err != nil {
				return rows, err
			}
			sides[i].times = append(sides[i].times, got.ns/1e6)
		}
	}
	for i, ours := range []string{"our table: a step of the cursor and the drawing, 10,000 rows", "the whole UI: the same, with its other panes"} {
		rows = append(rows,
			compare(ours, "`bubbles/table`", sides[i].times, sides[2].times, true, 0, 0),
			compare("the same", "`derailed/tview`", sides[i].times, sides[3].times, true, 0, 0))
	}
	return rows, nil
}
