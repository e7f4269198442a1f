package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

type dotShowOptions struct {
	*env
	target
}

func newDotShowCommand(e *env) *cobra.Command {
	o := &dotShowOptions{env: e}
	cmd := &cobra.Command{
		Use:   "show [DOT]",
		Short: "Show a dot in full",
		Long: `Show a dot: its ids, its branches with the containers that use them, how far each node has
come with each branch, and the dots on remotes that it is pushed to and pulled from.

With -H each line begins with the name of what it shows: namespace, name, masterBranchId,
selected (only if it is), commitCount, size, dirty, currentBranch, branch, container,
latency and defaultUpstreamDot. Figures are the current branch's.`,
		Example:           "  dm dot show\n  dm dot show shop\n  dm dot show -H shop | grep ^dirty",
		Args:              args(0, 1, "the name of a dot"),
		ValidArgsFunction: first(e.completeDots),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			if len(args) > 0 {
				o.Dot = args[0]
			}
			return runDotShow(ctx, o)
		}),
	}
	e.scriptingFlag(cmd)
	o.dotFlag(e, cmd)
	return cmd
}

func runDotShow(ctx context.Context, o *dotShowOptions) error {
	s, dot, _, err := o.reach(ctx, o.target)
	if err != nil {
		return err
	}
	detail, err := s.Dot(ctx, dot)
	if err != nil {
		return err
	}
	return o.show(detail, func() error {
		chosen, err := o.chosenDot()
		if err != nil {
			return err
		}
		upstreams, err := o.upstreams(dot)
		if err != nil {
			return err
		}
		v := &dotView{DotDetail: &detail, selected: chosen == dot, upstreams: upstreams}
		if o.flags.Scripting {
			v.writeFields(o.IO.Out)
		} else {
			v.writeText(o.IO.Out)
		}
		return nil
	})
}

// dotView is a dot and what this machine knows of it.
type dotView struct {
	*dotmesh.DotDetail
	selected  bool
	upstreams []upstream // by remote
}

// upstream is where a dot goes on a remote.
type upstream struct{ remote, dot string }

// upstreams returns where a dot goes, for each remote that knows.
func (e *env) upstreams(dot dotmesh.DotName) (found []upstream, err error) {
	c, err := e.loadConfig()
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Remotes)) {
		if d := c.Remotes[name].DefaultRemoteVolumes[string(dot.Namespace)][string(dot.Name)]; d != nil {
			found = append(found, upstream{name, d.Namespace + "/" + d.Name})
		}
	}
	return found, nil
}

func (v *dotView) writeFields(out *bufio.Writer) {
	line := func(values ...string) { out.WriteString(strings.Join(values, "\t") + "\n") }
	line("namespace", string(v.Name.Namespace))
	line("name", string(v.Name.Name))
	line("masterBranchId", v.ID.String())
	if v.selected {
		line("selected")
	}
	line("commitCount", count(v.Branch.Pointer.Count))
	line("size", strconv.FormatInt(v.Branch.Size, 10))
	line("dirty", dirtyBytes(v.Branch.Dirty))
	line("currentBranch", string(v.Branch.Name))
	for _, b := range v.All {
		line("branch", b.ID.String(), string(b.Name))
		for _, c := range b.Containers {
			line("container", string(b.Name), containerNames([]dotmesh.Container{c}))
		}
	}
	current := v.current()
	for _, r := range current.Replicas {
		values := []string{"latency", string(r.Node), role(&r, current), replicaStatus(&r, current)}
		for _, id := range r.Missing {
			values = append(values, id.String())
		}
		line(values...)
	}
	for _, u := range v.upstreams {
		line("defaultUpstreamDot", termsafe.Line(u.remote), termsafe.Line(u.dot))
	}
}

func (v *dotView) writeText(out *bufio.Writer) {
	fmt.Fprintf(out, "Dot %s/%s:\n", v.Name.Namespace, v.Name.Name)
	fmt.Fprintf(out, "Master branch ID: %s\n", v.ID)
	if v.selected {
		out.WriteString("Dot is current.\n")
	}
	if o := v.Origin; !o.Commit.IsZero() {
		fmt.Fprintf(out, "Forked from %s at %s\n", o.Name, o.Commit)
	}
	fmt.Fprintf(out, "Commit count: %d\n", v.Branch.Pointer.Count)
	fmt.Fprintf(out, "Size: %s (%s)\n", sizeOrZero(v.Branch.Size), dirtyWords(v.Branch.Dirty))
	out.WriteString("Branches:\n")
	stashes := 0
	for i := range v.All {
		if b := &v.All[i]; b.Stash == nil {
			writeBranch(out, b)
		} else {
			stashes++
		}
	}
	if stashes > 0 {
		fmt.Fprintf(out, "Stashes: %d (use 'dm branch --stashes' to list)\n", stashes)
	}
	for _, u := range v.upstreams {
		fmt.Fprintf(out, "Tracks dot %s on remote %s\n", termsafe.Line(u.dot), termsafe.Line(u.remote))
	}
}

func writeBranch(out *bufio.Writer, b *dotmesh.BranchStatus) {
	containers := containerNames(b.Containers)
	if containers == "" {
		containers = "none"
	}
	fmt.Fprintf(out, "%s%s (%s) (containers: %s)\n", star(b.Current), b.Name, b.ID, containers)
	for i := range b.Replicas {
		r := &b.Replicas[i]
		mark := ""
		if r.Node == b.Pointer.Master {
			mark = " [MASTER]"
		}
		state := "is up to date"
		if len(r.Missing) > 0 {
			state = "is missing " + ids(r.Missing)
		}
		fmt.Fprintf(out, "    server %s%s (%s) %s\n", r.Node, mark, replicaStatus(r, b), state)
	}
}

// current is the current branch as the list has it, with its replicas.
func (v *dotView) current() *dotmesh.BranchStatus {
	for i := range v.All {
		if v.All[i].ID == v.Branch.ID {
			return &v.All[i]
		}
	}
	return &v.Branch
}

func role(r *dotmesh.Replica, b *dotmesh.BranchStatus) string {
	if r.Node == b.Pointer.Master {
		return "master"
	}
	return "replica"
}

// replicaStatus has the shape that the original's states had: "state: detail, N snaps (vM)".
func replicaStatus(r *dotmesh.Replica, b *dotmesh.BranchStatus) string {
	state := "inactive: waiting"
	switch {
	case !r.Alive:
		state = "missing: out of reach"
	case r.Node == b.Pointer.Master:
		state = "active: waiting"
	}
	have := b.Pointer.Count - min(b.Pointer.Count, uint64(len(r.Missing)))
	return fmt.Sprintf("%s, %d snaps (v%d)", state, have, b.Pointer.Epoch)
}

func ids(commits []dotmesh.CommitID) string {
	texts := make([]string, len(commits))
	for i, c := range commits {
		texts[i] = c.String()
	}
	return "[" + strings.Join(texts, " ") + "]"
}

func sizeOrZero(n int64) string {
	if n == 0 {
		return "0.00 kiB"
	}
	return size(n)
}

func dirtyWords(b dotmesh.Bytes) string {
	switch {
	case b.AsOf.IsZero():
		return "dirty not measured yet"
	case b.Bytes == 0:
		return "all clean"
	}
	return size(b.Bytes) + " dirty"
}
