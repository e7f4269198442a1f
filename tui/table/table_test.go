package table_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"go.uber.org/goleak"

	"dotmesh.io/dotmesh/tui/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a table of two columns without styles, 20 cells wide and of 4 rows.
func small(keys ...int) *table.Table[int] {
	t := table.New[int](
		table.Column{Title: "NAME", Min: 6, Grow: 1},
		table.Column{Title: "SIZE", Min: 5, Align: table.Right},
	)
	t.SetLook(table.Look{Mark: "*", Cut: "~"})
	t.SetSize(20, 5)
	t.SetRows(keys)
	return t
}

func draw(t *table.Table[int]) string {
	return strings.Join(t.View(func(k int, cells []table.Cell) {
		cells[0].Text = fmt.Sprintf("row-%d", k)
		cells[1].Text = fmt.Sprint(k * 100)
	}), "\n") + "\n"
}

func count(n int) (keys []int) {
	for i := range n {
		keys = append(keys, i)
	}
	return keys
}

func TestView(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(*table.Table[int])
		want string
	}{
		"rows, and nothing below them": {func(*table.Table[int]) {}, `
  NAME          SIZE
> row-0            0
  row-1          100
                    |
                    |
`},
		"without the focus": {func(t *table.Table[int]) { t.SetFocus(false) }, `
  NAME          SIZE
- row-0            0
  row-1          100
                    |
                    |
`},
		"marks": {func(t *table.Table[int]) { t.ToggleMark(); t.Mark(1) }, `
  NAME          SIZE
 *row-0            0
>*row-1          100
                    |
                    |
`},
		"the order of the rows": {func(t *table.Table[int]) { t.Header(0, true); t.SetSize(20, 2) }, `
  NAMEv         SIZE
> row-0            0
`},
		"the order of a narrow column": {func(t *table.Table[int]) { t.Header(1, false); t.SetSize(20, 2) }, `
  NAME         SIZE^
> row-0            0
`},
		"the last rows": {func(t *table.Table[int]) { t.SetRows(count(100)); t.Bottom() }, `
  NAME          SIZE
  row-96        9600
  row-97        9700
  row-98        9800
> row-99        9900
`},
		"too narrow": {func(t *table.Table[int]) { t.SetSize(12, 3) }, `
  NAME   SI~
> row-0    0
  row-1  100
`},
		"narrower still": {func(t *table.Table[int]) { t.SetSize(6, 3) }, `
  NAME
> row~
  row~
`},
		"no rows": {func(t *table.Table[int]) { t.SetRows(nil); t.SetSize(20, 2) }, `
  NAME          SIZE
                    |
`},
		"the header alone": {func(t *table.Table[int]) { t.SetSize(20, 1) }, `
  NAME          SIZE
`},
	} {
		t.Run(name, func(t *testing.T) {
			table := small(0, 1)
			test.do(table)
			if got, want := draw(table), strings.ReplaceAll(test.want[1:], "|", ""); got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func TestColumnsShareTheRoom(t *testing.T) {
	columns := []table.Column{
		{Title: "aaaaaaaaaaaa", Min: 4, Grow: 2, Max: 10},
		{Title: "bbbbbbbbbbbb", Min: 4, Drop: 2},
		{Title: "cccccccccccc", Min: 4, Grow: 1, Drop: 1},
		{Title: "dddddddddddd", Min: 4, Drop: 2},
	}
	for width, want := range map[int]string{
		40: " aaaaaaaaaa bbbb cccccccccccc       dddd",
		22: " aaaaa bbbb ccccc dddd",
		20: " aaaa bbbb cccc dddd",
		19: " aaaaaaa bbbb ccccc",
		14: " aaaaaaa ccccc",
		9:  " aaaaaaaa",
		3:  " aa",
		1:  " ",
		0:  "",
	} {
		tab := table.New[int](columns...)
		tab.SetSize(width, 1)
		if got := tab.View(nil)[0]; strings.TrimRight(got, " ") != strings.TrimRight(want, " ") {
			t.Errorf("%d cells: got %q, want %q", width, got, want)
		}
	}
}

func TestCursorStaysOnItsKey(t *testing.T) {
	for name, test := range map[string]struct {
		rows []int
		want int
	}{
		"rows before it":            {[]int{7, 8, 9, 0, 1, 2, 3, 4}, 2},
		"another order":             {[]int{4, 3, 2, 1, 0}, 2},
		"it is gone":                {[]int{0, 1, 3, 4}, 3},
		"it and rows before it":     {[]int{3, 4}, 3},
		"it and the next one":       {[]int{0, 1, 4}, 4},
		"it and all after it":       {[]int{0, 1}, 1},
		"it is gone among new ones": {[]int{9, 8, 7, 6}, 7},
		"only it is left":           {[]int{2}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			tab := small(0, 1, 2, 3, 4)
			tab.Select(2)
			tab.SetRows(test.rows)
			if got, ok := tab.Cursor(); !ok || got != test.want {
				t.Errorf("the cursor is on %d (%v), want %d", got, ok, test.want)
			}
		})
	}
}

func TestCursorRowStaysWhereItIs(t *testing.T) {
	tab := small(count(100)...)
	tab.Select(50)
	tab.Move(-2) // to the second line of those seen
	before := strings.Count(strings.Split(draw(tab), ">")[0], "\n")
	tab.SetRows(append([]int{100, 101, 102}, count(100)...))
	if after := strings.Count(strings.Split(draw(tab), ">")[0], "\n"); after != before {
		t.Errorf("the cursor's row went from line %d to %d", before, after)
	}
	tab.Top()
	tab.SetRows(count(100))
	tab.Top()
	tab.SetRows(append([]int{100}, count(100)...))
	if from, _ := tab.Visible(); from != 0 {
		t.Error("what came in before the first row is not seen")
	}
}

func TestNoRowsAndBack(t *testing.T) {
	tab := small(1, 2, 3)
	tab.Bottom()
	tab.SetRows(nil)
	tab.ToggleMark()
	tab.MarkRange()
	tab.Move(1)
	tab.Page(-1)
	if _, ok := tab.Cursor(); ok || tab.Index() != 0 || tab.Select(1) {
		t.Error("there is a cursor without rows")
	}
	tab.SetRows([]int{4, 5})
	if k, ok := tab.Cursor(); !ok || k != 4 {
		t.Errorf("the cursor is on %d (%v)", k, ok)
	}
}

func TestMoving(t *testing.T) {
	for name, test := range map[string]struct {
		do          func(*table.Table[int])
		index, from int
	}{
		"down":                 {func(t *table.Table[int]) { t.Move(1) }, 51, 48},
		"far up":               {func(t *table.Table[int]) { t.Move(-1 << 62) }, 0, 0},
		"far down":             {func(t *table.Table[int]) { t.Move(1 << 62) }, 99, 96},
		"half a page":          {func(t *table.Table[int]) { t.Page(0.5) }, 52, 49},
		"a page up":            {func(t *table.Table[int]) { t.Page(-1) }, 46, 43},
		"a tenth of a page":    {func(t *table.Table[int]) { t.Page(-0.1) }, 49, 46},
		"to the end":           {func(t *table.Table[int]) { t.Bottom() }, 99, 96},
		"to the end and up":    {func(t *table.Table[int]) { t.Bottom(); t.Move(-3) }, 96, 96},
		"to the end, a page":   {func(t *table.Table[int]) { t.Bottom(); t.Page(1) }, 99, 96},
		"less height":          {func(t *table.Table[int]) { t.SetSize(20, 3) }, 50, 49},
		"more height":          {func(t *table.Table[int]) { t.SetSize(20, 101) }, 50, 0},
		"no height":            {func(t *table.Table[int]) { t.SetSize(0, 0) }, 50, 50},
		"somewhere else":       {func(t *table.Table[int]) { t.Select(10) }, 10, 10},
		"where no row is":      {func(t *table.Table[int]) { t.Select(1000) }, 50, 47},
		"the beginning, again": {func(t *table.Table[int]) { t.Top(); t.Move(-1) }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tab := small(count(100)...)
			tab.Select(50)
			test.do(tab)
			if from, _ := tab.Visible(); tab.Index() != test.index || from != test.from {
				t.Errorf("at %d, seen from %d; want %d and %d", tab.Index(), from, test.index, test.from)
			}
		})
	}
}

func TestMarks(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(*table.Table[int])
		want []int
	}{
		"two, in the order of their rows": {func(t *table.Table[int]) { t.Mark(5); t.Mark(3) }, []int{3, 5}},
		"one after the other":             {func(t *table.Table[int]) { t.ToggleMark(); t.ToggleMark() }, []int{0, 1}},
		"taken away":                      {func(t *table.Table[int]) { t.ToggleMark(); t.Top(); t.ToggleMark() }, nil},
		"a range":                         {func(t *table.Table[int]) { t.Mark(2); t.Select(5); t.MarkRange() }, []int{2, 3, 4, 5}},
		"a range upwards":                 {func(t *table.Table[int]) { t.Mark(4); t.Select(2); t.MarkRange() }, []int{2, 3, 4}},
		"a range from nothing":            {func(t *table.Table[int]) { t.Select(7); t.MarkRange() }, []int{7}},
		"a range that goes on": {func(t *table.Table[int]) {
			t.Mark(1)
			t.Select(2)
			t.MarkRange()
			t.Select(4)
			t.MarkRange()
		}, []int{1, 2, 3, 4}},
		"a range from what is gone": {func(t *table.Table[int]) {
			t.Mark(1)
			t.SetRows([]int{2, 3, 4})
			t.Select(4)
			t.MarkRange()
		}, []int{4}},
		"of rows that are gone": {func(t *table.Table[int]) { t.Mark(1); t.Mark(2); t.SetRows([]int{2, 3}) }, []int{2}},
		"of rows that came back": {func(t *table.Table[int]) {
			t.Mark(1)
			t.SetRows(nil)
			t.SetRows(count(9))
		}, nil},
		"cleared": {func(t *table.Table[int]) { t.Mark(1); t.ClearMarks() }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tab := small(count(9)...)
			test.do(tab)
			got := tab.Marked()
			if all, hidden := tab.Marks(); !slices.Equal(got, test.want) || all != len(test.want) || hidden != 0 {
				t.Errorf("%d marked, %d hidden, %v; want %v", all, hidden, got, test.want)
			}
		})
	}
}

