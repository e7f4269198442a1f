package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"dotmesh.io/dotmesh"
)

type commitOptions struct {
	*env
	target
	Message  string
	Metadata []string
	Wait     string
}

func newCommitCommand(e *env) *cobra.Command {
	o := &commitOptions{env: e}
	cmd := &cobra.Command{
		Use:   "commit -m MESSAGE",
		Short: "Keep a branch's data as it is now",
		Long: `Make a commit of a branch's data as it is now and print the commit's id. Containers go on
running: what they had written is in the commit, as after a power cut.

-d adds a field of metadata; everything after the first "=" is its value. Field names
begin with a lower-case letter. The field "#commit-id" is none: its value, a uuid, becomes
the commit's id, and a commit repeated with the same id is made only once.

--wait says how many nodes must hold the commit before the command returns; the master
counts.`,
		Example: `  dm commit -m "before the migration"
  dm commit --dot shop --branch staging -m nightly -d job=backup -d size=12
  id=$(dm commit -m "from a script")`,
		Args: args(0, 0, ""),
		RunE: e.timed(func(ctx context.Context, _ []string) error { return runCommit(ctx, o) }),
	}
	cmd.Flags().StringVarP(&o.Message, "message", "m", "", "what changed (needed)")
	cmd.Flags().StringArrayVarP(&o.Metadata, "metadata", "d", nil, "field of metadata, as name=value; may be repeated")
	cmd.Flags().StringVar(&o.Wait, "wait", "1", "nodes that must hold the commit: a number, quorum or all")
	must(cmd.RegisterFlagCompletionFunc("wait", cobra.FixedCompletions([]string{"1", "quorum", "all"}, cobra.ShellCompDirectiveNoFileComp)))
	o.bothFlags(e, cmd)
	cmd.AddCommand(newCommitDeleteCommand(e))
	return cmd
}

func runCommit(ctx context.Context, o *commitOptions) error {
	request, err := commitRequest(o.Message, o.Metadata)
	if err != nil {
		return err
	}
	s, err := o.connect()
	if err != nil {
		return err
	}
	if request.Dot, request.Branch, err = o.resolve(ctx, o.target); err != nil {
		return err
	}
	if err := checkWait(ctx, s, o.Wait); err != nil {
		return err
	}
	made, err := s.Commit(ctx, request)
	if err != nil {
		return err
	}
	o.sayDurable(ctx, s, request, made.ID)
	return o.show(made, func() error {
		o.IO.Out.WriteString(made.ID.String() + "\n")
		return nil
	})
}

// commitIDField is the field of metadata that is the commit's id instead.
const commitIDField = "#commit-id"

// commitRequest is what the flags ask for.
func commitRequest(message string, metadata []string) (dotmesh.CommitRequest, error) {
	r := dotmesh.CommitRequest{Message: message}
	if message == "" {
		return r, usage("a commit needs a message: -m MESSAGE")
	}
	for _, field := range metadata {
		name, value, ok := strings.Cut(field, "=")
		switch {
		case !ok || name == "":
			return r, usage("metadata is given as name=value, and not as %q", field)
		case name == commitIDField:
			id, err := dotmesh.ParseCommitID(value)
			if err != nil {
				return r, err
			}
			r.ID = id
		case name[0] < 'a' || name[0] > 'z':
			return r, usage("Metadata field names must start with lowercase characters: %s", name)
		default:
			if r.Metadata == nil {
				r.Metadata = map[string]string{}
			}
			r.Metadata[name] = value
		}
	}
	return r, nil
}

// checkWait refuses a --wait that could not be kept, before anything is done.
func checkWait(ctx context.Context, s dotmesh.Service, wait string) error {
	if wait == "1" {
		return nil
	}
	nodes, err := s.Nodes(ctx)
	if err != nil {
		return err
	}
	want, err := waitFor(wait, len(nodes))
	if err != nil {
		return err
	}
	if want > 1 {
		return dotmesh.E("dm commit", dotmesh.Unsupported,
			"--wait=%s needs %d nodes to hold the commit, and this server does not copy commits to other nodes yet; nothing was done", wait, want)
	}
	return nil
}

// waitFor is how many of a cluster's nodes a --wait asks for.
func waitFor(wait string, nodes int) (int, error) {
	switch wait {
	case "quorum":
		return nodes/2 + 1, nil
	case "all":
		return nodes, nil
	}
	n, err := strconv.Atoi(wait)
	if err != nil || n < 1 {
		return 0, usage("--wait takes a number from 1, quorum or all, and not %q", wait)
	}
	return n, nil
}

// sayDurable says how many nodes hold a new commit already.
func (o *commitOptions) sayDurable(ctx context.Context, s dotmesh.Service, r dotmesh.CommitRequest, id dotmesh.CommitID) {
	status, err := s.Status(ctx, dotmesh.StatusRequest{Dot: r.Dot, Branch: r.Branch})
	if err != nil {
		o.IO.say("The commit is made; which nodes hold it is not known: %s", dotmesh.Text(err))
		return
	}
	have, all := durable(status.Replicas, status.Pointer.Master, id)
	o.IO.say("%d/%d durable", have, all)
}

// durable counts the nodes that hold a commit; the master does.
func durable(replicas []dotmesh.Replica, master dotmesh.NodeID, id dotmesh.CommitID) (have, all int) {
	have, all = 1, 1
	for _, r := range replicas {
		if r.Node == master {
			continue
		}
		all++
		missing := false
		for _, m := range r.Missing {
			missing = missing || m == id
		}
		if !missing {
			have++
		}
	}
	return have, all
}
