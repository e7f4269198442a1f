package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
	"dotmesh.io/dotmesh/internal/termsafe"
)

type transfersOptions struct {
	*env
	Watch bool
}

func newTransfersCommand(e *env) *cobra.Command {
	o := &transfersOptions{env: e}
	cmd := &cobra.Command{
		Use:   "transfers [--watch] [cancel|retry ID]",
		Short: "Show, cancel or retry transfers",
		Long: `Show commits that are on their way: branches that move to another node, replicas that catch
up, and what is sent to and fetched from remotes; what has ended stays in the list for an
hour. "dm transfers cancel ID" ends one, "dm transfers retry ID" goes on with one that has
failed or waits.

--watch prints the list and then a line whenever something changed, until it is
interrupted: time, id, kind, branch, from, to, state, how far it has come, how fast, how
much longer, why; with -o json one object a line.

With -H the fields are, in this order: id, kind, dot, branch, from, to, state, step, commits
that arrived, commits in all, bytes that arrived, bytes in all, bytes a second, try, started,
tried again at, ended, reason. What is not known yet is 0 or empty.`,
		Example: "  dm transfers\n  dm transfers --watch\n  dm transfers cancel 7f3a91c2",
		Args:    noSubcommand,
		RunE: untimed(func(ctx context.Context, _ []string) error {
			if o.Watch {
				return runTransfersWatch(ctx, o)
			}
			return runTransfers(ctx, o)
		}),
	}
	cmd.Flags().BoolVar(&o.Watch, "watch", false, "go on with a line whenever something changed")
	e.scriptingFlag(cmd)
	cmd.AddCommand(newTransfersCancelCommand(e), newTransfersRetryCommand(e))
	return cmd
}

func runTransfers(ctx context.Context, o *transfersOptions) error {
	transfers, err := o.fetch(ctx)
	if err != nil {
		return err
	}
	if len(transfers) == 0 {
		o.IO.say("Nothing is on its way, and nothing ended within the last hour.")
	}
	return o.showTransfers(transfers)
}

func (o *transfersOptions) fetch(ctx context.Context) ([]dotmesh.Transfer, error) {
	ctx, cancel := o.deadline(ctx)
	defer cancel()
	s, err := o.connect()
	if err != nil {
		return nil, err
	}
	return s.Transfers(ctx)
}

// showTransfers prints transfers as -o or -H asks for, or as a table.
func (e *env) showTransfers(transfers []dotmesh.Transfer) error {
	return e.show(nonNil(transfers), func() error {
		switch {
		case e.flags.Scripting:
			for i := range transfers {
				e.printTransferFields(&transfers[i])
			}
			return nil
		case len(transfers) == 0:
			return nil
		}
		return e.printTransfers(transfers)
	})
}

func (e *env) printTransferFields(t *dotmesh.Transfer) {
	fields(e.IO.Out, t.ID.String(), string(t.Kind), t.Dot.String(), string(t.Branch), t.From, t.To, string(t.State), t.Step,
		strconv.Itoa(t.Commits), strconv.Itoa(t.Of), strconv.FormatInt(t.Sent, 10), strconv.FormatInt(t.Size, 10),
		strconv.FormatInt(t.Rate, 10), strconv.Itoa(t.Try), rfc3339(t.Started), rfc3339(t.Retry), rfc3339(t.Ended), t.Reason)
}

func (e *env) printTransfers(transfers []dotmesh.Transfer) error {
	table := newTable("ID", "KIND", "BRANCH", "FROM", "TO", "STATE", "COMMITS", "SENT", "RATE", "LEFT", "WHY")
	for i := range transfers {
		t := &transfers[i]
		table.row(transferID(t), string(t.Kind), t.Dot.String()+"@"+string(t.Branch), t.From, t.To, transferState(t),
			ofAll(strconv.Itoa(t.Commits), strconv.Itoa(t.Of), t.Of > 0), ofAll(size(t.Sent), size(t.Size), t.Size > 0),
			transferRate(t), timeLeft(t), e.whyTransfer(t))
	}
	return table.write(e.IO.Out)
}

