package tui

import (
	tea "charm.land/bubbletea/v2"
)

// filterLine is the field for a filter. The rows follow while it is typed; esc brings the
// filter before back.
type filterLine struct {
	screen  screen
	before  string
	input   *field
	problem string
}

func (f *filterLine) title() string { return "Filter" }

func (f *filterLine) width(u *ui) int { return min(u.width-4, 70) }

func (f *filterLine) hints(*ui) []hint {
	return []hint{{"enter", "keep"}, {"esc", "as before"}, {"^u", "clear"}}
}

func (f *filterLine) lines(u *ui, width, _ int) []string {
	f.input.input.SetWidth(width - 3)
	help := u.look.dim.Render("word  regular expression  !not  key:value, such as master:node-2")
	if f.problem != "" {
		help = u.look.fault.Render("! " + f.problem)
	}
	return []string{"/" + f.input.input.View(), help}
}

func (f *filterLine) press(u *ui, k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		_ = f.screen.setFilter(f.before) // it was right before
		u.close(f)
		return u.moved()
	case "enter":
		u.close(f)
		return u.moved()
	}
	return tea.Batch(f.input.press(k), f.apply(u))
}

func (f *filterLine) paste(u *ui, text string) tea.Cmd {
	f.input.paste(text)
	return f.apply(u)
}

// apply shows what matches. While the filter makes no sense the last one that did stays.
func (f *filterLine) apply(u *ui) tea.Cmd {
	f.problem = ""
	if err := f.screen.setFilter(f.input.value()); err != nil {
		f.problem = errorText(err)
		return nil
	}
	return u.moved()
}

func (f *filterLine) take(*ui) {}
