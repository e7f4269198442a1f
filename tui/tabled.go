package tui

import (
	"dotmesh.io/dotmesh/tui/filter"
	"dotmesh.io/dotmesh/tui/table"
)

// tabled is a screen that is one table, with a filter. Screens embed it.
type tabled[K comparable] struct {
	still
	u             *ui
	width, height int
	rows          *table.Table[K]
	wanted        *filter.Filter
	language      filter.Language
	typed         string
	arrange       func() // shows what matches
}

func newTabled[K comparable](u *ui, language filter.Language, columns ...table.Column) tabled[K] {
	return tabled[K]{u: u, language: language, rows: table.New[K](columns...)}
}

func (t *tabled[K]) resize(width, height int) {
	t.width, t.height = width, height
	t.rows.SetLook(t.u.tableLook())
	t.rows.SetSize(width, height)
}

func (t *tabled[K]) move(by int)      { t.rows.Move(by) }
func (t *tabled[K]) page(by float64)  { t.rows.Page(by) }
func (t *tabled[K]) top()             { t.rows.Top() }
func (t *tabled[K]) bottom()          { t.rows.Bottom() }
func (t *tabled[K]) filtered() string { return t.typed }

func (t *tabled[K]) click(_, y int) {
	clickRow(t.rows, y)
}

func (t *tabled[K]) mark(through bool) {
	if through {
		t.rows.MarkRange()
		return
	}
	t.rows.ToggleMark()
}

func (t *tabled[K]) back() bool {
	switch {
	case len(t.rows.Marked()) > 0:
		t.rows.ClearMarks()
	case t.typed != "":
		_ = t.setFilter("") // nothing is always right
	default:
		return false
	}
	return true
}

func (t *tabled[K]) setFilter(text string) error {
	f, err := t.language.Parse(text)
	if err != nil {
		return err
	}
	t.wanted, t.typed = f, text
	t.arrange()
	return nil
}

// chosen are the marked rows, else the one under the cursor.
func (t *tabled[K]) chosen() []K {
	if marked := t.rows.Marked(); len(marked) > 0 {
		return marked
	}
	if k, ok := t.rows.Cursor(); ok {
		return []K{k}
	}
	return nil
}
