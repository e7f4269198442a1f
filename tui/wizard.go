package tui

import (
	"context"
	"strconv"

	tea "charm.land/bubbletea/v2"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

// wizard shows a plan, does it when it is told to, and shows each step as it goes.
type wizard struct {
	job     dotmesh.Job
	plan    dotmesh.Plan
	planned bool
	running bool
	at      string            // the step that runs
	done    map[string]bool   // steps by id
	texts   map[string]string // the last word of a step
	err     error
	ended   bool
	stop    context.CancelFunc
}

// openWizard asks for the plan of a job.
func (u *ui) openWizard(job dotmesh.Job) tea.Cmd {
	w := &wizard{job: job}
	return tea.Batch(u.ask(w), w.makePlan(u))
}

func (w *wizard) makePlan(u *ui) tea.Cmd {
	w.done, w.texts = map[string]bool{}, map[string]string{}
	w.planned, w.ended, w.err, w.at = false, false, nil, ""
	operator := u.o.Operator
	return fetch(u, func(ctx context.Context, _ dotmesh.Service) (dotmesh.Plan, error) {
		return operator.Plan(ctx, w.job)
	}, func(u *ui, p dotmesh.Plan, err error) tea.Cmd {
		w.plan, w.planned, w.err = p, true, err
		return nil
	})
}

func (w *wizard) title() string {
	n, of := jobSteps(w.plan.Steps, w.done)
	return "Cluster " + string(w.job.Kind) + "  " + strconv.Itoa(n) + " of " + plural(of, "step", "steps")
}

func (w *wizard) width(u *ui) int { return min(u.width-4, 100) }

func (w *wizard) hints(*ui) []hint {
	switch {
	case w.running:
		return []hint{{"x", "stop after this step"}, {"esc", "close, it goes on"}}
	case w.err != nil:
		return []hint{{"enter", "go on from here"}, {"esc", "close"}}
	case w.ended:
		return []hint{{"esc", "close"}}
	}
	return []hint{{"enter", "do it"}, {"esc", "do nothing"}}
}

func (w *wizard) lines(u *ui, width, height int) []string {
	var lines []string
	switch {
	case !w.planned:
		return []string{"making a plan …"}
	case len(w.plan.Steps) == 0 && w.err == nil:
		lines = append(lines, "There is nothing to do.")
	}
	for i, s := range w.plan.Steps {
		lines = append(lines, w.stepLine(u, i, s, width))
	}
	if w.err != nil {
		lines = append(lines, "")
		for _, line := range wrap("! "+termsafe.Brief(errorText(w.err)), width) {
			lines = append(lines, u.look.fault.Render(line))
		}
	}
	switch {
	case w.ended && w.err == nil:
		lines = append(lines, "", u.look.good.Render("Done."))
	case w.planned && !w.running && !w.ended && w.err == nil && destroys(&w.plan):
		lines = append(lines, "", u.look.warn.Render("! Steps marked ! take something away for good; enter asks first."))
	}
	return lines[max(len(lines)-height, 0):]
}

// stepLine is how far one step is.
func (w *wizard) stepLine(u *ui, i int, s dotmesh.Step, width int) string {
	state, style := "  - ", u.look.dim
	switch {
	case w.done[s.ID] || s.Done:
		state, style = " ok ", u.look.good
	case w.at == s.ID && w.err != nil:
		state, style = " !! ", u.look.fault
	case w.at == s.ID && w.running:
		state, style = "run ", u.look.warn
	}
	text := style.Render(state) + strconv.Itoa(i+1) + " "
	if s.Destroys {
		text += u.look.warn.Render("! ")
	}
	text += termsafe.Brief(s.Text)
	if last := w.texts[s.ID]; last != "" {
		text += u.look.dim.Render("  " + termsafe.Brief(last))
	}
	return fit(text, width, u.look.cut)
}

func (w *wizard) press(u *ui, k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "esc":
		u.close(w)
	case "x":
		if w.running {
			w.stop()
		}
	case "enter":
		return w.enter(u)
	}
	return nil
}

// enter does the plan, or makes it anew and goes on where it failed.
func (w *wizard) enter(u *ui) tea.Cmd {
	switch {
	case w.running || !w.planned:
		return nil
	case w.err != nil:
		return w.makePlan(u)
	case w.ended || len(w.plan.Steps) == 0:
		u.close(w)
		return nil
	}
	if destroys(&w.plan) {
		return w.confirm(u)
	}
	return w.run(u)
}

// confirm asks for a word before a plan is done that takes something away for good.
func (w *wizard) confirm(u *ui) tea.Cmd {
	f := &form{
		heading: "Cluster " + string(w.job.Kind), do: "Do it", typed: string(w.job.Kind),
		about:  []string{"This takes away for good:"},
		submit: func([]string) tea.Cmd { return w.run(u) },
	}
	for _, s := range w.plan.Steps {
		if s.Destroys && !s.Done {
			f.about = append(f.about, "! "+s.Text)
		}
	}
	return u.openForm(f)
}

// run does the plan. What the operator says comes as an answer that asks for the next one;
// when the UI ends, so does the operator, and the UI's parent waits for it.
func (w *wizard) run(u *ui) tea.Cmd {
	ctx, stop := context.WithCancel(u.ctx)
	w.running, w.stop, u.job = true, stop, w
	said := make(chan tea.Msg)
	tell := func(msg tea.Msg) bool {
		select {
		case said <- msg:
			return true
		case <-u.ctx.Done():
			return false
		}
	}
	events := u.o.Operator.Run(ctx, w.plan)
	u.chores.Go(func() {
		defer close(said)
		tell(caught(func() tea.Msg {
			for e, err := range events {
				if err != nil {
					return stepped{w: w, err: err, over: true}
				}
				if !tell(stepped{w: w, event: e, said: said}) {
					return nil
				}
			}
			return stepped{w: w, over: true}
		})())
	})
	return listen(said)
}

// listen waits for the next thing that is said; nothing is when the UI has ended.
func listen(said <-chan tea.Msg) tea.Cmd {
	return func() tea.Msg { return <-said }
}

// stepped is what the operator says.
type stepped struct {
	w     *wizard
	event dotmesh.StepEvent
	err   error
	over  bool
	said  <-chan tea.Msg // where it goes on
}

func (s stepped) into(u *ui) tea.Cmd {
	w := s.w
	if s.over {
		w.running, w.ended, w.err = false, true, s.err
		w.stop()
		u.fault("cluster "+string(w.job.Kind), s.err)
		return u.shown().enter()
	}
	w.at = s.event.Step
	if s.event.Text != "" {
		w.texts[s.event.Step] = s.event.Text
	}
	if s.event.Done {
		w.done[s.event.Step] = true
	}
	return listen(s.said)
}

func (w *wizard) paste(*ui, string) tea.Cmd { return nil }

func (w *wizard) take(*ui) {}