// transferID is the beginning of a transfer's id, which names it wherever all of it does.
func transferID(t *dotmesh.Transfer) string { return t.ID.String()[:8] }

// transferState is the state, with the step of a move.
func transferState(t *dotmesh.Transfer) string {
	if t.Step == "" || t.State.Ended() {
		return string(t.State)
	}
	return string(t.State) + " (" + t.Step + ")"
}

// ofAll says how far something has come, and of how much if that is known.
func ofAll(done, all string, known bool) string {
	if !known {
		return done
	}
	return done + " of " + all
}

func transferRate(t *dotmesh.Transfer) string {
	if t.State != dotmesh.TransferRunning || t.Rate <= 0 {
		return "-"
	}
	return size(t.Rate) + "/s"
}

func timeLeft(t *dotmesh.Transfer) string {
	left, ok := t.Left()
	if !ok {
		return "-"
	}
	return left.Round(time.Second).String()
}

// whyTransfer says what a transfer waits for or why it failed, and when it is tried again.
func (e *env) whyTransfer(t *dotmesh.Transfer) string {
	text := t.Reason
	if t.State == dotmesh.TransferWaiting && !t.Retry.IsZero() {
		again := max(0, t.Retry.Sub(e.Now())).Round(time.Second)
		text = strings.TrimPrefix(fmt.Sprintf("%s; try %d in %s", text, t.Try+1, again), "; ")
	}
	return text
}

// runTransfersWatch prints the list, and then each transfer that changed.
func runTransfersWatch(ctx context.Context, o *transfersOptions) error {
	s, err := o.connect()
	if err != nil {
		return err
	}
	if err := o.printAll(ctx); err != nil {
		return err
	}
	for event, err := range s.Events(ctx, "") {
		switch {
		case err != nil:
			return err
		case event.Kind == dotmesh.EventGap:
			err = o.printAll(ctx)
		case event.Transfer != nil:
			err = o.printLine(event.Transfer)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// printAll writes a line for each transfer that there is, oldest first.
func (o *transfersOptions) printAll(ctx context.Context) error {
	transfers, err := o.fetch(ctx)
	for i := range transfers {
		if err == nil {
			err = o.printLine(&transfers[len(transfers)-1-i])
		}
	}
	return err
}

// printLine writes one line of a watch at once.
func (o *transfersOptions) printLine(t *dotmesh.Transfer) (err error) {
	switch {
	case o.flags.Output == formatJSON:
		err = writeJSONLine(o.IO.Out, t)
	case o.flags.Output == formatYAML:
		o.IO.Out.WriteString("---\n")
		err = writeYAML(o.IO.Out, t)
	case o.flags.Scripting:
		o.printTransferFields(t)
	default:
		o.IO.Out.WriteString(termsafe.Line(o.transferLine(t)) + "\n")
	}
	if err != nil {
		return err
	}
	return failure("write the output", o.IO.Out.Flush())
}

func (o *transfersOptions) transferLine(t *dotmesh.Transfer) string {
	words := []string{
		stamp(t.Updated), transferID(t), string(t.Kind), t.Dot.String() + "@" + string(t.Branch), t.From + " -> " + t.To, transferState(t),
		ofAll(strconv.Itoa(t.Commits), strconv.Itoa(t.Of), t.Of > 0) + " commits", ofAll(size(t.Sent), size(t.Size), t.Size > 0),
	}
	if rate := transferRate(t); rate != "-" {
		words = append(words, rate)
	}
	if left := timeLeft(t); left != "-" {
		words = append(words, left+" left")
	}
	if why := o.whyTransfer(t); why != "" {
		words = append(words, why)
	}
	return strings.Join(words, "  ")
}

func newTransfersCancelCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel ID",
		Short: "End a transfer",
		Long: `End a transfer, which is named by its id or the beginning of that. Commits that have arrived
whole stay. A branch that was on its way to another node stays where it was, unless that node
has taken it already.`,
		Example:           "  dm transfers cancel 7f3a91c2",
		Args:              args(1, 1, "the id of a transfer"),
		ValidArgsFunction: first(e.completeTransfers(func(t *dotmesh.Transfer) bool { return !t.State.Ended() })),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			return e.onTransfer(ctx, args[0], "Cancelled", dotmesh.Service.CancelTransfer)
		}),
	}
}

func newTransfersRetryCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "retry ID",
		Short: "Go on with a transfer that failed or waits",
		Long: `Go on with a transfer that has failed, was cancelled or waits for its next try. It is named by
its id or the beginning of that. What has arrived is not sent again.`,
		Example:           "  dm transfers retry 7f3a91c2",
		Args:              args(1, 1, "the id of a transfer"),
		ValidArgsFunction: first(e.completeTransfers(mayRetry)),
		RunE: e.timed(func(ctx context.Context, args []string) error {
			return e.onTransfer(ctx, args[0], "Going on with", dotmesh.Service.RetryTransfer)
		}),
	}
}

func mayRetry(t *dotmesh.Transfer) bool {
	return t.State == dotmesh.TransferWaiting || t.State == dotmesh.TransferFailed || t.State == dotmesh.TransferCancelled
}

// onTransfer does something to the transfer that an id, or its beginning, names.
func (e *env) onTransfer(ctx context.Context, id, done string, do func(dotmesh.Service, context.Context, dotmesh.UUID) error) error {
	s, err := e.connect()
	if err != nil {
		return err
	}
	found, err := findTransfer(ctx, s, id)
	if err != nil {
		return err
	}
	if err := do(s, ctx, found); err != nil {
		return err
	}
	e.IO.say("%s transfer %s.", done, found)
	return nil
}

// findTransfer returns the id of the transfer whose id is or begins with s.
func findTransfer(ctx context.Context, s dotmesh.Service, id string) (dotmesh.UUID, error) {
	if whole, err := dotmesh.ParseUUID(id); err == nil {
		return whole, nil
	}
	if strings.Trim(strings.ToLower(id), "0123456789abcdef-") != "" || id == "" {
		return dotmesh.UUID{}, usage(`%q is no transfer's id; "dm transfers" shows them`, id)
	}
	transfers, err := s.Transfers(ctx)
	if err != nil {
		return dotmesh.UUID{}, err
	}
	var found []dotmesh.UUID
	for i := range transfers {
		if strings.HasPrefix(transfers[i].ID.String(), strings.ToLower(id)) {
			found = append(found, transfers[i].ID)
		}
	}
	switch len(found) {
	case 0:
		return dotmesh.UUID{}, dotmesh.E("find transfer", dotmesh.NotFound, `there is no transfer %s; "dm transfers" shows those there are`, id)
	case 1:
		return found[0], nil
	}
	return dotmesh.UUID{}, dotmesh.E("find transfer", dotmesh.Conflict, "%s is the beginning of %d transfers' ids; give more characters", id, len(found))
}

// completeTransfers offers the transfers for which something makes sense.
func (e *env) completeTransfers(fits func(*dotmesh.Transfer) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) (completions, cobra.ShellCompDirective) {
		return e.ask(cmd, func(ctx context.Context, s dotmesh.Service) (found completions) {
			transfers, err := s.Transfers(ctx)
			if err != nil {
				return nil
			}
			for i := range transfers {
				if t := &transfers[i]; fits(t) {
					what := fmt.Sprintf("%s of %s@%s to %s", t.Kind, t.Dot, t.Branch, t.To)
					found = append(found, cobra.CompletionWithDesc(t.ID.String(), termsafe.Line(what)))
				}
			}
			return found
		})
	}
}
