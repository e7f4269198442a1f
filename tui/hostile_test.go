package tui

import (
	"context"
	"strings"
	"testing"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

// hostile is a server that writes orders to the terminal wherever it may write a word.
type hostile struct{ dotmesh.Service }

const order = "word\u202e\u009b2J\u200b"

func (h hostile) Log(ctx context.Context, r dotmesh.LogRequest) (dotmesh.LogPage, error) {
	page, err := h.Service.Log(ctx, r)
	for i := range page.Commits {
		page.Commits[i].Kind = order
	}
	return page, err
}

func (h hostile) Dot(ctx context.Context, name dotmesh.DotName) (dotmesh.DotDetail, error) {
	d, err := h.Service.Dot(ctx, name)
	for i := range d.All {
		d.All[i].Pointer.State.Phase = order
		if s := d.All[i].Stash; s != nil {
			bad := *s
			bad.Reason = order
			d.All[i].Stash = &bad
		}
	}
	return d, err
}

func (h hostile) Ops(ctx context.Context, r dotmesh.OpsRequest) ([]dotmesh.Op, error) {
	all, err := h.Service.Ops(ctx, r)
	for i := range all {
		all[i].Verb, all[i].By, all[i].Why = order, order, order
	}
	return all, err
}

func (h hostile) Transfers(ctx context.Context) ([]dotmesh.Transfer, error) {
	all, err := h.Service.Transfers(ctx)
	for i := range all {
		all[i].Kind, all[i].State, all[i].Reason = order, order, order
	}
	return all, err
}

// endless is a server whose words do not end.
type endless struct{ dotmesh.Service }

func (e endless) Log(ctx context.Context, r dotmesh.LogRequest) (dotmesh.LogPage, error) {
	page, err := e.Service.Log(ctx, r)
	for i := range page.Commits {
		page.Commits[i].Message = strings.Repeat("word ", 1<<20)
	}
	return page, err
}

func (e endless) Commit(context.Context, dotmesh.CommitRequest) (dotmesh.Commit, error) {
	return dotmesh.Commit{}, dotmesh.E("endless", dotmesh.Busy, "%s", strings.Repeat("no ", 1<<20))
}

// TestAnEndlessWordIsCut where it comes in, and not each time it is drawn.
func TestAnEndlessWordIsCut(t *testing.T) {
	drive(t, 160, 45, func(o *Options) { o.Service = endless{o.Service} }, func(d *driver) {
		d.onDot("qa/fixtures")
		for _, c := range d.u.browse.log.commits {
			if n := len(c.Message); n != termsafe.Most {
				t.Errorf("the UI holds a message of %d bytes", n)
			}
		}
		d.keys("c", "ctrl+s")
		if n := len(d.u.faults); n != 1 || len(d.u.faults[0].text) != termsafe.Most {
			t.Errorf("the UI holds %d errors", n)
		}
	})
}

// TestWhatIsTypedIsSeen: a character that turns the others round is written out, typed or pasted.
func TestWhatIsTypedIsSeen(t *testing.T) {
	const evil, want = "\u202e", `a\u202eb\u202e`
	for name, keys := range map[string][]string{"filter": {"/"}, "palette": {":"}, "commit": {"c"}} {
		t.Run(name, func(t *testing.T) {
			drive(t, 120, 35, nil, func(d *driver) {
				d.keys(keys...)
				d.keys(" a" + evil + "b")
				d.send(tea.PasteMsg{Content: evil})
				d.settle()
				d.sees(want)
				if strings.Contains(d.frame(), evil) {
					t.Error("it is shown raw")
				}
			})
		})
	}
}

// TestNoWordOfAServerGivesOrders: also not one that is of a few only, if the server is honest.
func TestNoWordOfAServerGivesOrders(t *testing.T) {
	drive(t, 160, 45, func(o *Options) { o.Service = hostile{o.Service} }, func(d *driver) {
		d.onDot("qa/fixtures")
		for _, keys := range [][]string{
			{"d"}, {"esc", "tab"}, {"t"}, {"end"}, {"home", "tab", "down"}, {"R"}, {"esc", "3"}, {"d"}, {"esc", "x"}, {"esc", "6"}, {"d"}, {"esc", "z"}, {"esc", "4"}, {"1"},
		} {
			d.keys(keys...)
			for _, r := range strings.ReplaceAll(d.frame(), "\n", "") {
				if !unicode.IsGraphic(r) {
					t.Errorf("after %v the terminal gets %q", keys, r)
					break
				}
			}
		}
	})
}
