package tui

import (
	"slices"
	"strings"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"dotmesh.io/dotmesh/internal/termsafe"
)

// dialog is a box above the screen. The one on top has the keys.
type dialog interface {
	title() string
	width(u *ui) int
	lines(u *ui, width, height int) []string
	press(u *ui, k tea.KeyPressMsg) tea.Cmd
	paste(u *ui, text string) tea.Cmd
	take(u *ui) // a new picture has come
	hints(u *ui) []hint
}

// field is a line of text to be filled in.
type field struct {
	label string
	input textinput.Model
	check func(string) error // while it is typed; nil: anything goes
	only  []string           // the values there are, if only those; left and right choose
}

func newField(label, value string, check func(string) error) *field {
	in := textinput.New()
	in.Prompt = ""
	in.CharLimit = 4096
	in.SetValue(value)
	in.SetStyles(textinput.Styles{}) // the terminal's own colours, and a cursor that does not blink
	return &field{label: label, input: in, check: check}
}

// newChoice is a field with a few values.
func newChoice(label string, values ...string) *field {
	f := newField(label, values[0], nil)
	f.only = values
	return f
}

func (f *field) value() string { return f.input.Value() }

// paste adds what was copied elsewhere, in one line. What one could not see of it is written
// out, so that it can be taken away again.
func (f *field) paste(text string) {
	text = strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ", "\t", " ").Replace(strings.TrimRight(text, "\r\n"))
	f.input.SetValue(f.input.Value() + termsafe.Line(text))
	f.input.CursorEnd()
}

// press gives the field a key. A character that one could not see is written out, as in
// what is pasted.
func (f *field) press(k tea.KeyPressMsg) (cmd tea.Cmd) {
	k.Text = termsafe.Line(k.Text)
	f.input, cmd = f.input.Update(k)
	return cmd
}

func (f *field) choose(by int) {
	at := slices.Index(f.only, f.value())
	f.input.SetValue(f.only[(at+by+len(f.only))%len(f.only)])
}

// form asks for what an operation needs and says what it will do. Its buttons are Cancel
// and the operation itself. Where something is destroyed, a name has to be typed first, the
// focus is on Cancel, and Enter by itself does nothing.
type form struct {
	heading string
	about   []string // what will happen
	fields  []*field
	do      string                                // what the button says
	typed   string                                // the name to be typed; "": none
	gone    func(u *ui) string                    // why it cannot be done any more; nil: it always can
	command func(values []string, i int) []string // dm's arguments that do the same to the ith thing; nil: there are none
	alike   int                                   // how many more things there are than the first
	submit  func(values []string) tea.Cmd
	focus   int // a field, then Cancel, then the operation
	problem string
	from    int // the first line that is seen of what will happen
	beyond  int // how many of those lines there is no room for
	room    int // for how many there is
}

// openForm shows a form with the focus where it belongs.
func (u *ui) openForm(f *form) tea.Cmd {
	if was := u.refused; was != nil && was.heading == f.heading {
		u.refused = nil
		for i, field := range f.fields {
			if field.value() == "" { // else it says how something is now
				field.input.SetValue(was.fields[i].value())
			}
		}
	}
	if f.typed != "" {
		f.fields = append(f.fields, newField("type "+f.typed, "", nil))
	}
	f.focus = len(f.fields) + 1
	switch {
	case f.typed != "":
		f.focus = len(f.fields)
	case len(f.fields) > 0:
		f.focus = 0
	}
	f.refocus()
	return u.ask(f)
}

func (f *form) title() string { return f.heading }

func (f *form) width(u *ui) int { return min(max(u.width*2/3, 58), 100) }

func (f *form) hints(u *ui) []hint {
	all := []hint{{"tab", "next"}, {"enter", "choose"}, {"^s", f.do}, {"esc", "cancel"}}
	for i := range u.keys {
		if b := &u.keys[i]; b.in == inForms && len(b.keys) > 0 && f.commandLine(u) != "" {
			all = append(all, hint{b.key(), b.hint})
		}
	}
	return all
}

func (f *form) values() []string {
	values := make([]string, len(f.fields))
	for i, field := range f.fields {
		values[i] = field.value()
	}
	return values
}

