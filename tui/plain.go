package tui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

// Plain is the UI for screen readers, dumb terminals and pipes: text, one line for one
// thing, and questions that are answered by a number. It never moves the cursor. It ends at
// the end of the input; flush, which may be nil, is called before it waits for an answer.
func Plain(ctx context.Context, o Options, flush func() error) error {
	p := &plain{Options: o, lines: make(chan line), flush: flush}
	if p.Now == nil {
		p.Now = time.Now
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	go p.read(reading) // a read of a terminal cannot be called off: it is left behind at the end
	err := p.dots(ctx)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

type plain struct {
	Options
	lines chan line // of the input
	flush func() error
}

// line is one of the input, or why there are no more.
type line struct {
	text string
	err  error
}

// read hands out the lines of the input, and at last why it ended.
func (p *plain) read(ctx context.Context) {
	in := bufio.NewScanner(p.In)
	for ctx.Err() == nil {
		l := line{err: io.EOF}
		if in.Scan() {
			l = line{text: in.Text()}
		} else if in.Err() != nil {
			l.err = dotmesh.Wrap("read an answer", in.Err())
		}
		select {
		case p.lines <- l:
		case <-ctx.Done():
		}
		if l.err != nil {
			return
		}
	}
}

// say prints one line, whatever is in it.
func (p *plain) say(format string, args ...any) {
	fmt.Fprintln(p.Out, termsafe.Brief(fmt.Sprintf(format, args...)))
}

// ask prints a question and returns the answer, or that it has ended: with io.EOF where the
// input has.
func (p *plain) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(p.Out, termsafe.Brief(question)+" ")
	if p.flush != nil {
		if err := p.flush(); err != nil {
			return "", err
		}
	}
	l := line{}
	select {
	case l = <-p.lines:
	case <-ctx.Done():
		l.err = ctx.Err()
	}
	if l.err != nil {
		fmt.Fprintln(p.Out)
		return "", ended{l.err}
	}
	return strings.TrimSpace(l.text), nil
}

// ended is why nobody answers any more. It ends every list.
type ended struct{ error }

func (e ended) Unwrap() error { return e.error }

// item is a line that can be chosen.
type item struct {
	text string
	run  func(context.Context) error
}

// choose lists items by number until 0 is chosen or the input ends. list is called anew
// each time, so that what was done is seen.
func (p *plain) choose(ctx context.Context, heading string, list func(context.Context) ([]item, error)) error {
	for ctx.Err() == nil {
		items, err := list(ctx)
		if err != nil {
			p.say("Error: %s", errorText(err))
		}
		p.say("%s", heading)
		for i, it := range items {
			p.say("%d. %s", i+1, it.text)
		}
		answer, err := p.ask(ctx, "Number, 0 to go back:")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(answer)
		switch {
		case answer == "0" || answer == "q":
			return nil
		case err != nil || n < 1 || n > len(items):
			p.say("%q is none of the numbers.", answer)
			continue
		}
		if err := items[n-1].run(ctx); err != nil {
			if _, over := errors.AsType[ended](err); over {
				return err
			}
			p.say("Error: %s", errorText(err))
		}
	}
	return ctx.Err()
}

func (p *plain) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, callTime)
}

// dots is the first list: everything else is reached from it.
func (p *plain) dots(ctx context.Context) error {
	return p.choose(ctx, "Dots on "+p.Where, func(ctx context.Context) ([]item, error) {
		ctx, cancel := p.call(ctx)
		defer cancel()
		all, err := p.Service.Dots(ctx)
		items := []item{
			{"nodes", p.nodes}, {"transfers", p.transfers}, {"watch what happens for ten seconds", p.watch},
		}
		if !p.ReadOnly {
			items = append(items, item{"make a dot", p.create})
		}
		for i := range all {
			d := &all[i]
			items = append(items, item{plainDot(d), func(ctx context.Context) error { return p.dot(ctx, d.Name) }})
		}
		return items, err
	})
}

func plainDot(d *dotmesh.DotStatus) string {
	text := d.Name.String() + ", branch " + string(d.Branch.Name) + ", " + plural(int(d.Branch.Pointer.Count), "commit", "commits") +
		", master " + masterName(&d.Branch) + ", in no commit " + dirty(d.Branch.Dirty)
	if used := users(d.Branch.Containers); used != "" {
		text += ", used by " + used
	}
	return text
}

func (p *plain) nodes(ctx context.Context) error {
	ctx, cancel := p.call(ctx)
	defer cancel()
	all, err := p.Service.Nodes(ctx)
	for i := range all {
		n := &all[i]
		p.say("Node %s, %s, master of %s, lag %s", n.Name, nodeState(n), plural(n.Masters, "branch", "branches"), lag(n.Missing, n.Behind))
	}
	return err
}