func TestMarksOfHiddenRows(t *testing.T) {
	tab := small(count(9)...)
	for _, k := range []int{7, 2, 4, 5} {
		tab.Mark(k)
	}
	there := func(k int) bool { return k != 4 }
	for _, test := range []struct {
		rows   []int
		want   []int
		hidden int
	}{
		{[]int{5, 6}, []int{5, 2, 7}, 2},
		{[]int{6}, []int{2, 7, 5}, 3},
		{[]int{7, 2}, []int{7, 2, 5}, 1},
		{nil, []int{5, 7, 2}, 3},
		{count(9), []int{2, 5, 7}, 0},
	} {
		tab.SetShown(test.rows, there)
		got := tab.Marked()
		if all, hidden := tab.Marks(); !slices.Equal(got, test.want) || all != len(test.want) || hidden != test.hidden {
			t.Errorf("rows %v: %d marked, %d hidden, %v; want %v", test.rows, all, hidden, got, test.want)
		}
	}
	tab.SetShown(nil, there)
	tab.Unmark(5)
	if got := tab.Marked(); !slices.Equal(got, []int{2, 7}) {
		t.Errorf("%v are marked", got)
	}
	tab.ClearMarks()
	if all, hidden := tab.Marks(); all != 0 || hidden != 0 {
		t.Errorf("%d are marked, %d hidden", all, hidden)
	}
}