func (f *form) lines(u *ui, width, height int) []string {
	var about []string
	for _, text := range f.about {
		about = append(about, wrap(termsafe.Line(text), width)...)
	}
	if len(f.about) > 0 {
		about = append(about, "")
	}
	rest := f.rest(u, width)
	f.room, f.beyond = max(height-len(rest), 0), 0
	if len(about) > f.room { // what will happen first is what to read
		f.beyond = len(about) - f.room
		f.from = min(f.from, f.beyond)
		about = about[f.from : f.from+f.room]
		if f.room > 0 && f.from < f.beyond {
			about[f.room-1] = u.look.dim.Render(u.look.cut + " more than there is room for: pgdown, pgup")
		}
	}
	lines := append(about, rest...)
	return lines[max(len(lines)-height, 0):]
}

// rest is a form below what it says: the fields, what is wrong, the command, the buttons.
func (f *form) rest(u *ui, width int) (lines []string) {
	label := 0
	for _, field := range f.fields {
		label = max(label, ansi.StringWidth(field.label))
	}
	for i, field := range f.fields {
		lines = append(lines, f.fieldLine(u, field, i == f.focus, label, width))
	}
	if len(f.fields) > 0 {
		lines = append(lines, "")
	}
	if f.problem != "" {
		for _, line := range wrap("! "+f.problem, width) {
			lines = append(lines, u.look.fault.Render(line))
		}
	}
	if line := f.commandLine(u); line != "" {
		after := more(f.alike)
		lines = append(lines, u.look.dim.Render(ansi.Truncate("= "+line, width-ansi.StringWidth(after), u.look.cut)+after))
	}
	return append(lines, f.buttons(u, width))
}

func (f *form) fieldLine(u *ui, field *field, focused bool, label, width int) string {
	text := fit(field.label, label, "") + "  "
	field.input.SetWidth(max(width-label-4, 8))
	switch {
	case field.only != nil && focused:
		return text + u.look.cursor.Render("< "+field.value()+" >")
	case field.only != nil:
		return text + "  " + field.value()
	case focused:
		return text + field.input.View()
	}
	return text + ansi.Truncate(termsafe.Line(field.value()), width-label-2, u.look.cut)
}

func (f *form) buttons(u *ui, width int) string {
	button := func(text string, focused bool) string {
		if focused {
			return u.look.cursor.Render("[ " + text + " ]")
		}
		return "  " + text + "  "
	}
	line := button("Cancel", f.focus == len(f.fields)) + " " + button(f.do, f.focus == len(f.fields)+1)
	return strings.Repeat(" ", max(width-ansi.StringWidth(line), 0)) + line
}

// commandLine is the dm command that would do the same; for several things, to the first.
func (f *form) commandLine(u *ui) string {
	if f.command == nil {
		return ""
	}
	return u.commandLine(f.command(f.values(), 0))
}

// copyCommand copies the command lines of the form that has the keys, one for each thing.
func (u *ui) copyCommand() tea.Cmd {
	f, ok := u.dialog().(*form)
	if !ok {
		return nil
	}
	line := f.commandLine(u)
	if line == "" {
		return u.say("dm has no command for this")
	}
	lines := []string{line}
	for i := range f.alike {
		lines = append(lines, u.commandLine(f.command(f.values(), i+1)))
	}
	return tea.Batch(tea.SetClipboard(strings.Join(lines, "\n")), u.say("copied: "+line+more(f.alike)))
}

func (f *form) press(u *ui, k tea.KeyPressMsg) tea.Cmd {
	if b := u.keys.find(k.String(), inForms); b != nil && b.in == inForms && k.Text == "" {
		return b.run(u)
	}
	switch k.String() {
	case "esc":
		u.close(f)
		return nil
	case "ctrl+s":
		return f.send(u)
	case "pgdown":
		f.from = min(f.from+max(f.room-1, 1), f.beyond)
		return nil
	case "pgup":
		f.from = max(f.from-max(f.room-1, 1), 0)
		return nil
	case "tab", "down":
		f.step(1)
		return nil
	case "shift+tab", "up":
		f.step(-1)
		return nil
	case "enter":
		return f.enter(u)
	case "left", "right":
		if f.focus >= len(f.fields) {
			f.focus = 2*len(f.fields) + 1 - f.focus
			return nil
		}
	}
	if f.focus >= len(f.fields) {
		return nil
	}
	return f.edit(k)
}

