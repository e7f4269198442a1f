package tui_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/democluster"
	"dotmesh.io/dotmesh/tui"
)

// The tests run their own program again, as the UI on a Service that does evil things: a
// part is what it plays.
const (
	partVariable = "DM_TEST_PLAY"

	partHostile     = "hostile"      // whatever can be text is an order to the terminal
	partStill       = "still"        // nothing happens
	partPanicDraw   = "panic-draw"   // drawing a dialog panics
	partPanicCall   = "panic-call"   // a call that a key has asked for panics
	partPanicListen = "panic-listen" // the feed panics, a second after the start
)

// play shows the UI on this process's terminal.
func play(part string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cluster := democluster.New(democluster.Options{Dots: 12, Seed: 1})
	o := tui.Options{
		Service: &evil{Service: cluster, part: part}, Operator: cluster.Operator(), Where: "test", In: os.Stdin, Out: os.Stdout, Env: os.Environ(),
		Command: func(args []string) (string, error) {
			if part == partPanicDraw {
				panic("drawing panics, as it was asked to")
			}
			return "dm " + strings.Join(args, " "), nil
		},
	}
	if part == partHostile {
		o.Where = payload()
		spoil(cluster)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	g, ctx := errgroup.WithContext(ctx)
	if part != partStill {
		g.Go(func() error { return cluster.Run(ctx) })
	}
	g.Go(func() error {
		err := tui.Run(ctx, o)
		if err == nil {
			end()
		}
		return err
	})
	if err := g.Wait(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// payloads are what text from outside may hold to move the cursor, fill the clipboard, name
// the window, have the terminal answer, or look like other text.
func payloads() []string {
	return []string{
		"\x1b[2J\x1b[777;888H", "\x1b[31;47;5m", "\x1b[6n", "\x1b[8;99;99t", "\x1b[?1049l", // CSI
		"\x1b]0;OWNED\a", "\x1b]52;c;T1dORUQ=\a", "\x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", // OSC
		"\x1bP+q544e\x1b\\", "\x1b_Gi=31;AAAA\x1b\\", "\x1b^pm\x1b\\", "\x1bc", "\x1b(0", // DCS, APC, PM, reset, another alphabet
		"back\r\b\b\bspace", "bell\a", "tab\tfeed\v\f", "nul\x00del\x7f",
		"\x9b31m\x9d0;OWNED\x9c", "\u009b31m\u009d0;OWNED\u009c", // C1, raw and as UTF-8
		"\u202eright to left\u202c", "\u2066isolate\u2069", "\u200bzero\u200cwidth\u200d", "\ufeffbom", "\u00adsoft", "\u2028line\u2029",
		"\xff\xfe broken \xe2\x82", "a\u0301\u0301\u0301\u0301\u0301", "漢字テスト", "👩‍👩‍👧 🇩🇪 ❤️", "ｆｕｌｌ",
	}
}

// payload is all of them in one line.
func payload() string { return "<" + strings.Join(payloads(), "|") + ">" }

// spoil makes commits for evil messages to be put into: this cluster refuses some of them.
func spoil(c *democluster.Cluster) {
	fixtures := dotmesh.DotName{Namespace: "qa", Name: "fixtures"}
	for i := range evilMessages() {
		_, err := c.Commit(context.Background(), dotmesh.CommitRequest{Dot: fixtures, Message: "payload " + strconv.Itoa(i)})
		if err != nil {
			panic(err)
		}
	}
}

// evilMessages are the payloads one by one, together, and one as long as the real cluster
// takes messages.
func evilMessages() []string {
	return append(payloads(), payload(), strings.Repeat("long\x1b[2J", 4096/9))
}

// evil is a cluster that says evil things, or panics.
type evil struct {
	dotmesh.Service
	part  string
	calls atomic.Int64
}

func (e *evil) hostile() bool { return e.part == partHostile }

func (e *evil) Version(ctx context.Context) (dotmesh.Version, error) {
	v, err := e.Service.Version(ctx)
	if e.hostile() {
		v.Version = payload()
	}
	return v, err
}

// taint puts the payloads into all of a branch's texts.
func (e *evil) taint(b *dotmesh.BranchStatus) {
	b.Containers = []dotmesh.Container{{ID: "1", Name: payload()}}
}

func (e *evil) Dots(ctx context.Context) ([]dotmesh.DotStatus, error) {
	all, err := e.Service.Dots(ctx)
	if e.hostile() {
		for i := range all {
			e.taint(&all[i].Branch)
		}
	}
	return all, err
}

func (e *evil) Dot(ctx context.Context, name dotmesh.DotName) (dotmesh.DotDetail, error) {
	d, err := e.Service.Dot(ctx, name)
	if e.hostile() {
		d.OwnerName = payload()
		d.Replicas = payload()
		e.taint(&d.Branch)
		for i := range d.All {
			e.taint(&d.All[i])
		}
	}
	return d, err
}

func (e *evil) Log(ctx context.Context, r dotmesh.LogRequest) (dotmesh.LogPage, error) {
	page, err := e.Service.Log(ctx, r)
	if e.hostile() {
		for i := range page.Commits {
			c := &page.Commits[i]
			c.Author = payload()
			if digits, ok := strings.CutPrefix(c.Message, "payload "); ok {
				n, _ := strconv.Atoi(digits) // spoil has written it
				text := evilMessages()[n]
				c.Message, c.Metadata = text+"\nsecond line "+text, map[string]string{"key": text, text[:min(len(text), 9)]: "value"}
			}
		}
	}
	return page, err
}

func (e *evil) Diff(ctx context.Context, r dotmesh.DiffRequest) iter.Seq2[dotmesh.FileChange, error] {
	if !e.hostile() {
		return e.Service.Diff(ctx, r)
	}
	return func(yield func(dotmesh.FileChange, error) bool) {
		for i, text := range append(payloads(), payload()) {
			kind := []dotmesh.ChangeKind{dotmesh.Modified, dotmesh.Added, dotmesh.Removed}[i%3]
			if !yield(dotmesh.FileChange{Path: "__default__/" + text, Kind: kind, Size: int64(i)}, nil) {
				return
			}
		}
	}
}

func (e *evil) ReadFile(ctx context.Context, r dotmesh.FileRequest) (dotmesh.FilePart, error) {
	if !e.hostile() {
		return e.Service.ReadFile(ctx, r)
	}
	text := strings.ReplaceAll(strings.Join(payloads(), "\n")+"\n"+strings.Repeat("long\x1b[2J", 20_000)+"\n", "\x00", "")
	text = strings.ToValidUTF8(text, "?") // else it is shown as no text at all
	if r.Ref != "" && len(r.Ref)%2 == 0 {
		text += "more\n"
	}
	return dotmesh.FilePart{Data: []byte(text), Size: int64(len(text))}, nil
}

func (e *evil) Nodes(ctx context.Context) ([]dotmesh.NodeStatus, error) {
	if e.part == partPanicListen && e.calls.Add(1) > 1 {
		panic("listening panics, as it was asked to")
	}
	all, err := e.Service.Nodes(ctx)
	if e.hostile() {
		for i := range all {
			all[i].Version, all[i].Node.Pool = payload(), payload()
			all[i].Addresses = append(payloads(), payload())
		}
	}
	return all, err
}

func (e *evil) Transfers(ctx context.Context) ([]dotmesh.Transfer, error) {
	all, err := e.Service.Transfers(ctx)
	if e.hostile() {
		for i := range all {
			all[i].From, all[i].To, all[i].Reason, all[i].Step = payload(), payload(), payload(), payload()
		}
	}
	return all, err
}

func (e *evil) Ops(ctx context.Context, r dotmesh.OpsRequest) ([]dotmesh.Op, error) {
	all, err := e.Service.Ops(ctx, r)
	if e.hostile() {
		for i := range all {
			all[i].By, all[i].Why = payload(), payload()
		}
	}
	return all, err
}

func (e *evil) Cluster(ctx context.Context) (dotmesh.ClusterStatus, error) {
	status, err := e.Service.Cluster(ctx)
	if e.hostile() {
		for i := range status.Certificates {
			status.Certificates[i].Name, status.Certificates[i].Fingerprint = payload(), payload()
		}
		for i := range status.Tokens {
			status.Tokens[i].By = payload()
		}
	}
	return status, err
}

func (e *evil) Commit(ctx context.Context, r dotmesh.CommitRequest) (dotmesh.Commit, error) {
	switch {
	case e.part == partPanicCall:
		panic("a call panics, as it was asked to")
	case e.hostile():
		return dotmesh.Commit{}, dotmesh.E("server.Commit", dotmesh.Internal, "%s", payload())
	}
	return e.Service.Commit(ctx, r)
}

func (e *evil) Reset(context.Context, dotmesh.ResetRequest) (dotmesh.Changed, error) {
	return dotmesh.Changed{}, dotmesh.E("server.Reset", dotmesh.Busy, "%s", payload())
}

// Events says evil things as they happen.
func (e *evil) Events(ctx context.Context, cursor string) iter.Seq2[dotmesh.Event, error] {
	if !e.hostile() {
		return e.Service.Events(ctx, cursor)
	}
	return func(yield func(dotmesh.Event, error) bool) {
		said := false
		for event, err := range e.Service.Events(ctx, cursor) {
			if !yield(event, err) {
				return
			}
			if said || err != nil {
				continue
			}
			said = true
			for _, text := range append(payloads(), payload()) {
				line := event
				line.Kind, line.Dot, line.Branch, line.Commit, line.Node, line.Stats, line.Transfer = dotmesh.EventLog, nil, nil, nil, nil, nil, nil
				line.Log = &dotmesh.LogRecord{Level: "error", Text: text}
				if !yield(line, nil) {
					return
				}
			}
		}
	}
}
