package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

type clusterTokenOptions struct {
	*env
	Voter bool
	Lasts string
}

func newClusterTokenCommand(e *env) *cobra.Command {
	o := &clusterTokenOptions{env: e}
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make a token that a new node joins with",
		Long: `Make a token that a new node joins with, once and within an hour, or as long as --lasts says,
a week at most. It is printed this once. Who has it can make their machine a node of the
cluster, and so read all of its data: hand it on as you would a password.

"dm cluster status" shows the tokens that can still be used, and "dm cluster token revoke"
makes one useless.` + notYet("Joining a cluster"),
		Example: "  dm cluster token\n  dm cluster token --voter --lasts 10m\n  dm cluster token revoke 7f3a91c2-0000-4000-8000-000000000001",
		Args:    noSubcommand,
		RunE:    e.timed(func(ctx context.Context, _ []string) error { return runClusterToken(ctx, o) }),
	}
	cmd.Flags().BoolVar(&o.Voter, "voter", false, "let the node vote on what the nodes agree on")
	cmd.Flags().StringVar(&o.Lasts, "lasts", "1h", "how long it can be used, such as 10m, 12h or 7d")
	cmd.AddCommand(newClusterTokenRevokeCommand(e))
	return cmd
}

// newToken is what -o shows of a token that was made.
type newToken struct {
	dotmesh.Token
	Secret string `json:"secret"`
}

func runClusterToken(ctx context.Context, o *clusterTokenOptions) error {
	lasts, err := parsePeriod("--lasts "+o.Lasts, o.Lasts)
	if err != nil {
		return err
	}
	if *lasts < time.Second {
		return usage("--lasts %s: a token has to last for a second at least", o.Lasts)
	}
	s, err := o.connect()
	if err != nil {
		return err
	}
	token, secret, err := s.CreateToken(ctx, dotmesh.TokenRequest{Voter: o.Voter, Lasts: *lasts})
	if err != nil {
		return err
	}
	o.IO.say(`Good for %s, until %s; "dm cluster token revoke %s" makes it useless.`, tokenFor(&token), stamp(token.Expires), token.ID)
	return o.show(newToken{token, string(secret)}, func() error {
		o.IO.Out.WriteString(termsafe.Line(string(secret)) + "\n")
		return nil
	})
}

func tokenFor(t *dotmesh.Token) string {
	if t.Voter {
		return "a node with a vote"
	}
	return "a node"
}

func newClusterTokenRevokeCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke ID",
		Short: "Make a token useless",
		Long: `Make a token useless at once. It is named by its id, which "dm cluster status" shows. A node
that has joined with it stays.` + notYet("Joining a cluster"),
		Example:           "  dm cluster token revoke 7f3a91c2-0000-4000-8000-000000000001",
		Args:              args(1, 1, "the id of a token"),
		ValidArgsFunction: first(e.completeTokens),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			return runClusterTokenRevoke(ctx, e, args[0])
		}),
	}
}

func runClusterTokenRevoke(ctx context.Context, e *env, name string) error {
	id, err := dotmesh.ParseUUID(name)
	if err != nil {
		return err
	}
	s, err := e.connect()
	if err != nil {
		return err
	}
	if err := s.RevokeToken(ctx, id); err != nil {
		return err
	}
	e.IO.say("Token %s is useless now.", id)
	return nil
}

func (e *env) completeTokens(cmd *cobra.Command, _ []string, _ string) (completions, cobra.ShellCompDirective) {
	return e.ask(cmd, func(ctx context.Context, s dotmesh.Service) (found completions) {
		c, err := s.Cluster(ctx)
		if err != nil {
			return nil
		}
		for i := range c.Tokens {
			found = append(found, cobra.CompletionWithDesc(c.Tokens[i].ID.String(), "until "+stamp(c.Tokens[i].Expires)))
		}
		return found
	})
}