// edit gives a key to the field that has the focus.
func (f *form) edit(k tea.KeyPressMsg) tea.Cmd {
	field := f.fields[f.focus]
	if field.only != nil {
		if by := map[string]int{"left": -1, "right": 1, "space": 1}[k.String()]; by != 0 {
			field.choose(by)
		}
		return nil
	}
	cmd := field.press(k)
	f.judge()
	return cmd
}

func (f *form) paste(_ *ui, text string) tea.Cmd {
	if f.focus < len(f.fields) && f.fields[f.focus].only == nil {
		f.fields[f.focus].paste(text)
		f.judge()
	}
	return nil
}

func (f *form) step(by int) {
	all := len(f.fields) + 2
	f.focus = (f.focus + by + all) % all
	f.refocus()
}

func (f *form) refocus() {
	for i, field := range f.fields {
		if i == f.focus {
			field.input.Focus()
		} else {
			field.input.Blur()
		}
	}
}

// enter goes on to the next field, or presses the button that has the focus.
func (f *form) enter(u *ui) tea.Cmd {
	switch {
	case f.focus == len(f.fields):
		u.close(f)
		return nil
	case f.focus == len(f.fields)+1:
		return f.send(u)
	}
	f.step(1)
	if f.focus == len(f.fields) && f.typed == "" {
		f.step(1) // past Cancel
	}
	return nil
}

// judge says what is wrong with the values, if anything.
func (f *form) judge() bool {
	f.problem = ""
	for _, field := range f.fields {
		if field.check == nil {
			continue
		}
		if err := field.check(field.value()); err != nil {
			f.problem = termsafe.Brief(errorText(err))
			return false
		}
	}
	if f.typed != "" && f.fields[len(f.fields)-1].value() != f.typed {
		f.problem = "to go on, type " + f.typed
		return false
	}
	return true
}

// take says at once that what the form is about is gone.
func (f *form) take(u *ui) {
	if f.gone == nil {
		return
	}
	if why := f.gone(u); why != "" {
		f.problem = why
	}
}

// send does it, unless what it is about is not as it was.
func (f *form) send(u *ui) tea.Cmd {
	if !f.judge() {
		return nil
	}
	if f.gone != nil {
		if why := f.gone(u); why != "" {
			f.problem = why
			return nil
		}
	}
	u.close(f)
	return f.sent(f.submit(f.values()))
}

// sent remembers a form whose operation fails: opened again, it holds what was typed.
func (f *form) sent(work tea.Cmd) tea.Cmd {
	if work == nil {
		return nil
	}
	return func() tea.Msg {
		msg := work()
		d, ok := msg.(done)
		if !ok || len(d.errs) == 0 {
			return msg
		}
		then := d.then
		d.then = func(u *ui) {
			u.refused = f
			if then != nil {
				then(u)
			}
		}
		return d
	}
}

// choice is one line of a menu.
type choice struct {
	text, detail string
	run          func(*ui) tea.Cmd
}

// menu lets one choose, by typing a part of what one wants.
type menu struct {
	heading string
	typing  *field // nil: the few choices need no search
	all     []choice
	found   []choice
	at      int
	empty   string // what is said when nothing is found
}

func (u *ui) openMenu(m *menu) tea.Cmd {
	m.found = m.all
	return u.ask(m)
}

func (m *menu) title() string { return m.heading }

func (m *menu) width(u *ui) int { return min(max(u.width*2/3, 56), 90) }

func (m *menu) hints(*ui) []hint {
	return []hint{{"enter", "choose"}, {"up down", "move"}, {"esc", "close"}}
}

func (m *menu) lines(u *ui, width, height int) []string {
	var lines []string
	if m.typing != nil {
		m.typing.input.SetWidth(width - 4)
		lines = append(lines, "> "+m.typing.input.View(), "")
	}
	room := min(height-len(lines)-1, 14)
	first := max(0, min(m.at-room/2, len(m.found)-room))
	for i := first; i < min(first+room, len(m.found)); i++ {
		c := m.found[i]
		detail := ansi.Truncate(c.detail, width*3/5, u.look.cut)
		line := fit(" "+c.text, width-ansi.StringWidth(detail)-1, u.look.cut) + " " + detail
		if i == m.at {
			line = u.look.cursor.Render(ansi.Strip(">" + line[1:]))
		}
		lines = append(lines, line)
	}
	if len(m.found) == 0 {
		lines = append(lines, u.look.dim.Render(" "+m.empty))
	}
	return lines
}

