package main

import (
	"bufio"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

type logOptions struct {
	*env
	target
	Limit  int
	System bool
}

func newLogCommand(e *env) *cobra.Command {
	o := &logOptions{env: e}
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show a branch's commits, oldest first",
		Long: `Show a branch's commits, oldest first, from the first one of the dot on: what the branch was
forked from is part of its history. Dates are nanoseconds since 1970.

With -H the fields are, in this order: id, author, date, kind and message.`,
		Example: "  dm log\n  dm log --dot shop --branch staging -n 3\n  dm log -H | cut -f 1",
		Args:    args(0, 0, ""),
		RunE:    e.timed(func(ctx context.Context, _ []string) error { return runLog(ctx, o) }),
	}
	cmd.Flags().IntVarP(&o.Limit, "limit", "n", 0, "only the newest this many; 0: all")
	cmd.Flags().BoolVar(&o.System, "system", false, "also the commits that Dotmesh made to keep dirty data")
	e.scriptingFlag(cmd)
	o.bothFlags(e, cmd)
	return cmd
}

func runLog(ctx context.Context, o *logOptions) error {
	if o.Limit < 0 {
		return usage("-n takes a number from 0")
	}
	s, dot, branch, err := o.reach(ctx, o.target)
	if err != nil {
		return err
	}
	commits, err := fetchLog(ctx, s, dotmesh.LogRequest{Dot: dot, Branch: branch, System: o.System}, o.Limit)
	if err != nil {
		return err
	}
	slices.Reverse(commits)
	return o.show(nonNil(commits), func() error {
		for i := range commits {
			if o.flags.Scripting {
				c := &commits[i]
				fields(o.IO.Out, c.ID.String(), c.Author, nanoseconds(c), string(c.Kind), c.Message)
			} else {
				o.printCommit(o.IO.Out, &commits[i])
			}
		}
		return nil
	})
}

// logPage is how many commits are asked for at once.
const logPage = 1000

// fetchLog returns the newest limit commits (0: all), newest first.
func fetchLog(ctx context.Context, s dotmesh.Service, r dotmesh.LogRequest, limit int) (commits []dotmesh.Commit, err error) {
	for {
		r.Limit = logPage
		if limit > 0 {
			r.Limit = min(logPage, limit-len(commits))
		}
		page, err := s.Log(ctx, r)
		if err != nil {
			return nil, err
		}
		commits = append(commits, page.Commits...)
		if !page.More || len(page.Commits) == 0 || limit > 0 && len(commits) >= limit {
			return commits, nil
		}
		r.Before = commits[len(commits)-1].ID
	}
}

// printCommit writes a commit as scripts have always read it.
func (o *logOptions) printCommit(out *bufio.Writer, c *dotmesh.Commit) {
	out.WriteString(o.IO.paint(yellow, "commit "+c.ID.String()) + "\n")
	out.WriteString("author: " + termsafe.Line(c.Author) + "\n")
	out.WriteString("date: " + nanoseconds(c) + "\n")
	for _, name := range slices.Sorted(maps.Keys(c.Metadata)) {
		out.WriteString(termsafe.Line(name) + ": " + termsafe.Line(c.Metadata[name]) + "\n")
	}
	out.WriteString("\n")
	for line := range strings.Lines(c.Message) {
		out.WriteString("    " + termsafe.Line(strings.TrimSuffix(line, "\n")) + "\n")
	}
	out.WriteString("\n")
}

func nanoseconds(c *dotmesh.Commit) string { return strconv.FormatInt(c.Time.UnixNano(), 10) }
