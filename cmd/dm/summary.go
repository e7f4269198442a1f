package main

import (
	"context"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

// summaryOptions are those of dm alone: one screen of what there is.
type summaryOptions struct{ *env }

// summary is what -o shows.
type summary struct {
	Remote  string               `json:"remote"`
	Version dotmesh.Version      `json:"version"`
	Nodes   []dotmesh.NodeStatus `json:"nodes"`
	Dots    []dotmesh.DotStatus  `json:"dots"`
}

func runSummary(ctx context.Context, o *summaryOptions) error {
	s, err := o.connect()
	if err != nil {
		return err
	}
	server, err := o.whom()
	if err != nil {
		return err
	}
	all := summary{Remote: server.title()}
	if all.Version, err = s.Version(ctx); err != nil {
		return err
	}
	if all.Nodes, err = s.Nodes(ctx); err != nil {
		return err
	}
	if all.Dots, err = s.Dots(ctx); err != nil {
		return err
	}
	return o.show(all, func() error {
		current, err := o.currentOf(all.Dots)
		if err != nil {
			return err
		}
		return o.print(&all, current)
	})
}

func (o *summaryOptions) print(all *summary, current dotmesh.DotName) error {
	out := o.IO.Out
	out.WriteString("Dotmesh " + termsafe.Line(all.Version.Version) + " on " + termsafe.Line(all.Remote) + ": " +
		plural(len(all.Nodes), "node", "nodes") + ", " + plural(len(all.Dots), "dot", "dots") + dirtyDots(all.Dots) + "\n\n")
	if err := writeNodes(o.env, all.Nodes); err != nil {
		return err
	}
	if len(all.Dots) == 0 {
		out.WriteString("\nNo dots yet: \"dm init NAME\" makes one, \"dm help\" shows all commands.\n")
		return nil
	}
	out.WriteString("\n")
	fit := o.fit(len(all.Nodes))
	table := newTable("  DOT", "BRANCH", "BRANCHES", "COMMITS", "DIRTY", "USED BY")
	for i := range min(fit, len(all.Dots)) {
		d := &all.Dots[i]
		table.row(star(d.Name == current)+d.Name.String(), string(d.Branch.Name), count(uint64(d.Branches)),
			count(d.Branch.Pointer.Count), dirtySize(d.Branch.Dirty), orDash(containerNames(d.Branch.Containers)))
	}
	if err := table.write(out); err != nil {
		return err
	}
	if hidden := len(all.Dots) - fit; hidden > 0 {
		out.WriteString("  ... and " + count(uint64(hidden)) + " more" + ": dm list\n")
	}
	return nil
}

// fit is how many dots fit on the screen below the rest.
func (o *summaryOptions) fit(nodes int) int {
	height := o.IO.Height
	if height == 0 {
		height = 24
	}
	const others = 7 // the first line, blank ones, headers, the last line and the prompt
	return max(height-others-nodes, 3)
}

// dirtyDots counts the dots with something in no commit.
func dirtyDots(dots []dotmesh.DotStatus) string {
	n := 0
	for i := range dots {
		if dots[i].Branch.Dirty.Bytes > 0 {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return ", " + count(uint64(n)) + " of them dirty"
}
