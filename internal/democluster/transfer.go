package democluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"dotmesh.io/dotmesh"
)

const (
	keepEnded = time.Hour // how long a transfer is listed after its end
	maxTries  = 5
	stepTime  = time.Second // what a step of a move takes that waits for no bytes
)

// transfer is a transfer and where it comes from and goes to.
type transfer struct {
	dotmesh.Transfer
	branch   *branch
	from, to *node // nil: a remote
	lag      *lag  // replica: what it fetches
	left     time.Duration
	breaks   int64 // push, pull: how many bytes go before the remote closes the connection; 0: all
	drain    bool  // move: it waits for its turn
}

// newTransfer begins a transfer.
func (c *Cluster) newTransfer(t transfer, record dotmesh.Transfer) *transfer {
	now := c.time()
	record.Dot, record.Branch, record.BranchID = t.branch.dot.Name, t.branch.Name, t.branch.ID
	if record.ID.IsZero() {
		record.ID = c.newID()
	}
	if t.from != nil {
		record.From = string(t.from.Name)
	}
	if t.to != nil {
		record.To = string(t.to.Name)
	}
	record.State, record.Try = cmp.Or(record.State, dotmesh.TransferRunning), cmp.Or(record.Try, 1)
	record.Started, record.Updated = now, now
	t.Transfer = record
	c.transfers = append(c.transfers, &t)
	c.emitTransfer(&t)
	return &t
}

// flow records that bytes arrived within some time.
func (t *transfer) flow(c *Cluster, bytes int64, d time.Duration) {
	t.Sent = min(t.Sent+bytes, max(t.Size, t.Sent))
	if now := int64(float64(bytes) / d.Seconds()); t.Rate == 0 {
		t.Rate = now
	} else {
		t.Rate = (3*t.Rate + now) / 4
	}
	t.Updated = c.time()
	c.emitTransfer(t)
}

// wait records why nothing flows. Saying so again is no event.
func (c *Cluster) wait(t *transfer, reason string) {
	if t.State == dotmesh.TransferWaiting && t.Reason == reason {
		return
	}
	t.State, t.Reason, t.Rate, t.Updated = dotmesh.TransferWaiting, reason, 0, c.time()
	c.emitTransfer(t)
}

// end ends a transfer for good, or until somebody retries it.
func (c *Cluster) end(t *transfer, state dotmesh.TransferState, reason string) {
	now := c.time()
	t.State, t.Reason, t.Rate, t.Retry, t.Updated, t.Ended = state, reason, 0, time.Time{}, now, now
	if state == dotmesh.TransferDone {
		t.Sent, t.Commits = t.Size, t.Of
	}
	if t.lag != nil {
		t.lag.transfer = nil
		t.lag.paused = state != dotmesh.TransferDone
	}
	c.emitTransfer(t)
	if state == dotmesh.TransferFailed {
		c.logf(c.witness(), "error", "%s of %s to %s failed: %s", t.Kind, t.Dot, t.To, reason)
	}
}

// Transfers implements dotmesh.Service.
func (s *service) Transfers(ctx context.Context) ([]dotmesh.Transfer, error) {
	return ask(ctx, s, func() ([]dotmesh.Transfer, error) {
		all := []dotmesh.Transfer{}
		for _, t := range slices.Backward(s.c.transfers) {
			old := t.State.Ended() && s.c.time().Sub(t.Ended) > keepEnded
			if !old && rightOf(s.who, &t.branch.dot.Dot) >= maySee {
				all = append(all, t.Transfer)
			}
		}
		return all, nil
	})
}

// transferWith returns a transfer that the caller may change.
func (s *service) transferWith(id dotmesh.UUID) (*transfer, error) {
	for _, t := range s.c.transfers {
		have := rightOf(s.who, &t.branch.dot.Dot)
		switch {
		case t.ID != id || have < maySee:
		case have < mayOwn:
			return nil, dotmesh.E("democluster.authorize", dotmesh.Denied, "You are not the owner of %s; ask its owner or the administrator", t.Dot)
		default:
			return t, nil
		}
	}
	return nil, dotmesh.E("democluster.Transfer", dotmesh.NotFound, `there is no transfer %s; "dm transfers" shows those there are`, id)
}

// CancelTransfer implements dotmesh.Service.
func (s *service) CancelTransfer(ctx context.Context, id dotmesh.UUID) error {
	return alter(ctx, s, func() error {
		const op = "democluster.CancelTransfer"
		t, err := s.transferWith(id)
		switch {
		case err != nil:
			return err
		case t.State == dotmesh.TransferCancelled:
			return nil
		case t.State.Ended():
			return dotmesh.E(op, dotmesh.Conflict, "the %s of %s to %s has ended already: it is %s", t.Kind, t.Dot, t.To, t.State)
		case t.Kind == dotmesh.TransferMove && t.Step == "take":
			return dotmesh.E(op, dotmesh.Conflict, "%s has come too far: %s is taking the branch now; move it back when it is done", t.Dot, t.To)
		}
		s.c.abort(t)
		s.c.end(t, dotmesh.TransferCancelled, "cancelled by "+s.author())
		return nil
	})
}