func (m *menu) press(u *ui, k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		u.close(m)
		return nil
	case "enter":
		if m.at >= len(m.found) {
			return nil
		}
		u.close(m)
		return m.found[m.at].run(u)
	case "up", "ctrl+p":
		m.at = max(m.at-1, 0)
		return nil
	case "down", "ctrl+n", "tab":
		m.at = max(min(m.at+1, len(m.found)-1), 0)
		return nil
	}
	if m.typing == nil {
		if by := map[string]int{"j": 1, "k": -1}[k.String()]; by != 0 {
			m.at = max(min(m.at+by, len(m.found)-1), 0)
		}
		return nil
	}
	cmd := m.typing.press(k)
	m.search()
	return cmd
}

func (m *menu) paste(_ *ui, text string) tea.Cmd {
	if m.typing != nil {
		m.typing.paste(text)
		m.search()
	}
	return nil
}

// search shows what fits the typed text, the best first.
func (m *menu) search() {
	m.at = 0
	m.found = rank(m.all, m.typing.value(), func(c choice) string { return c.text + " " + c.detail })
}

func (m *menu) take(*ui) {}

// sheet is text to be read, with a cursor line where its lines can be opened.
type sheet struct {
	heading string
	text    []string            // styled, one line each
	raw     string              // what is copied; "": the text
	openers []func(*ui) tea.Cmd // by line; nil: nothing to open
	at      int                 // the line at the top, or the chosen one
	height  int
	loading bool
	again   func() []string // the text for a new picture, nil where it stays; nil: it always does
}

func (s *sheet) title() string { return s.heading }

func (s *sheet) width(u *ui) int { return u.width - 4 }

func (s *sheet) hints(*ui) []hint {
	if s.openers != nil {
		return []hint{{"enter", "open"}, {"y", "copy"}, {"esc", "close"}}
	}
	return []hint{{"j k", "scroll"}, {"y", "copy"}, {"esc", "close"}}
}

func (s *sheet) lines(u *ui, width, height int) []string {
	s.height = min(height, max(len(s.text), 3))
	if s.loading && len(s.text) == 0 {
		return []string{u.look.dim.Render("reading …")}
	}
	first := s.at
	if s.openers != nil {
		first = max(0, min(s.at-s.height/2, len(s.text)-s.height))
	}
	lines := make([]string, 0, s.height)
	for i := first; i < min(first+s.height, len(s.text)); i++ {
		line := ansi.Truncate(s.text[i], width, u.look.cut)
		if s.openers != nil && i == s.at {
			line = u.look.cursor.Render(fit(ansi.Strip(line), width, u.look.cut))
		}
		lines = append(lines, line)
	}
	return lines
}

func (s *sheet) press(u *ui, k tea.KeyPressMsg) tea.Cmd {
	switch b := u.keys.find(k.String(), inEvents); {
	case k.String() == "esc" || k.String() == "q" || k.String() == "?":
		u.close(s)
	case k.String() == "enter" && s.at < len(s.openers) && s.openers[s.at] != nil:
		return s.openers[s.at](u)
	case b == nil:
	case b.name == "copy":
		return tea.Batch(tea.SetClipboard(s.copied()), u.say("copied"))
	default:
		s.scroll(b.name)
	}
	return nil
}

func (s *sheet) copied() string {
	if s.raw != "" {
		return s.raw
	}
	return ansi.Strip(strings.Join(s.text, "\n"))
}

// scroll moves by the name of a binding.
func (s *sheet) scroll(name string) {
	last := len(s.text) - 1
	if s.openers == nil {
		last = len(s.text) - s.height
	}
	half := max(s.height/2, 1)
	at := map[string]int{
		"down": s.at + 1, "up": s.at - 1, "half-down": s.at + half, "half-up": s.at - half, "top": 0, "bottom": last,
	}
	if to, ok := at[name]; ok {
		s.at = max(min(to, last), 0)
	}
}

func (s *sheet) paste(*ui, string) tea.Cmd { return nil }

func (s *sheet) take(*ui) {
	if s.again == nil {
		return
	}
	if text := s.again(); text != nil {
		s.text = text
	}
}
