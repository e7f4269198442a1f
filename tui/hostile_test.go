package tui

import (
	"context"
	"strings"
	"testing"
	"unicode"

	"dotmesh.io/dotmesh"
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
