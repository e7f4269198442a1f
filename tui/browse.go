package tui

import (
	"cmp"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/tui/feed"
	"dotmesh.io/dotmesh/tui/filter"
	"dotmesh.io/dotmesh/tui/table"
)

// The panes of the browser, from left to right.
const (
	paneDots = iota
	paneBranches
	paneCommits
)

const wide = 120 // from here on all panes are seen at once

// browse is the tree of dots, branches and commits.
type browse struct {
	u             *ui
	width, height int
	focus         int
	dots          *table.Table[dotmesh.DotID]
	branches      *table.Table[dotmesh.BranchID]
	commits       *table.Table[dotmesh.CommitID]

	byID     map[dotmesh.DotID]*dotmesh.DotStatus
	listed   []*dotmesh.DotStatus // of the last picture
	wanted   *filter.Filter
	typed    string   // the filter as typed
	columns  []column // of the dots
	column   int      // the dots are sorted by
	reverse  bool
	expected dotmesh.DotID // gets the cursor when it appears: the user has just made it

	known   map[dotmesh.DotID]*knownDot
	stashes bool      // unfolded
	log     *history  // never nil; another branch has another one
	diff    *diffstat // never nil; another commit has another one
}

func newBrowse(u *ui) *browse {
	b := &browse{
		u: u, known: map[dotmesh.DotID]*knownDot{}, byID: map[dotmesh.DotID]*dotmesh.DotStatus{},
		log: &history{}, diff: &diffstat{},
	}
	b.columns = chosenColumns(u.o.Settings.Columns)
	b.dots = table.New[dotmesh.DotID](tableColumns(b.columns)...)
	b.branches = table.New[dotmesh.BranchID](branchColumns()...)
	b.commits = table.New[dotmesh.CommitID](commitColumns()...)
	return b
}

// isWide reports whether all panes are seen.
func (b *browse) isWide() bool { return b.width >= wide }

// resize implements screen.
func (b *browse) resize(width, height int) {
	b.width, b.height = width, height
	look := b.u.tableLook()
	b.dots.SetLook(look)
	b.branches.SetLook(look)
	b.commits.SetLook(look)
	a := b.areas()
	b.dots.SetSize(a.dots.w, a.dots.h-1)
	b.branches.SetSize(a.branches.w, a.branches.h-1)
	b.commits.SetSize(a.commits.w, a.commits.h-1)
	b.refocus()
}

// area is a part of the screen.
type area struct{ w, h int }

// areas are the parts of the browser. Where there is no room for all, the one with the
// focus has all of the width.
type areas struct{ dots, branches, commits, detail area }

func (b *browse) areas() areas {
	return splitBrowse(b.width, b.height)
}

// splitBrowse divides a screen. The panes are one cell apart.
func splitBrowse(width, height int) areas {
	if width < wide {
		detail := 0
		if height >= 20 {
			detail = 6
		}
		all := area{width, height - detail}
		return areas{all, all, all, area{width, detail}}
	}
	dots := width * 2 / 5
	rest := width - dots - 1
	branches := max(rest*2/5, 28)
	detail := max(height/3, 6)
	return areas{
		dots:     area{dots, height},
		branches: area{branches, height - detail},
		commits:  area{rest - branches - 1, height - detail},
		detail:   area{rest, detail},
	}
}

func (b *browse) refocus() {
	b.dots.SetFocus(b.focus == paneDots)
	b.branches.SetFocus(b.focus == paneBranches)
	b.commits.SetFocus(b.focus == paneCommits)
}

// take implements screen.
func (b *browse) take(p *feed.Picture) tea.Cmd {
	if !sameSlice(b.listed, p.Dots) && (!b.refresh(p.Dots) || b.typed != "" || b.column > 0) {
		b.arrange()
	}
	if b.u.at != atBrowse {
		return nil // what belongs to the cursor is read when somebody looks
	}
	return b.moved()
}

// refresh notes the dots of a picture, and reports whether they are those of the picture
// before, in its order: of thousands of dots a few have changed.
func (b *browse) refresh(dots []*dotmesh.DotStatus) (same bool) {
	before := b.listed
	b.listed = dots
	same = len(before) == len(dots)
	for i := 0; same && i < len(dots); i++ {
		if d := dots[i]; d != before[i] {
			same = d.ID == before[i].ID
			b.byID[d.ID] = d
		}
	}
	if same {
		return true
	}
	clear(b.byID)
	for _, d := range dots {
		b.byID[d.ID] = d
	}
	return false
}

