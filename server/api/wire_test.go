package api_test

import (
	"context"
	"iter"
	"reflect"
	"testing"
	"time"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/server/api"
)

// cluster is a service with more than one node, as the wire has to carry it.
type cluster struct {
	dotmesh.Service
	transfer dotmesh.Transfer
	token    dotmesh.Token
	status   dotmesh.ClusterStatus
	asked    []any
}

func (c *cluster) Authenticate(context.Context, dotmesh.Name, dotmesh.Secret) (dotmesh.Principal, error) {
	return dotmesh.Principal{Name: "admin", Admin: true}, nil
}

func (c *cluster) As(dotmesh.Principal) dotmesh.Service { return c }

func (c *cluster) Events(context.Context, string) iter.Seq2[dotmesh.Event, error] {
	return func(yield func(dotmesh.Event, error) bool) {
		yield(dotmesh.Event{Cursor: "x-1", Kind: dotmesh.EventTransfer, Time: c.transfer.Started, Transfer: &c.transfer}, nil)
	}
}

func (c *cluster) Move(_ context.Context, r dotmesh.MoveRequest) (dotmesh.Transfer, error) {
	c.asked = append(c.asked, r)
	return c.transfer, nil
}

func (c *cluster) Drain(_ context.Context, r dotmesh.DrainRequest) ([]dotmesh.Transfer, error) {
	c.asked = append(c.asked, r)
	return []dotmesh.Transfer{c.transfer}, nil
}

func (c *cluster) Transfers(context.Context) ([]dotmesh.Transfer, error) {
	return []dotmesh.Transfer{c.transfer}, nil
}

func (c *cluster) CancelTransfer(_ context.Context, id dotmesh.UUID) error {
	c.asked = append(c.asked, id)
	return nil
}

func (c *cluster) RetryTransfer(_ context.Context, id dotmesh.UUID) error {
	c.asked = append(c.asked, id)
	return nil
}

func (c *cluster) RevokeToken(_ context.Context, id dotmesh.UUID) error {
	c.asked = append(c.asked, id)
	return nil
}

func (c *cluster) CreateToken(_ context.Context, r dotmesh.TokenRequest) (dotmesh.Token, dotmesh.Secret, error) {
	c.asked = append(c.asked, r)
	return c.token, "the secret", nil
}

func (c *cluster) Cluster(context.Context) (dotmesh.ClusterStatus, error) { return c.status, nil }

// TestWhatOneNodeNeverSaysIsCarried: transfers, tokens and certificates, in calls and in
// the stream of events.
func TestWhatOneNodeNeverSaysIsCarried(t *testing.T) {
	at := time.Date(2026, 11, 22, 10, 0, 0, 17, time.UTC)
	service := &cluster{
		transfer: dotmesh.Transfer{
			ID: dotmesh.NewUUID(), Kind: dotmesh.TransferMove, Dot: dotmesh.DotName{Namespace: "admin", Name: "shop"}, Branch: "master",
			BranchID: dotmesh.BranchID{UUID: dotmesh.NewUUID()}, From: "one", To: "two", State: dotmesh.TransferWaiting, Step: "receive",
			Commit: dotmesh.CommitID{UUID: dotmesh.NewUUID()}, Commits: 1, Of: 2, Sent: 3, Size: 4, Rate: 5, Try: 6, Reason: "why",
			Started: at, Updated: at, Retry: at, Ended: at,
		},
		token: dotmesh.Token{ID: dotmesh.NewUUID(), Voter: true, By: "admin", Created: at, Expires: at},
	}
	service.status = dotmesh.ClusterStatus{
		Cluster: dotmesh.Cluster{ID: dotmesh.ClusterID{UUID: dotmesh.NewUUID()}, Feature: 1, Created: at}, Voters: 3, Quorum: true,
		Certificates: []dotmesh.Certificate{{Name: "one", Fingerprint: "00ff", Expires: at}}, Tokens: []dotmesh.Token{service.token},
	}
	unix, _ := serve(t, service)
	c := connect(t, api.Remote{URL: unix})
	same := func(what string, got, want any, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v; want %+v", what, got, err, want)
		}
	}
	for e, err := range c.Events(t.Context(), "") {
		want := dotmesh.Event{Cursor: "x-1", Kind: dotmesh.EventTransfer, Time: at, Transfer: &service.transfer}
		same("the event", e, want, err)
	}
	id, ctx := dotmesh.NewUUID(), t.Context()
	move := dotmesh.MoveRequest{Dot: service.transfer.Dot, Branch: "master", Node: "two", Request: id}
	moved, err := c.Move(ctx, move)
	same("a move", moved, service.transfer, err)
	all, err := c.Transfers(ctx)
	same("the transfers", all, []dotmesh.Transfer{service.transfer}, err)
	drained, err := c.Drain(ctx, dotmesh.DrainRequest{Node: "one", Stop: true})
	same("a drain", drained, all, err)
	token, secret, err := c.CreateToken(ctx, dotmesh.TokenRequest{Voter: true, Lasts: time.Minute})
	same("a token", token, service.token, err)
	same("its secret", string(secret), "the secret", nil)
	status, err := c.Cluster(ctx)
	same("the cluster", status, service.status, err)
	same("a cancel", nil, nil, c.CancelTransfer(ctx, id))
	same("a retry", nil, nil, c.RetryTransfer(ctx, id))
	same("a revocation", nil, nil, c.RevokeToken(ctx, id))
	same("what was asked", service.asked, []any{
		move, dotmesh.DrainRequest{Node: "one", Stop: true}, dotmesh.TokenRequest{Voter: true, Lasts: time.Minute}, id, id, id,
	}, nil)
}