// RetryTransfer implements dotmesh.Service.
func (s *service) RetryTransfer(ctx context.Context, id dotmesh.UUID) error {
	return alter(ctx, s, func() error {
		const op = "democluster.RetryTransfer"
		t, err := s.transferWith(id)
		switch {
		case err != nil:
			return err
		case t.State == dotmesh.TransferDone:
			return dotmesh.E(op, dotmesh.Conflict, "the %s of %s to %s is done already", t.Kind, t.Dot, t.To)
		case t.State == dotmesh.TransferRunning:
			return nil // it runs on
		case s.c.dots[t.branch.dot.ID] == nil || t.branch.dot.withID(t.branch.ID) == nil:
			return dotmesh.E(op, dotmesh.Conflict, "branch %s of %s has been deleted since", t.Branch, t.Dot)
		}
		return s.c.retry(t)
	})
}

// retry goes on with a transfer that waits or has ended.
func (c *Cluster) retry(t *transfer) error {
	switch {
	case t.Kind == dotmesh.TransferMove && t.State.Ended():
		if err := c.movable(t.branch, t.to); err != nil {
			return err
		}
		c.resume(t)
		t.drain, t.Sent, t.Commits, t.Of, t.Size = false, 0, 0, 0, 0
		c.beginMove(t)
		return nil
	case t.Kind == dotmesh.TransferReplica && t.State.Ended():
		if c.lagAt(t.lag) == nil {
			return dotmesh.E("democluster.RetryTransfer", dotmesh.Conflict, "%s has all of %s by now", t.To, t.Dot)
		}
		t.lag.paused, t.lag.transfer = false, t
	}
	if t.Kind != dotmesh.TransferMove {
		c.resume(t)
	}
	return nil
}

// lagAt returns the lag if its node still lacks something.
func (c *Cluster) lagAt(l *lag) *lag {
	if slices.Contains(c.lags, l) && l.next() != nil {
		return l
	}
	return nil
}

func (c *Cluster) resume(t *transfer) {
	t.Try++
	t.State, t.Reason, t.Retry, t.Ended, t.Updated, t.left = dotmesh.TransferRunning, "", time.Time{}, time.Time{}, c.time(), 0
	c.emitTransfer(t)
}

// carry lets moves, pushes and pulls go on for some time.
func (c *Cluster) carry(d time.Duration) {
	going := c.going()
	for _, t := range slices.Clone(c.transfers) {
		switch {
		case t.State.Ended():
		case t.Kind == dotmesh.TransferMove:
			c.stepMove(t, d, going)
		case t.Kind != dotmesh.TransferReplica:
			c.stepRemote(t, d)
		}
	}
}

// stepRemote lets a push or pull go on. A remote that closes the connection is tried again,
// each time a little later.
func (c *Cluster) stepRemote(t *transfer, d time.Duration) {
	if !t.Retry.IsZero() {
		if t.left -= d; t.left > 0 {
			return
		}
		c.resume(t)
	}
	if n := cmp.Or(t.from, t.to); !n.alive {
		c.wait(t, fmt.Sprintf("%s does not answer; it goes on when that is back", n.Name))
		return
	}
	t.State, t.Reason = dotmesh.TransferRunning, ""
	t.flow(c, c.portion(cmp.Or(t.from, t.to).rate, d), d)
	if t.Size > 0 {
		t.Commits = int(int64(t.Of) * t.Sent / t.Size)
	}
	switch {
	case t.breaks > 0 && t.Sent >= t.breaks:
		c.broke(t)
	case t.Sent >= t.Size:
		c.end(t, dotmesh.TransferDone, "")
	}
}

func (c *Cluster) broke(t *transfer) {
	t.breaks += t.Size / 50
	remote := t.To
	if t.to != nil {
		remote = t.From
	}
	if t.Try >= maxTries {
		c.end(t, dotmesh.TransferFailed, fmt.Sprintf(`%s closed the connection %d times; look at its log, then "dm transfers retry %s" goes on where it stopped`, remote, maxTries, t.ID))
		return
	}
	t.left = time.Second << t.Try
	c.wait(t, remote+" closed the connection: unexpected EOF")
	t.Retry = c.time().Add(t.left)
	c.emitTransfer(t)
}
