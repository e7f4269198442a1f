package main

import (
	"bufio"
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

type statusOptions struct {
	*env
	target
	Fresh bool
	Watch bool
}

func newStatusCommand(e *env) *cobra.Command {
	o := &statusOptions{env: e}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show a branch: its HEAD, its master and what is in no commit yet",
		Long: `Show a branch: its HEAD, its master, how much of it is in no commit yet and how old that
figure is, and who uses it. --fresh has buffered writes written first, so that the figure is
exact and of now.

--watch goes on and prints a line whenever something changed, until it is interrupted:
time, branch, HEAD, commits and dirty bytes; with -o json one object a line.

With -H the fields are, in this order: branch, HEAD, commits, dirty bytes, size and id of the
master.`,
		Example: "  dm status\n  dm status --dot shop --branch staging --fresh\n  dm status --watch",
		Args:    args(0, 0, ""),
		RunE: untimed(func(ctx context.Context, _ []string) error {
			if o.Watch {
				return runStatusWatch(ctx, o)
			}
			return runStatus(ctx, o)
		}),
	}
	cmd.Flags().BoolVar(&o.Fresh, "fresh", false, "have buffered writes written first")
	cmd.Flags().BoolVar(&o.Watch, "watch", false, "print a line whenever something changed")
	e.scriptingFlag(cmd)
	o.bothFlags(e, cmd)
	return cmd
}

func runStatus(ctx context.Context, o *statusOptions) error {
	ctx, cancel := o.deadline(ctx)
	defer cancel()
	dot, b, err := o.fetch(ctx)
	if err != nil {
		return err
	}
	return o.show(b, func() error {
		if o.flags.Scripting {
			o.printFields(b)
		} else {
			o.printStatus(o.IO.Out, dot, b)
		}
		return nil
	})
}

func (o *statusOptions) fetch(ctx context.Context) (dotmesh.DotName, dotmesh.BranchStatus, error) {
	s, dot, branch, err := o.reach(ctx, o.target)
	if err != nil {
		return dot, dotmesh.BranchStatus{}, err
	}
	b, err := s.Status(ctx, dotmesh.StatusRequest{Dot: dot, Branch: branch, Fresh: o.Fresh})
	return dot, b, err
}

func (o *statusOptions) printFields(b dotmesh.BranchStatus) {
	fields(o.IO.Out, string(b.Name), b.Pointer.Head.String(), count(b.Pointer.Count),
		dirtyBytes(b.Dirty), strconv.FormatInt(b.Size, 10), string(b.Pointer.Master))
}

func (o *statusOptions) printStatus(out *bufio.Writer, dot dotmesh.DotName, b dotmesh.BranchStatus) {
	current := ""
	if b.Current {
		current = " (current)"
	}
	out.WriteString("On branch " + string(b.Name) + " of " + dot.String() + current + "\n")
	out.WriteString("HEAD " + b.Pointer.Head.String() + ", " + plural(int(b.Pointer.Count), "commit", "commits") +
		", " + size(b.Size) + "\n")
	out.WriteString("Master " + masterOf(&b) + ", epoch " + count(b.Pointer.Epoch) + phase(b.Pointer.State) + "\n")
	out.WriteString(o.dirtyLine(b.Dirty) + "\n")
	for _, c := range b.Containers {
		out.WriteString("Used by " + containerNames([]dotmesh.Container{c}) + "\n")
	}
	for _, r := range b.Replicas {
		out.WriteString("On " + string(r.Name) + ": " + replicaState(&r) + "\n")
	}
}

// phase says where a branch is on its way, if it is on one.
func phase(s dotmesh.State) string {
	if s.Phase == "" || s.Phase == dotmesh.Held {
		return ""
	}
	return ", " + termsafe.Line(string(s.Phase)) + " to " + string(s.To)
}

func (o *statusOptions) dirtyLine(d dotmesh.Bytes) string {
	switch {
	case d.AsOf.IsZero():
		return "What is in no commit has not been measured yet (--fresh measures it)"
	case d.Bytes == 0 && d.Exact:
		return o.IO.paint(green, "Nothing is in no commit") + ", as of " + age(o.Now().Sub(d.AsOf))
	case d.Bytes == 0:
		return o.IO.paint(green, "Nothing is known to be in no commit") + ", as of " + age(o.Now().Sub(d.AsOf)) + "; buffered writes may be missing"
	}
	text := o.IO.paint(yellow, size(d.Bytes)+" in no commit") + ", as of " + age(o.Now().Sub(d.AsOf))
	if !d.Exact {
		text += "; buffered writes may be missing"
	}
	return text
}

func replicaState(r *dotmesh.Replica) string {
	text := "is up to date"
	if n := len(r.Missing); n > 0 {
		text = "is missing " + plural(n, "commit", "commits")
	}
	if r.Behind > 0 {
		text += ", the oldest made " + age(r.Behind)
	}
	if !r.Alive {
		text += ", out of reach"
	}
	return text
}

// runStatusWatch prints the branch now and after each event that may concern it.
func runStatusWatch(ctx context.Context, o *statusOptions) error {
	s, err := o.connect()
	if err != nil {
		return err
	}
	first, cancel := o.deadline(ctx)
	dot, last, err := o.fetch(first)
	cancel()
	if err != nil {
		return err
	}
	o.Dot = dot.String()
	if err := o.printLine(last); err != nil {
		return err
	}
	for event, err := range s.Events(ctx, "") {
		if err != nil {
			return err
		}
		if !concerns(&event, &last) {
			continue
		}
		call, cancel := o.deadline(ctx)
		_, now, err := o.fetch(call)
		cancel()
		if err != nil {
			return err
		}
		if sameStatus(&now, &last) {
			continue
		}
		last = now
		if err := o.printLine(last); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// concerns reports whether an event may change what is shown of a branch, or which one it is.
func concerns(e *dotmesh.Event, b *dotmesh.BranchStatus) bool {
	switch {
	case e.Branch != nil:
		return e.Branch.Dot == b.Dot
	case e.Dot != nil:
		return e.Dot.ID == b.Dot
	case e.Stats != nil:
		return e.Stats.Branch == b.ID
	case e.Commit != nil:
		return true // a commit names its line, not its branch
	}
	return e.Kind == dotmesh.EventGap
}

func sameStatus(a, b *dotmesh.BranchStatus) bool {
	return a.ID == b.ID && a.Pointer == b.Pointer && a.Dirty.Bytes == b.Dirty.Bytes &&
		a.Dirty.AsOf.IsZero() == b.Dirty.AsOf.IsZero() && len(a.Containers) == len(b.Containers)
}

// printLine writes one line of a watch at once.
func (o *statusOptions) printLine(b dotmesh.BranchStatus) error {
	switch {
	case o.flags.Output == formatJSON:
		if err := writeJSONLine(o.IO.Out, b); err != nil {
			return err
		}
	case o.flags.Output == formatYAML:
		o.IO.Out.WriteString("---\n")
		if err := writeYAML(o.IO.Out, b); err != nil {
			return err
		}
	case o.flags.Scripting:
		o.printFields(b)
	default:
		o.IO.Out.WriteString(stamp(o.Now()) + "  " + string(b.Name) + "  " + short(b.Pointer.Head) + "  " +
			plural(int(b.Pointer.Count), "commit", "commits") + "  dirty " + dirtySize(b.Dirty) + "\n")
	}
	return failure("write the output", o.IO.Out.Flush())
}
