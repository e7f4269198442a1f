package tui

import (
	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh/tui/feed"
)

// screenID is a place that a digit leads to.
type screenID int

// The screens, in the order of their digits.
const (
	atBrowse screenID = iota
	atNodes
	atTransfers
	atEvents
	atCluster
	atOps
	atFaults
)

var screenNames = [...]string{"Dots", "Nodes", "Transfers", "Events", "Cluster", "Operations", "Errors"}

// screen is one of the places. Its lines fill exactly the size that it was given.
type screen interface {
	resize(width, height int)
	take(p *feed.Picture) tea.Cmd // a new picture, shown or not
	enter() tea.Cmd               // it is shown now, or to be read anew
	lines() []string
	crumbs() string   // what of it is seen
	filtered() string // the filter as typed
	scope() scope
	back() bool // takes one narrowing back; false if there is none

	move(by int)
	page(by float64)
	top()
	bottom()
	moved() tea.Cmd
	click(x, y int)
	open() tea.Cmd
	describe() tea.Cmd
	mark(through bool)
	sort(reverse bool)
	name() string // what is copied
	setFilter(text string) error
}

// still is the part of a screen that most screens do not have.
type still struct{}

func (still) enter() tea.Cmd         { return nil }
func (still) filtered() string       { return "" }
func (still) back() bool             { return false }
func (still) moved() tea.Cmd         { return nil }
func (still) click(int, int)         {}
func (still) open() tea.Cmd          { return nil }
func (still) describe() tea.Cmd      { return nil }
func (still) mark(bool)              {}
func (still) sort(bool)              {}
func (still) name() string           { return "" }
func (still) setFilter(string) error { return nil }
