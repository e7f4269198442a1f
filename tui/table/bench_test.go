package table_test

import (
	"fmt"
	"strconv"
	"testing"

	bubbles "charm.land/bubbles/v2/table"
	"charm.land/lipgloss/v2"
	"github.com/derailed/tcell/v2"
	"github.com/derailed/tview"

	"dotmesh.io/dotmesh/tui/table"
)

// The figures beside ours: the tables of bubbles and of k9s's tview, with the same rows on
// the same screen, after a step of the cursor.

const wide, high = 160, 45

var titles = []string{"NAME", "BRANCH", "MASTER", "SIZE", "DIRTY", "COMMITS", "LAG", "USED BY"}

var sizes = []int{44, 16, 12, 10, 10, 10, 14, 30}

func textOf(row, column int) string {
	switch column {
	case 0:
		return fmt.Sprintf("admin/payments-%05d", row)
	case 1:
		return "master"
	case 2:
		return "node-" + strconv.Itoa(row%3+1)
	}
	return strconv.Itoa(row * column)
}

func ours(rows int) *table.Table[int] {
	var columns []table.Column
	for i, title := range titles {
		columns = append(columns, table.Column{Title: title, Min: sizes[i], Grow: 1})
	}
	t := table.New[int](columns...)
	t.SetLook(table.Look{Header: lipgloss.NewStyle().Bold(true), Cursor: lipgloss.NewStyle().Reverse(true), Mark: "*", Cut: "…"})
	t.SetSize(wide, high)
	t.SetRows(count(rows))
	return t
}

// painter fills cells from texts that are there, so that what is counted is the table's.
func painter() func(int, []table.Cell) {
	pen := table.NewPen(lipgloss.NewStyle().Foreground(lipgloss.Red))
	var texts [997][8]string
	for row := range texts {
		for column := range texts[row] {
			texts[row][column] = textOf(row, column)
		}
	}
	return func(k int, cells []table.Cell) {
		for i := range cells {
			cells[i].Text = texts[k%len(texts)][i]
		}
		cells[4].Style = pen
		cells[7].Text = "größer als zuvor, und länger als die Spalte"
	}
}

// TestAllocations is the promise that lets a key be held down.
func TestAllocations(t *testing.T) {
	for _, rows := range []int{10_000, 100_000} {
		tab, paint := ours(rows), painter()
		if got := testing.AllocsPerRun(100, func() {
			tab.Move(1)
			tab.View(paint)
		}); got > 50 {
			t.Errorf("%d rows: a step of the cursor makes %v allocations, want at most 50", rows, got)
		} else {
			t.Logf("%d rows: %v allocations", rows, got)
		}
	}
}

func BenchmarkCursor(b *testing.B) {
	for _, rows := range []int{10_000, 100_000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			tab, paint := ours(rows), painter()
			b.ReportAllocs()
			for b.Loop() {
				tab.Move(1)
				tab.View(paint)
			}
		})
	}
}

func BenchmarkSetRows(b *testing.B) {
	for _, rows := range []int{10_000, 100_000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			tab, keys := ours(rows), [2][]int{count(rows), count(rows)[1:]}
			tab.Select(rows / 2)
			tab.Mark(7)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				tab.SetRows(keys[i%2])
			}
		})
	}
}

func BenchmarkBubbles(b *testing.B) {
	for _, rows := range []int{10_000, 100_000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			var columns []bubbles.Column
			for i, title := range titles {
				columns = append(columns, bubbles.Column{Title: title, Width: sizes[i]})
			}
			var all []bubbles.Row
			for row := range rows {
				all = append(all, rowOf(row))
			}
			t := bubbles.New(bubbles.WithColumns(columns), bubbles.WithRows(all),
				bubbles.WithWidth(wide), bubbles.WithHeight(high), bubbles.WithFocused(true))
			b.ReportAllocs()
			for b.Loop() {
				t.MoveDown(1)
				_ = t.View()
			}
		})
	}
}

func rowOf(row int) (texts []string) {
	for column := range titles {
		texts = append(texts, textOf(row, column))
	}
	return texts
}

func BenchmarkTview(b *testing.B) {
	for _, rows := range []int{10_000, 100_000} {
		b.Run(strconv.Itoa(rows), func(b *testing.B) {
			screen := tcell.NewSimulationScreen("UTF-8")
			if err := screen.Init(); err != nil {
				b.Fatal(err)
			}
			defer screen.Fini()
			screen.SetSize(wide, high)
			t := tview.NewTable().SetSelectable(true, false).SetFixed(1, 0)
			t.SetRect(0, 0, wide, high)
			for column, title := range titles {
				t.SetCell(0, column, tview.NewTableCell(title))
				for row := range rows {
					t.SetCell(row+1, column, tview.NewTableCell(textOf(row, column)).SetMaxWidth(sizes[column]))
				}
			}
			b.ReportAllocs()
			for i := 1; b.Loop(); i++ {
				t.Select(i%rows+1, 0)
				t.Draw(screen)
				screen.Show()
			}
		})
	}
}