// sameSlice reports whether two slices are one and the same, which the feed hands out as
// long as nothing in it has changed.
func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// arrange shows the dots that match, in order. While keys are pressed the rows that are
// there stay where they are.
func (b *browse) arrange() {
	var shown []*dotmesh.DotStatus
	for _, d := range b.u.pic.Dots {
		if b.wanted.Match(func(field string) string { return dotField(d, field) }) {
			shown = append(shown, d)
		}
	}
	moving := b.column > 0 && !b.u.resting()
	if b.column > 0 && !moving { // they come by name
		sortDots(shown, b.columns[b.column].compare)
	}
	if b.reverse {
		slices.Reverse(shown)
	}
	ids := make([]dotmesh.DotID, len(shown))
	for i, d := range shown {
		ids[i] = d.ID
	}
	if moving {
		ids = keepOrder(b.dots.Rows(), ids)
	}
	b.dots.SetShown(ids, func(id dotmesh.DotID) bool { return b.byID[id] != nil })
	if b.dots.Select(b.expected) {
		b.expected = dotmesh.DotID{}
	}
}

// sortDots sorts dots, and leaves those that are equal as they are. It is several times
// faster than slices.SortStableFunc, which spares memory that there is.
func sortDots(dots []*dotmesh.DotStatus, by func(a, b *dotmesh.DotStatus) int) {
	type ranked struct {
		dot *dotmesh.DotStatus
		at  int
	}
	all := make([]ranked, len(dots))
	for i, d := range dots {
		all[i] = ranked{d, i}
	}
	slices.SortFunc(all, func(a, b ranked) int { return cmp.Or(by(a.dot, b.dot), a.at-b.at) })
	for i, r := range all {
		dots[i] = r.dot
	}
}

// keepOrder returns the ids of next in the order that they have in before; new ones come last.
func keepOrder[K comparable](before, next []K) []K {
	there := make(map[K]bool, len(next))
	for _, k := range next {
		there[k] = true
	}
	kept := make([]K, 0, len(next))
	for _, k := range before {
		if there[k] {
			kept = append(kept, k)
			delete(there, k)
		}
	}
	for _, k := range next {
		if there[k] {
			kept = append(kept, k)
		}
	}
	return kept
}

// enter implements screen: it has everything read anew.
func (b *browse) enter() tea.Cmd {
	for _, k := range b.known {
		k.read = false
	}
	b.log.as, b.log.failed = dotmesh.Pointer{}, false
	if b.diff.err != nil {
		b.diff = &diffstat{}
	}
	return b.moved()
}

// moved implements screen: it reads what belongs to what the cursors are on.
func (b *browse) moved() tea.Cmd {
	b.branches.SetRows(b.branchRows())
	if b.u.pic.State == feed.Lost { // it is read when the server is back
		b.commits.SetRows(b.commitRows())
		return nil
	}
	cmds := []tea.Cmd{b.readDot(), b.readLog()}
	b.commits.SetRows(b.commitRows())
	return tea.Batch(append(cmds, b.readOlder(), b.readDiff())...)
}

// dot is the one under the cursor, nil if there is none.
func (b *browse) dot() *dotmesh.DotStatus {
	id, ok := b.dots.Cursor()
	if !ok {
		return nil
	}
	return b.byID[id]
}

// detail is what is known of the dot under the cursor, nil until it has been read.
func (b *browse) detail() *dotmesh.DotDetail {
	d := b.dot()
	if d == nil {
		return nil
	}
	if k := b.known[d.ID]; k != nil && !k.detail.ID.IsZero() {
		return &k.detail
	}
	return nil
}

// branchAt is the branch under the cursor: the current one until branches are known.
func (b *browse) branchAt() *dotmesh.BranchStatus {
	d := b.dot()
	if d == nil {
		return nil
	}
	detail := b.detail()
	if detail == nil {
		return &d.Branch
	}
	id, _ := b.branches.Cursor()
	for i := range detail.All {
		if detail.All[i].ID == id {
			return &detail.All[i]
		}
	}
	return nil
}

// branch finds a branch of any dot, nil if it is gone or was never heard of.
func (b *browse) branch(dot dotmesh.DotID, id dotmesh.BranchID) *dotmesh.BranchStatus {
	if d := b.byID[dot]; d != nil && d.Branch.ID == id {
		return &d.Branch
	}
	if k := b.known[dot]; k != nil && !k.detail.ID.IsZero() {
		return pickBranch(k.detail.All, id)
	}
	if at, ok := b.u.feed.Branch(id); ok {
		return &at
	}
	return nil
}

// commitAt is the commit under the cursor; nil for what is in none.
func (b *browse) commitAt() *dotmesh.Commit {
	id, ok := b.commits.Cursor()
	if !ok {
		return nil
	}
	for i := range b.log.commits {
		if b.log.commits[i].ID == id {
			return &b.log.commits[i]
		}
	}
	return nil
}

// scope implements screen.
func (b *browse) scope() scope { return [...]scope{inDots, inBranches, inCommits}[b.focus] }