func TestStyles(t *testing.T) {
	red, bold := lipgloss.NewStyle().Foreground(lipgloss.Red), lipgloss.NewStyle().Bold(true)
	tab := small(0)
	tab.SetLook(table.Look{Header: bold, Cursor: lipgloss.NewStyle().Reverse(true)})
	tab.SetSize(14, 2)
	got := strings.Join(tab.View(func(_ int, cells []table.Cell) {
		cells[0] = table.Cell{Text: "a", Style: red}
		cells[1] = table.Cell{Text: "b", Style: table.NewPen(red)}
	}), "\n")
	want := "\x1b[1m NAME     SIZE\x1b[m\n" + // the pointer that shows the cursor without the focus needs a cell
		"\x1b[7m \x1b[31ma      \x1b[m\x1b[7m \x1b[31m    b\x1b[m\x1b[7m\x1b[m"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAStyleThatChangesTextIsPlain(t *testing.T) {
	for name, style := range map[string]table.Style{
		"padding":   lipgloss.NewStyle().Padding(1, 2),
		"transform": lipgloss.NewStyle().Transform(strings.ToUpper),
		"nothing":   nil,
		"a nil pen": (*table.Pen)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			if got := table.NewPen(style).Render("a", "b"); got != "a b" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestAt(t *testing.T) {
	tab := small(count(3)...)
	for line, want := range []int{-1, 0, 1, 2, -1, -1} {
		if got, ok := tab.At(line); ok != (want >= 0) || ok && got != want {
			t.Errorf("line %d: %d, %v", line, got, ok)
		}
	}
}

// FuzzView: whatever the texts and the size, the view is exactly as high and as wide.
func FuzzView(f *testing.F) {
	f.Add("plain", "a", "…", 20, 5, 1)
	f.Add("Größe 大小 🐳", "é", "~", 9, 3, 0)
	f.Add("\u0301x", "\u0903", "…", 12, 3, 3)
	f.Add("\u0d4e", "a\u0600", "大", 12, 3, 3)
	f.Add("\x1b[31mred", "\x9b\xff", "", 7, 2, 0)
	f.Add("🇩🇪🇩", "👩‍👩‍👧", "~", 5, 2, 0)
	f.Fuzz(func(t *testing.T, a, b, title string, width, height, at int) {
		width, height = width%300, height%60
		tab := table.New[int](
			table.Column{Title: title, Min: 3, Grow: 1}, table.Column{Title: b, Min: 2, Align: table.Right, Drop: 1}, table.Column{Min: 1},
		)
		look := table.Look{Mark: "✓", Cut: "…"}
		if at%2 == 0 {
			look.Cursor, look.Marked = lipgloss.NewStyle().Reverse(true), lipgloss.NewStyle().Bold(true)
		}
		tab.SetLook(look)
		tab.SetRows(count(20))
		tab.SetSize(width, height)
		tab.Move(at)
		tab.ToggleMark()
		tab.Header(0, true)
		lines := tab.View(func(k int, cells []table.Cell) {
			cells[0].Text, cells[1].Text, cells[2].Text = a, b, a[:min(k, len(a))]
			if k%2 == 0 {
				cells[1].Style = lipgloss.NewStyle().Italic(true)
			}
		})
		if len(lines) != max(height, 0) {
			t.Errorf("%d lines, want %d", len(lines), height)
		}
		for i, line := range lines {
			if got := ansi.StringWidth(line); got != max(width, 0) {
				t.Errorf("line %d is %d cells wide, want %d: %q", i, got, width, line)
			}
		}
	})
}
