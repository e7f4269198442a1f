package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type dotSetOptions struct {
	*env
	Dot      string
	Settings []string
}

func newDotSetCommand(e *env) *cobra.Command {
	o := &dotSetOptions{env: e}
	return &cobra.Command{
		Use:   "set DOT SETTING=VALUE...",
		Short: "Change a dot's settings",
		Long: `Change a dot's settings:

  replicas=all          which nodes keep its commits
  rpo=5s                take a system commit this often; off: never
  expires=7d            keep stashes this long; off: as long as their reason says
  collaborator+=alice   let a user read, commit and push
  collaborator-=alice   no longer

Durations have a unit: s, m, h or d. Other replicas than all, and another rpo than off, are
not on this server yet: it says so, and the command exits with 1.`,
		Example:           "  dm dot set shop expires=7d\n  dm dot set shop expires=off collaborator+=alice",
		Args:              args(2, 64, "a dot and settings"),
		ValidArgsFunction: each(e.completeDots, completeSettings, completeSettings, completeSettings),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			o.Dot, o.Settings = args[0], args[1:]
			return runDotSet(ctx, o)
		}),
	}
}

func completeSettings(*cobra.Command, []string, string) (completions, cobra.ShellCompDirective) {
	return completions{"replicas=", "rpo=", "expires=", "collaborator+=", "collaborator-="},
		cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

func runDotSet(ctx context.Context, o *dotSetOptions) error {
	request, err := parseSettings(o.Dot, o.Settings)
	if err != nil {
		return err
	}
	s, err := o.connect()
	if err != nil {
		return err
	}
	now, err := s.SetDot(ctx, request)
	if err != nil {
		return err
	}
	return o.showOnly(now)
}

func parseSettings(dot string, settings []string) (r dotmesh.SetDot, err error) {
	if r.Dot, err = dotmesh.ParseDotName(dot); err != nil {
		return r, err
	}
	for _, setting := range settings {
		name, value, ok := strings.Cut(setting, "=")
		if !ok {
			return r, usage("a setting is given as name=value, and not as %q", setting)
		}
		switch name {
		case "replicas":
			r.Replicas = &value
		case "rpo":
			r.RPO, err = parsePeriod(setting, value)
		case "expires":
			r.Expires, err = parsePeriod(setting, value)
		case "collaborator+":
			r.AddCollaborator, err = dotmesh.ParseName(value)
		case "collaborator-":
			r.RemoveCollaborator, err = dotmesh.ParseName(value)
		default:
			return r, usage("there is no setting %q; there are replicas, rpo, expires, collaborator+ and collaborator-", name)
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// parsePeriod reads a duration, with days as well, or "off" for none.
func parsePeriod(setting, text string) (*time.Duration, error) {
	var d time.Duration
	var err error
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 16)
		d = time.Duration(n) * 24 * time.Hour
	} else if text != "off" {
		d, err = time.ParseDuration(text)
	}
	if err != nil || d < 0 {
		return nil, usage("%s: a duration is a number and a unit, such as 5s, 12h or 7d", setting)
	}
	return &d, nil
}
