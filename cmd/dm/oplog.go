package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type opLogOptions struct {
	*env
	target
	Limit int
}

func newOpCommand(e *env) *cobra.Command {
	return group("op", "Show what was done to a dot",
		"Every change to a dot is an entry of its operation log, which \"dm undo\" works on.",
		"  dm op log", newOpLogCommand(e))
}

func newOpLogCommand(e *env) *cobra.Command {
	o := &opLogOptions{env: e}
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show the operations on a dot, newest first",
		Long: `Show the operations on a dot, newest first. "dm undo N" reverses the one with the number N.

With -H the fields are, in this order: number, time, user, verb, branch, HEAD before, HEAD
after, the operation that it undid, and why.`,
		Example: "  dm op log\n  dm op log --dot shop -n 10",
		Args:    args(0, 0, ""),
		RunE:    e.timed(func(ctx context.Context, _ []string) error { return runOpLog(ctx, o) }),
	}
	cmd.Flags().IntVarP(&o.Limit, "limit", "n", 50, "only the newest this many; 0: all")
	e.scriptingFlag(cmd)
	o.dotFlag(e, cmd)
	return cmd
}

func runOpLog(ctx context.Context, o *opLogOptions) error {
	if o.Limit < 0 {
		return usage("-n takes a number from 0")
	}
	s, dot, _, err := o.reach(ctx, o.target)
	if err != nil {
		return err
	}
	ops, err := fetchOps(ctx, s, dot, o.Limit)
	if err != nil {
		return err
	}
	return o.show(nonNil(ops), func() error {
		if o.flags.Scripting {
			for _, op := range ops {
				fields(o.IO.Out, count(op.N), rfc3339(op.Time), op.By, string(op.Verb), string(op.Name),
					op.Old.Commit.String(), op.New.Commit.String(), undoes(op.Undoes), op.Why)
			}
			return nil
		}
		return o.printOps(ops)
	})
}

// opsPage is how many operations are asked for at once.
const opsPage = 1000

func fetchOps(ctx context.Context, s dotmesh.Service, dot dotmesh.DotName, limit int) (ops []dotmesh.Op, err error) {
	r := dotmesh.OpsRequest{Dot: dot}
	for {
		r.Limit = opsPage
		if limit > 0 {
			r.Limit = min(opsPage, limit-len(ops))
		}
		page, err := s.Ops(ctx, r)
		if err != nil {
			return nil, err
		}
		ops = append(ops, page...)
		if len(page) < r.Limit || limit > 0 && len(ops) >= limit {
			return ops, nil
		}
		r.Before = ops[len(ops)-1].N
	}
}

func (o *opLogOptions) printOps(ops []dotmesh.Op) error {
	table := newTable("N", "TIME", "BY", "WHAT", "BRANCH", "FROM", "TO", "WHY")
	for i := range ops {
		op := &ops[i]
		what := string(op.Verb)
		if op.Undoes != 0 {
			what += " " + count(op.Undoes)
		}
		table.row(count(op.N), stamp(op.Time), orDash(op.By), what, orDash(string(op.Name)),
			orDash(short(op.Old.Commit)), orDash(short(op.New.Commit)), op.Why)
	}
	return table.write(o.IO.Out)
}

// short is the beginning of an id that dm accepts for all of it.
func short(id dotmesh.CommitID) string {
	text := id.String()
	return text[:min(len(text), 8)]
}

// undoes is the number of an undone operation for scripts; none is empty.
func undoes(n uint64) string {
	if n == 0 {
		return ""
	}
	return count(n)
}
