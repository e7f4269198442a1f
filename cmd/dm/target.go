package main

import (
	"context"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

// target is what a command acts on, as its flags have it. Empty means the current one.
type target struct {
	Dot    string
	Branch string
}

// dotFlag gives a command that acts on a dot its --dot.
func (t *target) dotFlag(e *env, cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.Dot, "dot", "", "dot to act on (default the current one)")
	must(cmd.RegisterFlagCompletionFunc("dot", e.completeDots))
}

// bothFlags gives a command that acts on a branch its --dot and --branch.
func (t *target) bothFlags(e *env, cmd *cobra.Command) {
	t.dotFlag(e, cmd)
	cmd.Flags().StringVar(&t.Branch, "branch", "", "branch to act on (default the dot's current one)")
	must(cmd.RegisterFlagCompletionFunc("branch", e.completeBranches))
}

// resolve returns the dot and the branch to act on. The empty branch is the dot's current
// one, which the server knows.
func (e *env) resolve(ctx context.Context, t target) (dotmesh.DotName, dotmesh.Name, error) {
	branch, err := parseBranch(t.Branch)
	if err != nil {
		return dotmesh.DotName{}, "", err
	}
	if t.Dot != "" {
		dot, err := dotmesh.ParseDotName(t.Dot)
		return dot, branch, err
	}
	dot, err := e.currentDot(ctx)
	return dot, branch, err
}

// reach is resolve with the service that is asked.
func (e *env) reach(ctx context.Context, t target) (dotmesh.Service, dotmesh.DotName, dotmesh.Name, error) {
	s, err := e.connect()
	if err != nil {
		return nil, dotmesh.DotName{}, "", err
	}
	dot, branch, err := e.resolve(ctx, t)
	return s, dot, branch, err
}

// parseBranch reads a branch's name; the empty one stays empty.
func parseBranch(s string) (dotmesh.Name, error) {
	if s == "" {
		return "", nil
	}
	name, err := dotmesh.ParseName(s)
	if err != nil {
		return "", dotmesh.E("parse branch", dotmesh.Invalid, "branch: %s", dotmesh.Text(err))
	}
	return name, nil
}

// currentDot returns the current dot. If none was chosen and there is exactly one, that
// one becomes it.
func (e *env) currentDot(ctx context.Context) (dotmesh.DotName, error) {
	dot, chosen, err := e.findDot(ctx)
	if err != nil || chosen {
		return dot, err
	}
	return dot, e.choose(ctx, dot)
}

// findDot is currentDot without remembering what it found.
func (e *env) findDot(ctx context.Context) (dot dotmesh.DotName, chosen bool, err error) {
	dot, err = e.chosenDot()
	if err != nil || !dot.IsZero() {
		return dot, true, err
	}
	s, err := e.connect()
	if err != nil {
		return dotmesh.DotName{}, false, err
	}
	dots, err := s.Dots(ctx)
	if err != nil {
		return dotmesh.DotName{}, false, err
	}
	if len(dots) != 1 {
		return dotmesh.DotName{}, false, dotmesh.E("find dot", dotmesh.Invalid,
			`No current dot is selected; choose one with "dm switch DOT" or name it with --dot ("dm list" shows them)`)
	}
	return dots[0].Name, false, nil
}

// chosenDot returns the dot that was chosen with this server; zero if none was.
func (e *env) chosenDot() (dotmesh.DotName, error) {
	s, err := e.whom()
	if err != nil {
		return dotmesh.DotName{}, err
	}
	c, err := e.loadConfig()
	if err != nil {
		return dotmesh.DotName{}, err
	}
	name := c.volume(s)
	if name == "" {
		return dotmesh.DotName{}, nil
	}
	dot, err := dotmesh.ParseDotName(name)
	if err != nil {
		return dotmesh.DotName{}, dotmesh.E("read config", dotmesh.Invalid,
			`the config file's current dot makes no sense (%s); choose one with "dm switch DOT"`, dotmesh.Text(err))
	}
	return dot, nil
}

// choose makes dot the current one of this server.
func (e *env) choose(ctx context.Context, dot dotmesh.DotName) error {
	s, err := e.whom()
	if err != nil {
		return err
	}
	return e.updateConfig(ctx, func(c *config) error {
		c.setVolume(s, dot.String())
		return nil
	})
}

// volume is the current dot with a server; empty if none was chosen.
func (c *config) volume(s *server) string {
	if r := c.Remotes[s.Name]; s.remote && r != nil {
		return r.CurrentVolume
	}
	if h := c.Hosts[s.Name]; !s.remote && h != nil {
		return h.CurrentVolume
	}
	return ""
}

func (c *config) setVolume(s *server, dot string) {
	if s.remote {
		if r := c.Remotes[s.Name]; r != nil { // nil: removed meanwhile by another command
			r.CurrentVolume = dot
		}
		return
	}
	if c.Hosts == nil {
		c.Hosts = map[string]*host{}
	}
	if c.Hosts[s.Name] == nil {
		c.Hosts[s.Name] = &host{}
	}
	c.Hosts[s.Name].CurrentVolume = dot
}

// setBranch notes a dot's current branch for clients made for the original; dm itself
// asks the server.
func (c *config) setBranch(s *server, dot dotmesh.DotName, branch dotmesh.Name) {
	r := c.Remotes[s.Name]
	if !s.remote || r == nil {
		return
	}
	if r.CurrentBranches == nil {
		r.CurrentBranches = map[string]string{}
	}
	r.CurrentBranches[dot.String()] = string(branch)
}

// forget drops what is remembered of a dot that is gone.
func (c *config) forget(s *server, dot dotmesh.DotName) {
	if c.volume(s) == dot.String() {
		c.setVolume(s, "")
	}
	if r := c.Remotes[s.Name]; s.remote && r != nil {
		delete(r.CurrentBranches, dot.String())
		delete(r.DefaultRemoteVolumes[string(dot.Namespace)], string(dot.Name))
	}
}
