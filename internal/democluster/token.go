package democluster

import (
	"cmp"
	"context"
	"slices"
	"time"

	"dotmesh.io/dotmesh"
)

// How long a token is good for.
const (
	tokenLasts = time.Hour
	tokenMost  = 7 * 24 * time.Hour
)

// token is a token; its secret is not kept, since nobody can join.
type token struct{ dotmesh.Token }

// usableTokens returns the tokens that can still be used, newest first.
func (c *Cluster) usableTokens() (all []dotmesh.Token) {
	for _, t := range slices.Backward(c.tokens) {
		if c.time().Before(t.Expires) {
			all = append(all, t.Token)
		}
	}
	return all
}

// given is a new token and its secret.
type given struct {
	token  dotmesh.Token
	secret dotmesh.Secret
}

// CreateToken implements dotmesh.Service.
func (s *service) CreateToken(ctx context.Context, r dotmesh.TokenRequest) (dotmesh.Token, dotmesh.Secret, error) {
	g, err := change(ctx, s, func() (given, error) {
		if err := s.adminOnly(); err != nil {
			return given{}, err
		}
		if r.Lasts < 0 || r.Lasts > tokenMost {
			return given{}, dotmesh.E("democluster.CreateToken", dotmesh.Invalid, "a token lasts at most a week")
		}
		now := s.c.time()
		t := dotmesh.Token{ID: s.c.newID(), Voter: r.Voter, By: s.author(), Created: now, Expires: now.Add(cmp.Or(r.Lasts, tokenLasts))}
		s.c.tokens = append(s.c.tokens, &token{t})
		return given{t, dotmesh.Secret("dmjoin-" + s.c.newID().String())}, nil
	})
	return g.token, g.secret, err
}

// RevokeToken implements dotmesh.Service.
func (s *service) RevokeToken(ctx context.Context, id dotmesh.UUID) error {
	return alter(ctx, s, func() error {
		if err := s.adminOnly(); err != nil {
			return err
		}
		s.c.tokens = slices.DeleteFunc(s.c.tokens, func(t *token) bool { return t.ID == id })
		return nil
	})
}