func (p *plain) transfers(ctx context.Context) error {
	ctx, cancel := p.call(ctx)
	defer cancel()
	all, err := p.Service.Transfers(ctx)
	if err == nil && len(all) == 0 {
		p.say("Nothing is on its way.")
	}
	for i := range all {
		t := &all[i]
		p.say("%s, %s, %s of %s %s", route(t), t.State, size(t.Sent), size(t.Size), t.Reason)
	}
	return err
}

// watch prints what happens, a line for each event.
func (p *plain) watch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for e, err := range p.Service.Events(ctx, "") {
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		p.say("%s", eventText(&e))
		if p.flush != nil {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// eventText is an event in a line.
func eventText(e *dotmesh.Event) string {
	what := string(e.Kind)
	if e.Deleted {
		what += " deleted"
	}
	switch {
	case e.Dot != nil:
		what += " " + e.Dot.Name.String()
	case e.Branch != nil:
		what += " " + string(e.Branch.Name) + ", " + plural(int(e.Branch.Pointer.Count), "commit", "commits")
	case e.Commit != nil:
		what += " " + short(e.Commit.ID) + " by " + e.Commit.Author + ", " + firstLine(e.Commit.Message)
	case e.Node != nil:
		what += " " + string(e.Node.Name)
	case e.Stats != nil:
		what += ", in no commit " + dirty(e.Stats.Dirty)
	case e.Transfer != nil:
		what += " " + route(e.Transfer) + " " + string(e.Transfer.State)
	case e.Log != nil:
		what += " " + e.Log.Level + ", " + e.Log.Text
	}
	return what
}

func (p *plain) create(ctx context.Context) error {
	text, err := p.ask(ctx, "Name:")
	if err != nil {
		return err
	}
	name, err := dotmesh.ParseDotName(text)
	if err != nil {
		return err
	}
	ctx, cancel := p.call(ctx)
	defer cancel()
	_, err = p.Service.CreateDot(ctx, dotmesh.CreateDot{Dot: name, Request: dotmesh.NewUUID()})
	return p.done(err, "Made %s.", name)
}

func (p *plain) done(err error, format string, args ...any) error {
	if err == nil {
		p.say(format, args...)
	}
	return err
}

// dot lists what can be done with a dot, and its branches.
func (p *plain) dot(ctx context.Context, name dotmesh.DotName) error {
	return p.choose(ctx, "Dot "+name.String(), func(ctx context.Context) ([]item, error) {
		ctx, cancel := p.call(ctx)
		defer cancel()
		d, err := p.Service.Dot(ctx, name)
		var items []item
		if !p.ReadOnly {
			items = append(items, item{"undo the newest operation", func(ctx context.Context) error { return p.undo(ctx, name) }})
		}
		for i := range d.All {
			b := &d.All[i]
			text := "branch " + string(b.Name)
			if b.Stash != nil {
				text = "stash " + string(b.Name)
			}
			if b.Current {
				text += ", the current one"
			}
			text += ", " + plural(int(b.Pointer.Count), "commit", "commits") + ", in no commit " + dirty(b.Dirty)
			items = append(items, item{text, func(ctx context.Context) error { return p.branch(ctx, target{dot: name, branch: b.Name}) }})
		}
		return items, err
	})
}

func (p *plain) undo(ctx context.Context, name dotmesh.DotName) error {
	limited, cancel := p.call(ctx)
	defer cancel()
	all, err := p.Service.Ops(limited, dotmesh.OpsRequest{Dot: name, Limit: mostAtOnce})
	if err != nil {
		return err
	}
	var n uint64
	if op := newest(all); op != nil {
		n = op.N
		if sure, err := p.deletes(ctx, name, op); err != nil || !sure {
			return err
		}
	}
	ctx, cancel = p.call(ctx)
	defer cancel()
	undone, err := p.Service.Undo(ctx, dotmesh.UndoRequest{Dot: name, N: n, Request: dotmesh.NewUUID()})
	return p.done(err, "Undid %s %s.", undone.Op.Verb, undone.Op.Name)
}

// deletes asks for the name where to undo op is to delete something.
func (p *plain) deletes(ctx context.Context, dot dotmesh.DotName, op *dotmesh.Op) (sure bool, err error) {
	if !made(op) {
		return true, nil
	}
	what, typed := "branch "+string(op.Name), string(op.Name)
	if op.Verb == dotmesh.VerbInit {
		what, typed = "dot "+dot.String(), dot.String()
	}
	answer, err := p.ask(ctx, "The operation made "+what+"; to undo it is to delete that. Type "+typed+" to do it:")
	if err == nil && answer != typed {
		p.say("Nothing was done.")
	}
	return answer == typed, err
}

// branch lists what can be done with a branch, and its newest commits.
func (p *plain) branch(ctx context.Context, t target) error {
	return p.choose(ctx, "Branch "+t.String(), func(ctx context.Context) ([]item, error) {
		ctx, cancel := p.call(ctx)
		defer cancel()
		page, err := p.Service.Log(ctx, dotmesh.LogRequest{Dot: t.dot, Branch: t.branch, Limit: 50})
		var items []item
		if !p.ReadOnly {
			items = []item{
				{"commit", func(ctx context.Context) error { return p.commit(ctx, t) }},
				{"discard what is in no commit; a stash keeps it", func(ctx context.Context) error { return p.discard(ctx, t) }},
				{"check out", func(ctx context.Context) error { return p.checkout(ctx, t) }},
			}
		}
		for i := range page.Commits {
			c := &page.Commits[i]
			items = append(items, item{
				"commit " + short(c.ID) + ", " + when(c.Time, p.Now()) + ", by " + c.Author + ", " + firstLine(c.Message),
				func(ctx context.Context) error { return p.commitMenu(ctx, t, c) },
			})
		}
		return items, err
	})
}

func (p *plain) commit(ctx context.Context, t target) error {
	message, err := p.ask(ctx, "Message:")
	if err != nil {
		return err
	}
	ctx, cancel := p.call(ctx)
	defer cancel()
	c, err := p.Service.Commit(ctx, dotmesh.CommitRequest{Dot: t.dot, Branch: t.branch, Message: message, ID: dotmesh.CommitID{UUID: dotmesh.NewUUID()}})
	return p.done(err, "Committed %s.", short(c.ID))
}

func (p *plain) discard(ctx context.Context, t target) error {
	ctx, cancel := p.call(ctx)
	defer cancel()
	changed, err := p.Service.Discard(ctx, dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{Dot: t.dot, Branch: t.branch, Request: dotmesh.NewUUID()}})
	return p.done(err, "Discarded%s.", keptIn(changed))
}

func (p *plain) checkout(ctx context.Context, t target) error {
	ctx, cancel := p.call(ctx)
	defer cancel()
	_, err := p.Service.Checkout(ctx, dotmesh.BranchRequest{Dot: t.dot, Branch: t.branch, Request: dotmesh.NewUUID()})
	return p.done(err, "Checked out %s.", t.branch)
}

// commitMenu lists what can be done with a commit.
func (p *plain) commitMenu(ctx context.Context, t target, c *dotmesh.Commit) error {
	return p.choose(ctx, "Commit "+c.ID.String(), func(context.Context) ([]item, error) {
		items := []item{{"the files that it changed", func(ctx context.Context) error { return p.diff(ctx, t, c) }}}
		if p.ReadOnly {
			return items, nil
		}
		return append(items,
			item{"make a branch from it", func(ctx context.Context) error { return p.branchFrom(ctx, t, c) }},
			item{"reset the branch to it; a stash keeps what is dropped", func(ctx context.Context) error { return p.reset(ctx, t, c) }}), nil
	})
}

func (p *plain) diff(ctx context.Context, t target, c *dotmesh.Commit) error {
	if c.Parent.IsZero() {
		p.say("The dot begins with this commit.")
		return nil
	}
	ctx, cancel := p.call(ctx)
	defer cancel()
	read := readFiles(ctx, p.Service, dotmesh.DiffRequest{Dot: t.dot, Branch: t.branch, From: c.Parent.String(), To: c.ID.String()}, maxFiles)
	for _, f := range read.files {
		p.say("%s %s, %s", f.Kind, f.Path, size(f.Size))
	}
	return p.done(read.err, "%s.", plural(len(read.files), "file differs", "files differ"))
}

func (p *plain) branchFrom(ctx context.Context, t target, c *dotmesh.Commit) error {
	name, err := p.ask(ctx, "Name of the new branch:")
	if err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return err
	}
	ctx, cancel := p.call(ctx)
	defer cancel()
	_, err = p.Service.CreateBranch(ctx, dotmesh.CreateBranch{Name: dotmesh.Name(name), From: dotmesh.CommitRef{
		Dot: t.dot, Branch: t.branch, Ref: c.ID.String(), Request: dotmesh.NewUUID(),
	}})
	return p.done(err, "Made branch %s.", name)
}

func (p *plain) reset(ctx context.Context, t target, c *dotmesh.Commit) error {
	answer, err := p.ask(ctx, "Reset "+t.String()+" to "+short(c.ID)+"? y or n:")
	if err != nil || answer != "y" {
		return err
	}
	ctx, cancel := p.call(ctx)
	defer cancel()
	changed, err := p.Service.Reset(ctx, dotmesh.ResetRequest{CommitRef: dotmesh.CommitRef{
		Dot: t.dot, Branch: t.branch, Ref: c.ID.String(), Request: dotmesh.NewUUID(),
	}})
	return p.done(err, "Reset%s.", keptIn(changed))
}