// pane is the table with the focus.
func (b *browse) pane() interface {
	Move(int)
	Page(float64)
	Top()
	Bottom()
	ToggleMark()
	MarkRange()
	ClearMarks()
} {
	switch b.focus {
	case paneBranches:
		return b.branches
	case paneCommits:
		return b.commits
	}
	return b.dots
}

func (b *browse) move(by int)     { b.pane().Move(by) }
func (b *browse) page(by float64) { b.pane().Page(by) }
func (b *browse) top()            { b.pane().Top() }
func (b *browse) bottom()         { b.pane().Bottom() }

func (b *browse) mark(through bool) {
	if through {
		b.pane().MarkRange()
		return
	}
	b.pane().ToggleMark()
}

// open implements screen: one pane further in; on the stashes, it unfolds them.
func (b *browse) open() tea.Cmd {
	if b.focus == paneBranches {
		if id, ok := b.branches.Cursor(); ok && id.IsZero() {
			return b.u.foldStashes()
		}
	}
	if b.focus == paneCommits {
		return b.describe()
	}
	return b.turn(1)
}

// turn gives the focus to another pane.
func (b *browse) turn(by int) tea.Cmd {
	b.focus = max(min(b.focus+by, paneCommits), paneDots)
	b.refocus()
	return b.moved()
}

func (u *ui) out() tea.Cmd { return u.browse.turn(-1) }

func (u *ui) nextPane() tea.Cmd {
	if u.browse.focus == paneCommits {
		return u.browse.turn(-paneCommits)
	}
	return u.browse.turn(1)
}

func (u *ui) prevPane() tea.Cmd {
	if u.browse.focus == paneDots {
		return u.browse.turn(paneCommits)
	}
	return u.browse.turn(-1)
}

func (u *ui) foldStashes() tea.Cmd {
	u.browse.stashes = !u.browse.stashes
	return u.browse.moved()
}

// back implements screen.
func (b *browse) back() bool {
	switch {
	case len(b.dots.Marked()) > 0 && b.focus == paneDots, len(b.commits.Marked()) > 0 && b.focus == paneCommits,
		len(b.branches.Marked()) > 0 && b.focus == paneBranches:
		b.pane().ClearMarks()
	case b.focus > paneDots:
		b.turn(-1)
	case b.typed != "":
		_ = b.setFilter("") // nothing is always right
	default:
		return false
	}
	return true
}

// filtered implements screen.
func (b *browse) filtered() string { return b.typed }

// setFilter implements screen.
func (b *browse) setFilter(text string) error {
	f, err := dotLanguage.Parse(text)
	if err != nil {
		return err
	}
	b.wanted, b.typed = f, text
	b.arrange()
	return nil
}

// sort implements screen.
func (b *browse) sort(reverse bool) {
	if reverse {
		b.reverse = !b.reverse
	} else {
		b.column, b.reverse = (b.column+1)%len(b.columns), false
	}
	b.u.lastKey = time.Time{} // the order is what was asked for
	b.arrange()
}

// name implements screen.
func (b *browse) name() string {
	var names []string
	d := b.dot()
	switch {
	case d == nil:
		return ""
	case b.focus == paneDots:
		for _, id := range b.dots.Marked() {
			names = append(names, b.byID[id].Name.String())
		}
		names = orElse(names, d.Name.String())
	case b.focus == paneBranches:
		all, _ := b.targets()
		for _, t := range all {
			names = append(names, t.String())
		}
	default:
		for _, id := range b.commits.Marked() {
			names = append(names, id.String())
		}
		if c := b.commitAt(); c != nil {
			names = orElse(names, c.ID.String())
		}
	}
	return strings.Join(names, "\n")
}

// ids returns the ids of what name names.
func (b *browse) ids() string {
	if b.focus == paneCommits {
		return b.name()
	}
	all, _ := b.targets()
	ids := make([]string, len(all))
	for i, t := range all {
		ids[i] = t.branchID.String()
		if b.focus == paneDots {
			ids[i] = t.dotID.String()
		}
	}
	return strings.Join(ids, "\n")
}

func orElse(all []string, one string) []string {
	if len(all) == 0 {
		return []string{one}
	}
	return all
}

// goTo puts the cursor on a dot, and takes away a filter that hides it.
func (b *browse) goTo(u *ui, id dotmesh.DotID) tea.Cmd {
	if !b.dots.Select(id) {
		_ = b.setFilter("") // nothing is always right
		b.dots.Select(id)
	}
	b.focus = paneDots
	b.refocus()
	return tea.Batch(u.visit(atBrowse), b.moved())
}

// click implements screen.
func (b *browse) click(x, y int) {
	a := b.areas()
	if b.isWide() {
		switch {
		case x < a.dots.w:
			b.focus = paneDots
		case x <= a.dots.w+a.branches.w:
			b.focus = paneBranches
		default:
			b.focus = paneCommits
		}
		b.refocus()
	}
	b.clickRow(y - 1) // below the pane's title
}
