package main

import (
	"bufio"
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

type listOptions struct{ *env }

func newListCommand(e *env) *cobra.Command {
	o := &listOptions{env: e}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the dots",
		Long: `List the dots that you may see, each with its current branch: the node that is the branch's
master, the containers that use it, its size, its commits, and the bytes that are in no
commit yet ("-" for none, "?" where nobody has measured them yet). A star marks the
current dot.

With -H the fields are, in this order: dot, branch, server, containers, size, commits and
dirty bytes.`,
		Example: "  dm list\n  dm list -H | cut -f 1,7\n  dm list -o json",
		Args:    args(0, 0, ""),
		RunE:    e.timed(func(ctx context.Context, _ []string) error { return runList(ctx, o) }),
	}
	e.scriptingFlag(cmd)
	return cmd
}

func runList(ctx context.Context, o *listOptions) error {
	s, err := o.connect()
	if err != nil {
		return err
	}
	dots, err := s.Dots(ctx)
	if err != nil {
		return err
	}
	return o.show(nonNil(dots), func() error {
		if o.flags.Scripting {
			listScripting(o.IO.Out, dots)
			return nil
		}
		return listText(o, dots)
	})
}

// nonNil makes an empty list [] and not null.
func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func listScripting(out *bufio.Writer, dots []dotmesh.DotStatus) {
	for i := range dots {
		d := &dots[i]
		fields(out, d.Name.String(), string(d.Branch.Name), string(d.Branch.Pointer.Master),
			containerNames(d.Branch.Containers), strconv.FormatInt(d.Branch.Size, 10),
			strconv.FormatUint(d.Branch.Pointer.Count, 10), dirtyBytes(d.Branch.Dirty))
	}
}

func listText(o *listOptions, dots []dotmesh.DotStatus) error {
	current, err := o.currentOf(dots)
	if err != nil {
		return err
	}
	server, err := o.whom()
	if err != nil {
		return err
	}
	out := o.IO.Out
	out.WriteString("Current remote: " + termsafe.Line(server.title()) +
		" (use 'dm remote -v' to list and 'dm remote switch' to switch)\n\n")
	table := newTable("  DOT", "BRANCH", "SERVER", "CONTAINERS", "SIZE", "COMMITS", "DIRTY")
	for i := range dots {
		addDot(table, &dots[i], dots[i].Name == current)
	}
	return table.write(out)
}

// addDot is table.row without a string for each cell. Names hold nothing that a terminal obeys.
func addDot(t *table, d *dotmesh.DotStatus, current bool) {
	t.cell(append(append(t.text, star(current)...), d.Name.String()...))
	t.cell(append(t.text, d.Branch.Name...))
	t.cell(append(t.text, masterOf(&d.Branch)...))
	t.cell(append(t.text, containerNames(d.Branch.Containers)...))
	t.cell(appendSize(t.text, d.Branch.Size))
	t.cell(strconv.AppendUint(t.text, d.Branch.Pointer.Count, 10))
	t.cell(appendDirty(t.text, d.Branch.Dirty))
}

// star marks the current one of a list.
func star(current bool) string {
	if current {
		return "* "
	}
	return "  "
}

// masterOf names a branch's master for people.
func masterOf(b *dotmesh.BranchStatus) string {
	if b.MasterName != "" {
		return string(b.MasterName)
	}
	return string(b.Pointer.Master)
}

// containerNames joins names as Docker writes them, with a leading slash.
func containerNames(containers []dotmesh.Container) string {
	if len(containers) == 0 {
		return ""
	}
	names := make([]string, len(containers))
	for i, c := range containers {
		names[i] = "/" + termsafe.Line(strings.TrimPrefix(c.Name, "/"))
	}
	return strings.Join(names, ",")
}

// currentOf is the current dot where all dots are at hand: the chosen one, or the only one.
func (e *env) currentOf(dots []dotmesh.DotStatus) (dotmesh.DotName, error) {
	chosen, err := e.chosenDot()
	if err == nil && chosen.IsZero() && len(dots) == 1 {
		return dots[0].Name, nil
	}
	return chosen, err
}
