package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

// completeWait is how long a shell may hang in a completion.
const completeWait = 700 * time.Millisecond

// completeLimit is how many commits a completion offers.
const completeLimit = 50

// completions are what a shell may put in; a description may follow after a tab.
type completions = []cobra.Completion

// ask runs a completion: connected, under a short deadline, and silent where anything
// fails, since a completion has nowhere to say it.
func (e *env) ask(cmd *cobra.Command, find func(context.Context, dotmesh.Service) completions) (completions, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWait)
	defer cancel()
	if err := e.prepare(cmd); err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, err := e.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return find(ctx, s), cobra.ShellCompDirectiveNoFileComp
}

func (e *env) completeDots(cmd *cobra.Command, _ []string, _ string) (completions, cobra.ShellCompDirective) {
	return e.ask(cmd, findDots)
}

func findDots(ctx context.Context, s dotmesh.Service) (found completions) {
	dots, err := s.Dots(ctx)
	if err != nil {
		return nil
	}
	for _, d := range dots {
		found = append(found, d.Name.String())
	}
	return found
}

func (e *env) completeBranches(cmd *cobra.Command, _ []string, _ string) (completions, cobra.ShellCompDirective) {
	return e.ask(cmd, func(ctx context.Context, s dotmesh.Service) completions {
		return e.findBranches(ctx, s, e.targetOf(cmd))
	})
}

func (e *env) findBranches(ctx context.Context, s dotmesh.Service, t target) (found completions) {
	dot, err := e.dotOf(ctx, t)
	if err != nil {
		return nil
	}
	detail, err := s.Dot(ctx, dot)
	if err != nil {
		return nil
	}
	for _, b := range detail.All {
		found = append(found, string(b.Name))
	}
	return found
}

// completeRefs offers branches and the newest commits, with their messages.
func (e *env) completeRefs(cmd *cobra.Command, _ []string, _ string) (completions, cobra.ShellCompDirective) {
	return e.ask(cmd, func(ctx context.Context, s dotmesh.Service) completions {
		t := e.targetOf(cmd)
		return append(e.findBranches(ctx, s, t), e.findCommits(ctx, s, t)...)
	})
}

func (e *env) completeCommits(cmd *cobra.Command, _ []string, _ string) (completions, cobra.ShellCompDirective) {
	return e.ask(cmd, func(ctx context.Context, s dotmesh.Service) completions {
		return e.findCommits(ctx, s, e.targetOf(cmd))
	})
}

func (e *env) findCommits(ctx context.Context, s dotmesh.Service, t target) (found completions) {
	dot, err := e.dotOf(ctx, t)
	if err != nil {
		return nil
	}
	page, err := s.Log(ctx, dotmesh.LogRequest{Dot: dot, Branch: dotmesh.Name(t.Branch), Limit: completeLimit})
	if err != nil {
		return nil
	}
	for _, c := range page.Commits {
		found = append(found, cobra.CompletionWithDesc(c.ID.String(), termsafe.Line(c.Message)))
	}
	return found
}

// completeRemotes offers the remotes of the config file.
func (e *env) completeRemotes(cmd *cobra.Command, _ []string, _ string) (found completions, _ cobra.ShellCompDirective) {
	if e.prepare(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := e.loadConfig()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	for name := range c.Remotes {
		found = append(found, name)
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// targetOf reads --dot and --branch of a command that may have either.
func (e *env) targetOf(cmd *cobra.Command) (t target) {
	if f := cmd.Flags().Lookup("dot"); f != nil {
		t.Dot = f.Value.String()
	}
	if f := cmd.Flags().Lookup("branch"); f != nil && f.Value.Type() == "string" {
		t.Branch = f.Value.String()
	}
	return t
}

// dotOf is the dot that a half-typed command acts on; it remembers nothing.
func (e *env) dotOf(ctx context.Context, t target) (dotmesh.DotName, error) {
	if t.Dot != "" {
		return dotmesh.ParseDotName(t.Dot)
	}
	dot, _, err := e.findDot(ctx)
	return dot, err
}

// first completes the first argument only.
func first(complete cobra.CompletionFunc) cobra.CompletionFunc { return each(complete) }

// each completes the first argument by the first function, the second by the second, and
// so on.
func each(complete ...cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) (completions, cobra.ShellCompDirective) {
		if len(args) >= len(complete) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete[len(args)](cmd, args, typed)
	}
}
